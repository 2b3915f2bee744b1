"""Embedders: texts and queries to unit vectors."""

from __future__ import annotations

import functools
import hashlib
import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from assistant.core.errors import ModelError
from assistant.core.home import Home
from assistant.core.progress import NoProgress, Progress
from assistant.core.records import Chunk
from assistant.core.settings import EmbedderSettings, Settings
from indexing.analysis import fold

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors = npt.NDArray[np.float32]
HASHING = "hashing"
_HASHING_DIMENSION = 256
_QUERY_TOKENS = 512
_BATCHES_PER_STEP = 4


class Embedder(Protocol):
    """Makes embeddings. Safe to call from several threads.

    Attributes:
        name: as configured.
        fingerprint: of what shapes the vectors; vectors of two fingerprints never meet in one index.
        dimension: length of a vector.
        max_tokens: longer texts are cut off.
        tokenizer: that ``max_tokens`` counts with; neither cuts nor pads.
    """

    name: str
    fingerprint: str
    dimension: int
    max_tokens: int
    tokenizer: Tokenizer

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Return one unit vector a text, float32, shape ``(len(texts), dimension)``."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a query, float32, shape ``(len(texts), dimension)``."""


def load_embedder(settings: Settings, home: Home) -> Embedder:
    """Load the embedder that the settings name.

    Raises:
        NotFoundError: there is no such model.
        ModelError: its folder is broken.
    """
    if settings.embedder.model == HASHING:
        return HashingEmbedder()
    from assistant.models.folders import model_fingerprint, resolve_model

    folder = resolve_model(settings.embedder.model, "embedder", home, settings.models)
    return TransformerEmbedder(settings.embedder, folder, model_fingerprint(folder, home))


def passage_text(chunk: Chunk) -> str:
    """Return the text that is embedded for a chunk.

    Without the titles above it: measured, they change nothing for questions in the document's language.
    """
    return chunk.text


class TransformerEmbedder:
    """A sentence-transformers folder on the processor, or on the accelerator where there is one.

    The numeric type is no part of the fingerprint: bfloat16 and float32 vectors of one model agree to a
    cosine above .999, so an index moves between machines.

    Args:
        settings: ``[embedder]``.
        folder: of the model.
        fingerprint: of the model.

    Raises:
        ModelError: the folder is broken.
    """

    def __init__(self, settings: EmbedderSettings, folder: Path, fingerprint: str) -> None:
        self.name = settings.model
        self.fingerprint = fingerprint
        self._batch_size = settings.batch_size
        self._lock = threading.Lock()
        self._model = _load_transformer(folder, settings.dtype)
        self._device = self._model.device
        self.tokenizer = _plain_tokenizer(folder)
        self.dimension = int(self._model.get_embedding_dimension())
        self.max_tokens = int(self._model.get_max_seq_length() or _QUERY_TOKENS)

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed texts, long ones together with long ones so that little is spent on padding."""
        progress = progress or NoProgress()
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        step = self._batch_size * _BATCHES_PER_STEP
        for start in range(0, len(order), step):
            places = order[start : start + step]
            vectors[places] = self._encode([texts[place] for place in places], "passage", "document")
            progress.advance(len(places))
        return vectors

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        if len(texts) > 1:
            return self._encode(list(texts), "query")
        return self._encode_one(texts[0])

    def _encode_one(self, query: str) -> Vectors:
        """Embed one query by the model's modules: ``encode`` around them costs a fifth of the time."""
        import torch

        with self._lock, torch.inference_mode():
            features = self._model.preprocess([query], prompt=self._prompt("query"))
            on_device = {
                name: value.to(self._device) if torch.is_tensor(value) else value
                for name, value in features.items()
            }
            vectors = self._model(on_device)["sentence_embedding"].float().cpu().numpy()
        return _unit(np.asarray(vectors, np.float32))

    def _prompt(self, *names: str) -> str | None:
        """Return the first of the prompts that the model's folder knows."""
        known: dict[str, str] = self._model.prompts
        return next((known[name] for name in names if known.get(name)), None)

    def _encode(self, texts: list[str], *prompts: str) -> Vectors:
        """Embed with the first of the prompts that the model's folder knows."""
        with self._lock:  # a fast tokenizer fails when two threads set its truncation at once
            vectors = self._model.encode(
                texts,
                prompt=self._prompt(*prompts),
                batch_size=self._batch_size,
                show_progress_bar=False,
                normalize_embeddings=True,
            )
        return _unit(np.asarray(vectors, np.float32))


def _load_transformer(folder: Path, dtype: str) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    use_bfloat16 = dtype == "bfloat16" or (dtype == "auto" and _processor_has_bfloat16())
    kind = torch.bfloat16 if use_bfloat16 else torch.float32
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model = SentenceTransformer(
            str(folder), device=device, local_files_only=True, model_kwargs={"dtype": kind}
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelError(
            f"embedder folder {folder} cannot be loaded: {error}", next_command="deskmate models prepare"
        ) from error
    return model.eval()


@functools.cache
def _processor_has_bfloat16() -> bool:
    try:
        return "avx512_bf16" in Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False


def _plain_tokenizer(folder: Path) -> Tokenizer:
    """Load a tokenizer of its own for counting: the model's one has truncation and padding set."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.exists():
        raise ModelError(f"embedder folder {folder} has no tokenizer.json")
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class HashingEmbedder:
    """A small embedder without weights: hashed character n-grams, English and Chinese.

    It stands for a real one in tests and dry runs: similar wording gives similar vectors, meaning does not.
    """

    def __init__(self) -> None:
        self.name = HASHING
        self.fingerprint = "hashing-1"
        self.dimension = _HASHING_DIMENSION
        self.max_tokens = _QUERY_TOKENS
        self.tokenizer = _character_tokenizer()

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed texts."""
        vectors = _unit(np.array([_hashed(text) for text in texts], np.float32).reshape(-1, self.dimension))
        if progress:
            progress.advance(len(texts))
        return vectors

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries as passages are."""
        return self.embed_passages(texts)


def _hashed(text: str) -> Vectors:
    counts = np.zeros(_HASHING_DIMENSION, np.float32)
    for gram in _grams(fold(text)):
        counts[_bucket(gram)] += 1.0
    return np.sqrt(counts)


def _grams(text: str) -> list[str]:
    """Return single characters and bigrams of Chinese, and 3- and 4-grams of other words."""
    grams: list[str] = []
    word = ""
    for character in [*text, " "]:
        if character.isascii() and character.isalnum():
            word += character
            continue
        if word:
            padded = f" {word} "
            grams += [padded[i : i + n] for n in (3, 4) for i in range(len(padded) - n + 1)]
            word = ""
        if character.isalnum():
            grams.append(character)
    han = [c for c in text if not c.isascii() and c.isalnum()]
    return grams + ["".join(pair) for pair in itertools.pairwise(han)]


@functools.lru_cache(maxsize=1 << 16)
def _bucket(gram: str) -> int:
    digest = hashlib.blake2b(gram.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big") % _HASHING_DIMENSION


def _character_tokenizer() -> Tokenizer:
    """Return a tokenizer for which a word, a Chinese character or a mark is one token."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Split(Regex(r"[\p{Han}]"), "isolated")]
    )
    return tokenizer


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
    return scaled

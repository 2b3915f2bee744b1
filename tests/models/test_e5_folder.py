from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from assistant.core.errors import ModelError
from assistant.models.e5_binary import E5File
from assistant.models.e5_folder import write_e5_folder

HIDDEN, FEED_FORWARD, POSITIONS = 32, 64, 16
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁pump", "s", "泵", "水", "<mask>"]


def q4(values: np.ndarray) -> bytes:
    """Quantize as the format does: per 32 values a scale and 16 bytes of nibbles."""
    out = b""
    for block in values.reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 7 or 1)
        nibbles = (np.clip(np.round(block / np.float32(scale)), -8, 7) + 8).astype(np.uint8)
        out += scale.tobytes() + (nibbles[:16] | nibbles[16:] << 4).tobytes()
    return out


def tensors() -> dict[str, tuple[int, np.ndarray]]:
    """Every tensor of a one-layer model: name → (type, values)."""
    rng = np.random.default_rng(1)

    def matrix(rows: int, columns: int) -> tuple[int, np.ndarray]:
        return 1, rng.normal(size=(rows, columns)).astype(np.float32)

    def plain(*shape: int) -> tuple[int, np.ndarray]:
        return 0, rng.normal(size=shape).astype(np.float32)

    found = {
        "emb.word": matrix(len(PIECES), HIDDEN),
        "emb.pos": plain(POSITIONS, HIDDEN),
        "emb.type": plain(2, HIDDEN),
        "emb.ln.w": plain(HIDDEN),
        "emb.ln.b": plain(HIDDEN),
    }
    for short, rows, columns in (
        *((name, HIDDEN, HIDDEN) for name in ("q", "k", "v", "ao")),
        ("fi", FEED_FORWARD, HIDDEN),
        ("fo", HIDDEN, FEED_FORWARD),
    ):
        found |= {f"l0.{short}.w": matrix(rows, columns), f"l0.{short}.b": plain(rows)}
    for norm in ("aln", "oln"):
        found |= {f"l0.{norm}.w": plain(HIDDEN), f"l0.{norm}.b": plain(HIDDEN)}
    return found


def e5_bytes(unk: int = 3, version: int = 1, character_map: dict[str, str] | None = None) -> bytes:
    """A whole file in the package's format."""
    replaced = {"Ａ": "A", "\u200d": " "} if character_map is None else character_map
    texts = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, texts)]).astype("<u4")
    entries = b"".join(
        struct.pack(f"<IB{len(to)}I", ord(a), len(to), *map(ord, to)) for a, to in replaced.items()
    )
    header = struct.pack(
        "<4si7ifi", b"E5S1", version, HIDDEN, 1, 2, FEED_FORWARD, len(PIECES), POSITIONS, 2, 1e-12, 32
    )
    header += struct.pack("<5iQ", len(PIECES), 0, 2, 1, unk, int(offsets[-1]))
    header += offsets.tobytes() + np.linspace(0, -5, len(PIECES)).astype("<f4").tobytes() + b"".join(texts)
    header += struct.pack("<iI", len(replaced), len(entries)) + entries
    bodies = {name: q4(v) if kind else v.tobytes() for name, (kind, v) in tensors().items()}
    directory_size = 4 + sum(2 + len(name) + 21 for name in bodies)
    place = len(header) + directory_size
    directory = struct.pack("<i", len(bodies))
    for name, body in bodies.items():
        kind, values = tensors()[name]
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, values.size, place, len(body))
        place += len(body)
    return header + directory + b"".join(bodies.values())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "e5.data"
    path.write_bytes(e5_bytes())
    return path


def test_tensors_come_back_within_half_a_step(source: Path) -> None:
    file = E5File(source)
    wanted = tensors()["l0.fi.w"][1]
    found = file.tensor("l0.fi.w", FEED_FORWARD, HIDDEN)
    steps = np.abs(wanted.reshape(-1, 32)).max(axis=1) / 7
    assert (np.abs(found - wanted).reshape(-1, 32).max(axis=1) <= steps * 0.51).all()
    assert np.array_equal(file.tensor("emb.pos", POSITIONS, HIDDEN), tensors()["emb.pos"][1])


def test_the_folder_loads_as_tokenizer_and_weights(source: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    folder = tmp_path / "folder"
    write_e5_folder(source, folder)
    weights = load_file(folder / "model.safetensors")
    assert weights["encoder.layer.0.output.dense.weight"].shape == (HIDDEN, FEED_FORWARD)
    assert not weights["pooler.dense.weight"].any()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode("pumps").tokens == ["<s>", "▁pump", "s", "</s>"]
    assert tokenizer.encode("水泵").tokens == ["<s>", "▁", "水", "泵", "</s>"]
    assert tokenizer.encode("水\u200d\u200d泵").tokens == ["<s>", "▁", "水", "▁", "泵", "</s>"]
    assert tokenizer.token_to_id("<mask>") == 9
    prompts = json.loads((folder / "config_sentence_transformers.json").read_text())["prompts"]
    assert (prompts["query"], prompts["passage"]) == ("query: ", "passage: ")
    assert json.loads((folder / "config.json").read_text())["num_hidden_layers"] == 1


def test_every_cut_is_refused_by_name(tmp_path: Path) -> None:
    whole = e5_bytes()
    path = tmp_path / "cut.data"
    for end in [0, 7, 30, 60, 100, 200, 400, 1000, 5000, len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(ModelError, match="e5 file"):
            write_e5_folder(path, tmp_path / f"folder-{end}")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"GGUF" + e5_bytes()[4:], "is no e5 file: it begins with b'GGUF'"),
        (e5_bytes(version=2), "version 2"),
        (e5_bytes(unk=99), "are outside its 10 pieces"),
        (e5_bytes(character_map={chr(0x4E00 + n): "x" for n in range(9)}), "9 of 9 characters"),
        (e5_bytes().replace(b"l0.fo.w", b"l0.xx.w"), "has no tensor 'l0.fo.w' of 2048 values"),
        (e5_bytes().replace(b"\xe6\xb3\xb5", b"\xff\xff\xff"), "vocabulary is broken"),
    ],
    ids=["magic", "version", "special", "rules", "tensor", "utf8"],
)
def test_another_content_is_refused_by_reason(tmp_path: Path, raw: bytes, reason: str) -> None:
    path = tmp_path / "bad.data"
    path.write_bytes(raw)
    with pytest.raises(ModelError, match=reason):
        write_e5_folder(path, tmp_path / "folder")


@pytest.mark.slow
def test_sentence_transformers_loads_the_folder(source: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = tmp_path / "folder"
    write_e5_folder(source, folder)
    model = SentenceTransformer(str(folder), device="cpu")
    vectors = model.encode(["pump", "水泵"], prompt_name="query")
    assert vectors.shape == (2, HIDDEN)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert model.max_seq_length == POSITIONS

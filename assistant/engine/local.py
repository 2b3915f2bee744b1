"""The engine in this process: transformers and PEFT, several adapters resident."""

from __future__ import annotations

import queue
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import Metric

from assistant.core.errors import EngineError, ModelError, NotFoundError
from assistant.core.settings import EngineSettings
from assistant.engine.adapters import WEIGHTS_FILE, check_adapter
from assistant.engine.batching import Worker
from assistant.engine.canary import CanaryCounts
from assistant.engine.decoding import Decoder
from assistant.engine.figures import canary_family, gauge
from assistant.engine.loading import load_model
from assistant.engine.packing import pack_linear_layers
from assistant.engine.protocol import Completion, GenerationRequest, Offer, PromptTooLong
from assistant.engine.rows import Collector, Event, Row, read_events
from assistant.engine.streams import ClosingStream

if TYPE_CHECKING:
    import torch

_DRAIN_LOOK_SECONDS = 0.02
_BASE = "__base__"  # PEFT's word for "no adapter" in a mixed batch


class LocalEngine:
    """Generates with a model folder of Hugging Face format.

    Args:
        name: of the base model.
        folder: where it lies.
        settings: of the engine.

    Raises:
        ModelError: the folder is broken.
    """

    def __init__(self, name: str, folder: Path, settings: EngineSettings) -> None:
        self._name = name
        self._folder = folder
        self._settings = settings
        self._loaded = load_model(folder, settings.dtype)
        pack_linear_layers(self._loaded.model)
        self._model = AdaptedModel(self._loaded.model)
        self._sources: dict[str, Path] = {}
        self._canaries = CanaryCounts()
        self._loading = threading.Lock()
        self._is_closed = False
        decoder = Decoder(
            self._model.forward,
            self._loaded.layer_count,
            has_windows=self._loaded.has_windows,
            device=self._loaded.model.device,
        )
        self._worker = Worker(
            decoder,
            places=settings.batch_size,
            queue_limit=settings.queue_limit,
            threads=settings.threads,
        )

    @property
    def base_model(self) -> str:
        """Name of the base model."""
        return self._name

    @property
    def offers(self) -> frozenset[Offer]:
        """Nothing beside writing text."""
        return frozenset()

    @property
    def running_count(self) -> int:
        """Requests that are generated now."""
        return self._worker.running_count

    def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Generate for all requests; results in the order given.

        Never more than one batch of them waits at a time, so that a long job holds up nobody.

        Raises:
            NotFoundError: a request names an adapter that is not loaded.
            PromptTooLong: a prompt is longer than the model's window.
            EngineError: generation failed.
        """
        ended: queue.SimpleQueue[Collector] = queue.SimpleQueue()
        collectors = [Collector(ended.put) for _ in requests]
        rows = [
            self._row(request, collector.take)
            for request, collector in zip(requests, collectors, strict=True)
        ]
        # the longest first: what is generated together is then of like length, and the last to end is short
        pending = sorted(rows, key=lambda row: len(row.prompt))
        try:
            for place in range(len(rows)):
                while pending and len(rows) - len(pending) - place < self._settings.batch_size:
                    self._worker.submit(pending.pop(), "job")
                ended.get().completion()
        finally:
            for row in rows:
                row.cancel()
        return [collector.completion() for collector in collectors]

    def stream(self, request: GenerationRequest) -> ClosingStream:
        """Generate one text piece by piece; closing the iterator cancels the generation.

        Raises:
            NotFoundError: the request names an adapter that is not loaded.
            PromptTooLong: the prompt is longer than the model's window.
            EngineBusy: too many requests wait already.
            EngineError: generation failed.
        """
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        row = self._row(request, events.put)
        self._worker.submit(row, "stream")
        return ClosingStream(read_events(events, self._settings.timeout_seconds), row.cancel)

    def load_adapter(self, name: str, folder: str) -> None:
        """Make an adapter available under a name; loading the same folder again does nothing.

        Raises:
            ModelError: the folder is broken or does not fit the base model, or the name is taken.
        """
        source = Path(folder).resolve()
        with self._loading:
            if self._sources.get(name) == source:
                return
            if name in self._sources:
                raise ModelError(f"adapter name {name!r} stands for {self._sources[name]} already")
            check_adapter(source, self._folder)
            self._worker.call(lambda: self._model.load(name, source))
            self._sources[name] = source

    def unload_adapter(self, name: str) -> None:
        """Let an adapter's requests end and free its weights; one that is not loaded is left alone.

        Raises:
            EngineError: its requests do not end within the time of a token.
        """
        with self._loading:
            if self._sources.pop(name, None) is None:  # from here on new requests are refused
                return
            until = time.monotonic() + self._settings.timeout_seconds

            def unload() -> bool:
                if self._worker.uses(name):
                    return False
                self._model.unload(name)
                return True

            while not self._worker.call(unload):
                if time.monotonic() > until:
                    raise EngineError(f"adapter {name!r} still answers, so it stays in memory")
                time.sleep(_DRAIN_LOOK_SECONDS)

    def prove_adapter(self, name: str) -> bool:
        """Ask a loaded adapter its canary; return whether its texts were known.

        Raises:
            NotFoundError: it is not loaded.
            ModelError: it does not say what it said before.
        """
        source = self._sources.get(name)
        if source is None:
            raise NotFoundError(f"adapter {name!r} is not loaded")
        return self._canaries.ask(name, source, self.numerics(), self.complete, is_remote=False)

    def numerics(self) -> str:
        """Return ``local/VERSION OF TORCH/DEVICE/FORMAT``."""
        import torch

        device = self._loaded.model.device.type
        return f"local/{torch.__version__}/{device}/{self._settings.dtype}"

    def metrics(self) -> list[Metric]:
        """Return how many requests run and wait, and how canaries ended."""
        return [
            gauge("requests_running", "Requests that are generated now.", {self._name: self.running_count}),
            gauge("requests_waiting", "Requests that wait.", {self._name: self._worker.waiting_count}),
            gauge("adapters_loaded", "Adapters in memory.", {self._name: len(self._sources)}),
            canary_family(self._canaries.counts()),
        ]

    def adapters(self) -> tuple[str, ...]:
        """Return the names of the loaded adapters."""
        return tuple(self._sources)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return self._loaded.tokenizer.count(text)

    def problems(self) -> tuple[str, ...]:
        """Return why the engine cannot answer now; empty when it is ready."""
        return ("the engine is closed",) if self._is_closed else ()

    def close(self) -> None:
        """End all requests as cancelled and stop the worker."""
        self._is_closed = True
        self._worker.close()

    def _row(self, request: GenerationRequest, tell: Any) -> Row:
        if request.adapter is not None and request.adapter not in self._sources:
            known = ", ".join(self._sources) or "none"
            raise NotFoundError(f"adapter {request.adapter!r} is not loaded; loaded: {known}")
        prompt = self._loaded.tokenizer.prompt_ids(request.messages)
        window = self._loaded.window_tokens
        if len(prompt) >= window:
            raise PromptTooLong(f"the prompt has {len(prompt)} tokens, the model's window is {window}")
        return Row(
            request,
            prompt,
            limit=min(request.max_new_tokens, window - len(prompt)),
            decode=self._loaded.tokenizer.decode,
            ends=self._loaded.end_ids,
            tell=tell,
        )


class AdaptedModel:
    """The model and the adapters on top of it; called from the worker's thread only.

    Args:
        model: the base model.
    """

    def __init__(self, model: Any) -> None:
        self._model = self._base = model
        self._keys: dict[str, str] = {}  # PEFT takes no dots in names
        self._active: str | None = None
        self._loaded_count = 0
        model.get_output_embeddings().register_forward_pre_hook(_own_rows)

    def forward(self, adapters: Sequence[str | None], inputs: dict[str, Any]) -> torch.Tensor:
        """Return the scores of each row's next token; see ``decoding.Forward``."""
        # only the last position goes through the output head: with 150 000 entries in the vocabulary
        # the whole prompt's scores would take gigabytes
        options: dict[str, Any] = {"use_cache": True, "logits_to_keep": 1}
        if len(set(adapters)) == 1:
            self._activate(adapters[0])
        elif self._keys:
            options["adapter_names"] = [self._key(name) for name in adapters]
            self._activate(next(name for name in adapters if name))
        # PEFT's model cannot do without an adapter once it has had one
        model = self._model if self._keys else self._base
        scores: torch.Tensor = model(**inputs, **options).logits[:, -1]
        return scores

    def load(self, name: str, folder: Path) -> None:
        """Load an adapter's weights.

        Raises:
            ModelError: PEFT refuses it, or a weight is no number.
        """
        from peft import PeftModel

        _check_numbers(folder)
        # PEFT asks transformers for something by its old name; nobody who reads that can do anything
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        key = f"adapter{self._loaded_count}"
        # in the model's own type, as training computes: widened, every layer would convert to and fro
        options: dict[str, Any] = {"adapter_name": key, "autocast_adapter_dtype": False}
        try:
            if self._loaded_count:
                self._model.load_adapter(str(folder), **options)
            else:
                self._model = PeftModel.from_pretrained(self._model, str(folder), **options)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ModelError(f"adapter {folder} cannot be loaded: {error}") from error
        self._model.eval()
        self._loaded_count += 1
        self._keys[name] = key
        self._active = None  # layers that this adapter is the first on know nothing of the state before
        self._activate(name)

    def unload(self, name: str) -> None:
        """Free an adapter's weights; no row may use it."""
        key = self._keys.pop(name)
        # PEFT says that it chose another active adapter; which one is active is decided here anew
        warnings.filterwarnings("ignore", "Adapter .* was active which is now deleted", UserWarning)
        self._model.delete_adapter(key)
        self._active = None
        if self._keys:
            self._activate(next(iter(self._keys)))
        else:
            self._model.base_model.disable_adapter_layers()

    def _key(self, name: str | None) -> str:
        return _BASE if name is None else self._keys[name]

    def _activate(self, name: str | None) -> None:
        """Make a uniform batch cheap: switching walks all layers, so only do it on a change."""
        if name == self._active or not self._keys:
            return
        if name is None:
            self._model.base_model.disable_adapter_layers()
        else:
            self._model.base_model.enable_adapter_layers()
            self._model.set_adapter(self._keys[name])
        self._active = name


def _own_rows(_head: Any, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    """Give the output head rows of their own.

    For a view and a frozen matrix PyTorch multiplies in a batch and copies the matrix for every row:
    measured, 0.55 s a prompt for 150 000 entries. ``contiguous`` keeps the strides of a view of one row.
    """
    import torch

    return (inputs[0].clone(memory_format=torch.contiguous_format),)


def _check_numbers(folder: Path) -> None:
    from safetensors.torch import load_file

    for name, tensor in load_file(folder / WEIGHTS_FILE).items():
        if not bool(tensor.isfinite().all()):
            raise ModelError(f"adapter {folder}: {name} holds values that are no numbers")

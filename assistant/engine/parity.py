"""Parity: what an engine serves is what transformers and PEFT compute, adapter by adapter.

Asked four ways, because each has gone wrong in a server before: alone, with other adapters resident, many at
once, and after the adapter was loaded again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

from assistant.core.errors import ModelError
from assistant.core.records import Message, Record
from assistant.engine.loading import LoadedModel, load_model
from assistant.engine.protocol import Completion, Engine, GenerationRequest

Phase = Literal["alone", "resident", "concurrent", "reloaded"]
TOKENS = 16
# a nat of difference is a factor of 2.7: in bfloat16 sums in another order differ by hundredths
LOGPROB_BOUND = {"float32": 0.001, "bfloat16": 0.25, "float16": 0.05}
_EXACT = "float32"
_AT_ONCE = 12


class Reference(Record, frozen=True, kw_only=True):
    """What transformers and PEFT say to a prompt, greedily."""

    text: str
    logprobs: tuple[float, ...]


class ParityRow(Record, frozen=True, kw_only=True):
    """One prompt asked once.

    Attributes:
        phase: how it was asked.
        adapter: with which one, None for the base model.
        prompt: its end.
        is_equal: same text and log-probabilities; in half precision also another text each of whose tokens
            the reference finds as likely as its own choice there, within the bound.
        served: text of the engine.
        expected: text of the reference.
        logprob_gap: largest difference over the tokens that both chose; of another text how much less
            likely, in the eyes of the reference, its least likely token is than the best one there. None
            where the engine tells no log-probabilities.
    """

    phase: Phase
    adapter: str | None
    prompt: str
    is_equal: bool
    served: str
    expected: str
    logprob_gap: float | None


class Parity(Record, frozen=True, kw_only=True):
    """All rows of a check."""

    dtype: str
    rows: tuple[ParityRow, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every row is, and there is one."""
        return bool(self.rows) and all(row.is_equal for row in self.rows)


class References:
    """What transformers and PEFT say, and what they make of what another engine said.

    Args:
        loaded: the base model.
        adapters: name → folder.
        prompts: conversations up to where the assistant answers.
    """

    def __init__(
        self, loaded: LoadedModel, adapters: dict[str, Path], prompts: Sequence[Sequence[Message]]
    ) -> None:
        self._loaded = loaded
        self._prompts = prompts
        self._keys = {name: str(number) for number, name in enumerate(adapters)}
        self._model: Any = loaded.model
        places = range(len(prompts))
        self.said: dict[tuple[str | None, int], Reference] = {
            (None, place): _generate(loaded, self._model, prompts[place]) for place in places
        }
        for name, folder in adapters.items():
            self._model = _with_adapter(loaded.model, self._model, self._keys[name], folder)
            self.said |= {(name, place): _generate(loaded, self._model, prompts[place]) for place in places}

    def regret(self, adapter: str | None, place: int, done: Completion) -> float:
        """Return how much less likely than the best one a text's least likely token is, in nats.

        The text is read token by token, each after those before it, so where it parts from the reference's
        own makes no difference to what comes later.
        """
        import torch

        tokenizer = self._loaded.tokenizer
        prompt = tokenizer.prompt_ids(self._prompts[place])
        answer = tokenizer.answer_ids(done.text.rstrip("\ufffd"))
        if done.finish_reason != "stop":
            answer = answer[:-1]  # no end was chosen
        if not answer:
            return 0.0
        with torch.inference_mode(), self._only(adapter):
            logits = self._model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].float()
        scores = torch.log_softmax(logits[len(prompt) - 1 : -1], -1)
        chosen = scores.gather(1, torch.tensor(answer)[:, None])[:, 0]
        return float((scores.max(-1).values - chosen).max())

    @contextmanager
    def _only(self, adapter: str | None) -> Iterator[None]:
        if adapter is not None:
            self._model.set_adapter(self._keys[adapter])
        bare = self._model.disable_adapter() if adapter is None and self._keys else nullcontext()
        with bare:
            yield


def compute_references(
    base: Path,
    adapters: dict[str, Path],
    prompts: Sequence[Sequence[Message]],
    dtype: str,
) -> References:
    """Return what transformers and PEFT say, for the base model and each adapter.

    Args:
        base: folder of the base model.
        adapters: name → folder.
        prompts: conversations up to where the assistant answers.
        dtype: ``float32`` or ``bfloat16``.

    Raises:
        ModelError: base model or adapter are broken.
    """
    return References(load_model(base, "bfloat16" if dtype == "bfloat16" else "float32"), adapters, prompts)


def check_parity(
    engine: Engine,
    adapters: dict[str, Path],
    prompts: Sequence[Sequence[Message]],
    references: References,
    dtype: str,
) -> Parity:
    """Ask an engine in each of the four ways and compare.

    Args:
        engine: with the adapters loaded, or able to load them.
        adapters: name → folder; the first one is the one in question.
        prompts: that the references were computed for.
        references: from ``compute_references``.
        dtype: of the engine's weights.

    Raises:
        EngineError: the engine failed.
    """
    rows: list[ParityRow] = []

    def compare(phase: Phase, keys: Sequence[tuple[str | None, int]], *, at_once: int = 1) -> None:
        requests = [
            GenerationRequest(
                messages=tuple(prompts[place]), adapter=name, max_new_tokens=TOKENS, logprobs=True
            )
            for name, place in keys
        ]
        with ThreadPoolExecutor(at_once) as pool:
            answers = list(pool.map(lambda request: engine.complete([request])[0], requests))
        for (name, place), done in zip(keys, answers, strict=True):
            gap, is_equal = _compare(references, name, place, done, dtype)
            row = ParityRow(
                phase=phase,
                adapter=name,
                prompt=prompts[place][-1].content[-80:],
                is_equal=is_equal,
                served=done.text,
                expected=references.said[name, place].text,
                logprob_gap=gap,
            )
            rows.append(row)

    places = range(len(prompts))
    first, *others = adapters
    engine.load_adapter(first, str(adapters[first]))
    compare("alone", [(name, place) for name in (None, first) for place in places])
    for name in others:
        engine.load_adapter(name, str(adapters[name]))
    mixed = [(name, place) for place in places for name in (None, *adapters)]
    compare("resident", mixed)
    compare("concurrent", mixed, at_once=_AT_ONCE)
    engine.unload_adapter(first)
    engine.load_adapter(first, str(adapters[first]))
    compare("reloaded", [(first, place) for place in places])
    return Parity(dtype=dtype, rows=tuple(rows))


def _compare(
    references: References, adapter: str | None, place: int, done: Completion, dtype: str
) -> tuple[float | None, bool]:
    """Return the gap and whether it counts as equal; see ``ParityRow``."""
    expected, bound = references.said[adapter, place], LOGPROB_BOUND[dtype]
    if _whole(done.text) == _whole(expected.text):
        pairs = zip(done.logprobs, expected.logprobs, strict=False)
        gap = max((abs(ours - theirs) for ours, theirs in pairs), default=None)
        return gap, gap is None or gap <= bound
    regret = references.regret(adapter, place, done)
    return regret, dtype != _EXACT and bool(_whole(done.text)) and regret <= bound


def _whole(text: str) -> str:
    """Return a text without the half of a character that its last token may hold."""
    return text.rstrip("\ufffd").strip()


def _with_adapter(base: Any, model: Any, key: str, folder: Path) -> Any:
    from peft import PeftModel

    # in the model's own type, as the local engine computes
    options: dict[str, Any] = {"adapter_name": key, "autocast_adapter_dtype": False}
    try:
        if model is base:
            model = PeftModel.from_pretrained(base, str(folder), **options)
        else:
            model.load_adapter(str(folder), **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"adapter {folder} cannot be loaded: {error}") from error
    model.set_adapter(key)
    model.eval()
    return model


def _generate(loaded: Any, model: Any, messages: Sequence[Message]) -> Reference:
    import torch

    prompt = torch.tensor([loaded.tokenizer.prompt_ids(messages)])
    with torch.inference_mode():
        made = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=TOKENS,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            eos_token_id=sorted(loaded.end_ids),
            pad_token_id=sorted(loaded.end_ids)[0],
            output_logits=True,
            return_dict_in_generate=True,
        )
    tokens = made.sequences[0, prompt.shape[1] :].tolist()
    scores = [
        float(torch.log_softmax(logits[0].float(), -1)[token])
        for logits, token in zip(made.logits, tokens, strict=True)
    ]
    return Reference(text=loaded.tokenizer.decode(tokens), logprobs=tuple(scores))

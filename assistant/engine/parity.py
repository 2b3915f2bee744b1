"""Parity: what an engine serves is what transformers and PEFT compute, adapter by adapter.

Asked four ways, because each has gone wrong in a server before: alone, with other adapters resident, many at
once, and after the adapter was loaded again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from assistant.core.errors import ModelError
from assistant.core.records import Message, Record
from assistant.engine.loading import load_model
from assistant.engine.protocol import Completion, Engine, GenerationRequest

Phase = Literal["alone", "resident", "concurrent", "reloaded"]
TOKENS = 16
# a nat of difference is a factor of 2.7: in bfloat16 sums in another order differ by hundredths
LOGPROB_BOUND = {"float32": 0.001, "bfloat16": 0.25, "float16": 0.05}
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
        is_equal: same text; in half precision also where it parts at a near tie within the bound.
        served: text of the engine.
        expected: text of the reference.
        logprob_gap: largest difference over the tokens that both chose; None where the engine tells none.
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


References = dict[tuple[str | None, int], Reference]


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

    Returns:
        (adapter, place of the prompt) → text and log-probabilities.

    Raises:
        ModelError: base model or adapter are broken.
    """
    loaded = load_model(base, "bfloat16" if dtype == "bfloat16" else "float32")
    found: References = {}
    for place, messages in enumerate(prompts):
        found[None, place] = _generate(loaded, loaded.model, messages)
    model: Any = None
    for number, (name, folder) in enumerate(adapters.items()):
        model = _with_adapter(loaded.model, model, str(number), folder)
        for place, messages in enumerate(prompts):
            found[name, place] = _generate(loaded, model, messages)
    return found


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
        for key, done in zip(keys, answers, strict=True):
            last = prompts[key[1]][-1].content
            rows.append(_row(phase, key[0], last, done, references[key], LOGPROB_BOUND[dtype]))

    places = range(len(prompts))
    first, *others = adapters
    engine.load_adapter(first, str(adapters[first]))
    compare("alone", [(name, place) for name in (None, first) for place in places])
    for name in others:
        engine.load_adapter(name, str(adapters[name]))
    mixed = [(name, place) for place in places for name in (None, *adapters)]
    compare("resident", mixed)
    compare("concurrent", mixed, at_once=_AT_ONCE)
    unload: Callable[[str], None] | None = getattr(engine, "unload_adapter", None)
    if unload is not None:
        unload(first)
        engine.load_adapter(first, str(adapters[first]))
        compare("reloaded", [(first, place) for place in places])
    return Parity(dtype=dtype, rows=tuple(rows))


def _row(
    phase: Phase, adapter: str | None, prompt: str, done: Completion, expected: Reference, bound: float
) -> ParityRow:
    is_same = _whole(done.text) == _whole(expected.text)
    pairs = list(zip(done.logprobs, expected.logprobs, strict=False))
    gaps = [abs(ours - theirs) for ours, theirs in pairs]
    if is_same or not gaps:
        gap = max(gaps, default=None)
        is_equal = is_same and (gap is None or gap <= bound)
    else:
        # the texts part at a near tie: what comes after speaks of other tokens; float32 allows no such thing
        apart = next((place for place, gap in enumerate(gaps) if gap > bound), len(gaps))
        gap = max(gaps[: max(1, apart)])
        is_equal = bound > LOGPROB_BOUND["float32"] and gap <= bound and _begins_alike(done, expected)
    return ParityRow(
        phase=phase,
        adapter=adapter,
        prompt=prompt[-80:],
        is_equal=is_equal,
        served=done.text,
        expected=expected.text,
        logprob_gap=gap,
    )


def _whole(text: str) -> str:
    """Return a text without the half of a character that its last token may hold."""
    return text.rstrip("\ufffd").strip()


def _begins_alike(done: Completion, expected: Reference) -> bool:
    """Return whether the first word is the same: another adapter's answer seldom begins so."""
    return done.text.split()[:1] == expected.text.split()[:1]


def _with_adapter(base: Any, model: Any, key: str, folder: Path) -> Any:
    from peft import PeftModel

    # in the model's own type, as the local engine computes
    options: dict[str, Any] = {"adapter_name": key, "autocast_adapter_dtype": False}
    try:
        if model is None:
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

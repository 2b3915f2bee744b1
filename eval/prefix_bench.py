"""How much of a replayed hour of questions an engine finds in its prefix cache, by the order of the context.

Run ``python -m eval.prefix_bench --collection NAME --suite FILE``. The questions and their paraphrases are
drawn again and again, as people ask; each prompt is sent to an SGLang server twice: with the passages in the
order of documents and positions, as Deskmate sends them, and in the order of their rank.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from assistant.answering.opening import Resources
from assistant.core.context import choose_context
from assistant.core.environment import prepare_environment
from assistant.core.home import Home
from assistant.core.language import detect_language
from assistant.core.prompts import answer_messages
from assistant.core.records import Message, Passage, Record
from assistant.core.settings import Settings
from assistant.engine.figures import PREFIX
from assistant.engine.protocol import Engine, GenerationRequest
from assistant.engine.sglang import SglangEngine
from assistant.engine.sglang_home import ADMIN_KEY, API_KEY, SglangHome, find_keys
from eval.stand import Stand, installed_environment
from eval.suites import load_suite

_SEED = 7
ORDERS = ("document", "rank")


class Hits(Record, frozen=True, kw_only=True):
    """Tokens of all prompts, and those of them that the cache held."""

    prompts: int
    tokens: int
    cached: int

    @property
    def rate(self) -> float:
        """Share of the prompts' tokens that were not computed again."""
        return self.cached / self.tokens if self.tokens else 0.0


def replay(questions: Sequence[str], count: int, seed: int = _SEED) -> list[str]:
    """Return an hour of questions: some are asked often, most seldom."""
    draw = random.Random(seed)
    order = draw.sample(list(questions), len(questions))
    weights = [1 / rank for rank in range(1, len(order) + 1)]
    return draw.choices(order, weights, k=count)


def conversations(
    questions: Sequence[str],
    found: Sequence[tuple[Passage, ...]],
    engine: Engine,
    order: str,
    settings: Settings,
) -> list[tuple[Message, ...]]:
    """Return what would be sent for each question."""
    answer = settings.answer
    made = []
    for question, passages in zip(questions, found, strict=True):
        chosen = choose_context(
            passages,
            engine.count_tokens,
            max_passages=answer.context_passages,
            max_tokens=answer.context_tokens,
        )
        if order == "rank":
            chosen = tuple(sorted(chosen, key=lambda passage: passage.rank))
        made.append(answer_messages(question, detect_language(question), chosen))
    return made


def measure(engine: Engine, asked: Sequence[tuple[Message, ...]]) -> Hits:
    """Send all prompts one after another and read the server's own counts before and after."""
    before = _counts(engine)
    for messages in asked:
        engine.complete([GenerationRequest(messages=messages, max_new_tokens=1)])
    after = _counts(engine)
    return Hits(prompts=len(asked), tokens=after[0] - before[0], cached=after[1] - before[1])


def _counts(engine: Engine) -> tuple[int, int]:
    found = {"input_tokens": 0.0, "cached_input_tokens": 0.0}
    for family in engine.metrics():
        name = family.name.removeprefix(PREFIX)
        if name in found:
            found[name] = sum(s.value for s in family.samples if s.name.endswith("_total"))
    return int(found["input_tokens"]), int(found["cached_input_tokens"])


def main(arguments: list[str] | None = None) -> None:
    """Search the questions, send them in both orders, each to an empty server, and print the rates."""
    prepare_environment()
    home = Home.from_environment()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collection", default="demo")
    parser.add_argument("--suite", type=Path, default=Path("assistant/samples/suite.jsonl"))
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--base", type=Path, default=home.models / "smollm2-135m-instruct")
    options = parser.parse_args(arguments)
    cases = load_suite(options.suite)
    asked = replay([text for case in cases for text in (case.question, *case.paraphrases)], options.prompts)
    resources = Resources(home, Settings())
    found = resources.searcher(options.collection).search_many(asked, 8)
    resources.close()
    environment = dict(os.environ)
    environment["DESKMATE__SGLANG__ENVIRONMENT"] = str(installed_environment(environment))
    for order in ORDERS:
        with tempfile.TemporaryDirectory() as folder:
            stand = Stand(Path(folder), options.base.resolve(), environment)
            with stand.engine():
                engine = connect(stand)
                hits = measure(engine, conversations(asked, found, engine, order, Settings()))
                engine.close()
        _say(f"order by {order}: {hits.cached} of {hits.tokens} prompt tokens cached, {hits.rate:.1%}")


def connect(stand: Stand) -> SglangEngine:
    """Return a client of a stand's server."""
    settings = Settings()
    keys = find_keys(SglangHome(stand.home, settings.sglang), {})
    return SglangEngine(
        settings.engine, {API_KEY: keys.user, ADMIN_KEY: keys.admin}, settings.sglang, url=stand.engine_url
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

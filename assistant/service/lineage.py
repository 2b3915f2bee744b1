"""What taught an answer: the training examples on its cited chunks."""

from pathlib import Path

import msgspec

from assistant.core.home import Home
from assistant.store.adapters import Adapter
from assistant.store.answers import StoredAnswer

MOST_EXAMPLES = 50


def example_ids(home: Home, answer: StoredAnswer, adapter: Adapter | None) -> tuple[str, ...]:
    """Return ids of the examples that the answer's adapter learnt on the chunks that the answer cites.

    Empty where no adapter answered, or its dataset is not on this machine any more.
    """
    cited = {citation.chunk_id for citation in answer.citations}
    if adapter is None or not cited:
        return ()
    found: list[str] = []
    for file in _files(home.collection(answer.collection) / "datasets" / adapter.dataset_hash):
        with file.open("rb") as lines:
            for line in lines:
                example = msgspec.json.decode(line, type=_Taught)
                if cited & set(example.chunk_ids):
                    found.append(example.id)
                if len(found) == MOST_EXAMPLES:
                    return tuple(found)
    return tuple(found)


class _Taught(msgspec.Struct):
    """The part of an example that is needed here."""

    id: str
    chunk_ids: tuple[str, ...] = ()


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("examples.jsonl"))

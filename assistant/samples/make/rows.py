"""Write the files that are made of rows: resolved tickets and support dialogues."""

import csv
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec

from assistant.samples.make.blocks import CONTENT_PATH, load_documents

LANGUAGES = ("en", "zh")
PRICES_PATH = "company/price-list.xlsx"
TICKETS_PATH = "tickets/resolved-tickets.csv"
DIALOGUES_PATH = "dialogues/support-dialogues.jsonl"
_PRODUCTS = {"en": "Q-series", "zh": "T-series"}


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """One resolved ticket as written in `content/tickets_*.toml`."""

    model: str
    date: str
    question: str
    resolution: str
    code: str
    document: str


class Dialogue(msgspec.Struct, frozen=True, kw_only=True):
    """One dialogue as written in `content/dialogues_*.toml`; turns alternate, the customer first."""

    product: str
    resolution: str
    turns: list[str]


def load_tickets(language: str) -> list[Ticket]:
    """Read the tickets of one language."""
    text = (CONTENT_PATH / f"tickets_{language}.toml").read_bytes()
    return msgspec.toml.decode(text, type=dict[str, list[Ticket]])["tickets"]


def load_dialogues(language: str) -> list[Dialogue]:
    """Read the dialogues of one language."""
    text = (CONTENT_PATH / f"dialogues_{language}.toml").read_bytes()
    return msgspec.toml.decode(text, type=dict[str, list[Dialogue]])["dialogue"]


def document_paths() -> dict[tuple[str, str], str]:
    """Map (language, short name) to the path of a document below files/."""
    paths = {(spec.language, spec.key): spec.target for spec in load_documents()}
    return paths | {(language, "prices"): PRICES_PATH for language in LANGUAGES}


def write_tickets(path: Path) -> None:
    """Write all tickets as one CSV file."""
    paths = document_paths()
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            ["id", "language", "product", "model", "date", "question", "resolution", "code", "document"],
        )
        for number, (language, ticket) in enumerate(_all_tickets(), start=1001):
            writer.writerow(
                [
                    f"R-{number}",
                    language,
                    _PRODUCTS[language],
                    ticket.model,
                    date.fromisoformat(ticket.date).isoformat(),
                    ticket.question,
                    ticket.resolution,
                    ticket.code,
                    paths[language, ticket.document],
                ]
            )


def _all_tickets() -> Iterator[tuple[str, Ticket]]:
    for language in LANGUAGES:
        for ticket in load_tickets(language):
            yield language, ticket


def write_dialogues(path: Path) -> None:
    """Write all dialogues as JSON lines."""
    lines = []
    for language in LANGUAGES:
        for number, dialogue in enumerate(load_dialogues(language), start=1):
            row = {
                "id": f"D-{language}-{number:02}",
                "language": language,
                "product": dialogue.product,
                "turns": [
                    {"role": ("customer", "agent")[index % 2], "text": text}
                    for index, text in enumerate(dialogue.turns)
                ],
                "resolution": dialogue.resolution,
            }
            lines.append(msgspec.json.encode(row) + b"\n")
    path.write_bytes(b"".join(lines))

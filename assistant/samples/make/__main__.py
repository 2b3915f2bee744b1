"""Make the sample collection again: `python -m assistant.samples.make [--out DIR] [--font PATH]`."""

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from assistant.samples.make.blocks import CONTENT_PATH, DocumentSpec, load_documents
from assistant.samples.make.checking import check_collection
from assistant.samples.make.fonts import DEFAULT_FONT_PATH, register
from assistant.samples.make.pdf import write_pdf
from assistant.samples.make.rows import (
    DIALOGUES_PATH,
    PRICES_PATH,
    TICKETS_PATH,
    write_dialogues,
    write_tickets,
)
from assistant.samples.make.sheets import write_price_list
from assistant.samples.make.suite import write_suite
from assistant.samples.make.web import write_html
from assistant.samples.make.word import write_docx

_SAMPLES_PATH = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write `files/` and `suite.jsonl` below --out, check them, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m assistant.samples.make", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=_SAMPLES_PATH, metavar="DIR", help="where to write (default: here)"
    )
    parser.add_argument(
        "--font",
        type=Path,
        default=DEFAULT_FONT_PATH,
        metavar="PATH",
        help="TrueType font with Chinese characters; on Debian: apt-get install fonts-droid-fallback",
    )
    options = parser.parse_args(arguments)
    make_collection(options.out, options.font)
    problems = check_collection(options.out / "files", options.out / "suite.jsonl")
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    sys.stdout.write(f"{options.out / 'files'} and suite.jsonl written, {len(problems)} problems\n")
    return 1 if problems else 0


def make_collection(out_path: Path, font_path: Path) -> None:
    """Write every file of the collection and the suite."""
    register(font_path)
    writers: dict[str, Callable[[DocumentSpec, Path], None]] = {
        ".pdf": write_pdf,
        ".docx": write_docx,
        ".html": write_html,
        ".md": _copy,
    }
    files_path = out_path / "files"
    for spec in load_documents():
        target = files_path / spec.target
        target.parent.mkdir(parents=True, exist_ok=True)
        writers[target.suffix](spec, target)
    rows_writers = {
        PRICES_PATH: write_price_list,
        TICKETS_PATH: write_tickets,
        DIALOGUES_PATH: write_dialogues,
    }
    for name, write in rows_writers.items():
        target = files_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target)
    write_suite(out_path / "suite.jsonl", files_path)


def _copy(spec: DocumentSpec, path: Path) -> None:
    shutil.copyfile(CONTENT_PATH / spec.source, path)


if __name__ == "__main__":
    sys.exit(main())

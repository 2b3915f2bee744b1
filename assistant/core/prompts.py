"""Prompt templates: versioned text files, rendered here for training, serving and evaluation alike.

A template is ``templates/NAME.LANGUAGE.txt``; ``$variable`` stands for a value. A missing or an
unused variable is an error, so that a template and its callers cannot drift apart.
"""

from __future__ import annotations

import functools
import string
from importlib import resources

from assistant.core.errors import InputError
from assistant.core.ids import content_id
from assistant.core.language import Language
from assistant.core.records import Chunk, Message, Passage

TEMPLATES = "assistant.core.templates"


@functools.cache
def _template(name: str, language: Language) -> string.Template:
    file = resources.files("assistant.core").joinpath("templates", f"{name}.{language}.txt")
    return string.Template(file.read_text("utf-8").strip())


def render(name: str, language: Language, **variables: str) -> str:
    """Return the template's text with its variables filled in.

    Raises:
        InputError: a variable is missing, or given and not used.
    """
    template = _template(name, language)
    wanted = set(template.get_identifiers())
    if wanted != set(variables):
        raise InputError(f"template {name}.{language} takes {sorted(wanted)}, got {sorted(variables)}")
    return template.substitute(variables)


def template_hash() -> str:
    """Return a hash over all templates: part of what a release is made of."""
    folder = resources.files("assistant.core").joinpath("templates")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".txt")), key=lambda f: f.name)
    return content_id(*(part for file in files for part in (file.name, file.read_text("utf-8"))))


def not_covered(language: Language) -> str:
    """Return the sentence that says the documents do not cover a question and offers a hand-over."""
    return render("not_covered", language)


def format_context(passages: tuple[Passage, ...], language: Language) -> str:
    """Return the numbered passages as they stand in a prompt; number = place in ``passages``, from 1."""
    blocks = []
    for number, passage in enumerate(passages, 1):
        chunk = passage.chunk
        where = " › ".join(where_it_stands(chunk))
        blocks.append(render("passage", language, number=str(number), where=where, text=chunk.text))
    return "\n\n".join(blocks)


def where_it_stands(chunk: Chunk) -> tuple[str, ...]:
    """Return the names over a chunk as a prompt shows them: its file, then its headings."""
    return (chunk.document.rsplit("/", 1)[-1], *chunk.heading_path)


def answer_messages(
    question: str,
    language: Language,
    passages: tuple[Passage, ...] | None = None,
    history: tuple[Message, ...] = (),
) -> tuple[Message, ...]:
    """Return the messages for one question.

    Order: instructions, context, history, question, so that an engine's prefix cache can work.

    Args:
        question: as asked.
        language: to answer in.
        passages: the context; None asks without documents (arms base and FT).
        history: earlier turns; system turns among them are added to the instructions.
    """
    if passages is None:
        system = render("closed_book", language)
    else:
        context = format_context(passages, language)
        system = render("grounded", language, context=context)
    # many chat templates take one system message only, at the top
    added = [turn.content for turn in history if turn.role == "system"]
    turns = [turn for turn in history if turn.role != "system"]
    instructions = Message(role="system", content="\n\n".join((system, *added)))
    return (instructions, *turns, Message(role="user", content=question))

"""A recipe: one TOML file that says what is made, how much of it, and in which words."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from assistant.core.errors import InputError, NotFoundError
from assistant.core.ids import content_id
from assistant.core.language import Language
from assistant.core.records import Record
from assistant.core.settings_answer import Share
from assistant.core.settings_synth import Weight

OptionValue = bool | int | float | str | tuple[str, ...]


class Recipe(Record, frozen=True, kw_only=True):
    """How one kind of example is made.

    Attributes:
        name: stands in the dataset's rows.
        version: raised with every change of wording or rules; stands in the dataset's rows.
        about: what it teaches, for a person.
        maker: what makes the pairs; see ``training/recipes/registry.py``.
        count: most examples of it.
        weight: of its examples against generated ones.
        needs_teacher: it asks the teacher.
        grounded_share: of its pairs that are set into a context of numbered passages.
        also_grounded_share: of the others, those that are asked about a context as well as by heart.
        missing_share: of its contexts, those without the passage that answers; the answer says so.
        joins_contexts: its pairs are asked in the core's contexts, several in each, and nowhere else; those
            that no chunk carries are left out.
        options: of the maker.
        wording: language → name → prompt templates; ``$variable`` stands for a value.
    """

    name: str
    version: int
    about: str
    maker: str
    count: Annotated[int, Meta(ge=1)]
    weight: Weight = 1.0
    needs_teacher: bool = False
    grounded_share: Share = 0.0
    also_grounded_share: Share = 0.0
    missing_share: Share = 0.0
    joins_contexts: bool = False
    options: dict[str, OptionValue] = msgspec.field(default_factory=dict)
    wording: dict[Language, dict[str, tuple[str, ...]]] = msgspec.field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A hash over all of it."""
        return content_id(msgspec.json.encode(self, order="deterministic").decode())

    def texts(self, language: Language, name: str) -> tuple[str, ...]:
        """Return the templates of a name.

        Raises:
            InputError: the recipe has none.
        """
        found = self.wording.get(language, {}).get(name, ())
        if not found:
            raise InputError(f"recipe {self.name!r} lacks the wording [wording.{language}] {name}")
        return found

    def number(self, option: str, default: float) -> float:
        """Return an option that is a number.

        Raises:
            InputError: it is none.
        """
        value = self.options.get(option, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"recipe {self.name!r}: options.{option} = {value!r} is no number")
        return float(value)


def shipped_recipes() -> tuple[str, ...]:
    """Return the names of the recipes that ship, in alphabetical order."""
    folder = resources.files("training.recipes").joinpath("files")
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir()))


def load_recipe(name: str) -> Recipe:
    """Read a shipped recipe by its name, or one's own by its path.

    Raises:
        NotFoundError: there is none of that name.
        InputError: the file is not a recipe; the message names the field.
    """
    if name in shipped_recipes():
        text = resources.files("training.recipes").joinpath("files", f"{name}.toml").read_text("utf-8")
    elif name.endswith(".toml"):
        try:
            text = Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"recipe {name}: cannot be read: {error}") from error
    else:
        raise NotFoundError(
            f"no recipe {name!r}; there are {', '.join(shipped_recipes())}",
            next_command="deskmate synth recipes",
        )
    try:
        return msgspec.convert(tomllib.loads(text), Recipe)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"recipe {name}: {error}") from error

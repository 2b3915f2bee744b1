"""Questions of two steps: a row names a part, and a table elsewhere says what that part is and costs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from training.pairs import Pair
from training.recipes.codes import code_fields, code_rows
from training.recipes.materials import Materials, fill, make_pair
from training.recipes.recipe import Recipe
from training.tables import Row

# three digits and more: items of a menu are numbered with fewer
_PART = re.compile(r"(?<![A-Za-z0-9-])[A-Z]{1,4}-?\d{3,6}(?![\dA-Za-z-])")


def two_steps(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield for each code whose remedy names a part what another chunk tells of that part."""
    rng = materials.rng(recipe)
    by_part: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in materials.rows:
        by_part[row.chunk.language, row.key].append(row)
    for row in code_rows(materials):
        fields = code_fields(row)
        language = row.chunk.language
        parts = set(_PART.findall(fields.get("remedy", "")))
        for part in parts if len(parts) == 1 else ():  # of several the question could mean any
            for other in by_part[language, part]:
                if other.chunk.id == row.chunk.id or part == row.key:
                    continue
                header, value = rng.choice(_asked(other))
                values = {
                    "code": row.key,
                    "meaning": fields["meaning"].rstrip("。."),
                    "remedy": fields["remedy"].rstrip("。."),
                    "part": part,
                    "header": _plain(header),
                    "value": value.rstrip("。."),
                }
                question = fill(rng.choice(recipe.texts(language, "question")), values)
                answer = fill(recipe.texts(language, "answer")[0], values)
                yield make_pair(recipe, row.chunk, question, answer, [other.chunk])


def _asked(row: Row) -> list[tuple[str, str]]:
    """Return the cells worth asking for: numbers first, names otherwise."""
    return [cell for cell in row.cells if any(c.isdigit() for c in cell[1])] or list(row.cells)


def _plain(header: str) -> str:
    return header if header.isupper() else header[:1].lower() + header[1:]

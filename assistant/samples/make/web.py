"""Write a policy page as HTML with the navigation, footer and script that real pages have."""

from html import escape
from itertools import groupby
from pathlib import Path
from string import Template

from assistant.samples.make.blocks import Block, DocumentSpec

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="$language">
<head>
<meta charset="utf-8">
<title>$title</title>
<script>window.siteMetrics = {page: "service-policy", consent: false};</script>
</head>
<body>
<nav><ul>$navigation</ul></nav>
<main>
$main
</main>
<footer><p>$footer</p></footer>
</body>
</html>
""")


def write_html(spec: DocumentSpec, path: Path) -> None:
    """Write one policy page."""
    blocks = spec.blocks
    page = _PAGE.substitute(
        language=spec.language,
        title=escape(blocks[0].text),
        navigation="".join(f'<li><a href="#">{escape(name)}</a></li>' for name in spec.navigation),
        main="\n".join(_render(list(group)) for _, group in groupby(blocks, lambda block: block.kind)),
        footer=escape(spec.footer),
    )
    path.write_text(page, encoding="utf-8", newline="\n")


def _render(blocks: list[Block]) -> str:
    if blocks[0].kind == "bullet":
        return "<ul>\n" + "\n".join(f"<li>{escape(block.text)}</li>" for block in blocks) + "\n</ul>"
    return "\n".join(_render_one(block) for block in blocks)


def _render_one(block: Block) -> str:
    if block.kind == "table":
        head, *body = block.rows
        rows = [_row(head, "th"), *(_row(row, "td") for row in body)]
        return f"<table>\n<caption>{escape(block.text)}</caption>\n" + "\n".join(rows) + "\n</table>"
    tag = {"title": "h1", "heading": f"h{block.level + 1}"}.get(block.kind, "p")
    return f"<{tag}>{escape(block.text)}</{tag}>"


def _row(cells: tuple[str, ...], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

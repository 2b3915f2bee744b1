"""Make Office files reproducible: fixed entry dates, fixed order, fixed modification time."""

import re
import zipfile
from pathlib import Path

_MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(</dcterms:modified>)")
_FIXED_DATE = (2025, 7, 1, 9, 0, 0)


def settle_zip(path: Path) -> None:
    """Rewrite the archive at `path` in place without anything that depends on the clock."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in entries.items():
            fixed = (
                _MODIFIED.sub(rb"\g<1>2025-07-01T09:00:00Z\g<2>", content)
                if name.endswith("core.xml")
                else content
            )
            entry = zipfile.ZipInfo(name, _FIXED_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, fixed)

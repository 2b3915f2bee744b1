"""``[syncs]``: folders of this machine that the API may make collections equal to."""

from __future__ import annotations

import msgspec


class SyncFolder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder.

    Attributes:
        path: absolute.
        collections: that may be made equal to it.
    """

    path: str
    collections: tuple[str, ...]


class SyncsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[syncs]``: who asks over the API names a folder of this list, never a path.

    Attributes:
        folders: name → folder; empty: none can be asked for.
    """

    folders: dict[str, SyncFolder] = {}

"""Every error that Deskmate raises on purpose.

    DeskmateError
    ├── InputError            what a person or a program handed in cannot be used
    │   ├── FileRefused       one file cannot be read (corrupt, encrypted, empty, unsupported, too large)
    │   └── SettingsError     a setting is unknown or has a bad value
    ├── NotFoundError         a collection, index, adapter, model or run that does not exist
    ├── IndexBroken           a snapshot that is damaged or made by another embedder
    ├── ModelError            a model folder that is missing, broken or of the wrong kind
    ├── EngineError           the engine failed while answering
    │   ├── EngineUnavailable the engine cannot be reached or is not ready
    │   └── EngineBusy        the engine's queue is full
    └── ResourceError         the machine lacks something: disk, memory, a free port
        ├── CollectionBusy    another process changes the collection now
        └── DatabaseAway      the database's server cannot be reached, or starts

A message says what, the value, and the next command where one helps:
``no index for collection 'pumps'; run: deskmate index add PATH --collection pumps``.
"""

from __future__ import annotations

from pathlib import Path


class DeskmateError(Exception):
    """Base of the tree. ``exit_code`` is what the command line ends with, ``status`` the HTTP status."""

    exit_code = 1
    status = 500
    slug = "internal-error"

    def __init__(self, message: str, *, next_command: str | None = None) -> None:
        self.message = message
        self.next_command = next_command
        super().__init__(f"{message}; run: {next_command}" if next_command else message)


class InputError(DeskmateError):
    """What was handed in cannot be used as it is."""

    exit_code = 2
    status = 400
    slug = "bad-input"


class FileRefused(InputError):
    """One file cannot be indexed.

    Args:
        path: the file.
        reason: why, for a person.
    """

    slug = "file-refused"

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class SettingsError(InputError):
    """A setting is unknown, misspelt or has a bad value."""

    slug = "bad-settings"

    def __init__(self, message: str) -> None:
        super().__init__(message, next_command="deskmate config check")


class NotFoundError(DeskmateError):
    """A named thing does not exist."""

    exit_code = 3
    status = 404
    slug = "not-found"


class IndexBroken(DeskmateError):
    """A snapshot is damaged, or was made by another embedder than the one configured."""

    exit_code = 4
    status = 503
    slug = "index-broken"


class ModelError(DeskmateError):
    """A model folder is missing, broken or of the wrong kind."""

    exit_code = 5
    status = 503
    slug = "model-broken"


class EngineError(DeskmateError):
    """The engine failed while generating."""

    exit_code = 6
    status = 502
    slug = "engine-failed"


class EngineUnavailable(EngineError):
    """The engine cannot be reached or is not ready."""

    status = 503
    slug = "engine-unavailable"


class EngineBusy(EngineError):
    """Too many requests wait already."""

    status = 429
    slug = "engine-busy"


class ResourceError(DeskmateError):
    """The machine lacks something: disk, memory, a free port."""

    exit_code = 7
    status = 507
    slug = "resource-missing"


class CollectionBusy(ResourceError):
    """Another process changes the collection now; a job waits for it."""

    status = 409
    slug = "collection-busy"


class DatabaseAway(ResourceError):
    """The database's server cannot be reached, or does not answer yet; it may be back soon."""

    status = 503
    slug = "database-unavailable"
    retry_after = 1

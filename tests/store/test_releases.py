from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from assistant.core.errors import InputError, NotFoundError
from assistant.store.database import Database
from assistant.store.releases import Release, ReleaseContent, Releases


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    database = Database(f"sqlite:///{tmp_path / 'desk.sqlite3'}")
    with database.write() as session:
        yield session
    database.close()


def save(session: Session, snapshot: str) -> Release:
    content = ReleaseContent(
        collection="desk",
        snapshot=snapshot,
        snapshot_sha256="0" * 64,
        embedder="e",
        base_model="b",
        adapter=None,
        adapter_sha256={},
        templates="t",
        settings={},
        report_sha256=None,
        version="1",
    )
    return Releases(session).save(content, "me")


def test_promoting_the_served_release_again_keeps_the_way_back(session: Session) -> None:
    releases = Releases(session)
    first, second = save(session, "000001"), save(session, "000002")
    releases.switch(first, "promote", None, "me", "")
    with pytest.raises(NotFoundError, match="no release to roll back to"):
        releases.previous("desk")
    releases.switch(second, "promote", first.id, "me", "")
    releases.switch(second, "promote", second.id, "me", "")
    assert releases.previous("desk").id == first.id


def test_nothing_is_rolled_back_to_what_was_never_promoted(session: Session) -> None:
    releases = Releases(session)
    first, second = save(session, "000001"), save(session, "000002")
    releases.switch(first, "promote", None, "me", "")
    with pytest.raises(InputError, match="never promoted"):
        releases.switch(second, "rollback", first.id, "me", "")
    releases.switch(second, "promote", first.id, "me", "")
    assert releases.switch(first, "rollback", second.id, "me", "").id == first.id

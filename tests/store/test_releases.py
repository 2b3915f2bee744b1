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


def test_an_ab_divides_by_conversation_and_ends_with_a_promotion(session: Session) -> None:
    releases = Releases(session)
    first, second, third = (save(session, f"00000{number}") for number in (1, 2, 3))
    with pytest.raises(InputError, match="is not served"):
        releases.begin_split(first, second, 0.2, "me", "")
    releases.switch(first, "promote", None, "me", "")
    for other, weight, reason in ((first, 0.2, "same release"), (second, 1.0, "between 0 and 1")):
        with pytest.raises(InputError, match=reason):
            releases.begin_split(first, other, weight, "me", "")
    split = releases.begin_split(first, second, 0.2, "me", "gate: passed")
    taken = [split.takes(f"conv-{number}") for number in range(2000)]
    assert 0.17 < sum(taken) / len(taken) < 0.23
    assert taken == [split.takes(f"conv-{number}") for number in range(2000)]
    assert releases.split("desk") == split
    with pytest.raises(InputError, match="answers in an A/B"):
        releases.retire(second, "me")
    releases.switch(third, "promote", first.id, "me", "")
    assert releases.split("desk") is None
    with pytest.raises(NotFoundError, match="has no A/B"):
        releases.end_split("desk", "me")
    releases.retire(second, "me")
    with pytest.raises(InputError, match="was retired"):
        releases.begin_split(third, second, 0.5, "me", "")
    events = [(event.action, event.proof) for event in releases.events("desk")]
    assert ("ab", "weight 0.2; gate: passed") in events

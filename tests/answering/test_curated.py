from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from assistant.answering.curated import CuratedAnswers, CuratedDraft, CuratedMatch, WantedCitation, read_draft
from assistant.core.errors import InputError, NotFoundError
from assistant.core.home import Home
from assistant.core.ids import content_id
from assistant.core.records import Chunk
from assistant.core.settings_curated import CuratedSettings
from assistant.store.chunks import Chunks
from assistant.store.curated import Curated, CuratedAnswer
from assistant.store.database import Database
from assistant.store.documents import Documents, NewVersion
from indexing.embedding import HashingEmbedder, Vectors
from indexing.removal import remove_document

TEXT = "The warranty covers 24 months from the date of delivery."


class CountingEmbedder(HashingEmbedder):
    def __init__(self, fingerprint: str = "counting") -> None:
        super().__init__()
        self.fingerprint = fingerprint
        self.texts: list[str] = []

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return super().embed_queries(texts)


class Desk:
    """A collection with one document, and questions asked of it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = 1_800_000_000.0
        self.embedder = CountingEmbedder()
        self.curated = CuratedAnswers(database, CuratedSettings(likeness=0.8), lambda: self.now)
        with database.write() as session:
            pumps = Documents(session).make_collection("pumps")
            new = NewVersion(
                document="policy.md", number=1, sha256="0", recipe="r", size_bytes=1, title="Policy"
            )
            chunk = Chunk(id=content_id(TEXT), document="policy.md", version=1, position=0, text=TEXT)
            Chunks(session).save(Documents(session).save_version(pumps.id, new), [chunk], [TEXT])

    def keep(self, *questions: str, text: str = "24 months.", **fields: object) -> CuratedAnswer:
        with self.database.write() as session:
            draft = CuratedDraft(questions=questions, text=text, **fields)  # type: ignore[arg-type]
            return Curated(session).add("pumps", read_draft(session, "pumps", draft), "key-1")

    def ask(self, question: str, collection: str = "pumps", **filters: str) -> CuratedMatch | None:
        embedding = HashingEmbedder().embed_queries([question])[0]
        return self.curated.match(
            collection, question, embedding, embedder=self.embedder, filters=filters or None
        )


@pytest.fixture
def desk(home: Home) -> Iterator[Desk]:
    with closing(Database(home.database_url)) as database:
        yield Desk(database)


def test_equal_wordings_match_in_both_languages_without_an_embedder(desk: Desk) -> None:
    english = desk.keep("How long is the warranty?", "What is the warranty period?")
    chinese = desk.keep("保修期多久？", text="保修期为24个月。")
    for question, answer in (("how long is the WARRANTY", english), ("保修期多久", chinese)):
        found = desk.curated.match("pumps", question)
        assert found
        assert (found.answer.id, found.how, found.likeness) == (answer.id, "exact", 1.0)
    assert (english.language, chinese.language) == ("en", "zh")
    assert desk.curated.match("pumps", "How long is the guarantee?") is None
    assert desk.curated.match("ovens", "How long is the warranty?") is None


def test_alike_wordings_match_above_the_bound_unless_a_code_or_a_denial_differs(desk: Desk) -> None:
    desk.keep("What does the fault code E07 of the pump mean?", text="Too hot.")
    found = desk.ask("What does fault code E07 of the pump mean")
    assert found
    assert found.how == "similar"
    assert 0.8 <= found.likeness < 1
    assert desk.ask("What does the fault code E08 of the pump mean?") is None
    assert desk.ask("What does the fault code E07 of the pump not mean?") is None
    assert desk.ask("Where do I buy a seal?") is None


def test_wordings_are_embedded_once_for_all_processes_and_anew_for_another_embedder(desk: Desk) -> None:
    desk.keep("How long is the warranty?", "What is the warranty period?")
    desk.ask("something else")
    other = CuratedAnswers(desk.database, CuratedSettings())
    second = CountingEmbedder()
    vector = second.embed_passages(["x"])[0]
    other.match("pumps", "x", vector, embedder=second)
    assert (len(desk.embedder.texts), second.texts) == (2, [])
    desk.keep("Where is the seal?")
    desk.ask("something else")
    assert desk.embedder.texts[2:] == ["Where is the seal?"]
    third = CountingEmbedder("another")
    other.match("pumps", "x", vector, embedder=third)
    assert len(third.texts) == 3


def test_an_answer_is_given_within_its_time_only(desk: Desk) -> None:
    desk.keep("How long is the warranty?", valid_from="2027-01-01", valid_until="2027-12-31")
    desk.now = 1_798_000_000.0  # 2026
    assert desk.ask("How long is the warranty?") is None
    desk.now = 1_830_254_400.0  # 2027-12-31
    assert desk.ask("How long is the warranty?")
    desk.now += 86_400
    assert desk.ask("How long is the warranty?") is None


def test_an_answer_exists_for_those_only_whose_filters_it_passes(desk: Desk) -> None:
    desk.keep("How long is the warranty?", metadata={"customer": ["acme"]})
    assert desk.ask("How long is the warranty?", customer="ACME")
    assert desk.ask("How long is the warranty?", customer="other") is None
    desk.keep("Where is the seal?")
    assert desk.ask("Where is the seal?", customer="acme") is None


def test_what_a_removed_document_said_is_given_no_more(desk: Desk, home: Home) -> None:
    cited = WantedCitation(document="policy.md", quote="24 months from the date of delivery")
    kept = desk.keep("How long is the warranty?", text="24 months [1].", citations=(cited,))
    found = desk.ask("How long is the warranty?")
    assert found
    citation = found.answer.citations[0]
    assert TEXT[citation.start : citation.end] == citation.quote == cited.quote
    assert citation.version == 1
    home.collection("pumps").mkdir(parents=True)
    remove_document("pumps", home, desk.database, "policy.md")
    assert desk.ask("How long is the warranty?") is None
    with desk.database.read() as session:
        assert Curated(session).get(kept.id).citations


def test_a_change_and_a_removal_are_seen_at_once(desk: Desk) -> None:
    made = desk.keep("How long is the warranty?")
    assert desk.ask("How long is the warranty?")
    with desk.database.write() as session:
        draft = CuratedDraft(questions=("Where is the seal?",), text="Inside.")
        Curated(session).change(made.id, read_draft(session, "pumps", draft), "key-2")
    assert desk.ask("How long is the warranty?") is None
    found = desk.ask("Where is the seal?")
    assert found
    assert (found.answer.text, found.answer.author) == ("Inside.", "key-2")
    with desk.database.write() as session:
        Curated(session).remove(made.id)
    assert desk.ask("Where is the seal?") is None


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"citations": (WantedCitation(document="policy.md", quote="25 months"),)}, InputError, "25 months"),
        ({"citations": (WantedCitation(document="gone.md", quote="x"),)}, NotFoundError, "gone.md"),
        ({"text": "24 months [1]."}, InputError, r"\[1\]"),
        ({"text": "  "}, InputError, "empty"),
        ({"valid_from": "2027-02-01", "valid_until": "2027-01-01"}, InputError, "before"),
        ({"valid_until": "soon"}, InputError, "no time"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    desk: Desk, fields: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        desk.keep("How long is the warranty?", **fields)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="empty"):
        desk.keep("?!")


def test_an_import_replaces_what_has_the_same_wordings(desk: Desk) -> None:
    desk.keep("How long is the warranty?")

    def put(*texts: tuple[str, str]) -> dict[str, int]:
        with desk.database.write() as session:
            drafts = [CuratedDraft(questions=(question,), text=text) for question, text in texts]
            news = [read_draft(session, "pumps", draft) for draft in drafts]
            return {str(name): n for name, n in Curated(session).put_all("pumps", news, "k").items()}

    first = put(("How long is the warranty?", "36 months."), ("Where is the seal?", "Inside."))
    again = put(("How long is the warranty?", "36 months."), ("Where is the seal?", "Inside."))
    assert first == {"added": 1, "replaced": 1, "unchanged": 0}
    assert again == {"added": 0, "replaced": 0, "unchanged": 2}

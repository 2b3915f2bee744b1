"""The glossary: only approved terms widen a query, in their language, as whole words."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from assistant.core.errors import InputError
from assistant.core.home import Home
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.glossary import (
    GLOSSARY,
    ServedGlossary,
    Term,
    approved_terms,
    expand,
    jieba_lines,
    read_glossary,
    write_glossary,
)
from indexing.lexical_index import read_words
from indexing.opening import open_snapshot
from indexing.queries import QueryReader
from indexing.snapshots import LEXICAL_FOLDER, open_current

SLANG = Term(said="趴窝", meant="停机", language="zh", state="approved")
SPARKY = Term(said="sparky", meant="electrician", language="en", state="approved")
GUESS = Term(said="bloke", meant="technician", language="en", score=0.4)


def test_queries_get_the_documents_words() -> None:
    terms = [SLANG, SPARKY]
    assert expand("设备趴窝了怎么办", terms) == "设备趴窝了怎么办 停机"
    assert expand("The Sparky said no", terms) == "The Sparky said no electrician"
    assert expand("a sparkys tool", terms) == "a sparkys tool"
    assert expand("sparky, an electrician", terms) == "sparky, an electrician"
    assert expand("the sparky said: 设备趴窝了", [SPARKY]) == "the sparky said: 设备趴窝了"


def test_terms_survive_writing_and_only_approved_ones_are_used(tmp_path: Path) -> None:
    assert read_glossary(tmp_path) == ()
    write_glossary(tmp_path, [GUESS, SLANG, SPARKY, SLANG])
    assert read_glossary(tmp_path) == (SPARKY, GUESS, SLANG)
    assert approved_terms(tmp_path) == (SPARKY, SLANG)
    assert jieba_lines(approved_terms(tmp_path)) == ["停机 1000 n", "趴窝 1000 n"]


def test_a_served_glossary_follows_its_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    served = ServedGlossary(tmp_path)
    assert served.terms == ()
    write_glossary(tmp_path, [SLANG])
    assert served.terms == (SLANG,)
    (tmp_path / GLOSSARY).write_text("broken", "utf-8")
    os.utime(tmp_path / GLOSSARY, ns=(1, 1))
    with caplog.at_level(logging.WARNING):
        assert served.terms == ()
    assert "not used" in caplog.text
    with pytest.raises(InputError, match="no glossary"):
        read_glossary(tmp_path)


def test_a_query_is_widened_before_it_is_embedded() -> None:
    embedder = HashingEmbedder()
    (query,) = QueryReader(embedder).read(["设备趴窝了"], {}, [SLANG])
    assert query.text == "设备趴窝了 停机"
    assert (query.aim == embedder.embed_queries(["设备趴窝了 停机"])[0]).all()


def test_approved_chinese_words_are_terms_of_the_next_whole_index(
    make_builder: type[Builder], home: Home, tmp_path: Path
) -> None:
    file = tmp_path / "guide.txt"
    file.write_text("请每年更换软水滤芯。\nA sparky replaces the cartridge.\n", "utf-8")
    make_builder().add([file])
    folder = home.collection("pumps")
    assert not read_words(open_current(folder)[0] / LEXICAL_FOLDER)
    guess = Term(said="水滤", meant="更换软水", language="zh")
    write_glossary(
        folder, [Term(said="滤芯", meant="软水滤芯", language="zh", state="approved"), SPARKY, guess]
    )
    make_builder().compact()
    path, manifest = open_current(folder)
    assert read_words(path / LEXICAL_FOLDER) == ["软水滤芯"]
    assert f"{LEXICAL_FOLDER}/words.txt" in manifest.files, "verified like all of a snapshot"
    write_glossary(folder, [SPARKY])
    file.write_text("请每年更换软水滤芯。\n软水滤芯在柜里。\nThe electrician helps.\n", "utf-8")
    make_builder().add([file])
    served = open_snapshot(folder, HashingEmbedder())
    assert served.lexical.rarity("软水滤芯") < served.lexical.rarity("absent"), "cut as the index was written"

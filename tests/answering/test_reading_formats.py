from __future__ import annotations

from assistant.answering.formats import read_formed


def test_a_citation_in_words_is_no_json_but_a_list_alone_is() -> None:
    assert read_formed("The bolts take 48 Nm [3].", {"type": "object"})[1] == "it is no JSON"
    assert read_formed("[3]", {"type": "array"}) == ("[3]", "")

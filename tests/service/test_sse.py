import json

from assistant.service.sse import encode_line


def test_no_sign_in_an_event_looks_like_the_end_of_its_line() -> None:
    said = {"text": "a\nb\x85c\u2028d\u2029e 水泵"}
    line = encode_line(said)
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == said

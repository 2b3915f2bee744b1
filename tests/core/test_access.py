import pytest

from assistant.core.access import Caller


@pytest.mark.parametrize("part", [{"collections": ("pumps",)}, {"filters": {"product": ("Q7",)}}])
def test_who_may_read_a_part_makes_no_keys_and_reads_no_log(part: dict) -> None:
    whole, held = Caller(id="key-1"), Caller(id="key-2", **part)
    assert all(whole.may(scope) for scope in ("keys", "audit", "manage"))
    assert held.may("manage")
    assert not held.may("keys")
    assert not held.may("audit")

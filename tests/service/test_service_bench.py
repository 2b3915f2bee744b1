from __future__ import annotations

from assistant.service.bench import Plan, raw_engine

PLAN = Plan(users=4, seconds=1, ramp_seconds=1, token_seconds=0.001, tokens=20, embedder="hashing")


def test_the_engine_alone_keeps_its_pace() -> None:
    alone = raw_engine(PLAN)
    assert alone.count >= 4
    assert 0 <= alone.added_p50 < 20
    assert alone.total_p50 >= 20

from __future__ import annotations

import pytest

from assistant.jobs.progress import JobInterrupted, JobProgress


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_speed_and_remaining_time_follow_from_the_steps() -> None:
    clock = Seconds()
    progress = JobProgress(clock)
    progress.start("reading files", 40)
    assert progress.stages()[0].speed is None
    clock.now = 5.0
    progress.advance(10, "zh/指南.md")
    (stage,) = progress.stages()
    assert (stage.done, stage.total, stage.seconds, stage.current) == (10, 40, 5.0, "zh/指南.md")
    assert (stage.speed, stage.remaining_seconds, stage.has_ended) == (2.0, 15.0, False)
    progress.start("embedding chunks")
    clock.now = 9.0
    progress.advance(2)
    read, embed = progress.stages()
    assert (read.has_ended, read.seconds, read.remaining_seconds) == (True, 5.0, None)
    assert (embed.speed, embed.remaining_seconds) == (0.5, None)
    progress.finish()
    progress.finish()
    assert [stage.has_ended for stage in progress.stages()] == [True, True]


def test_an_interruption_ends_the_work_at_its_next_step_and_the_first_reason_counts() -> None:
    progress = JobProgress()
    progress.start("reading files", 2)
    progress.interrupt("cancelled")
    progress.interrupt("stopped")
    progress.finish()  # in a finally block: says nothing
    for step in (progress.advance, lambda: progress.start("writing")):
        with pytest.raises(JobInterrupted) as raised:
            step()
        assert raised.value.reason == "cancelled"
    assert not isinstance(raised.value, Exception)  # the work's own handlers let it pass

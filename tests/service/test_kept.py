from __future__ import annotations

import asyncio
import threading

from assistant.core.home import Home
from assistant.service.kept import Kept


async def test_the_database_is_closed_once_nothing_works_with_it(home: Home) -> None:
    """Cancelling a task ends its waiting, not its thread: closed under it, the connection would stay open."""
    kept = Kept(home)
    begun, may_go_on = threading.Event(), threading.Event()
    ended: list[str] = []

    def work() -> None:
        with kept.database.read():
            begun.set()
            may_go_on.wait(20)
        ended.append("worked")

    task = asyncio.create_task(kept.run(work))
    await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    await asyncio.wait([task])
    closing = asyncio.create_task(asyncio.to_thread(kept.close))
    await asyncio.sleep(0.05)
    assert not closing.done()
    may_go_on.set()
    await closing
    assert ended == ["worked"]

"""A part's background task: watched while it runs, ended in good order."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from services.chassis import logs

_log = logs.logger("tasks")


async def watched(task: asyncio.Task[None] | None) -> NoReturn:
    """Wait for a part's task to break; raises what broke it. To stop watching does not stop the task."""
    if task is None:
        raise RuntimeError("watched before it was started")
    await asyncio.shield(task)
    await asyncio.Event().wait()  # drained: there is nothing left to go wrong
    raise AssertionError("unreachable")


async def ended(task: asyncio.Task[None] | None, patience_s: float) -> None:
    """Wait for a part's task to finish by itself, then end it: whatever it had open rolls back."""
    if task is None:
        return
    done, _ = await asyncio.wait([task], timeout=patience_s)
    if not done:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("part-ended-broken", error, part=task.get_name())

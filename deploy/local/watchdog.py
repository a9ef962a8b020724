"""Tell that a part runs and does nothing: only a new process helps it then.

Bad answers are counted, not the time between them: after the whole machine was asleep nothing has gone wrong
yet. A part that is stopped in a debugger counts as one that does nothing.
"""

from __future__ import annotations

import asyncio
import time

from deploy.local.part import Part

EVERY_SECONDS = 3.0
IN_A_ROW = 5


async def given_up(part: Part, every: float = EVERY_SECONDS, in_a_row: int = IN_A_ROW) -> str:
    """Ask again and again; return, with the last complaint, after so many bad answers in a row.

    No answer within `every` seconds is a bad one. The part has been ready; one that comes up is not asked.
    """
    bad = 0
    while True:
        asked = time.monotonic()
        complaint = await _complaint(part, every)
        bad = bad + 1 if complaint else 0
        if bad == in_a_row:
            return f"{complaint}, {bad} times in a row"
        await asyncio.sleep(max(0.0, asked + every - time.monotonic()))


async def _complaint(part: Part, within: float) -> str:
    try:
        async with asyncio.timeout(within):
            return await part.complaint()
    except TimeoutError:
        return "no answer"

"""Server streams that end when the service lets go, not when the last message happens to come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from itertools import repeat
from typing import Any, TypeVar

from services.chassis import errors

T = TypeVar("T")
FOR_EVER: Iterable[None] = repeat(None)


async def follow(
    answers: AsyncIterator[T], draining: asyncio.Event, quiet_s: Iterable[float | None] = FOR_EVER
) -> AsyncGenerator[T | None, None]:
    """The answers, and None whenever the next of the `quiet_s` seconds passed without one. When the service
    drains, the caller is told to come back. Each step of `answers` runs in a task of its own: it may not hold a
    timeout or a task group across a `yield`."""
    let_go = asyncio.ensure_future(draining.wait())
    step: asyncio.Future[T] | None = None
    try:
        for patience in quiet_s:
            step = step or asyncio.ensure_future(_next(answers))
            waits: set[asyncio.Future[Any]] = {step, let_go}
            await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if step.done():
                try:
                    answer = step.result()
                except StopAsyncIteration:
                    return
                step = None
                yield answer
            elif let_go.done():
                raise errors.unavailable("shutting-down", "The service is letting go; come back.")
            else:
                yield None
    finally:
        await _leave(answers, let_go, step)


async def _next(answers: AsyncIterator[T]) -> T:
    return await anext(answers)


async def _leave(answers: AsyncIterator[T], *waits: asyncio.Future[Any] | None) -> None:
    pending = [wait for wait in waits if wait is not None]
    for wait in pending:
        wait.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    if isinstance(answers, AsyncGenerator):
        await answers.aclose()

"""How a service comes up, lets go, and dies."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, NoReturn, Protocol, runtime_checkable

import uvloop

from services.chassis import logs

# So many more than went, and the collector looks for cycles among them.
_NEW_OBJECTS = 10_000
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = logs.logger("lifecycle")


class Part(Protocol):
    """Something a service runs for as long as it lives."""

    @property
    def name(self) -> str: ...

    async def start(self) -> None:
        """Return once it serves."""

    async def watch(self) -> None:
        """Never return; raise when it is broken."""

    async def drain(self) -> None:
        """Take nothing new, finish what runs, return when done."""


@runtime_checkable
class Door(Protocol):
    """A part that strangers knock at: it is closed, and the calls inside answered, before anything drains."""

    async def unready(self) -> None: ...


class BrokenPartError(Exception):
    """A part's `watch` ended: it no longer does its work."""


def die() -> NoReturn:
    """End the process at once, with code 1. Outbox and inbox make that safe; a half-dead service is not."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


async def run(*parts: Part, grace: timedelta, die: Callable[[], NoReturn] = die) -> None:
    """Start left to right. On a signal drain right to left, each when the one to its right has finished;
    on a failure, a second signal or the end of `grace` die at once."""
    stop = asyncio.Event()
    _on_signals(stop, die)
    running: list[Part] = []
    watches: set[asyncio.Task[None]] = set()
    try:
        for part in parts:
            running.append(part)
            await _unless_broken(part.start(), watches)
            watches.add(asyncio.create_task(_watched(part), name=f"watch {part.name}"))
            _log.info("part-started", part=part.name)
        # What start-up built stays for the life of the process; the collector need not walk it again.
        gc.collect()
        gc.freeze()
        # What a call makes goes with it by itself. After 700 new objects, as is usual, the collector would walk those
        # of the calls that run, again and again, for nothing.
        gc.set_threshold(_NEW_OBJECTS)
        await _unless_broken(stop.wait(), watches)
        async with asyncio.timeout(grace.total_seconds()):
            await _drain(running, watches)
    except BaseException as error:  # noqa: BLE001 - whatever it was, the process ends with it
        _log.error("died", error=error, part=running[-1].name if running else "")
        die()
    finally:
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
    _log.info("stopped")


def _on_signals(stop: asyncio.Event, die: Callable[[], NoReturn]) -> None:
    def signalled() -> None:
        if stop.is_set():
            _log.warning("died", cause="second signal")
            die()
        stop.set()

    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, signalled)


async def _watched(part: Part) -> None:
    await part.watch()
    raise BrokenPartError(part.name)


async def _unless_broken(awaited: Coroutine[Any, Any, Any], watches: set[asyncio.Task[None]]) -> None:
    """Return when `awaited` does; raise what broke when a part breaks first."""
    task: asyncio.Task[Any] = asyncio.create_task(awaited)
    done, _ = await asyncio.wait({task, *watches}, return_when=asyncio.FIRST_COMPLETED)
    for finished in done:
        finished.result()


async def _drain(running: list[Part], watches: set[asyncio.Task[None]]) -> None:
    """First the doors, so that no answer is owed any more; then the parts, the last started first."""
    _log.info("draining")
    for watch in watches:
        watch.cancel()
    await asyncio.gather(*(part.unready() for part in running if isinstance(part, Door)))
    while running:
        await running[-1].drain()
        _log.info("part-drained", part=running.pop().name)


def launch(serve: Coroutine[object, object, None]) -> None:
    """Run a service's `serve()` on uvloop, which was ahead of asyncio's own loop in every measured pair.

    What fails before `run` (settings, migrations) ends the process like a part that cannot start: logged
    without its words, code 1.
    """
    try:
        uvloop.run(serve)
    except Exception as error:  # noqa: BLE001 - whatever it was, the process ends with it
        _log.error("died", error=error)
        die()

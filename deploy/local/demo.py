"""Bring a network up and play the story on it: `python -m deploy.local.demo`.

The demo has a state folder of its own and begins with an empty region each time, so it neither needs nor
touches the data of `make up`, and both may run at once. It keeps running until Ctrl-C; without a terminal it
ends after the table. The exit code is 0 only if every step was shown.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from deploy.local import clock, control, status
from deploy.local.errors import StackError
from deploy.local.identity import Issuer
from deploy.local.paths import State
from deploy.local.ports import HOST
from deploy.local.progress import render
from deploy.local.reach import demo_of, make
from deploy.local.record import Record
from deploy.local.story.doors import DoorClosedError, Doors
from deploy.local.story.play import play
from deploy.local.story.stage import Stage, StoryFaultError
from deploy.local.users import Users

WIDTH = 160


def main() -> None:
    """Play, and say with the exit code whether every step was shown."""
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH)
    try:
        sys.exit(_demo(console))
    except StackError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("stopped")


def _demo(console: Console) -> int:
    home = State.locate()
    home.create()
    state = demo_of(home)
    control.clean(state)
    began = time.monotonic()
    with control.launched(state, ["--stepped"], lambda notice: render(console, notice)) as record:
        console.print(f"\nthe network is up after {time.monotonic() - began:.1f} s; the story begins\n")
        shown = asyncio.run(perform(state, record, console))
        console.print(f"\n{time.monotonic() - began:.1f} s from the start; every address:\n")
        status.show(state, record, console)
        if shown and sys.stdout.isatty():
            console.print(f"\nfrom another terminal: {make(state, 'status')}\nCtrl-C stops it", markup=False)
            signal.pause()
    return 0 if shown else 1


async def perform(state: State, record: Record, console: Console) -> bool:
    """Play the story through the public doors and print the table; whether every step was shown."""
    users = Users.read()
    issuer = Issuer(state)

    async def advance(by: timedelta) -> None:
        await clock.advance(state, by)

    targets = {name: f"{HOST}:{doors.rpc}" for name, doors in record.services.items() if doors.rpc}
    bases = {name: f"http://{HOST}:{doors.http}" for name, doors in record.services.items()}
    async with Doors.open(targets, bases, issuer.token) as doors:
        stage = Stage(
            doors=doors,
            advance=advance,
            now=lambda: clock.now(state),
            subject_of=lambda user: users.users[user].subject,
            tell=lambda words: console.print(words, markup=False),
        )
        fault = None
        try:
            await play(stage, users)
        except (StoryFaultError, DoorClosedError, StackError) as error:
            fault = error
        _table(stage, console)
    if fault is not None:
        console.print(
            f"\nthe story broke after {len(stage.steps)} steps: {fault}", style="bold red", markup=False
        )
    return fault is None


def _table(stage: Stage, console: Console) -> None:
    table = Table(title="what was shown", title_justify="left")
    for heading in ("step", "what", "who", "evidence", "seconds"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "seconds" else "left")
    for step in stage.steps:
        table.add_row(step.name, step.title, step.who, step.evidence, f"{step.seconds:.2f}")
    console.print(table, soft_wrap=False)


if __name__ == "__main__":
    main()

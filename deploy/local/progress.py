"""Say what happens to the stack: to a person in lines, to a waiting program in JSON, and to the log."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

from rich.console import Console

from deploy.local.supervisor import Notice

STYLE = {
    "ready": "green",
    "died": "red",
    "stuck": "red",
    "failed": "bold red",
    "killed": "yellow",
    "stopped": "dim",
}


def render(console: Console, notice: Notice) -> None:
    """One line for a person."""
    style = STYLE.get(notice.change, "default")
    seconds = f"{notice.seconds:6.1f} s" if notice.seconds else " " * 8
    console.print(
        f"{notice.part:<20} {notice.change:<10} {seconds}  {notice.detail}", style=style, markup=False
    )


class Progress:
    """Where notices go: always to the launcher's log, and to whoever started it as long as it listens."""

    def __init__(self, log: Path, form: Literal["text", "json"], out: TextIO = sys.stdout) -> None:
        """`form`: text for a person, json for a program that waits for the stack."""
        self._log, self._form, self._out = log, form, out
        self._console = Console(file=out, highlight=False, soft_wrap=True)
        self._listening, self._ready = True, False
        self._abandoned: Callable[[], None] = lambda: None

    def on_abandoned(self, act: Callable[[], None]) -> None:
        """What to do when the one who waits goes away before the stack is ready."""
        self._abandoned = act
        if not self._listening:
            act()

    def note(self, part: str, detail: str) -> None:
        """A detail of a part that is being prepared."""
        self.say(Notice(part, "preparing", detail))

    def ready(self) -> None:
        """The whole stack is ready; from now on nobody needs to listen."""
        self._ready = True
        self.say(Notice("stack", "ready"))

    def say(self, notice: Notice) -> None:
        """Tell a notice."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a") as log:
            log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ} {json.dumps(asdict(notice))}\n")
        if not self._listening:
            return
        try:
            if self._form == "json":
                self._out.write(json.dumps(asdict(notice)) + "\n")
            else:
                render(self._console, notice)
            self._out.flush()
        except BrokenPipeError:
            self._listening = False
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), self._out.fileno()
            )  # nothing may be left to flush there
            if not self._ready:
                self._abandoned()

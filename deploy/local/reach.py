"""How a person reaches a network from a terminal: lines that can be copied as they are."""

from __future__ import annotations

import shlex
import sys

from deploy.local.paths import PROJECT, State, launcher

DEMO = "demo"


def command(state: State, *words: str) -> str:
    """A command of the launcher for the network of that folder, from whatever folder it is given."""
    own = PROJECT / ".venv" / "bin" / "python"
    python = ".venv/bin/python" if own.exists() else sys.executable
    words = tuple(shlex.quote(word) for word in (python, "-m", "deploy.local", *words))
    return f"(cd {shlex.quote(str(PROJECT))} && {' '.join([*_told(state), *words])})"


def make(state: State, target: str) -> str:
    """The same as a target of the Makefile."""
    return " ".join([*_told(state), "make", "-C", shlex.quote(str(PROJECT)), target])


def demo_of(state: State) -> State:
    """Where the demo has its network, beside that of the folder."""
    return State(state.folder / DEMO)


def demo_beside(state: State) -> State | None:
    """The demo's network, while one runs."""
    demo = demo_of(state)
    return demo if launcher(demo) is not None else None


def _told(state: State) -> list[str]:
    """Said always: whoever copies the line may have another `AID_STATE` in the environment."""
    return [f"AID_STATE={shlex.quote(str(state.folder))}"]

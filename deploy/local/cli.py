"""The commands of the one-machine stack."""

from __future__ import annotations

import argparse
import asyncio
import sys

from deploy.local.errors import StackError
from deploy.local.launcher import Options, launch
from deploy.local.paths import State
from deploy.local.progress import Progress
from deploy.local.supervisor import Notice


def main() -> None:
    """Parse, run, and turn a refusal into a message and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring the stack up")
    up.add_argument("--only", choices=["infra"])
    up.add_argument("--stepped", action="store_true")
    up.add_argument("--foreground", action="store_true")
    up.add_argument("--progress", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    try:
        sys.exit(_up(arguments))
    except StackError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def _up(arguments: argparse.Namespace) -> int:
    state = State.locate()
    progress = Progress(state.log / "launcher.log", arguments.progress)
    options = Options(infra_only=arguments.only == "infra", stepped=arguments.stepped)
    try:
        asyncio.run(launch(state, options, progress))
    except StackError as error:
        progress.say(Notice("stack", "failed", str(error)))
        return 1
    return 0

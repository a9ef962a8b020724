"""The commands of the one-machine stack."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from deploy.local import clock, control, status
from deploy.local.backup import KEEP_KEYS, backup
from deploy.local.errors import StackError
from deploy.local.identity import Issuer
from deploy.local.launcher import Options, launch
from deploy.local.parts import DATABASES, INFRASTRUCTURE, PARTS
from deploy.local.paths import State, launcher
from deploy.local.ports import HOST
from deploy.local.progress import Progress, render
from deploy.local.record import Record
from deploy.local.service import PROGRAMS, new_kek
from deploy.local.supervisor import Notice
from deploy.local.warm import warm

INTERRUPTED = 130

Act = Callable[[State, argparse.Namespace], None]


def main() -> None:
    """Parse, run, and turn a refusal into a message and exit code 1."""
    arguments = _parser().parse_args()
    act: Act = arguments.act
    try:
        act(State.locate(), arguments)
    except StackError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


class _Commands:
    """The commands of one parser."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(self, name: str, act: Act, text: str) -> argparse.ArgumentParser:
        found = self._commands.add_parser(name, help=text, description=text)
        found.set_defaults(act=act)
        return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = _Commands(parser)
    _running(commands)
    _working(commands)
    _keeping(commands)
    return parser


def _running(commands: _Commands) -> None:
    """What brings the stack up, shows it and takes it down."""
    up = commands.add("up", _up, "bring the stack up; returns when all of it is ready")
    up.add_argument("--foreground", action="store_true", help="stay, and take it down on Ctrl-C")
    up.add_argument("--stepped", action="store_true", help="domain time is moved by `advance`")
    up.add_argument(
        "--only", nargs="+", choices=("infra", *PARTS), metavar="PART", help=f"infra, or of {PARTS}"
    )
    up.add_argument("--patience", type=float, default=90.0, help="seconds until a part has failed")
    up.add_argument(
        "--without-people", action="store_true", help="leave the users of users.yaml unknown to intake"
    )
    up.add_argument("--progress", choices=("text", "json"), default="text", help=argparse.SUPPRESS)
    commands.add("down", _down, "take the stack down; its data stay")
    commands.add("status", _status, "show every address and process")
    commands.add("memory", _memory, "show the resident size of each process")
    commands.add("hold", _hold, "stop one part and keep it stopped").add_argument("part")
    commands.add("resume", _resume, "let a held part run again").add_argument("part")
    text = "fetch everything that a stack needs, so that it starts fast and without a network"
    commands.add("warm", _warm, text)


def _working(commands: _Commands) -> None:
    """What is done with a stack that runs."""
    advance = commands.add(
        "advance", _advance, "move domain time and wait until all that is due has happened"
    )
    advance.add_argument("by", help="for example 3d, 2h, 90s")
    advance.add_argument("--timeout", type=float, default=60.0, help="seconds until it counts as stuck")
    token = commands.add("token", _token, "print a token for a ready-made user")
    token.add_argument("user")
    token.add_argument("--hours", type=float, default=12.0)
    services = [program.name for program in PROGRAMS]
    address = commands.add("address", _address, "print the HTTP address of a service")
    address.add_argument("service", choices=services)
    run = commands.add("run", _run, "run a command of a service, told where everything is as the service is")
    run.add_argument("service", choices=services)
    run.add_argument("arguments", nargs=argparse.REMAINDER)
    commands.add("audit", _audit, "compare what the services said with what their readers have taken in")


def _keeping(commands: _Commands) -> None:
    """What becomes of its data and keys."""
    commands.add("clean-data", _clean, "forget all data, keys and passwords")
    text = "back every database up, and apart from them, for some days, the keys"
    saving = commands.add("backup", _backup, text)
    saving.add_argument("--into", type=Path, help="folder; the state's own without one")
    saving.add_argument("--keep-keys", type=float, default=KEEP_KEYS / timedelta(days=1), metavar="DAYS")
    text = "put databases back as a backup has them; erased persons stay erased"
    back = commands.add("restore", _restore, text)
    back.add_argument("folder", type=Path, help="a folder that `backup` made")
    back.add_argument("--service", action="append", choices=DATABASES, help="only this one; may be repeated")
    back.add_argument("--keys", type=Path, help="a backup of the keys, where the key store is lost, too")
    commands.add("new-kek", _new_kek, "put a new first line into the file of key-encryption keys")


def _up(state: State, arguments: argparse.Namespace) -> None:
    if not arguments.foreground:
        _up_in_background(state, arguments)
        return
    progress = Progress(state.log / "launcher.log", arguments.progress)
    people = not arguments.without_people
    options = Options(_wanted(arguments.only), arguments.stepped, arguments.patience, people)
    try:
        asyncio.run(launch(state, options, progress))
    except StackError as error:
        progress.say(Notice("stack", "failed", str(error)))
        sys.exit(1)


def _up_in_background(state: State, arguments: argparse.Namespace) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if launcher(state) is None:
        options = ["--patience", str(arguments.patience)]
        options += ["--stepped"] if arguments.stepped else []
        options += ["--without-people"] if arguments.without_people else []
        options += ["--only", *arguments.only] if arguments.only else []
        control.start_in_background(state, options, lambda notice: render(console, notice))
    else:
        console.print("the stack is already running")
    status.show(state, Record.read(state), console)


def _wanted(only: list[str] | None) -> tuple[str, ...]:
    if only is None:
        return PARTS
    return tuple({part: None for name in only for part in (INFRASTRUCTURE if name == "infra" else (name,))})


def _down(state: State, _: argparse.Namespace) -> None:
    print("the stack is down" if control.stop(state) else f"no stack runs in {state.folder}")


def _status(state: State, _: argparse.Namespace) -> None:
    status.show(state, Record.read(state), Console(highlight=False))


def _memory(state: State, _: argparse.Namespace) -> None:
    status.show_memory(state, Record.read(state), Console(highlight=False))


def _clean(state: State, _: argparse.Namespace) -> None:
    control.clean(state)
    print(f"forgotten: {state.folder}")


def _advance(state: State, arguments: argparse.Namespace) -> None:
    asyncio.run(clock.advance(state, clock.duration(arguments.by), arguments.timeout))
    print(f"domain time is {clock.now(state):%Y-%m-%d %H:%M:%SZ}")


def _token(state: State, arguments: argparse.Namespace) -> None:
    state.create()
    print(Issuer(state).token(arguments.user, timedelta(hours=arguments.hours)))


def _address(state: State, arguments: argparse.Namespace) -> None:
    doors = Record.read(state).services
    if arguments.service not in doors:
        raise StackError(f"{arguments.service} does not run; running: {', '.join(doors) or 'no service'}")
    print(f"http://{HOST}:{doors[arguments.service].http}")


def _run(state: State, arguments: argparse.Namespace) -> None:
    # Ctrl-C reaches the command as well: it ends in its own way, and says where to go on.
    signal.signal(signal.SIGINT, lambda *_: None)
    sys.exit(control.run(state, Record.read(state), arguments.service, arguments.arguments))


def _warm(_: State, __: argparse.Namespace) -> None:
    warm(lambda detail: print(detail, flush=True))


def _audit(state: State, _: argparse.Namespace) -> None:
    sys.exit(control.audit(state, Record.read(state)))


def _backup(state: State, arguments: argparse.Namespace) -> None:
    record, keep = Record.read(state), timedelta(days=arguments.keep_keys)
    databases = [(record.cluster(name, state), name) for name in record.postgres]
    into = arguments.into or state.folder / "backups"
    made = asyncio.run(backup(databases, into, datetime.now(UTC), keep, print))
    print(f"the backup is in {made}")


def _restore(state: State, arguments: argparse.Namespace) -> None:
    wanted = arguments.service or list(DATABASES)
    control.restore(state, Record.read(state), arguments.folder, wanted, arguments.keys, print)


def _new_kek(state: State, _: argparse.Namespace) -> None:
    new_kek(state)
    print("a new key is first; `make rotate-keys` puts everything under it")


def _hold(state: State, arguments: argparse.Namespace) -> None:
    control.hold(state, arguments.part)


def _resume(state: State, arguments: argparse.Namespace) -> None:
    control.resume(state, arguments.part)

"""`make import FILE=…`: take over a HMIS CSV export through the public doors of the running network.

It may be run again at any time: whatever was taken over before is recognised and left as it is.
Exit codes: 0 taken over; 2 the command line is wrong; 65 the export cannot be trusted, or all of it was
refused, and nothing was written; 66 there is no such export; 69 a service cannot be reached, 77 it does not
let this caller import, 70 it failed (the last line then says how to go on); 130 interrupted, likewise.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from services.chassis import errors
from services.chassis.errors import AidError, Kind
from services.chassis.identity import ServiceToken
from services.chassis.rpc_client import RpcClient
from services.intake.domain.hmis_import import StructuralFault
from services.intake.entrypoints.import_account import Account, read_lines, show, write_report
from services.intake.entrypoints.import_doors import Doors
from services.intake.entrypoints.import_export import Read, Reading, Sentences
from services.intake.entrypoints.import_outcomes import Outcomes
from services.intake.entrypoints.import_parcels import Parcels
from services.intake.entrypoints.import_progress import Shown
from services.intake.entrypoints.import_refused import refused_lines
from services.intake.entrypoints.import_run import Import
from services.intake.entrypoints.rules import SERVICE

MATCHING = "aid.matching.v1.MatchingService"
TAKEN_OVER, UNTRUSTED, ABSENT, UNREACHABLE, FAILED, NOT_ALLOWED, INTERRUPTED = 0, 65, 66, 69, 70, 77, 130
CODES = {
    Kind.UNAVAILABLE: UNREACHABLE,
    Kind.DEADLINE: UNREACHABLE,
    Kind.UNAUTHENTICATED: NOT_ALLOWED,
    Kind.DENIED: NOT_ALLOWED,
}


def main(given: Sequence[str], read: Read, sentences: Sentences) -> int:
    """Import, and say on the last line how it ended. Without addresses, inside the running local stack."""
    asked = _parser().parse_args(given)
    if not (asked.intake and asked.matching):
        if os.environ.get("AID_NAME"):
            return said(2, "the addresses of intake and matching are needed: --intake and --matching")
        become_a_command("import", given)
    console = Console()
    try:
        with Shown(console) as shown:
            reading = read(asked.export, shown.read)
    except StructuralFault as fault:
        return said(ABSENT if fault.reason == "not-found" else UNTRUSTED, f"{fault.reason}: {fault.message}")
    except KeyboardInterrupt:
        return said(INTERRUPTED, "interrupted while reading; nothing was written")
    return _import(console, reading, sentences, asked)


def _import(console: Console, reading: Reading, sentences: Sentences, asked: argparse.Namespace) -> int:
    """Send it. However it ends, the report says what was refused, and the last line how to go on."""
    account, running = Account(), list[Import]()
    outcomes = Outcomes()
    try:
        for line in read_lines(reading):
            console.print(line, highlight=False, soft_wrap=True)
        with Shown(console) as shown:
            outcomes = asyncio.run(_run(reading, asked, account, shown, running))
        show(console, reading, account, outcomes)
        code, ending = _ended(reading, account)
    except KeyboardInterrupt:
        code, ending = INTERRUPTED, f"interrupted; {_go_on(running)}"
    except AidError as error:
        code = CODES.get(error.kind, FAILED)
        ending = f"{error.reason}: {error.message} {_go_on(running)}"
    for line in refused_lines(reading, account, reported=asked.report is not None):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if asked.report:
        write_report(asked.report, sentences, reading, account, outcomes)
    return said(code, ending)


def _ended(reading: Reading, account: Account) -> tuple[int, str]:
    """The exit code and last line of an import that went through."""
    if account.changed:
        return TAKEN_OVER, "taken over"
    if not account.kept and (reading.report.refusals or account.refusals.many):
        return UNTRUSTED, "nothing was taken over: all of it was refused"
    return TAKEN_OVER, "taken over before; nothing has changed"


async def _run(
    reading: Reading, asked: argparse.Namespace, account: Account, shown: Shown, running: list[Import]
) -> Outcomes:
    token = ServiceToken(asked.token_file) if asked.token_file else Minted()
    async with AsyncExitStack() as resources:
        intake = await resources.enter_async_context(RpcClient(asked.intake, SERVICE, token))
        matching = await resources.enter_async_context(RpcClient(asked.matching, MATCHING, token))
        doors = Doors(intake, matching, asked.patience)
        importing = Import(Parcels(reading, asked.nights), doors, account, shown.at)
        running.append(importing)
        await importing.run(asked.resume_from)
        return await importing.outcomes(asked.wait)


class Minted(ServiceToken):
    """An operator's token of the local stack's issuer, minted when first needed."""

    def __init__(self) -> None:
        self._token = ""

    def get(self) -> str:
        if not self._token:
            command = [sys.executable, "-m", "deploy.local", "token", "operator"]
            minted = subprocess.run(command, check=False, capture_output=True, text=True)
            if minted.returncode in (INTERRUPTED, -signal.SIGINT):
                raise KeyboardInterrupt
            if minted.returncode:
                raise errors.unauthenticated("token-missing", "An operator's token is needed: --token-file.")
            self._token = minted.stdout.strip()
        return self._token


def _go_on(running: list[Import]) -> str:
    """Where to go on. What was sent before is committed; sending more of it again does no harm."""
    if not running:
        return "nothing was sent; run it again"
    at = running[0]
    return (
        f"{at.sent:,} of {at.of:,} households are taken over; run it again, "
        f"or go on with --resume-from {at.sent + 1}"
    )


def become_a_command(name: str, given: Sequence[str]) -> NoReturn:
    """The same command again, started by the local stack, which knows every address."""
    command = [sys.executable, "-m", "deploy.local", "run", "intake", name, *given]
    os.execv(sys.executable, command)  # noqa: S606 - this program again, with arguments that are its own


def _parser() -> argparse.ArgumentParser:
    environment = os.environ
    parser = argparse.ArgumentParser(prog="import", description="Take over a HMIS CSV export.")
    parser.add_argument("export", type=Path, help="a folder or a zip of CSV files, FY2022 to FY2026")
    parser.add_argument("--report", type=Path, help="write every refused line, and why, into this file")
    parser.add_argument(
        "--resume-from", type=_positive, default=1, metavar="N", help="household to go on with"
    )
    parser.add_argument("--nights", type=_positive, default=7, help="for how long a place is looked for")
    parser.add_argument(
        "--wait", type=float, default=60.0, help="seconds to wait for what becomes of the needs"
    )
    parser.add_argument("--patience", type=float, default=30.0, help="seconds for a service to come back")
    parser.add_argument("--intake", default=environment.get("AID_INTAKE__TARGET"), help="host:port")
    parser.add_argument("--matching", default=environment.get("AID_MATCHING__TARGET"), help="host:port")
    token = environment.get("AID_IMPORT_TOKEN_FILE")
    parser.add_argument("--token-file", type=_file, default=token, help="an operator's")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError(text)
    return Path(text)


def said(code: int, ending: str) -> int:
    print(ending, file=sys.stdout if code == TAKEN_OVER else sys.stderr)
    return code

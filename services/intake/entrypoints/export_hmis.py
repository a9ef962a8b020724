"""`make export AGENCY=… TO=…`: take an agency's cases out as a HMIS CSV export, through the public door.

The file is for whoever asked alone (mode 0600), and is there whole or not at all. Exit codes: 0 written; 2 the
command line is wrong; 69 intake cannot be reached; 77 it does not let this caller export; 70 it failed.
"""

import argparse
import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from aid.intake.v1 import exports_pb2 as messages

from services.chassis.errors import AidError
from services.chassis.identity import ServiceToken
from services.chassis.rpc_client import RpcClient
from services.intake.entrypoints.exports import SERVICE
from services.intake.entrypoints.import_hmis import CODES, FAILED, INTERRUPTED, Minted, become_a_command, said

COMMAND = "export"


def main(given: Sequence[str]) -> int:
    """Export, and say on the last line how it ended. Without an address, from the running local stack."""
    asked = _parser().parse_args(given)
    if not asked.intake:
        if os.environ.get("AID_NAME"):
            return said(2, "the address of intake is needed: --intake")
        become_a_command(COMMAND, given)
    try:
        size = asyncio.run(_export(asked))
    except KeyboardInterrupt:
        return said(INTERRUPTED, "interrupted; nothing was written")
    except AidError as error:
        return said(CODES.get(error.kind, FAILED), f"{error.reason}: {error.message} Nothing was written.")
    return said(0, f"{asked.to}: {size:,} bytes")


async def _export(asked: argparse.Namespace) -> int:
    """Beside its place first, and moved there when it is whole."""
    to: Path = asked.to
    begun = to.with_name(f".{to.name}.begun")
    token = ServiceToken(asked.token_file) if asked.token_file else Minted()
    request = messages.ExportCasesRequest(agency_id=asked.agency)
    begun.unlink(missing_ok=True)
    handle = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            async with RpcClient(asked.intake, SERVICE, token) as intake:
                answers = intake.stream(
                    "ExportCases", request, messages.ExportCasesResponse, timeout=asked.patience
                )
                async for answer in answers:
                    file.write(answer.piece)
            size = file.tell()
        begun.replace(to)
    finally:
        begun.unlink(missing_ok=True)
    return size


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="export", description="Take an agency's cases out as a HMIS export."
    )
    parser.add_argument("--agency", required=True, help="whose cases: the agency's UUID")
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FILE.zip", help="written whole or not at all"
    )
    parser.add_argument("--patience", type=float, default=3600.0, help="seconds that it may take")
    parser.add_argument("--intake", default=os.environ.get("AID_INTAKE__TARGET"), help="host:port")
    token = os.environ.get("AID_EXPORT_TOKEN_FILE")
    parser.add_argument("--token-file", type=Path, default=token, help="a case manager's, or an operator's")
    return parser

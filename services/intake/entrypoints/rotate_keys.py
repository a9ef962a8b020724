"""`rotate-keys kek` and `rotate-keys agency [AGENCY]`: new keys for old, while the service runs."""

import argparse
import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from rich.console import Console

from services.intake.application.rotation_ports import KeyRotation
from services.intake.domain.ids import AgencyId
from services.intake.entrypoints.import_progress import Shown

COMMAND = "rotate-keys"


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND)
    which = parser.add_subparsers(dest="which", required=True)
    which.add_parser("kek", help="put everything under the first line of the key-encryption keys' file")
    agency = which.add_parser("agency", help="a new key for an agency, or for each of them")
    agency.add_argument("agency", type=UUID, nargs="?", help="the agency's id; all of them without one")
    return parser.parse_args(argv)


async def _renew(
    rotation: KeyRotation, agencies: Sequence[AgencyId], shown: Shown
) -> dict[AgencyId, timedelta]:
    """Those whose old key has to stay, and for how long."""
    waits = {each: await rotation.renew(each, shown.at) for each in agencies}
    return {each: wait for each, wait in waits.items() if wait is not None}


async def rotate_keys(rotation: KeyRotation, argv: Sequence[str], console: Console | None = None) -> int:
    """May be broken off and begun again at any time."""
    asked = parsed(argv)
    said = console or Console()
    with Shown(said) as shown:
        if asked.which == "kek":
            changed = await rotation.rewrap_all(shown.at)
            said.print(f"{changed} keys are under the first line now; older lines are needed no more")
            return 0
        agencies = [AgencyId(asked.agency)] if asked.agency else await rotation.agencies()
        left = await _renew(rotation, agencies, shown)
        while left:
            said.print(f"{len(left)} old keys stay until nobody can still be using them")
            await asyncio.sleep(max(left.values()).total_seconds())
            left = await _renew(rotation, list(left), shown)
    said.print(f"{len(agencies)} agencies have new keys, the old ones are gone")
    return 0

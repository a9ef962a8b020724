"""`forget-again`: after a restore, erase again whoever was erased since the backup was made."""

from functools import partial

from rich.console import Console

from services.chassis.work import WorkFactory
from services.intake.application.forget_again import begin_anew, forget_again, keyless
from services.intake.application.household_ports import Keyless
from services.intake.application.ports import IntakeWork
from services.intake.entrypoints.import_progress import Shown

COMMAND = "forget-again"


async def forget_erased(works: WorkFactory[IntakeWork], console: Console | None = None) -> int:
    """May be broken off and begun again at any time. `works` see the rows of all agencies."""
    said = console or Console()
    await works.run(begin_anew)
    found = await works.run(keyless)
    with Shown(said) as shown:
        for done, each in enumerate(found, 1):
            await works.run(partial(_forgotten, each))
            shown.at("erased again", done, len(found))
    said.print(f"{len(found)} households had come back with somebody who was erased")
    return 0


async def _forgotten(found: Keyless, work: IntakeWork) -> None:
    await forget_again(work, found)

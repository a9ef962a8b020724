"""`python -m services.intake` serves; with import, export, rotate-keys, forget-again, parked, replay, reseed or
raise-epoch it does that."""

import asyncio
import sys

from services.chassis.database import Database
from services.chassis.keyring import Keyring
from services.chassis.lifecycle import launch
from services.chassis.operate import is_operation
from services.intake.adapters.hmis import read_export, sentences
from services.intake.adapters.key_rotation import PostgresKeyRotation
from services.intake.entrypoints import export_hmis, import_hmis, restored, rotate_keys
from services.intake.main import operated, serve
from services.intake.settings import IntakeSettings


def main() -> int:
    if sys.argv[1:2] == ["import"]:
        return import_hmis.main(sys.argv[2:], read_export, sentences)
    if sys.argv[1:2] == [export_hmis.COMMAND]:
        return export_hmis.main(sys.argv[2:])
    settings = IntakeSettings.model_validate({})  # from the environment
    if sys.argv[1:2] == [rotate_keys.COMMAND]:
        return asyncio.run(_rotate_keys(settings, sys.argv[2:]))
    if is_operation(sys.argv[1:]) or sys.argv[1:] == [restored.COMMAND]:
        return asyncio.run(operated(settings, sys.argv[1:]))
    launch(serve(settings))
    return 0


async def _rotate_keys(settings: IntakeSettings, argv: list[str]) -> int:
    if settings.keyring is None:
        raise ValueError("intake needs a keyring")
    keyring = Keyring.of(settings.keyring)
    async with Database.connect(settings.database) as database:
        return await rotate_keys.rotate_keys(PostgresKeyRotation(database, keyring), argv)


if __name__ == "__main__":
    raise SystemExit(main())

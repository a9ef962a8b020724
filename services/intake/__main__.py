"""`python -m services.intake` serves; with import, parked, replay, reseed or raise-epoch it does that."""

import asyncio
import sys

from services.chassis.lifecycle import launch
from services.chassis.operate import is_operation
from services.intake.adapters.hmis import read_export, sentences
from services.intake.entrypoints import import_hmis
from services.intake.main import operated, serve
from services.intake.settings import IntakeSettings


def main() -> int:
    if sys.argv[1:2] == ["import"]:
        return import_hmis.main(sys.argv[2:], read_export, sentences)
    settings = IntakeSettings.model_validate({})  # from the environment
    if is_operation(sys.argv[1:]):
        return asyncio.run(operated(settings, sys.argv[1:]))
    launch(serve(settings))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

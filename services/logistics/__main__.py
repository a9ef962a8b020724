"""`python -m services.logistics` serves; with `parked`, `replay`, `reseed` or `raise-epoch` it operates."""

from __future__ import annotations

import asyncio
import sys

from services.chassis.lifecycle import launch
from services.chassis.operate import is_operation
from services.logistics.main import operated, serve
from services.logistics.settings import LogisticsSettings


def main() -> int:
    settings = LogisticsSettings()  # type: ignore[call-arg]  # the environment says it all
    if is_operation(sys.argv[1:]):
        return asyncio.run(operated(settings, sys.argv[1:]))
    launch(serve(settings))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Read a HMIS CSV export from a folder or a zip, without network and without a database.

    reading = read_export(path, progress)  # StructuralFault: the export cannot be trusted, write nothing
    reading.export                         # source, id, as_of (its ExportEndDate), version, digest
    reading.projects                       # without those of victim service providers
    reading.offers                         # one per accepted Inventory row; .valid, .why_not
    reading.report                         # counts per file, every refused line, translations, notes
    sentences(reading.report)              # the same as lines of text
    for household in reading.households(): # each whole and acceptable
        household.lodging                  # Placement | LodgingNeed | None
    reading.households(after=n)            # goes on after household number n

Exports of FY2022 to FY2026 are understood; older codes are translated, and the report says which. All files
are read before `read_export` returns, each once; households are then built one at a time. The same export gives
the same keys, numbers and placements. Another order of its rows, or a later export of the same source, gives the
same keys. The values are those of `services.intake.domain.hmis_import`.
"""

import os
from pathlib import Path

from services.intake.domain.hmis_import import Progress

from .reading import Reading, read
from .report import sentences
from .source import Limits

__all__ = ["Limits", "Reading", "read_export", "sentences"]


def _silent(_file: str, _done: int, _all: int) -> None:
    """Nobody watches."""


def read_export(path: Path, progress: Progress = _silent, limits: Limits | None = None) -> Reading:
    """Read the export at `path`; `progress(file, bytes done, bytes in all)` is called as it goes."""
    return read(path, progress, limits or Limits(folder=_state()))


def _state() -> Path | None:
    """What is read of people lies, while it is read, where the rest of the network's state lies, if it runs here."""
    folder = os.environ.get("AID_STATE")
    return Path(folder) if folder and Path(folder).is_dir() else None

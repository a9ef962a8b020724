"""Read a HMIS CSV export (HUD, FY2026; older codes are translated) from a folder or a zip. No network, no
database.

    reading = read_export(path, progress)       # StructuralFault: the export cannot be trusted, write nothing
    reading.export                              # source, id, as_of (its ExportEndDate), version, digest
    reading.projects                            # without those of victim service providers
    reading.offers                              # one per accepted Inventory row; .valid, .why_not
    reading.report                              # counts per file, every refused line, translations, notes
    for household in reading.households():      # each whole and acceptable; households(after=n) goes on after
    number n household.lodging                       # Placement | LodgingNeed | None for line in
    sentences(reading.report): ...  # the report as text

All files are read before `read_export` returns, each once; households are then built one at a time. The same
export gives the same keys, numbers and placements, whatever the order of its rows; a later export of the same
source gives the same keys. Values are in `services.intake.domain.hmis_import`.
"""

from pathlib import Path

from services.intake.domain.hmis_import import Progress

from .reading import Reading, read
from .report import sentences
from .source import Limits

__all__ = ["Limits", "Reading", "read_export", "sentences"]


def _silent(_file: str, _done: int, _all: int) -> None:
    """Nobody watches."""


def read_export(path: Path, progress: Progress = _silent, limits: Limits | None = None) -> Reading:
    """Read the export at `path`, a folder or a zip; `progress(file, bytes done, bytes in all)` is called as
    it goes."""
    return read(path, progress, limits or Limits())

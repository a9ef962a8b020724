"""What an import needs of whoever reads a HMIS CSV export."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from services.intake.domain.hmis_import import Export, Household, Offer, Progress, Project, Report


class Reading(Protocol):
    """An export that has been read whole. `households` may be gone through again, in the same order."""

    @property
    def export(self) -> Export: ...
    @property
    def projects(self) -> tuple[Project, ...]: ...
    @property
    def offers(self) -> tuple[Offer, ...]: ...
    @property
    def report(self) -> Report: ...

    def households(self, *, in_need: bool) -> Iterator[Household]:
        """Those that need a bed, or those that do not."""
        ...


# Raises StructuralFault when the export cannot be trusted as a whole.
Read = Callable[[Path, Progress], Reading]
# The report as lines of text, one for each refused line of the export.
Sentences = Callable[[Report], Iterator[str]]

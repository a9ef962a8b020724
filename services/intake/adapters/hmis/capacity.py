"""Which beds there are on the evening of the export's end, and who already lies in which of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from services.intake.domain.hmis_import import Availability, BedType, HouseholdType, Offer, Project, SourceKey

from .keys import Keys
from .records import InventoryRecord, ProjectRecord


def project_of(record: ProjectRecord, keys: Keys) -> Project:
    return Project(
        source_key=keys.project(record.id),
        source_id=record.id,
        name=record.name,
        organisation_key=keys.organisation(record.organisation_id),
        organisation_name=record.organisation_name,
        project_type=record.project_type,
        residential=record.residential,
        for_survivors=record.for_survivors,
    )


def offer_of(inventory: InventoryRecord, project: ProjectRecord, as_of: date, keys: Keys) -> Offer:
    why_not = _why_not(inventory, project, as_of)
    return Offer(
        source_key=keys.offer(inventory.id),
        project_key=keys.project(project.id),
        project_source_id=project.id,
        project_name=project.name,
        organisation_name=project.organisation_name,
        project_type=project.project_type,
        household_type=inventory.household_type,
        beds=inventory.beds,
        units=inventory.units,
        bed_type=inventory.bed_type,
        availability=inventory.availability,
        for_survivors=project.for_survivors,
        starts=inventory.starts,
        ends=inventory.ends,
        valid=why_not is None,
        why_not=why_not,
    )


def _why_not(inventory: InventoryRecord, project: ProjectRecord, as_of: date) -> str | None:
    """HUD's end dates are last days: a row that ends on the export's last day is still slept in that evening.

    Seasonal and overflow beds count while their dates say so; that they are such stays visible in the offer.
    """
    if not project.residential:
        return "not-residential"
    if project.opens is not None and project.opens > as_of:
        return "project-not-open-yet"
    if project.closes is not None and project.closes < as_of:
        return "project-closed"
    if inventory.starts > as_of:
        return "not-started"
    if inventory.ends is not None and inventory.ends < as_of:
        return "ended"
    return "no-beds" if inventory.beds == 0 else None


@dataclass(frozen=True, slots=True)
class Guests:
    """A household that lies somewhere in a project already."""

    household: str
    project_id: str
    household_type: HouseholdType
    beds: int
    entered: date


@dataclass(frozen=True, slots=True)
class Berth:
    """Where guests are counted: an offer, or none where their project has no valid inventory."""

    offer_key: SourceKey | None
    over_by: int


@dataclass(slots=True)
class Occupancy:
    """Fills each project's valid offers. Nobody is turned away: who finds no room is counted above it."""

    free: dict[SourceKey, int]
    of_project: Mapping[str, Sequence[Offer]] = field(default_factory=dict)

    @classmethod
    def of(cls, offers: Iterable[Offer]) -> "Occupancy":
        valid = [offer for offer in offers if offer.valid]
        of_project: dict[str, list[Offer]] = {}
        for offer in sorted(valid, key=lambda offer: offer.source_key):
            of_project.setdefault(offer.project_source_id, []).append(offer)
        return cls({offer.source_key: offer.beds for offer in valid}, of_project)

    def place(self, guest: Guests) -> Berth:
        """Best is an offer for their kind of household with room; then any with room, since they do lie
        there; else the one they exceed least. Year-round beds are taken to fill before overflow, and the
        shelter's own before vouchers: the export does not say who has which.
        """
        choices = self.of_project.get(guest.project_id, ())
        if not choices:
            return Berth(None, guest.beds)

        def preference(offer: Offer) -> tuple[bool, bool, int, int, int, SourceKey]:
            beyond = max(guest.beds - self.free[offer.source_key], 0)
            return (
                beyond > 0,
                offer.household_type is not guest.household_type,
                beyond,
                offer.availability or Availability.YEAR_ROUND,
                offer.bed_type or BedType.FACILITY,
                offer.source_key,
            )

        chosen = min(choices, key=preference)
        before = max(self.free[chosen.source_key], 0)
        self.free[chosen.source_key] -= guest.beds
        return Berth(chosen.source_key, max(guest.beds - before, 0))

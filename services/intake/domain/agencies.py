"""Agencies and their workers: who meets households."""

from dataclasses import dataclass
from enum import Enum

from services.intake.domain.ids import AgencyId, WorkerName


class AgencyType(Enum):
    SHELTER = "shelter"
    OUTREACH = "outreach"
    POLICE = "police"
    VICTIM_SERVICE_PROVIDER = "victim-service-provider"
    HOSPITAL = "hospital"
    FOOD_BANK = "food-bank"
    HUB = "hub"
    IMPORTED = "imported"

    @property
    def opens_cases(self) -> bool:
        """A victim service provider's people never enter intake; the hub and an import have no desk here."""
        return self not in (AgencyType.VICTIM_SERVICE_PROVIDER, AgencyType.HUB, AgencyType.IMPORTED)


@dataclass(frozen=True, slots=True)
class Agency:
    agency_id: AgencyId
    name: str
    type: AgencyType


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever asks, as their token names them: nothing of it is known here yet."""

    worker: WorkerName
    agency: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever asks, as far as access to a case depends on it. `agency` is None when no such agency is
    known."""

    worker: WorkerName
    agency: Agency | None
    roles: frozenset[str]

    @property
    def police(self) -> bool:
        return self.agency is not None and self.agency.type is AgencyType.POLICE

    def is_one_of(self, *roles: str) -> bool:
        return not self.roles.isdisjoint(roles)

"""Names for the source's records that stay the same from one export of that source to the next."""

from dataclasses import dataclass

from services.intake.domain.hmis_import import SourceKey


@dataclass(frozen=True, slots=True)
class Keys:
    """Without the ExportID, which is new every time."""

    source_id: str

    def organisation(self, source_id: str) -> SourceKey:
        return self._key(f"organisation:{source_id}")

    def project(self, source_id: str) -> SourceKey:
        return self._key(f"project:{source_id}")

    def offer(self, inventory_id: str) -> SourceKey:
        return self._key(f"inventory:{inventory_id}")

    def person(self, person_id: str) -> SourceKey:
        return self._key(f"person:{person_id}")

    def enrolment(self, enrolment_id: str) -> SourceKey:
        return self._key(f"enrolment:{enrolment_id}")

    def household(self, household: str) -> SourceKey:
        """`household` is already told apart by kind: see `household_of`."""
        return self._key(household)

    def _key(self, rest: str) -> SourceKey:
        return SourceKey(f"hmis:{self.source_id}:{rest}")

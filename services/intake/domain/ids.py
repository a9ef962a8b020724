"""The names of things: each id is its own type, so that a need can never be passed where a case is meant."""

from typing import NewType
from uuid import UUID

AgencyId = NewType("AgencyId", UUID)
HouseholdId = NewType("HouseholdId", UUID)
PersonId = NewType("PersonId", UUID)
CaseId = NewType("CaseId", UUID)
NeedId = NewType("NeedId", UUID)
ReferralId = NewType("ReferralId", UUID)
AllocationId = NewType("AllocationId", UUID)
GlassId = NewType("GlassId", UUID)
MergeId = NewType("MergeId", UUID)
ConsentId = NewType("ConsentId", UUID)

Scope = NewType("Scope", str)
"""Whose rows a unit of work sees and writes: an agency's, all of the region, or nobody's."""

WorkerName = NewType("WorkerName", str)
"""The subject of a worker's token."""

ArrivalCode = NewType("ArrivalCode", str)
"""Says to the hub who arrives, without a name."""

"""Names of things, so that one cannot be taken for another."""

from __future__ import annotations

from typing import NewType
from uuid import UUID

CaseId = NewType("CaseId", UUID)
NeedId = NewType("NeedId", UUID)
OfferId = NewType("OfferId", UUID)
ReferralId = NewType("ReferralId", UUID)
OccupancyId = NewType("OccupancyId", UUID)
AllocationId = NewType("AllocationId", UUID)
WarehouseId = NewType("WarehouseId", UUID)
LineId = NewType("LineId", UUID)

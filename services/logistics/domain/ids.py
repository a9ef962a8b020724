"""The names of things in logistics; no two kinds can be mistaken for one another."""

from typing import NewType
from uuid import UUID

ItemId = NewType("ItemId", str)
Area = NewType("Area", str)
WarehouseId = NewType("WarehouseId", UUID)
LineId = NewType("LineId", UUID)
PledgeId = NewType("PledgeId", UUID)
ShipmentId = NewType("ShipmentId", UUID)
AllocationId = NewType("AllocationId", UUID)
Label = NewType("Label", str)
BagCode = NewType("BagCode", str)
# Counted goods and what they are shipped in: never add one to the other.
Pieces = NewType("Pieces", int)
Packs = NewType("Packs", int)

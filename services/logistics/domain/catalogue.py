"""Things that are given, and the houses they are counted in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.logistics.domain.ids import Area, ItemId, Pieces, WarehouseId
from services.logistics.domain.refusal import invalid, refused

LARGEST_PACK = 10_000
LONGEST_TEXT = 200
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Item:
    """A thing of the catalogue. `pack_size` is the pieces in one pack and never changes: packs that were
    promised under one size cannot be counted under another."""

    item_id: ItemId
    name: str
    pack_size: Pieces

    def __post_init__(self) -> None:
        slug(self.item_id, "item-id")
        text(self.name, "name")
        if not 1 <= self.pack_size <= LARGEST_PACK:
            raise invalid("pack-size-invalid", f"A pack has 1 to {LARGEST_PACK} pieces.")

    def replaces(self, known: Item) -> None:
        """Refuse what would make earlier promises mean something else."""
        if known.pack_size != self.pack_size:
            raise refused("pack-size-fixed", "The pack size of a known item does not change.")


@dataclass(frozen=True, slots=True)
class Warehouse:
    """Where parcels go. `agency` runs it: its crew alone sees and changes what is in it."""

    warehouse_id: WarehouseId
    name: str
    area: Area
    address: str
    agency: str

    def __post_init__(self) -> None:
        text(self.name, "name")
        text(self.address, "address")
        text(self.agency, "agency-id")
        if self.area:
            slug(self.area, "area")


def slug(value: str, field: str) -> str:
    """A stable word: lower case, digits and single hyphens."""
    if len(value) > 64 or not _SLUG.fullmatch(value):
        raise invalid(f"{field}-invalid", f"The {field} is a word of lower-case letters, digits and hyphens.")
    return value


def text(value: str, field: str) -> str:
    """A short printable text that is not blank."""
    if not value.strip() or len(value) > LONGEST_TEXT or not value.isprintable():
        raise invalid(f"{field}-invalid", f"The {field} is printable and has 1 to {LONGEST_TEXT} characters.")
    return value

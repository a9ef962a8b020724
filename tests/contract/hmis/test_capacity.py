"""Which beds count on the last day, and where those are counted who lie in them already."""

from pathlib import Path

import pytest

from services.intake.adapters.hmis import read_export
from services.intake.domain.hmis_import import Offer, Placement
from tests.contract.hmis.building import ExportBuilder


@pytest.fixture
def export() -> ExportBuilder:
    return ExportBuilder()


def offer(export: ExportBuilder, tmp_path: Path, inventory_id: str) -> Offer:
    offers = read_export(export.folder(tmp_path)).offers
    return next(each for each in offers if each.source_key.endswith(f":{inventory_id}"))


def placements(export: ExportBuilder, tmp_path: Path) -> dict[str, tuple[str, int, int]]:
    """Household -> the inventory it is counted in, its beds, and how many of them lie beyond the capacity."""
    found = {}
    for household in read_export(export.folder(tmp_path)).households():
        assert isinstance(household.lodging, Placement)
        inventory = (household.lodging.offer_key or ":none").rpartition(":")[2]
        found[household.source_key.rpartition(":")[2]] = (
            inventory,
            household.lodging.beds,
            household.lodging.over_by,
        )
    return found


@pytest.mark.parametrize(
    ("fields", "why_not"),
    [
        ({}, None),
        ({"InventoryStartDate": "2026-09-30"}, None),
        ({"InventoryStartDate": "2026-10-01"}, "not-started"),
        ({"InventoryEndDate": "2026-09-30"}, None),
        ({"InventoryEndDate": "2026-09-29"}, "ended"),
        ({"Availability": "2"}, None),
        ({"Availability": "3"}, None),
        ({"Availability": ""}, None),
        ({"BedInventory": "0"}, "no-beds"),
    ],
)
def test_an_inventory_row_counts_while_its_dates_say_so(
    export: ExportBuilder, tmp_path: Path, fields: dict[str, str], why_not: str | None
) -> None:
    export.inventory("I3", "P1", **{"household_type": "1", "beds": "4", **fields})
    found = offer(export, tmp_path, "I3")
    assert (found.valid, found.why_not) == (why_not is None, why_not)


@pytest.mark.parametrize(
    ("fields", "why_not"),
    [
        ({}, None),
        ({"OperatingStartDate": ""}, None),
        ({"OperatingStartDate": "2026-10-01"}, "project-not-open-yet"),
        ({"OperatingEndDate": "2026-09-30"}, None),
        ({"OperatingEndDate": "2026-09-29"}, "project-closed"),
        ({"ProjectType": "6"}, "not-residential"),
    ],
)
def test_and_while_its_project_is_open(
    export: ExportBuilder, tmp_path: Path, fields: dict[str, str], why_not: str | None
) -> None:
    export.project("P2", fields.pop("ProjectType", "0"), **fields)
    export.inventory("I3", "P2", "1", "4")
    assert offer(export, tmp_path, "I3").why_not == why_not


def test_a_deleted_inventory_row_is_no_offer(export: ExportBuilder, tmp_path: Path) -> None:
    export.set("Inventory.csv", 2, "DateDeleted", "2026-05-01 00:00:00")
    assert len(read_export(export.folder(tmp_path)).offers) == 1


def test_a_place_for_survivors_says_so(export: ExportBuilder, tmp_path: Path) -> None:
    export.project("P2", "0", TargetPopulation="1")
    export.inventory("I3", "P2", "3", "4")
    assert offer(export, tmp_path, "I3").for_survivors
    assert not offer(export, tmp_path, "I1").for_survivors


def test_a_household_is_counted_where_its_kind_belongs(export: ExportBuilder, tmp_path: Path) -> None:
    export.person(1, "alone")
    export.person(2, "family")
    export.client("C3", born="2024-01-01")
    export.enrolment("E3", "C3", "family", RelationshipToHoH="2")
    assert placements(export, tmp_path) == {"alone": ("I1", 1, 0), "family": ("I2", 2, 0)}


def test_and_elsewhere_in_the_project_when_there_is_no_room(export: ExportBuilder, tmp_path: Path) -> None:
    export.set("Inventory.csv", 2, "BedInventory", "1")
    export.person(1, "a", EntryDate="2026-09-02")
    export.person(2, "b", EntryDate="2026-09-01")
    assert placements(export, tmp_path) == {"a": ("I2", 1, 0), "b": ("I1", 1, 0)}


def test_whoever_finds_no_room_is_counted_above_it(export: ExportBuilder, tmp_path: Path) -> None:
    export.set("Inventory.csv", 2, "BedInventory", "3")
    export.set("Inventory.csv", 3, "DateDeleted", "2026-05-01 00:00:00")
    for number, household in enumerate(["a", "a", "b", "b", "c"]):
        export.person(number, household)
    assert placements(export, tmp_path) == {"a": ("I1", 2, 0), "b": ("I1", 2, 1), "c": ("I1", 1, 1)}


def test_a_project_without_valid_inventory_has_guests_all_the_same(
    export: ExportBuilder, tmp_path: Path
) -> None:
    export.project("P2", "13")
    export.inventory("I3", "P2", "1", "5", InventoryEndDate="2026-01-01")
    export.person(1, "a", ProjectID="P2")
    assert placements(export, tmp_path) == {"a": ("none", 1, 1)}


def test_year_round_beds_fill_before_overflow_and_facilities_before_vouchers(
    export: ExportBuilder, tmp_path: Path
) -> None:
    export.project("P2", "0")
    export.inventory("I3", "P2", "1", "1", Availability="3", ESBedType="1")
    export.inventory("I4", "P2", "1", "1", Availability="1", ESBedType="2")
    export.inventory("I5", "P2", "1", "1", Availability="1", ESBedType="1")
    for number, household in enumerate(["a", "b", "c", "d"]):
        export.person(number, household, ProjectID="P2", EntryDate=f"2026-09-0{number + 1}")
    assert [inventory for inventory, _, _ in placements(export, tmp_path).values()] == [
        "I5",
        "I4",
        "I3",
        "I5",
    ]


def test_the_order_of_rows_does_not_decide_who_is_above_capacity(
    export: ExportBuilder, tmp_path: Path
) -> None:
    export.set("Inventory.csv", 2, "BedInventory", "2")
    export.set("Inventory.csv", 3, "BedInventory", "1")
    for number in range(6):
        export.person(number, f"H{number}", EntryDate=f"2026-09-{10 + number // 2}")
    before = placements(export, tmp_path / "a")
    export.rows["Enrollment.csv"].reverse()
    export.rows["Inventory.csv"].reverse()
    assert placements(export, tmp_path / "b") == before
    assert sum(over for _, _, over in before.values()) == 3

"""Exports that nobody here wrote, read whole. They lie beside the project and may be absent."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from services.intake.adapters.hmis import codes, read_export, sentences
from services.intake.adapters.hmis.reading import Reading
from services.intake.domain.hmis_import import (
    Availability,
    BedType,
    Household,
    HouseholdType,
    LodgingNeed,
    Placement,
    ProjectType,
    Relationship,
    Sex,
)
from tests.support.exports import EXPORTS, needs

pytestmark = needs(EXPORTS)


@pytest.fixture(scope="module")
def datalab() -> Reading:
    return read_export(EXPORTS / "hmis-fy2026-datalab")


@pytest.fixture(scope="module")
def households(datalab: Reading) -> list[Household]:
    return list(datalab.households())


def test_every_household_and_person_is_taken(datalab: Reading, households: list[Household]) -> None:
    assert datalab.report.refusals == ()
    assert len(households) == datalab.report.households_accepted == 473
    assert len({person.source_key for household in households for person in household.persons}) == 514
    assert datalab.report.persons_accepted == 514
    assert sum(len(household.enrolments) for household in households) == 574


def test_156_of_505_beds_can_be_slept_in(datalab: Reading) -> None:
    assert len(datalab.offers) == 49
    assert sum(offer.beds for offer in datalab.offers) == 505
    assert sum(offer.beds for offer in datalab.offers if offer.valid) == 156
    assert Counter(offer.why_not for offer in datalab.offers) == {"ended": 40, "no-beds": 1, None: 8}


def test_17_open_households_without_a_bed_need_one_each(
    datalab: Reading, households: list[Household]
) -> None:
    projects = {project.source_key: project for project in datalab.projects}
    needs = [household.lodging for household in households if isinstance(household.lodging, LodgingNeed)]
    assert len(needs) == 17
    assert Counter(projects[need.project_key].project_type for need in needs) == {
        ProjectType.SERVICES_ONLY: 9,
        ProjectType.HOMELESSNESS_PREVENTION: 8,
    }


def test_existing_occupancy_is_known_also_above_capacity(
    datalab: Reading, households: list[Household]
) -> None:
    """Project -> open households, their persons, and how many of these lie beyond what the project has."""
    projects = {project.source_key: project.source_id for project in datalab.projects}
    placements = [household.lodging for household in households if isinstance(household.lodging, Placement)]
    found: dict[str, tuple[int, int, int]] = {}
    for placement in placements:
        open_, beds, over = found.get(projects[placement.project_key], (0, 0, 0))
        found[projects[placement.project_key]] = (open_ + 1, beds + placement.beds, over + placement.over_by)
    assert found == {
        "1362": (10, 10, 0),
        "93": (19, 22, 0),
        "388": (18, 27, 0),
        "780": (23, 23, 3),
        "1428": (5, 7, 7),
        "1495": (3, 3, 0),
        "1060": (9, 10, 10),
    }
    assert len(placements) == 87
    assert sum(placement.awaiting_move_in for placement in placements) == 3


def test_nobody_is_counted_in_two_beds(households: list[Household]) -> None:
    asleep = Counter(
        key
        for household in households
        if isinstance(household.lodging, Placement)
        for key in household.lodging.person_keys
    )
    assert asleep.total() == 102
    assert max(asleep.values()) == 1


def test_whoever_may_be_hiding_is_confidential(households: list[Household]) -> None:
    reasons = Counter(
        household.confidentiality.value for household in households if household.confidentiality
    )
    assert reasons == {"survivor": 137, "fleeing": 42, "recorded-elsewhere": 2}


def test_the_same_export_twice_says_the_same(datalab: Reading, households: list[Household]) -> None:
    again = read_export(EXPORTS / "hmis-fy2026-datalab")
    assert again.export == datalab.export
    assert again.report == datalab.report
    assert list(again.households()) == households


def test_the_mini_export_has_four_households_of_one() -> None:
    reading = read_export(EXPORTS / "hmis-fy2026-mini")
    households = list(reading.households())
    assert [len(household.persons) for household in households] == [1, 1, 1, 1]
    assert reading.report.persons_accepted == 3
    assert [type(household.lodging).__name__ for household in households] == [*["Placement"] * 3, "NoneType"]
    assert all(household.confidential for household in households)  # it has no HealthAndDV.csv


def test_the_orphans_of_the_mini_export_are_refused_by_line() -> None:
    report = read_export(EXPORTS / "hmis-fy2026-mini").report
    assert [(refusal.file, refusal.line, refusal.reason) for refusal in report.refusals] == [
        ("CurrentLivingSituation.csv", 2, "orphan"),
        ("CurrentLivingSituation.csv", 3, "orphan"),
        ("CurrentLivingSituation.csv", 4, "broken-date"),
        ("Event.csv", 2, "orphan"),
        ("Event.csv", 3, "orphan"),
        ("Assessment.csv", 2, "orphan"),
        ("Assessment.csv", 3, "orphan"),
        *(("AssessmentQuestions.csv", line, "orphan") for line in range(2, 6)),
        ("AssessmentResults.csv", 2, "orphan"),
        ("AssessmentResults.csv", 3, "orphan"),
    ]


def test_an_export_of_2022_is_read_with_todays_codes() -> None:
    reading = read_export(EXPORTS / "hmis-fy2022-lsa")
    households = list(reading.households())
    assert (len(households), reading.report.persons_accepted) == (693, 799)
    assert reading.report.refusals == ()
    mapped = {(each.column, each.old): (each.new, each.count) for each in reading.report.mapped}
    assert mapped["LivingSituation", "16"] == ("116", 205)
    assert mapped["Sex", "Female"] == ("0", 296)
    assert mapped["Sex", "Male"] == ("1", 453)
    assert mapped["Sex", "more than one gender"][0] == "99"
    assert mapped["Destination", "19"] == ("435", 98)
    assert mapped["CurrentLivingSituation", "16"] == ("116", 560)
    assert mapped["ProjectType", "1, TrackingMethod 3"] == ("1", 1)
    assert mapped["ProjectType", "1, TrackingMethod 0"] == ("0", 3)
    assert all(
        enrolment.came_from is None or enrolment.came_from in codes.PRIOR_LIVING_SITUATION
        for household in households
        for enrolment in household.enrolments
    )


UNOPENED = {
    "hmis-fy2026-datalab": {"User.csv", "CustomGender.csv", "CustomEnrollmentFY26Deprecations.csv"},
    "hmis-fy2022-lsa": {"User.csv"},
    "hmis-fy2026-mini": {
        "User.csv", "CustomGender.csv", "CustomSexualOrientation.csv", "CustomDataElement.csv",
        "CustomDataElementDefinition.csv",
    },
}  # fmt: skip
"""Staff, and what the sender's own system adds: no table of the standard that tells of households."""


@pytest.mark.parametrize("name", UNOPENED)
def test_every_row_of_every_file_is_accounted_for(name: str) -> None:
    """Read is what the file has; what is not accepted is a line in the report."""
    report = read_export(EXPORTS / name).report
    rows = {file.name: _rows(file) for file in (EXPORTS / name).glob("*.csv")}
    counts = {count.file: count for count in report.files}
    assert rows.keys() - counts.keys() == UNOPENED[name]
    refused = Counter(refusal.file for refusal in report.refusals)
    for file, count in counts.items():
        assert count.read == rows[file], file
        assert (count.accepted, count.deleted) == (rows[file] - refused[file], 0), file


@pytest.mark.parametrize(
    ("name", "enrolments", "exits", "events", "found"),
    [
        ("hmis-fy2026-datalab", 574, 447, 19, 15),  # 20 living situations, of 15 households
        ("hmis-fy2022-lsa", 819, 442, 13, 99),  # 653 living situations, of 99 households
        ("hmis-fy2026-mini", 4, 1, 0, 0),  # its living situations and events are orphans or broken
    ],
)
def test_history_is_what_the_files_say(
    name: str, enrolments: int, exits: int, events: int, found: int
) -> None:
    households = list(read_export(EXPORTS / name).households())
    each = [enrolment for household in households for enrolment in household.enrolments]
    assert (len(each), sum(enrolment.exited is not None for enrolment in each)) == (enrolments, exits)
    said = [enrolment.destination for enrolment in each if enrolment.exited is not None]
    assert set(said) - {None} <= codes.DESTINATION
    assert said.count(None) == (1 if name == "hmis-fy2026-mini" else 0)  # it leaves its destination blank
    assert sum(len(household.referrals) for household in households) == events
    assert sum(household.found is not None for household in households) == found


def test_a_project_of_a_victim_service_provider_added_to_a_copy_is_refused_line_by_line(
    tmp_path: Path,
) -> None:
    """With everybody who is only there; who is elsewhere, too, is taken from there."""
    copy = shutil.copytree(EXPORTS / "hmis-fy2026-datalab", tmp_path / "copy")
    copy.chmod(0o700)
    before = read_export(copy).report
    add = _Adder(copy)
    add("Organization.csv", OrganizationID="vsp", VictimServiceProvider="1", OrganizationName="Safe")
    add("Project.csv", ProjectID="vsp-p", OrganizationID="vsp", ProjectType="0", ProjectName="Safe house")
    add(
        "Inventory.csv", InventoryID="vsp-i", ProjectID="vsp-p", HouseholdType="3", BedInventory="5",
        UnitInventory="1", InventoryStartDate="2020-01-01",
    )  # fmt: skip
    add("Client.csv", PersonalID="vsp-c", FirstName="Marisol", LastName="Quillfeather")
    add(
        "Enrollment.csv", EnrollmentID="vsp-e", PersonalID="vsp-c", ProjectID="vsp-p", HouseholdID="vsp-h",
        EntryDate="2022-01-01", RelationshipToHoH="1",
    )  # fmt: skip
    reading = read_export(copy)
    assert [(each.file, each.line, each.reason) for each in reading.report.refusals] == [
        (file, line, "victim-service-provider") for file, line in add.lines
    ]
    assert reading.report.households_accepted == before.households_accepted
    assert reading.report.households_refused == 1
    said = repr(list(reading.households())) + "".join(sentences(reading.report))
    assert "Quillfeather" not in said


class _Adder:
    """Adds rows to an export's files; remembers the lines they stand on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lines: list[tuple[str, int]] = []

    def __call__(self, file: str, **fields: str) -> None:
        path = self._folder / file
        path.chmod(0o600)
        text = path.read_text(encoding="utf-8-sig")
        with path.open("a", encoding="utf-8", newline="") as stream:
            if not text.endswith("\n"):
                stream.write("\r\n")
            csv.DictWriter(stream, next(csv.reader([text.splitlines()[0]]))).writerow(fields)
        self.lines.append((file, len(text.splitlines()) + 1))


def _rows(file: Path) -> int:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return sum(1 for row in csv.reader(stream) if row) - 1


def test_the_code_tables_are_the_published_ones() -> None:
    lists = json.loads((EXPORTS / "hmis-code-lists" / "2026_hud_lists.json").read_text())
    published = {each["code"]: {value["key"] for value in each["values"]} for each in lists}
    assert published["3.917"] == codes.PRIOR_LIVING_SITUATION
    assert published["4.12"] == codes.CURRENT_LIVING_SITUATION
    assert published["3.12"] == codes.DESTINATION
    assert published["1.8"] == codes.YES_NO_REASON
    assert published["1.10"] == codes.YES_NO
    assert published["1.4"] == codes.RECORD_TYPE
    assert published["2.02.7"] == codes.TARGET_POPULATION
    assert published["2.02.A"] == codes.RRH_SUBTYPE
    assert published["3.03.2"] == codes.DATE_QUALITY
    assert published["4.11.A"] == codes.WHEN_OCCURRED
    assert published["4.20.2"] == codes.EVENT
    assert published["4.20.D"] == codes.REFERRAL_RESULT
    for code, members in {
        "2.02.6": ProjectType,
        "2.07.4": HouseholdType,
        "2.07.5": BedType,
        "2.07.6": Availability,
        "3.15.1": Relationship,
        "4.21": Sex,
    }.items():
        assert published[code] == {member.value for member in members}


@pytest.mark.parametrize("year", ["2022", "2024", "2026"])
def test_older_codes_are_all_known(year: str) -> None:
    """Every code of each year's published lists is one that the reader takes."""
    lists = json.loads((EXPORTS / "hmis-code-lists" / f"{year}_hud_lists.json").read_text())
    published = {each["name"]: {value["key"] for value in each["values"]} for each in lists}
    today = codes.CURRENT_LIVING_SITUATION | codes.DESTINATION
    for name in ("LivingSituation", "Destination"):
        if name in published:
            read = {codes.LIVING_SITUATION_BEFORE_2024.get(code, code) for code in published[name]}
            assert read - {24} <= today | {24}, (year, name)
    retired = codes.RETIRED_BEFORE_2024["RecordType"] if year == "2022" else frozenset()
    assert published["RecordType"] <= codes.RECORD_TYPE | retired

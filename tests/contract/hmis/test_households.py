"""Rows become households: who belongs together, who hides, and where they sleep on the last day."""

from datetime import date
from pathlib import Path

import pytest

from services.intake.adapters.hmis import read_export
from services.intake.domain.hmis_import import (
    Confidentiality,
    Household,
    HouseholdType,
    LodgingNeed,
    Placement,
    Pregnancy,
    ProjectType,
    Relationship,
    Report,
)
from tests.contract.hmis.building import ExportBuilder


@pytest.fixture
def export() -> ExportBuilder:
    return ExportBuilder()


def households(export: ExportBuilder, tmp_path: Path) -> list[Household]:
    return list(read_export(export.folder(tmp_path)).households())


def only(export: ExportBuilder, tmp_path: Path) -> Household:
    [household] = households(export, tmp_path)
    return household


def notes(report: Report) -> dict[str, int]:
    return {note.slug: note.count for note in report.notes}


def test_enrolments_with_one_household_id_are_one_household(export: ExportBuilder, tmp_path: Path) -> None:
    export.person(1, "H1")
    export.person(2, "H2")
    export.client("C3", born="2024-01-01")
    export.enrolment("E3", "C3", "H1", RelationshipToHoH="2")
    first, second = households(export, tmp_path)
    assert [len(first.persons), len(second.persons)] == [2, 1]
    assert [person.relationship for person in first.persons] == [Relationship.SELF, Relationship.CHILD]
    assert [first.number, second.number] == [1, 2]


def test_a_blank_household_id_is_a_household_of_one_per_enrolment(
    export: ExportBuilder, tmp_path: Path
) -> None:
    export.person(1, "", EntryDate="2026-01-01")
    export.exit("E1", "C1", "2026-02-01")
    export.enrolment("E2", "C1", "", EntryDate="2026-09-01")
    reading = read_export(export.folder(tmp_path))
    earlier, later = reading.households()
    assert earlier.source_key != later.source_key
    assert [person.source_key for person in earlier.persons] == [
        person.source_key for person in later.persons
    ]
    assert earlier.lodging is None
    assert later.lodging is not None
    assert reading.report.persons_accepted == 1
    assert notes(reading.report)["household-id-blank"] == 2


def test_a_household_id_cannot_meet_an_enrolment_id(export: ExportBuilder, tmp_path: Path) -> None:
    export.person(1, "")
    export.person(2, "E1")
    assert len({household.source_key for household in households(export, tmp_path)}) == 2


def test_keys_outlive_the_export(export: ExportBuilder, tmp_path: Path) -> None:
    export.person(1, "H1")
    before = only(export, tmp_path / "a")
    export.set("Export.csv", 2, "ExportID", "another")
    export.set("Export.csv", 2, "ExportEndDate", "2026-10-31")
    after = only(export, tmp_path / "b")
    assert (before.source_key, before.persons[0].source_key) == (
        after.source_key,
        after.persons[0].source_key,
    )


def test_an_import_can_go_on_where_it_stopped(export: ExportBuilder, tmp_path: Path) -> None:
    for number in range(5):
        export.person(number, f"H{number}")
    reading = read_export(export.folder(tmp_path))
    everything = list(reading.households())
    assert list(reading.households(after=3)) == everything[3:]
    assert [household.number for household in everything] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("entered", "exited", "sleeps_there"),
    [
        ("2026-09-30", None, True),
        ("2026-10-01", None, False),
        ("2026-09-01", "2026-10-01", True),
        ("2026-09-01", "2026-09-30", False),
        ("2026-09-30", "2026-09-30", False),
        ("2026-09-10", "2026-09-01", False),
    ],
)
def test_open_means_begun_and_not_over_by_the_exports_last_day(
    export: ExportBuilder, tmp_path: Path, entered: str, exited: str | None, sleeps_there: bool
) -> None:
    export.person(1, "H1", EntryDate=entered)
    if exited:
        export.exit("E1", "C1", exited)
    assert (only(export, tmp_path).lodging is not None) is sleeps_there


@pytest.mark.parametrize("project_type", list(ProjectType))
def test_projects_with_beds_give_a_placement_and_all_others_a_need(
    export: ExportBuilder, tmp_path: Path, project_type: ProjectType
) -> None:
    export.project("P2", str(project_type.value))
    export.person(1, "H1", ProjectID="P2", MoveInDate="2026-09-02")
    lodging = only(export, tmp_path).lodging
    without_beds = {4, 6, 7, 11, 12, 14}
    assert isinstance(lodging, LodgingNeed if project_type in without_beds else Placement)


def test_rapid_rehousing_that_gives_services_only_houses_nobody(
    export: ExportBuilder, tmp_path: Path
) -> None:
    export.project("P2", "13", RRHSubType="1")
    export.person(1, "H1", ProjectID="P2")
    assert isinstance(only(export, tmp_path).lodging, LodgingNeed)


def test_one_need_for_a_household_however_many_are_in_it(export: ExportBuilder, tmp_path: Path) -> None:
    export.project("P2", "4")
    for number in range(3):
        export.person(number, "H1", ProjectID="P2", EntryDate=f"2026-09-0{number + 1}")
    need = only(export, tmp_path).lodging
    assert isinstance(need, LodgingNeed)
    assert len(need.person_keys) == 3
    assert need.since == date(2026, 9, 1)


def test_only_who_is_still_there_takes_a_bed(export: ExportBuilder, tmp_path: Path) -> None:
    export.person(1, "H1")
    export.person(2, "H1", RelationshipToHoH="3")
    export.exit("E2", "C2", "2026-09-10")
    household = only(export, tmp_path)
    assert isinstance(household.lodging, Placement)
    assert household.lodging.beds == 1
    assert len(household.persons) == 2


def test_of_several_open_projects_the_bed_entered_last_counts(export: ExportBuilder, tmp_path: Path) -> None:
    export.project("P2", "2")
    export.project("P3", "4")
    export.person(1, "H1", EntryDate="2026-09-01")
    export.enrolment("E2", "C1", "H1", ProjectID="P2", EntryDate="2026-09-05")
    export.enrolment("E3", "C1", "H1", ProjectID="P3", EntryDate="2026-09-09")
    reading = read_export(export.folder(tmp_path))
    [household] = reading.households()
    assert isinstance(household.lodging, Placement)
    assert household.lodging.project_key == "hmis:XX-500:project:P2"
    assert len(household.persons) == 1
    assert len(household.enrolments) == 3
    assert notes(reading.report)["several-projects"] == 1


@pytest.mark.parametrize(
    ("moved_in", "awaiting"), [("", True), ("2026-10-01", True), ("2026-09-30", False), ("2026-09-02", False)]
)
def test_permanent_housing_may_be_promised_and_not_yet_slept_in(
    export: ExportBuilder, tmp_path: Path, moved_in: str, awaiting: bool
) -> None:
    export.project("P2", "3")
    export.person(1, "H1", ProjectID="P2", MoveInDate=moved_in)
    lodging = only(export, tmp_path).lodging
    assert isinstance(lodging, Placement)
    assert lodging.awaiting_move_in is awaiting


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ({}, None),
        ({"DomesticViolenceSurvivor": "0"}, None),
        ({"DomesticViolenceSurvivor": "9", "CurrentlyFleeing": "99"}, None),
        ({"DomesticViolenceSurvivor": "1"}, Confidentiality.SURVIVOR),
        ({"DomesticViolenceSurvivor": "1", "CurrentlyFleeing": "0"}, Confidentiality.SURVIVOR),
        ({"CurrentlyFleeing": "1"}, Confidentiality.FLEEING),
        ({"DomesticViolenceSurvivor": "1", "CurrentlyFleeing": "1"}, Confidentiality.FLEEING),
    ],
)
def test_a_survivor_or_somebody_fleeing_makes_the_household_confidential(
    export: ExportBuilder, tmp_path: Path, health: dict[str, str], expected: Confidentiality | None
) -> None:
    export.person(1, "H1")
    export.person(2, "H1", RelationshipToHoH="4")
    export.health("E2", "C2", **health)
    export.health("E2", "C2", InformationDate="2026-09-20", DomesticViolenceSurvivor="0")
    household = only(export, tmp_path)
    assert household.confidentiality is expected
    assert household.confidential is (expected is not None)


def test_fleeing_is_remembered_wherever_the_person_turns_up(export: ExportBuilder, tmp_path: Path) -> None:
    export.person(1, "H1", EntryDate="2025-01-01")
    export.exit("E1", "C1", "2025-02-01")
    export.health("E1", "C1", CurrentlyFleeing="1", InformationDate="2025-01-01")
    export.enrolment("E2", "C1", "H2")
    export.person(3, "H3")
    first, second, third = households(export, tmp_path)
    assert first.confidentiality is Confidentiality.FLEEING
    assert second.confidentiality is Confidentiality.RECORDED_ELSEWHERE
    assert third.confidentiality is None


def test_it_is_remembered_also_from_a_household_that_is_refused(
    export: ExportBuilder, tmp_path: Path
) -> None:
    export.person(1, "H1")
    export.health("E1", "C1", CurrentlyFleeing="1")
    export.exit("E1", "C1", "nonsense")
    export.enrolment("E2", "C1", "H2")
    assert only(export, tmp_path).confidentiality is Confidentiality.RECORDED_ELSEWHERE


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        (["1990-01-01"], HouseholdType.WITHOUT_CHILDREN),
        (["1990-01-01", "2026-09-29"], HouseholdType.ADULTS_AND_CHILDREN),
        (["2008-09-30"], HouseholdType.WITHOUT_CHILDREN),
        (["2008-10-01"], HouseholdType.ONLY_CHILDREN),
        ([""], HouseholdType.WITHOUT_CHILDREN),
    ],
)
def test_a_household_is_known_by_its_ages_on_the_last_day(
    export: ExportBuilder, tmp_path: Path, born: list[str], expected: HouseholdType
) -> None:
    for number, day in enumerate(born):
        export.client(f"C{number}", born=day)
        export.enrolment(f"E{number}", f"C{number}", "H1")
    assert only(export, tmp_path).household_type is expected


def test_a_child_without_a_birth_date_is_known_by_its_relationship(
    export: ExportBuilder, tmp_path: Path
) -> None:
    export.person(1, "H1")
    export.client("C2", born="")
    export.enrolment("E2", "C2", "H1", RelationshipToHoH="2")
    assert only(export, tmp_path).household_type is HouseholdType.ADULTS_AND_CHILDREN


def test_a_pregnancy_keeps_its_due_date_and_the_last_answer_counts(
    export: ExportBuilder, tmp_path: Path
) -> None:
    export.person(1, "H1")
    export.person(2, "H2")
    export.person(3, "H3")
    export.health("E1", "C1", PregnancyStatus="1", DueDate="2026-11-01", InformationDate="2026-09-10")
    export.health("E1", "C1", PregnancyStatus="0", InformationDate="2026-03-01")
    export.health("E1", "C1", PregnancyStatus="99", InformationDate="2026-09-20")
    export.health("E2", "C2", PregnancyStatus="1", DueDate="2026-05-01", InformationDate="2026-01-01")
    export.health("E2", "C2", PregnancyStatus="0", InformationDate="2026-09-01")
    expecting, delivered, other = households(export, tmp_path)
    assert expecting.persons[0].pregnancy == Pregnancy(date(2026, 9, 10), date(2026, 11, 1))
    assert delivered.persons[0].pregnancy is None
    assert other.persons[0].pregnancy is None


def test_where_they_sleep_is_what_was_seen_last_before_the_end(export: ExportBuilder, tmp_path: Path) -> None:
    export.project("P2", "4")
    export.person(1, "H1", ProjectID="P2", LivingSituation="302")
    export.person(2, "H2", ProjectID="P2", LivingSituation="314")
    for own, day, code in (
        ("L1", "2026-09-20", "116"),
        ("L2", "2026-09-10", "336"),
        ("L3", "2026-10-20", "410"),
    ):
        export.add(
            "CurrentLivingSituation.csv",
            CurrentLivingSitID=own,
            EnrollmentID="E1",
            PersonalID="C1",
            InformationDate=day,
            CurrentLivingSituation=code,
        )
    seen, unseen = (household.lodging for household in households(export, tmp_path))
    assert isinstance(seen, LodgingNeed)
    assert seen.sleeping == 116
    assert isinstance(unseen, LodgingNeed)
    assert unseen.sleeping == 314


def test_a_person_is_as_the_source_gave_it(export: ExportBuilder, tmp_path: Path) -> None:
    export.client(
        "C1", born="1990-02-03", FirstName=" Ann ", LastName="Ö'Neill, Jr", SSN="000-12-0417",
        DOBDataQuality="2", Sex="0", VeteranStatus="1",
    )  # fmt: skip
    export.enrolment("E1", "C1", "H1")
    [person] = only(export, tmp_path).persons
    assert (person.first_name, person.last_name, person.ssn) == (" Ann ", "Ö'Neill, Jr", "000-12-0417")
    assert person.birth_date == date(1990, 2, 3)
    assert person.birth_date_approximate
    assert person.veteran is True


@pytest.mark.parametrize(
    ("code", "veteran"), [("1", True), ("0", False), ("8", None), ("99", None), ("", None)]
)
def test_not_knowing_is_not_no(
    export: ExportBuilder, tmp_path: Path, code: str, veteran: bool | None
) -> None:
    export.client("C1", VeteranStatus=code)
    export.enrolment("E1", "C1", "H1")
    assert only(export, tmp_path).persons[0].veteran is veteran


def test_organisations_of_one_name_are_told_apart(export: ExportBuilder, tmp_path: Path) -> None:
    export.add(
        "Organization.csv", OrganizationID="O2", OrganizationName="Lighthouse", VictimServiceProvider="0"
    )
    export.project("P2", "0", "O2")
    first, second = read_export(export.folder(tmp_path)).projects
    assert first.organisation_name == second.organisation_name
    assert first.organisation_key != second.organisation_key


def test_oddities_are_noted_and_refuse_nothing(export: ExportBuilder, tmp_path: Path) -> None:
    export.person(1, "H1")
    export.person(2, "H1")
    export.person(3, "H2", RelationshipToHoH="5")
    export.enrolment("E4", "C3", "H3")
    export.enrolment("E5", "C3", "H3", EntryDate="2026-12-01")
    reading = read_export(export.folder(tmp_path))
    assert reading.report.households_refused == 0
    assert notes(reading.report) == {
        "several-heads": 1,
        "no-head": 1,
        "person-in-several-open-households": 1,
        "not-begun": 1,
    }

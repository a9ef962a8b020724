"""The same made-up people, written as the systems of FY2022, FY2024 and FY2026 write them, say the same."""

import random
import tempfile
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.intake.adapters.hmis import codes, read_export
from services.intake.adapters.hmis.reading import Reading
from services.intake.adapters.hmis.versions import Version
from tests.support.hmis_state import outcomes, state, take_over
from tests.support.hmis_writer import ExportWriter
from tests.support.intake import Intake, opened_intake
from tests.support.stack import RunningStack

AS_OF = date(2026, 9, 30)
TYPES = ("0", "1", "2", "3", "4", "6", "8", "9", "10", "11", "12", "13", "14")
# What FY2022 had one code for each; of the rentals with a subsidy it had seven, which are one today.
PRIOR = sorted(codes.PRIOR_LIVING_SITUATION)
FOUND = sorted(codes.CURRENT_LIVING_SITUATION)
DESTINATIONS = sorted(codes.DESTINATION)


class People:
    """A small region, the same for the same seed whatever the year."""

    def __init__(self, seed: int, export: ExportWriter) -> None:
        self._dice, self._export, self._enrolments = random.Random(seed), export, 0

    def write(self) -> None:
        add, dice = self._export.add, self._dice
        add("Organization.csv", OrganizationID="O1", OrganizationName="One", VictimServiceProvider="0")
        for number, project_type in enumerate(TYPES):
            add(
                "Project.csv", ProjectID=f"P{number}", OrganizationID="O1", ProjectName=f"Place {number}",
                OperatingStartDate="2019-10-01", ProjectType=project_type,
                TargetPopulation=dice.choice(["1", "4"]),
            )  # fmt: skip
            add(
                "Inventory.csv", InventoryID=f"I{number}", ProjectID=f"P{number}", HouseholdType="3",
                Availability="1", UnitInventory="0", BedInventory=str(dice.randrange(6)),
                InventoryStartDate="2019-10-01",
            )  # fmt: skip
        for household in range(dice.randint(1, 8)):
            self._household(household)

    def _household(self, household: int) -> None:
        dice, entered = self._dice, AS_OF - timedelta(days=self._dice.randrange(900))
        project, over = f"P{dice.randrange(len(TYPES))}", dice.random() < 0.5
        for member in range(dice.randint(1, 4)):
            own = f"C{household}-{member}"
            self._export.add(
                "Client.csv", PersonalID=own, FirstName=f"First{member}", LastName=f"Last{household}",
                DOB=(AS_OF - timedelta(days=dice.randrange(200, 30_000))).isoformat(), DOBDataQuality="1",
                Sex=dice.choice(["0", "1", "8", "9", "99"]), VeteranStatus=dice.choice(["0", "1", "99"]),
            )  # fmt: skip
            self._enrolment(own, f"H{household}", project, "1" if member == 0 else "2", entered, over)

    def _enrolment(
        self, own: str, household: str, project: str, relationship: str, entered: date, over: bool
    ) -> None:
        dice, add = self._dice, self._export.add
        self._enrolments += 1
        enrolment = f"E{self._enrolments}"
        moved_in = entered + timedelta(days=dice.randrange(60))
        add(
            "Enrollment.csv", EnrollmentID=enrolment, PersonalID=own, ProjectID=project,
            EntryDate=entered.isoformat(), HouseholdID=household, RelationshipToHoH=relationship,
            LivingSituation=str(dice.choice(PRIOR)), MoveInDate=dice.choice(["", moved_in.isoformat()]),
        )  # fmt: skip
        same = {"EnrollmentID": enrolment, "PersonalID": own}
        if over:
            add(
                "Exit.csv", ExitID=enrolment, ExitDate=(entered + timedelta(days=5)).isoformat(),
                Destination=str(dice.choice(DESTINATIONS)), **same,
            )  # fmt: skip
        add(
            "HealthAndDV.csv", HealthAndDVID=enrolment, InformationDate=entered.isoformat(),
            DomesticViolenceSurvivor=dice.choice(["0", "0", "1", "99"]), CurrentlyFleeing=dice.choice(["0", "0", "1"]),
            PregnancyStatus=dice.choice(["0", "1", "99"]), DueDate=(AS_OF + timedelta(days=40)).isoformat(), **same,
        )  # fmt: skip
        add(
            "CurrentLivingSituation.csv", CurrentLivingSitID=enrolment, InformationDate=entered.isoformat(),
            CurrentLivingSituation=str(dice.choice(FOUND)), **same,
        )  # fmt: skip
        add("Services.csv", ServicesID=enrolment, DateProvided=entered.isoformat(), RecordType="200", **same)
        add(
            "Event.csv", EventID=enrolment, EventDate=entered.isoformat(), Event=str(dice.randint(1, 18)),
            ReferralResult=dice.choice(["", "1", "2", "3"]), ResultDate="", **same,
        )  # fmt: skip


def written(seed: int, version: Version, folder: Path) -> Path:
    with ExportWriter(folder / version.name, version, AS_OF) as export:
        People(seed, export).write()
    return folder / version.name


def read(seed: int, version: Version) -> Reading:
    with tempfile.TemporaryDirectory() as folder:
        return read_export(written(seed, version, Path(folder)))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_every_year_reads_as_the_same_households(seed: int) -> None:
    today = read(seed, Version.FY2026)
    assert today.report.refusals == ()
    assert today.report.mapped == ()
    assert today.report.households_accepted > 0
    for earlier in (read(seed, Version.FY2022), read(seed, Version.FY2024)):
        assert list(earlier.households()) == list(today.households())
        assert (earlier.projects, earlier.offers) == (today.projects, today.offers)
        assert earlier.report.refusals == ()


@pytest.mark.parametrize("version", [Version.FY2022, Version.FY2024])
def test_every_translation_is_counted(version: Version) -> None:
    """As often as today's export has the code, no matter in how many columns."""
    mapped = read(7, version).report.mapped
    sexes = [each for each in mapped if each.column == "Sex"]
    assert {each.new for each in sexes} <= {"0", "1"}
    living = [each for each in mapped if each.column.endswith(("Situation", "Destination"))]
    assert bool(living) is (version is Version.FY2022)
    for each in living:
        assert codes.LIVING_SITUATION_BEFORE_2024[int(each.old)] == int(each.new)


@pytest.fixture
async def networks(stack: RunningStack, tmp_path: Path) -> AsyncIterator[tuple[Intake, Intake]]:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    async with (
        opened_intake(stack, tmp_path / "one") as one,
        opened_intake(stack, tmp_path / "other") as other,
    ):
        yield one, other


async def test_every_year_imports_to_the_same_state(networks: tuple[Intake, Intake], tmp_path: Path) -> None:
    """Into one network one after the other: the second year says nothing new. Into another: the same state."""
    one, other = networks
    assert outcomes(await take_over(one, written(11, Version.FY2022, tmp_path))) == {"created"}
    before = await state(one)
    for version in (Version.FY2024, Version.FY2026):
        assert outcomes(await take_over(one, written(11, version, tmp_path))) == {"unchanged"}
    assert outcomes(await take_over(other, tmp_path / "FY2026")) == {"created"}
    assert await state(one) == await state(other) == before

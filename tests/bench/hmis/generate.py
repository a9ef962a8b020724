"""Writes a synthetic HMIS CSV export of any number of enrolments, from a published simulation configuration."""

import random
from datetime import date, timedelta
from pathlib import Path

from services.intake.adapters.hmis.versions import Version
from tests.bench.hmis.simulation import Member, Simulation, Spell
from tests.support.hmis_writer import ExportWriter

AS_OF = date(2026, 9, 30)
_FIRST = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gia", "Hugo", "Ines", "Jon", "Kaya", "Leo", "Mara")
_LAST = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gorse", "Hazel", "Ivy", "Juniper", "Larch")


class Generator:
    """Fills an export until it has that many enrolments, or a few more: a household is never cut."""

    def __init__(self, simulation: Simulation, export: ExportWriter, seed: int = 2) -> None:
        self._simulation, self._export = simulation, export
        self._dice = random.Random(seed)
        self.enrolments = self.clients = self.households = 0

    def fill(self, enrolments: int) -> None:
        self._region()
        for members, spells in self._simulation.households():
            if self.enrolments >= enrolments:
                return
            hiding = self._simulation.survivor()
            ids = [self._client(member, spells[0].entered) for member in members]
            for spell in spells:
                self._household(ids, members, spell, hiding)

    def _region(self) -> None:
        add = self._export.add
        for organization in dict.fromkeys(place.organization for place in self._simulation.places):
            add(
                "Organization.csv",
                OrganizationID=organization,
                OrganizationName=f"Agency {organization}",
                VictimServiceProvider="0",
            )
        for place in self._simulation.places:
            add(
                "Project.csv", ProjectID=place.id, OrganizationID=place.organization, ProjectName=place.name,
                OperatingStartDate="2015-10-01", ProjectType=str(place.type), TargetPopulation="4",
            )  # fmt: skip
            for household_type, part in ((1, 2), (3, 4)):
                if place.capacity:
                    add(
                        "Inventory.csv", InventoryID=f"{place.id}-{household_type}", ProjectID=place.id,
                        HouseholdType=str(household_type), Availability="1", UnitInventory="0",
                        BedInventory=str(place.capacity // part), InventoryStartDate="2015-10-01",
                    )  # fmt: skip

    def _client(self, member: Member, entered: date) -> str:
        self.clients += 1
        own, dice = f"{self.clients:08x}", self._dice
        born = entered - timedelta(days=member.age * 365 + dice.randrange(365))
        self._export.add(
            "Client.csv", PersonalID=own, FirstName=dice.choice(_FIRST), LastName=dice.choice(_LAST),
            NameDataQuality="1", SSNDataQuality="99", DOB=born.isoformat(), DOBDataQuality="1",
            Sex=str(member.sex), VeteranStatus=str(int(member.veteran)),
        )  # fmt: skip
        return own

    def _household(
        self, ids: list[str], members: list[Member], spell: Spell, hiding: tuple[bool, bool]
    ) -> None:
        self.households += 1
        survivor, fleeing = hiding
        for own, member in zip(ids, members, strict=True):
            self._enrolment(own, member, spell)
            if member.relationship == 1:
                self._export.add(
                    "HealthAndDV.csv", HealthAndDVID=f"D{self.enrolments}", EnrollmentID=f"E{self.enrolments}",
                    PersonalID=own, InformationDate=spell.entered.isoformat(),
                    DomesticViolenceSurvivor=str(int(survivor)), CurrentlyFleeing=str(int(fleeing)),
                    DataCollectionStage="1",
                )  # fmt: skip

    def _enrolment(self, own: str, member: Member, spell: Spell) -> None:
        self.enrolments += 1
        enrolment = f"E{self.enrolments}"
        self._export.add(
            "Enrollment.csv", EnrollmentID=enrolment, PersonalID=own, ProjectID=spell.place.id,
            EntryDate=spell.entered.isoformat(), HouseholdID=f"H{self.households:08x}",
            RelationshipToHoH=str(member.relationship), LivingSituation=str(spell.came_from),
            MoveInDate="" if spell.moved_in is None else spell.moved_in.isoformat(), EnrollmentCoC="XX-500",
        )  # fmt: skip
        if spell.exited is not None:
            self._export.add(
                "Exit.csv", ExitID=f"X{self.enrolments}", EnrollmentID=enrolment, PersonalID=own,
                ExitDate=spell.exited.isoformat(), Destination=str(spell.destination),
            )  # fmt: skip


def generate(config: Path, folder: Path, enrolments: int, version: Version = Version.FY2026) -> Generator:
    """The export, in `folder`; returns what is in it."""
    with ExportWriter(folder, version, AS_OF) as export:
        generator = Generator(Simulation(config, AS_OF), export)
        generator.fill(enrolments)
        return generator

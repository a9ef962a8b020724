"""Writes an agency's cases as a zip of FY2026 HMIS CSV files that imports again to the same state.

HMIS knows households, their times with projects, exits, safety, pregnancy, living situations and coordinated
entry; what it has no column for (goods, notes, places to avoid, contacts, areas) is not in the file. Ids are the
network's own. An age that is known only as a band becomes an approximate date of birth.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from uuid import UUID

from services.intake.application.exports_ports import ExportedCase
from services.intake.domain.agencies import Agency
from services.intake.domain.hmis_import import ProjectType
from services.intake.domain.household import AgeBand, Person

from .headers import COLUMNS
from .spells import Spell, spells_of

_EVENT = (
    "EventID", "EnrollmentID", "PersonalID", "EventDate", "Event", "ProbSolDivRRResult", "ReferralCaseManageAfter",
    "LocationCrisisOrPHHousing", "ReferralResult", "ResultDate", "DateCreated", "DateUpdated", "UserID",
    "DateDeleted", "ExportID",
)  # fmt: skip
_HEADERS = {**COLUMNS, "Event.csv": _EVENT}
_BEDS, _SERVICES = "beds", "services"
_NOT_COLLECTED, _UNSHELTERED = "99", "116"
_AGES = {AgeBand.INFANT: 1, AgeBand.CHILD: 9}
_APPROXIMATE, _FULL = "2", "1"
_PIECE = 1 << 16


class HmisSheets:
    """One export, held packed until it is given out."""

    def __init__(self, agency: Agency, as_of: date, export_id: str) -> None:
        self._as_of = as_of
        self._sheets = {name: _Sheet(header) for name, header in _HEADERS.items()}
        self._export_id = export_id
        self._write(
            "Export.csv", ExportID=export_id, SourceType="1", SourceID=f"aid-{_id(agency.agency_id)}",
            SourceName=agency.name, ExportDate=f"{as_of} 00:00:00", ExportStartDate="2000-01-01",
            ExportEndDate=as_of.isoformat(), SoftwareName="Regional Aid Network", CSVVersion="2026 v1.0",
            ExportPeriodType="3", ExportDirective="2", HashStatus="1",
        )  # fmt: skip
        organization = _id(agency.agency_id)
        self._write(
            "Organization.csv", OrganizationID=organization, OrganizationName=agency.name,
            VictimServiceProvider="0",
        )  # fmt: skip
        for project, project_type in (
            (_BEDS, ProjectType.EMERGENCY_SHELTER_ENTRY_EXIT),
            (_SERVICES, ProjectType.SERVICES_ONLY),
        ):
            self._write(
                "Project.csv", ProjectID=project, OrganizationID=organization,
                ProjectName=f"{agency.name}: {project}", OperatingStartDate="2000-01-01",
                ContinuumProject="0", ProjectType=str(project_type.value), TargetPopulation="4",
            )  # fmt: skip

    def add(self, exported: ExportedCase) -> None:
        persons = list(zip(map(_id, exported.person_ids), exported.household.persons, strict=True))
        for own, person in persons:
            self._client(own, person)
        case, first = _id(exported.case.case_id), dict[int, str]()
        for number, spell in enumerate(spells_of(exported)):
            enrolment = f"{case[:28]}{number:04x}"
            first.setdefault(spell.member, enrolment)
            own, person = persons[spell.member]
            self._enrolment(enrolment, own, case, spell, person, exported)
        for member, (own, person) in enumerate(persons):
            self._health(first[member], own, person, exported if member == 0 else None)
        self._history(first[0], persons[0][0], exported)

    def pieces(self) -> Iterator[bytes]:
        """The zip, file by file; nothing of it is held unpacked."""
        out = _Outlet()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, sheet in self._sheets.items():
                with archive.open(name, "w") as file:
                    for text in sheet.text():
                        file.write(text)
                        yield from out.taken(_PIECE)
        yield from out.taken(1)

    def _client(self, own: str, person: Person) -> None:
        born, quality = person.birth_date, _FULL
        if born is None and person.age_band in _AGES:
            born, quality = self._as_of - timedelta(days=round(_AGES[person.age_band] * 365.25)), _APPROXIMATE
        self._write(
            "Client.csv", PersonalID=own, FirstName=person.given_name, LastName=person.family_name,
            NameDataQuality="1" if person.given_name or person.family_name else _NOT_COLLECTED,
            SSNDataQuality=_NOT_COLLECTED, DOB=_iso(born),
            DOBDataQuality=quality if born else _NOT_COLLECTED, Sex=_NOT_COLLECTED, RaceNone=_NOT_COLLECTED,
            VeteranStatus=_NOT_COLLECTED,
        )  # fmt: skip

    def _enrolment(
        self, enrolment: str, own: str, case: str, spell: Spell, person: Person, exported: ExportedCase
    ) -> None:
        outside = exported.case.facts.unsheltered and not spell.housed
        self._write(
            "Enrollment.csv", EnrollmentID=enrolment, PersonalID=own,
            ProjectID=_BEDS if spell.housed else _SERVICES, EntryDate=spell.entered.isoformat(),
            HouseholdID=case, RelationshipToHoH=str(person.relationship),
            LivingSituation=_UNSHELTERED if outside else _NOT_COLLECTED, DisablingCondition=_NOT_COLLECTED,
        )  # fmt: skip
        if spell.exited is not None:
            self._write(
                "Exit.csv", ExitID=enrolment, EnrollmentID=enrolment, PersonalID=own,
                ExitDate=spell.exited.isoformat(),
                Destination="" if spell.destination is None else str(spell.destination),
            )  # fmt: skip

    def _health(self, enrolment: str, own: str, person: Person, of: ExportedCase | None) -> None:
        """The household's safety is told of its first member. Who hides is told as a survivor at least."""
        if of is None and person.due_date is None:
            return
        hides = of is not None and (of.case.confidential or of.household.survivor)
        self._write(
            "HealthAndDV.csv", HealthAndDVID=enrolment, EnrollmentID=enrolment, PersonalID=own,
            InformationDate=self._as_of.isoformat(),
            DomesticViolenceSurvivor=str(int(hides)) if of else _NOT_COLLECTED,
            CurrentlyFleeing=str(int(of.household.fleeing)) if of else _NOT_COLLECTED,
            PregnancyStatus="1" if person.due_date else _NOT_COLLECTED, DueDate=_iso(person.due_date),
            DataCollectionStage="2",
        )  # fmt: skip

    def _history(self, enrolment: str, own: str, exported: ExportedCase) -> None:
        history = exported.told.history
        if history.situation is not None:
            on, code = history.situation
            self._write(
                "CurrentLivingSituation.csv", CurrentLivingSitID=enrolment, EnrollmentID=enrolment,
                PersonalID=own, InformationDate=on.isoformat(), CurrentLivingSituation=str(code),
            )  # fmt: skip
        for number, made in enumerate(history.referrals):
            self._write(
                "Event.csv", EventID=f"{enrolment[:28]}{number:04x}", EnrollmentID=enrolment, PersonalID=own,
                EventDate=made.on.isoformat(), Event=str(made.event), ReferralResult=str(made.result or ""),
                ResultDate=_iso(made.result_on),
            )  # fmt: skip

    def _write(self, file: str, **fields: str) -> None:
        self._sheets[file].add({"ExportID": self._export_id, **fields})


class _Sheet:
    """One file, its text packed in pieces as it grows."""

    def __init__(self, header: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(header)}
        self._packed: list[bytes] = []
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text)
        self._writer.writerow(header)

    def add(self, fields: dict[str, str]) -> None:
        row = [""] * len(self._places)
        for name, value in fields.items():
            row[self._places[name]] = value
        self._writer.writerow(row)
        if self._text.tell() > _PIECE:
            self._pack()

    def text(self) -> Iterator[bytes]:
        self._pack()
        return map(zlib.decompress, self._packed)

    def _pack(self) -> None:
        self._packed.append(zlib.compress(self._text.getvalue().encode()))
        self._text.seek(0)
        self._text.truncate()


class _Outlet:
    """Where a zip is written that nobody goes back in: what was written waits to be taken."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes, /) -> int:
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """There is nothing to let go."""

    def taken(self, at_least: int) -> Iterator[bytes]:
        if len(self._waiting) >= at_least:
            yield bytes(self._waiting)
            self._waiting.clear()


def _id(own: UUID) -> str:
    """HUD's ids have 32 characters."""
    return own.hex


def _iso(day: date | None) -> str:
    return "" if day is None else day.isoformat()

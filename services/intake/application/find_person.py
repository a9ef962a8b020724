"""Find somebody again: by name within the agency, by code for whoever is assigned."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from services.intake.application.ports import IntakeWork
from services.intake.application.search_ports import Findable
from services.intake.domain.access import Sight, read_as, sight
from services.intake.domain.agencies import Agency, Asker, Viewer
from services.intake.domain.household import Person
from services.intake.domain.ids import ArrivalCode, CaseId, PersonId
from services.intake.domain.refusal import denied, not_found
from services.intake.domain.search import MOST_FOUND, Wanted, likely

# So many are looked up at most, so that enough are left when some may not be shown.
LOOKED_UP = 2 * MOST_FOUND


@dataclass(frozen=True, slots=True)
class FindPersons:
    asker: Asker
    wanted: Wanted
    widely: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A person who may be the one, and how much, from 0 to 1."""

    findable: Findable
    score: float


@dataclass(frozen=True, slots=True)
class FoundCase:
    case_id: CaseId
    status: str
    persons: tuple[tuple[PersonId, Person], ...] = field(repr=False)


async def find_persons(work: IntakeWork, command: FindPersons) -> list[Found]:
    """Most alike first. Who is of a household in hiding is not among them: the index leaves it out, and the rows
    are asked once more. Each of them is logged as read."""
    viewer = await work.agencies.viewer(command.asker)
    agency = searching(viewer)
    candidates = await work.search.candidates(agency.agency_id, command.wanted)
    least = likely((each.score for each in candidates), command.widely)
    alike = [each for each in candidates if each.score >= least][:LOOKED_UP]
    shown = await work.search.findable(agency.agency_id, [each.person_id for each in alike])
    findable = {each.person_id: each for each in shown}
    found = (Found(findable[each.person_id], each.score) for each in alike if each.person_id in findable)
    chosen = list(islice(found, MOST_FOUND))
    log_shown(work, viewer, (each.findable for each in chosen), "FindPersons")
    return chosen


async def find_by_code(work: IntakeWork, asker: Asker, code: ArrivalCode) -> FoundCase:
    """The case, for whoever sees all of it; the work sees the region, for a worker may be assigned elsewhere."""
    viewer = await work.agencies.viewer(asker)
    case = await work.cases.find_by_code(code, asker.worker)
    if case is None or sight(case, viewer) is not Sight.FULL:
        raise not_found()
    known = await work.vault.persons(case)
    agency = "" if viewer.agency is None else str(viewer.agency.agency_id)
    persons = [each.person_id for each in known]
    work.access_log.read(viewer.worker, agency, case.case_id, persons, read_as(case, "FindByCaseCode"))
    status = "open" if case.closed_at is None else "closed"
    return FoundCase(case.case_id, status, tuple((each.person_id, each.person) for each in known))


def searching(viewer: Viewer) -> Agency:
    """The agency within which is searched. Police write, and are not told who else is known."""
    if viewer.agency is None:
        raise denied("agency-unknown", "The caller's agency is not registered here.")
    if viewer.police:
        raise denied("police-write-mostly", "Police do not search for persons.")
    return viewer.agency


def log_shown(work: IntakeWork, viewer: Viewer, shown: Iterable[Findable], why: str) -> None:
    agency = "" if viewer.agency is None else str(viewer.agency.agency_id)
    by_case = defaultdict[CaseId, list[PersonId]](list)
    for each in shown:
        by_case[each.case_id].append(each.person_id)
    for case_id, persons in by_case.items():
        work.access_log.read(viewer.worker, agency, case_id, persons, why)

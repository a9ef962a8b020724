"""Show a household with its persons to whoever works with it."""

from services.intake.application.edit_household import must_know
from services.intake.application.ports import IntakeWork, KnownHousehold
from services.intake.domain.access import read_as
from services.intake.domain.agencies import Asker
from services.intake.domain.ids import CaseId

WHY = "GetHousehold"


async def view_household(work: IntakeWork, asker: Asker, case_id: CaseId) -> KnownHousehold:
    """Each person that is shown is logged, in the transaction that read it, with who and why."""
    found = await work.cases.approach(case_id, asker)
    case = must_know(found.case, found.viewer)
    known = await work.vault.known(case)
    agency = "" if found.viewer.agency is None else str(found.viewer.agency.agency_id)
    persons = [each.person_id for each in known.persons]
    work.access_log.read(found.viewer.worker, agency, case_id, persons, read_as(case, WHY))
    return known

"""Tell an agency's cases to another system, as far as whoever asks may see them."""

from services.intake.application.exports_ports import ExportedCase
from services.intake.application.ports import IntakeWork
from services.intake.domain.access import Sight, sight
from services.intake.domain.agencies import Agency, AgencyType, Asker, Viewer
from services.intake.domain.cases import Case
from services.intake.domain.ids import AgencyId, CaseId
from services.intake.domain.refusal import denied, not_found

AT_ONCE = 100


async def may_export(work: IntakeWork, asker: Asker, agency_id: AgencyId) -> Agency:
    """The agency, for those who may take its cases out: its own case managers, and operators."""
    viewer = await work.agencies.viewer(asker)
    agency = await work.agencies.find(agency_id)
    if agency is None or not (_operates(viewer) or viewer.agency == agency):
        raise not_found()
    if agency.type is AgencyType.VICTIM_SERVICE_PROVIDER:
        raise denied(
            "victim-service-provider", "People of a victim service provider are in no shared system."
        )
    return agency


async def export_page(
    work: IntakeWork, asker: Asker, agency_id: AgencyId, after: CaseId | None
) -> tuple[list[ExportedCase], CaseId | None]:
    """The next cases behind that one, and where to go on: None at the end. Each person is logged in the
    transaction that read it, with who and why."""
    await may_export(work, asker, agency_id)
    viewer = await work.agencies.viewer(asker)
    found = await work.exports.cases(agency_id, viewer.worker, after, AT_ONCE)
    seen = [case for case in found if _is_told(case, viewer)]
    told = await work.exports.told([case.case_id for case in seen])
    exported = []
    for case in seen:
        known = await work.vault.known(case)
        person_ids = tuple(each.person_id for each in known.persons)
        exported.append(ExportedCase(case, known.household, person_ids, told[case.case_id]))
        work.access_log.read(viewer.worker, asker.agency, case.case_id, person_ids, "ExportCases")
    return exported, found[-1].case_id if len(found) == AT_ONCE else None


def _is_told(case: Case, viewer: Viewer) -> bool:
    """An operator, who works with nobody, gets no household in hiding; a worker gets what they may see, but not what
    they see through broken glass: no emergency asks for a file."""
    if case.facts.nobody:
        return False
    if _operates(viewer):
        return not case.confidential
    if case.confidential and not case.assigned:
        return False
    return sight(case, viewer) is Sight.FULL


def _operates(viewer: Viewer) -> bool:
    return viewer.is_one_of("operator")

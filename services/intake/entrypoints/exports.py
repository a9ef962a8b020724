"""ExportService: an agency's cases, told to another system."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date

from aid.intake.v1 import exports_pb2 as messages

from services.chassis.call import Call, Route, allow
from services.chassis.metrics import Metrics
from services.intake.application.export_cases import export_page, may_export
from services.intake.application.exports_ports import ExportedCase, Sheets
from services.intake.application.ports import IntakeWork
from services.intake.domain.agencies import Agency, Asker
from services.intake.domain.ids import AgencyId, CaseId
from services.intake.entrypoints import requests
from services.intake.entrypoints.door import Door, asker

SERVICE = "aid.intake.v1.ExportService"
RULES = {"ExportCases": allow("case_manager", "operator")}
ROUTES = (Route("GET", "/v1/agencies/{agency_id}/export", "ExportCases"),)

# Begins an export of that agency as of that day; the text names this export among others.
MakeSheets = Callable[[Agency, date, str], Sheets]


class ExportRpc:
    def __init__(self, door: Door, make: MakeSheets, metrics: Metrics) -> None:
        self._door = door
        self._make = make
        self._metrics = metrics

    async def ExportCases(
        self, request: messages.ExportCasesRequest, call: Call
    ) -> AsyncIterator[messages.ExportCasesResponse]:
        """All cases are read, page by page, before the first piece leaves: a fault in between leaves no half a
        file that looks whole."""
        agency_id = AgencyId(requests.uuid_in(request.agency_id, "agency_id"))
        works, who = self._door.within(call), asker(call)

        async def begin(work: IntakeWork) -> Sheets:
            agency = await may_export(work, who, agency_id)
            return self._make(agency, work.today, f"{work.now:%Y%m%dT%H%M%S}")

        sheets = await works.run(begin)
        after: CaseId | None = None
        while True:
            cases, after = await works.run(self._page(who, agency_id, after))
            for case in cases:
                sheets.add(case)
            self._count_disclosed(cases)
            if after is None:
                break
        for piece in sheets.pieces():
            yield messages.ExportCasesResponse(piece=piece)

    def _count_disclosed(self, cases: Sequence[ExportedCase]) -> None:
        """Of a household in hiding only the access log tells."""
        persons = sum(len(each.person_ids) for each in cases if not each.case.confidential)
        self._metrics.disclosures_total.labels("shown").inc(persons)

    def _page(
        self, who: Asker, agency_id: AgencyId, after: CaseId | None
    ) -> Callable[[IntakeWork], Awaitable[tuple[list[ExportedCase], CaseId | None]]]:
        return lambda work: export_page(work, who, agency_id, after)

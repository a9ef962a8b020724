"""IntakeService, as both doors serve it."""

from collections.abc import AsyncIterator, Collection
from contextlib import aclosing

from aid.intake.v1 import intake_pb2 as intake

from services.chassis.call import Call
from services.chassis.metrics import Metrics
from services.intake.application.answer_referral import AnswerReferral, answer_referral
from services.intake.application.assign_worker import AssignWorker, assign_worker
from services.intake.application.close_case import CloseCase, close_case
from services.intake.application.find_tonight import FindTonight, find_tonight
from services.intake.application.get_handoff import Handoff, get_handoff
from services.intake.application.open_case import OpenCase, open_case
from services.intake.application.open_case import look_ahead as look_at_cases
from services.intake.application.ports import Hub, HubContact, IntakeWork, Matching
from services.intake.application.register import RegisterWorker, register_agency, register_worker
from services.intake.application.report_need import ReportNeed, report_need
from services.intake.application.report_need import look_ahead as look_at_needs
from services.intake.application.view_case import CaseView, show_case
from services.intake.application.watch_case import Watchers, watch_case
from services.intake.application.withdraw_need import WithdrawNeed, withdraw_need
from services.intake.domain.agencies import Agency
from services.intake.domain.ids import AgencyId, AllocationId, CaseId, NeedId, ReferralId, WorkerName
from services.intake.domain.refusal import Refusal
from services.intake.entrypoints import requests
from services.intake.entrypoints.admission import Admission, Asked, Deed
from services.intake.entrypoints.answers import case_message, tonight_message
from services.intake.entrypoints.door import Door, asker
from services.intake.entrypoints.imports import get_import_outcomes, import_households

Opening = Asked[intake.OpenCaseRequest, OpenCase]
Reporting = Asked[intake.ReportNeedRequest, ReportNeed]


class IntakeRpc:
    """Reads a request, runs its use case, writes the answer. Commands happen once per key of their caller."""

    def __init__(
        self,
        matching: Matching,
        hub: Hub,
        watchers: Watchers,
        metrics: Metrics,
        door: Door,
        areas: Collection[str],
    ) -> None:
        """`areas` are the words that may stand for where a household can live; none given means any word."""
        self._door = door
        opened = Deed(intake.OpenCaseResponse, look_at_cases, _opened)
        reported = Deed(intake.ReportNeedResponse, look_at_needs, _reported)
        self.opened: Admission[intake.OpenCaseRequest, OpenCase, intake.OpenCaseResponse] = Admission(
            door, opened
        )
        self.reported: Admission[intake.ReportNeedRequest, ReportNeed, intake.ReportNeedResponse] = Admission(
            door, reported
        )
        self._areas = areas
        self._matching = matching
        self._hub = hub
        self._watchers = watchers
        self._metrics = metrics

    async def RegisterAgency(
        self, request: intake.RegisterAgencyRequest, call: Call
    ) -> intake.RegisterAgencyResponse:
        agency = Agency(
            AgencyId(requests.uuid_in(request.agency_id, "agency_id")),
            request.name,
            requests.agency_type_in(request.type),
        )

        async def act(work: IntakeWork) -> intake.RegisterAgencyResponse:
            await register_agency(work, agency)
            return intake.RegisterAgencyResponse()

        return await self._door.once(request, call, intake.RegisterAgencyResponse, act)

    async def RegisterWorker(
        self, request: intake.RegisterWorkerRequest, call: Call
    ) -> intake.RegisterWorkerResponse:
        agency_id = AgencyId(requests.uuid_in(request.agency_id, "agency_id"))
        command = RegisterWorker(WorkerName(request.worker), agency_id)

        async def act(work: IntakeWork) -> intake.RegisterWorkerResponse:
            await register_worker(work, command)
            return intake.RegisterWorkerResponse()

        return await self._door.once(request, call, intake.RegisterWorkerResponse, act)

    async def OpenCase(self, request: intake.OpenCaseRequest, call: Call) -> intake.OpenCaseResponse:
        """The case first, and committed; only then matching is asked for tonight. A repeated command asks
        again, and is answered with the place that is held already."""
        opening = self.opening(request, call)
        return await self.with_tonight(opening, await self.opened.admit(opening))

    def opening(self, request: intake.OpenCaseRequest, call: Call) -> Opening:
        """The command that this request is; refused when it cannot be read as one."""
        case_id = requests.optional_uuid(request.case_id, "case_id")
        needs = requests.needs_in(request.needs)
        said = request.HasField("occurred_at")
        command = OpenCase(
            asker=asker(call),
            case_id=None if case_id is None else CaseId(case_id),
            household=requests.household_in(request.household, self._areas),
            needs=needs,
            occurred_at=requests.moment_in(request.occurred_at, "occurred_at") if said else None,
        )
        if request.find_tonight:
            requests.first_lodging_need(needs)
        return Asked(request, call, command, self._door.command(request, call))

    async def with_tonight(
        self, opening: Opening, answer: intake.OpenCaseResponse
    ) -> intake.OpenCaseResponse:
        """The answer to a case that is committed, with a place for tonight where one was asked for."""
        if opening.request.find_tonight:
            lodging = requests.first_lodging_need(opening.command.needs)
            need_id = NeedId(requests.uuid_in(answer.need_ids[lodging], "need_ids"))
            case_id = requests.case_id_in(answer.case_id)
            found = await self._tonight_if_open(case_id, need_id, opening.call)
            if found is not None:
                answer.tonight.CopyFrom(found)
        return answer

    async def ReportNeed(self, request: intake.ReportNeedRequest, call: Call) -> intake.ReportNeedResponse:
        return await self.reported.admit(self.reporting(request, call))

    def reporting(self, request: intake.ReportNeedRequest, call: Call) -> Reporting:
        """The command that this request is; refused when it cannot be read as one."""
        said = request.HasField("occurred_at")
        command = ReportNeed(
            asker=asker(call),
            case_id=requests.case_id_in(request.case_id),
            need=requests.need_in(request.need),
            occurred_at=requests.moment_in(request.occurred_at, "occurred_at") if said else None,
        )
        return Asked(request, call, command, self._door.command(request, call))

    async def WithdrawNeed(
        self, request: intake.WithdrawNeedRequest, call: Call
    ) -> intake.WithdrawNeedResponse:
        case_id = requests.case_id_in(request.case_id)
        need_id = NeedId(requests.uuid_in(request.need_id, "need_id"))

        async def act(work: IntakeWork) -> intake.WithdrawNeedResponse:
            await withdraw_need(work, WithdrawNeed(asker(call), case_id, need_id))
            return intake.WithdrawNeedResponse()

        return await self._door.once(request, call, intake.WithdrawNeedResponse, act)

    async def CloseCase(self, request: intake.CloseCaseRequest, call: Call) -> intake.CloseCaseResponse:
        case_id = requests.case_id_in(request.case_id)

        async def act(work: IntakeWork) -> intake.CloseCaseResponse:
            await close_case(work, CloseCase(asker(call), case_id))
            return intake.CloseCaseResponse()

        return await self._door.once(request, call, intake.CloseCaseResponse, act)

    async def FindTonight(self, request: intake.FindTonightRequest, call: Call) -> intake.FindTonightResponse:
        case_id = requests.case_id_in(request.case_id)
        need_id = NeedId(requests.uuid_in(request.need_id, "need_id"))
        return intake.FindTonightResponse(tonight=await self._tonight(case_id, need_id, call))

    async def AnswerReferral(
        self, request: intake.AnswerReferralRequest, call: Call
    ) -> intake.AnswerReferralResponse:
        """Kept nowhere here: matching remembers the answer under this command's key."""
        self._door.command(request, call)
        case_id = requests.optional_uuid(request.case_id, "case_id")
        referral_id = ReferralId(requests.uuid_in(request.referral_id, "referral_id"))

        command = AnswerReferral(
            asker=asker(call),
            case_id=None if case_id is None else CaseId(case_id),
            arrival_code=requests.code_in(request.arrival_code),
            referral_id=referral_id,
            accepted=request.accepted,
        )
        state = await answer_referral(self._door.within(call), self._matching, command, call)
        return intake.AnswerReferralResponse(state=state.value)

    async def AssignWorker(
        self, request: intake.AssignWorkerRequest, call: Call
    ) -> intake.AssignWorkerResponse:
        case_id = requests.optional_uuid(request.case_id, "case_id")
        own = None if case_id is None else CaseId(case_id)
        code = requests.code_in(request.arrival_code)
        worker = WorkerName(request.worker)

        async def act(work: IntakeWork) -> intake.AssignWorkerResponse:
            assigned = await assign_worker(work, AssignWorker(asker(call), own, code, worker))
            return intake.AssignWorkerResponse(case_id=str(assigned))

        return await self._door.once(request, call, intake.AssignWorkerResponse, act)

    async def GetCase(self, request: intake.GetCaseRequest, call: Call) -> intake.GetCaseResponse:
        case_id = requests.case_id_in(request.case_id)
        view = await show_case(
            self._door.within(call), self._matching, self._hub, asker(call), case_id, "GetCase", call
        )
        self._count_disclosed(view)
        return intake.GetCaseResponse(case=case_message(view))

    async def WatchCase(
        self, request: intake.WatchCaseRequest, call: Call
    ) -> AsyncIterator[intake.WatchCaseResponse]:
        case_id = requests.case_id_in(request.case_id)
        views = watch_case(
            self._door.within(call), self._matching, self._hub, self._watchers, asker(call), case_id, call
        )
        async with aclosing(views):
            async for view in views:
                self._count_disclosed(view)
                yield intake.WatchCaseResponse(case=case_message(view))

    async def GetHandoff(self, request: intake.GetHandoffRequest, call: Call) -> intake.GetHandoffResponse:
        allocation_id = AllocationId(requests.uuid_in(request.allocation_id, "allocation_id"))

        async def read(work: IntakeWork) -> Handoff:
            return await get_handoff(work, self._hub, WorkerName(call.principal.subject), allocation_id)

        handoff = await self._door.within(call).run(read)
        return intake.GetHandoffResponse(point=handoff.point, slot=handoff.slot)

    async def ImportHouseholds(
        self, request: intake.ImportHouseholdsRequest, call: Call
    ) -> intake.ImportHouseholdsResponse:
        return await import_households(self._door.within(call), request, call, self._metrics)

    async def GetImportOutcomes(
        self, request: intake.GetImportOutcomesRequest, call: Call
    ) -> intake.GetImportOutcomesResponse:
        return await get_import_outcomes(self._door.within(call), request)

    async def _tonight_if_open(
        self, case_id: CaseId, need_id: NeedId, call: Call
    ) -> intake.TonightAnswer | None:
        """None where a late repetition of the command finds the need met, or the case closed."""
        try:
            return await self._tonight(case_id, need_id, call)
        except Refusal as refusal:
            if refusal.kind != "refused":
                raise
            return None

    async def _tonight(self, case_id: CaseId, need_id: NeedId, call: Call) -> intake.TonightAnswer:
        command = FindTonight(asker(call), case_id, need_id)
        answer = await find_tonight(self._door.within(call), self._matching, self._hub, command, call)
        message = tonight_message(answer, self._hub.phone)
        if not isinstance(answer, HubContact):
            self._metrics.find_tonight_total.labels(message.WhichOneof("answer")).inc()
        return message

    def _count_disclosed(self, view: CaseView) -> None:
        """Of a household in hiding only the access log tells."""
        if not view.confidential:
            self._metrics.disclosures_total.labels("shown").inc(len(view.persons))


async def _opened(work: IntakeWork, command: OpenCase) -> intake.OpenCaseResponse:
    opened = await open_case(work, command)
    return intake.OpenCaseResponse(
        case_id=str(opened.case_id), need_ids=[str(need_id) for need_id in opened.need_ids]
    )


async def _reported(work: IntakeWork, command: ReportNeed) -> intake.ReportNeedResponse:
    return intake.ReportNeedResponse(need_id=str(await report_need(work, command)))

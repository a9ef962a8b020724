"""StayService: stays and their last nights, alarms, follow-ups, and where households live or went."""

from datetime import UTC, date, datetime, time
from uuid import UUID

from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import stays_pb2 as messages

from services.chassis.call import Call, Route, allow
from services.intake.application.alarms import AcknowledgeAlarm, acknowledge_alarm, list_alarms
from services.intake.application.extend_stay import ExtendStay, extend_stay
from services.intake.application.list_stays import list_stays
from services.intake.application.ports import IntakeWork, Matching
from services.intake.application.record_living_situation import (
    RecordLivingSituation,
    Situated,
    record_living_situation,
)
from services.intake.application.tasks import (
    AnswerTask,
    RecordFollowUp,
    TaskToDo,
    answer_task,
    list_tasks,
    record_follow_up,
)
from services.intake.domain.access import CASEWORK
from services.intake.domain.contact import Channel
from services.intake.domain.followups import TaskKind, TaskOutcome
from services.intake.domain.ids import CaseId, ReferralId
from services.intake.domain.stays import Action, Alarm, Stay
from services.intake.entrypoints import pages, requests, words
from services.intake.entrypoints.door import Door, asker
from services.intake.entrypoints.households_speech import contact_message

SERVICE = "aid.intake.v1.StayService"
RULES = {
    "ListStays": allow(*CASEWORK),
    "ExtendStay": allow(*CASEWORK, "hub"),
    "RecordLivingSituation": allow(*CASEWORK),
    "ListAlarms": allow(*CASEWORK, "hub"),
    "AcknowledgeAlarm": allow(*CASEWORK, "hub"),
    "ListTasks": allow(*CASEWORK, "hub"),
    "RecordFollowUp": allow(*CASEWORK, "hub"),
    "AnswerTask": allow(*CASEWORK, "hub"),
}
ROUTES = (
    Route("GET", "/v1/cases/{case_id}/stays", "ListStays"),
    Route("POST", "/v1/cases/{case_id}/stays/{stay_id}:extend", "ExtendStay"),
    # The hub names the case by arrival code, in the body: a code is not for an address.
    Route("POST", "/v1/hub/stays:extend", "ExtendStay"),
    Route("POST", "/v1/cases/{case_id}/living-situations", "RecordLivingSituation"),
    Route("GET", "/v1/alarms", "ListAlarms"),
    Route("POST", "/v1/alarms/{alarm_id}:acknowledge", "AcknowledgeAlarm"),
    Route("GET", "/v1/tasks", "ListTasks"),
    Route("POST", "/v1/tasks/{task_id}:follow-up", "RecordFollowUp"),
    Route("POST", "/v1/tasks/{task_id}:answer", "AnswerTask"),
)
_ACTIONS = {
    messages.AlarmAction.Value(f"ALARM_ACTION_{action.name}"): action
    for action in Action
    if action is not Action.STAY_GOES_ON
}
_OUTCOMES = {
    messages.FollowUpOutcome.Value(f"FOLLOW_UP_OUTCOME_{outcome.name}"): outcome
    for outcome in (TaskOutcome.REACHED, TaskOutcome.NOT_REACHED, TaskOutcome.DECLINED)
}
_KINDS = {kind: messages.TaskKind.Value(f"TASK_KIND_{kind.name}") for kind in TaskKind}


class StayRpc:
    """Reads a request, runs its use case, writes the answer."""

    def __init__(self, door: Door, matching: Matching) -> None:
        self._door = door
        self._matching = matching

    async def ListStays(self, request: messages.ListStaysRequest, call: Call) -> messages.ListStaysResponse:
        case_id = requests.case_id_in(request.case_id)
        async with self._door.within(call)() as work:
            stays = await list_stays(work, asker(call), case_id)
        return messages.ListStaysResponse(stays=[_stay(stay) for stay in stays])

    async def ExtendStay(
        self, request: messages.ExtendStayRequest, call: Call
    ) -> messages.ExtendStayResponse:
        """Kept nowhere here: matching remembers the answer under this command's key."""
        self._door.command(request, call)
        case_id = requests.optional_uuid(request.case_id, "case_id")
        referral_id = requests.optional_uuid(request.referral_id, "referral_id")
        command = ExtendStay(
            asker=asker(call),
            case_id=None if case_id is None else CaseId(case_id),
            arrival_code=requests.code_in(request.arrival_code),
            stay=request.stay_id or None,
            referral_id=None if referral_id is None else ReferralId(referral_id),
            last_night=requests.date_in(request.last_night, "last_night"),
        )
        last_night = await extend_stay(self._door.within(call), self._matching, command, call)
        return messages.ExtendStayResponse(last_night=last_night.isoformat())

    async def RecordLivingSituation(
        self, request: messages.RecordLivingSituationRequest, call: Call
    ) -> messages.RecordLivingSituationResponse:
        command = RecordLivingSituation(
            asker=asker(call),
            case_id=requests.case_id_in(request.case_id),
            code=request.living_situation,
            on_date=requests.optional_date(request.on_date, "on_date"),
            note=request.note,
        )

        async def act(work: IntakeWork) -> messages.RecordLivingSituationResponse:
            situated = await record_living_situation(work, command)
            return messages.RecordLivingSituationResponse(reopened=situated.reopened, need_id=_need(situated))

        return await self._door.once(request, call, messages.RecordLivingSituationResponse, act)

    async def ListAlarms(
        self, request: messages.ListAlarmsRequest, call: Call
    ) -> messages.ListAlarmsResponse:
        who = asker(call)
        size, after = pages.page_size(request.page_size), pages.mark_in(request.page_token)
        async with self._door.within(call)() as work:
            alarms = await list_alarms(work, who, after, size)
        last = alarms[-1] if len(alarms) == size else None
        return messages.ListAlarmsResponse(
            alarms=[_alarm(each, "hub" in who.roles) for each in alarms],
            next_page_token="" if last is None else pages.mark_token(last.raised_at, last.alarm_id),
        )

    async def AcknowledgeAlarm(
        self, request: messages.AcknowledgeAlarmRequest, call: Call
    ) -> messages.AcknowledgeAlarmResponse:
        command = AcknowledgeAlarm(
            asker=asker(call),
            alarm_id=requests.uuid_in(request.alarm_id, "alarm_id"),
            action=requests.word_in(_ACTIONS, request.action, "action"),
            note=request.note,
        )

        async def act(work: IntakeWork) -> messages.AcknowledgeAlarmResponse:
            await acknowledge_alarm(work, command)
            return messages.AcknowledgeAlarmResponse()

        return await self._door.once(request, call, messages.AcknowledgeAlarmResponse, act)

    async def ListTasks(self, request: messages.ListTasksRequest, call: Call) -> messages.ListTasksResponse:
        size, after = pages.page_size(request.page_size), pages.mark_in(request.page_token)
        async with self._door.within(call)() as work:
            tasks = await list_tasks(work, asker(call), after, size)
        # Not one more than fits: the way to each household that is found is logged as read.
        last = tasks[-1].task if len(tasks) == size else None
        return messages.ListTasksResponse(
            tasks=[_task(each) for each in tasks],
            next_page_token="" if last is None else pages.mark_token(_begin(last.due_on), last.task_id),
        )

    async def RecordFollowUp(
        self, request: messages.RecordFollowUpRequest, call: Call
    ) -> messages.RecordFollowUpResponse:
        command = RecordFollowUp(
            asker=asker(call),
            task_id=_task_id(request.task_id),
            outcome=requests.word_in(_OUTCOMES, request.outcome, "outcome"),
            living_situation=request.living_situation or None,
            note=request.note,
            came_by_itself=request.came_by_itself,
        )

        async def act(work: IntakeWork) -> messages.RecordFollowUpResponse:
            situated = await record_follow_up(work, command)
            return messages.RecordFollowUpResponse(reopened=situated.reopened, need_id=_need(situated))

        return await self._door.once(request, call, messages.RecordFollowUpResponse, act)

    async def AnswerTask(
        self, request: messages.AnswerTaskRequest, call: Call
    ) -> messages.AnswerTaskResponse:
        command = AnswerTask(asker(call), _task_id(request.task_id), request.answer, request.note)

        async def act(work: IntakeWork) -> messages.AnswerTaskResponse:
            await answer_task(work, command)
            return messages.AnswerTaskResponse()

        return await self._door.once(request, call, messages.AnswerTaskResponse, act)


def _task_id(text: str) -> UUID:
    return requests.uuid_in(text, "task_id")


def _begin(day: date) -> datetime:
    """A day as the mark of a page."""
    return datetime.combine(day, time(), UTC)


def _need(situated: Situated) -> str:
    return "" if situated.need_id is None else str(situated.need_id)


def _stay(stay: Stay) -> messages.StayView:
    return messages.StayView(
        stay_id=stay.number,
        referral_id="" if stay.referral_id is None else str(stay.referral_id),
        from_date=stay.from_date.isoformat(),
        last_night=words.iso(stay.last_night),
        ended_on=words.iso(stay.ended_on),
    )


def _alarm(alarm: Alarm, for_the_hub: bool) -> messages.AlarmView:
    return messages.AlarmView(
        alarm_id=str(alarm.alarm_id),
        case_id="" if for_the_hub else str(alarm.case_id),
        arrival_code=(alarm.arrival_code or "") if alarm.confidential else "",
        ended_on=alarm.ended_on.isoformat(),
        raised_at=words.timestamp(alarm.raised_at),
    )


def _task(each: TaskToDo) -> messages.TaskView:
    contact = each.safe_contact
    may_contact = contact.channel is not Channel.NONE
    message: households.SafeContact | None = contact_message(contact) if may_contact else None
    return messages.TaskView(
        task_id=str(each.task.task_id),
        case_id="" if each.for_the_hub else str(each.task.case_id),
        kind=_KINDS[each.task.kind],
        due_on=each.task.due_on.isoformat(),
        days=each.task.days,
        asked=each.task.asked,
        may_contact=may_contact,
        safe_contact=message,
        may_contact_now=each.now,
        arrival_code=(each.task.hub_code or "") if each.for_the_hub else "",
    )

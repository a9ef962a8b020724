"""Stays that ended with nothing next: who sees them, and what was done."""

from dataclasses import dataclass, replace
from uuid import UUID

from services.chassis import discretion
from services.intake.application.agencies_ports import Mark
from services.intake.application.ports import IntakeWork
from services.intake.domain.access import REGION, Sight, sight
from services.intake.domain.agencies import Asker, Viewer
from services.intake.domain.ids import CaseId, WorkerName
from services.intake.domain.refusal import invalid, not_found, refused
from services.intake.domain.stays import LONGEST_NOTE, Action, Alarm


@dataclass(frozen=True, slots=True)
class AcknowledgeAlarm:
    asker: Asker
    alarm_id: UUID
    action: Action
    note: str


async def list_alarms(work: IntakeWork, asker: Asker, after: Mark | None, limit: int) -> list[Alarm]:
    """Open alarms that the caller may see, oldest first; what they may not see does not shorten a page.

    The hub sees those of households in hiding, which may have nobody else: by their codes, without the case.
    """
    if "hub" in asker.roles:
        await work.speak_for(REGION)
        return [_for_the_hub(alarm) for alarm in await work.alarms.hidden(after, limit)]
    viewer = await work.agencies.viewer(asker)
    # A worker may be assigned to a case of another agency.
    await work.speak_for(REGION)
    alarms = await work.alarms.seen_by(viewer, after, limit)
    seen = await seen_in_full(work, viewer, {alarm.case_id for alarm in alarms})
    return [alarm for alarm in alarms if alarm.case_id in seen]


async def seen_in_full(work: IntakeWork, viewer: Viewer, case_ids: set[CaseId]) -> set[CaseId]:
    """Which of these cases the caller sees in full."""
    seen = set()
    for case_id in case_ids:
        case = await work.cases.find(case_id, viewer.worker)
        if case is not None and sight(case, viewer) is Sight.FULL:
            seen.add(case_id)
    return seen


async def acknowledge_alarm(work: IntakeWork, command: AcknowledgeAlarm) -> None:
    """What was done. An alarm that is settled already stays as it was settled."""
    check_note(command.note, command.action is Action.OTHER)
    alarm = await _alarm(work, command)
    if alarm.acknowledged_at is not None:
        raise refused("alarm-acknowledged", "Somebody has acknowledged it before.")
    await work.alarms.acknowledge(alarm, command.action, WorkerName(command.asker.worker), command.note)
    work.changed(alarm.case_id)


async def _alarm(work: IntakeWork, command: AcknowledgeAlarm) -> Alarm:
    """The alarm, its case locked, if the caller sees it: an alarm of somebody else is as if absent."""
    viewer = None if "hub" in command.asker.roles else await work.agencies.viewer(command.asker)
    await work.speak_for(REGION)
    alarm = await work.alarms.find(command.alarm_id)
    if alarm is None or (viewer is None and not alarm.confidential):
        raise not_found()
    case = await work.cases.lock(alarm.case_id, command.asker.worker)
    if case is None or (viewer is not None and sight(case, viewer) is not Sight.FULL):
        raise not_found()
    if case.confidential:
        discretion.hush()
    return await work.alarms.find(command.alarm_id) or alarm


def check_note(note: str, required: bool = False) -> None:
    """Raises Refusal for words that do not fit, or are missing where nothing else says what happened."""
    if len(note) > LONGEST_NOTE:
        raise invalid("text-too-long", f"At most {LONGEST_NOTE} characters fit.", field="note")
    if any(ord(sign) < 32 and sign not in "\r\n\t" for sign in note) or "\x7f" in note:
        raise invalid("text-not-printable", "The text holds a control character.", field="note")
    if required and not note.strip():
        raise invalid("note-missing", "Say what was done.", field="note")


def _for_the_hub(alarm: Alarm) -> Alarm:
    return replace(alarm, note="")

"""What clocks ask of workers: follow-ups and questions that must not lapse."""

from dataclasses import dataclass
from uuid import UUID

from services.chassis import discretion
from services.intake.application.agencies_ports import Mark
from services.intake.application.alarms import check_note, seen_in_full
from services.intake.application.ports import IntakeWork
from services.intake.application.record_living_situation import Situated, situate
from services.intake.domain.access import REGION, Sight, read_as, sight
from services.intake.domain.agencies import Asker
from services.intake.domain.cases import Case
from services.intake.domain.consents import wants_no_questions
from services.intake.domain.contact import NOBODY, Channel, SafeContact
from services.intake.domain.followups import YES_NO, Task, TaskKind, TaskOutcome, checked_situation
from services.intake.domain.ids import CaseId
from services.intake.domain.refusal import invalid, not_found, refused

_HUB = "hub"


@dataclass(frozen=True, slots=True)
class TaskToDo:
    """A task and the one way to reach the household; NOBODY: not at all. `now`: it may be gone at this hour."""

    task: Task
    safe_contact: SafeContact = NOBODY
    now: bool = False
    for_the_hub: bool = False


@dataclass(frozen=True, slots=True)
class RecordFollowUp:
    asker: Asker
    task_id: UUID
    outcome: TaskOutcome
    living_situation: int | None
    note: str
    came_by_itself: bool


@dataclass(frozen=True, slots=True)
class AnswerTask:
    asker: Asker
    task_id: UUID
    answer: int
    note: str


async def list_tasks(work: IntakeWork, asker: Asker, after: Mark | None, limit: int) -> list[TaskToDo]:
    """Open tasks that the caller may see, earliest first. How a household is reached is read, and logged.

    Households in hiding that nobody is assigned to have only the hub: it sees their tasks by their codes, and no way
    to reach them, so that they are asked when they call.
    """
    if _HUB in asker.roles:
        await work.speak_for(REGION)
        return [TaskToDo(task, for_the_hub=True) for task in await work.tasks.hidden(after, limit)]
    viewer = await work.agencies.viewer(asker)
    await work.speak_for(REGION)
    tasks = await work.tasks.seen_by(viewer, after, limit)
    seen = await seen_in_full(work, viewer, {task.case_id for task in tasks})
    ways = {case_id: await _shown_way(work, case_id, asker) for case_id in sorted(seen)}
    local = work.now.astimezone(work.zone)
    return [
        TaskToDo(task, ways[task.case_id], ways[task.case_id].allows(local))
        for task in tasks
        if task.case_id in seen
    ]


async def _shown_way(work: IntakeWork, case_id: CaseId, asker: Asker) -> SafeContact:
    case = await work.cases.find(case_id, asker.worker)
    if case is None:
        return NOBODY
    contact = await _way_to(work, case)
    if contact != NOBODY:
        work.access_log.read(asker.worker, asker.agency, case_id, [], read_as(case, "ListTasks"))
    return contact


async def _way_to(work: IntakeWork, case: Case) -> SafeContact:
    """The one way that the household set; none for one that ended its consent to be asked how it is."""
    if wants_no_questions(await work.consents.of_case(case), work.today):
        return NOBODY
    return (await work.vault.known(case)).household.safe_contact


async def record_follow_up(work: IntakeWork, command: RecordFollowUp) -> Situated:
    """What the household said; where it lives may bring it back, like any word of where it lives."""
    check_note(command.note)
    reached = command.outcome is TaskOutcome.REACHED
    if reached != (command.living_situation is not None):
        raise invalid(
            "living-situation-mismatch",
            "Whoever was reached lives somewhere; of whoever was not, nothing is known.",
            field="living_situation",
        )
    if command.living_situation is not None:
        checked_situation(command.living_situation)
    task, case = await _task(work, command.asker, command.task_id, follow_up=True)
    if reached and not command.came_by_itself:
        await _check_way(work, case, command.asker)
    by = command.asker.worker
    await work.tasks.do(task, command.outcome, command.living_situation, by, command.note)
    if command.living_situation is None:
        work.cases.advance(case)
        return Situated(False, None)
    return await situate(work, case, command.living_situation, work.today, "", by, asked=True)


async def _check_way(work: IntakeWork, case: Case, asker: Asker) -> None:
    """Nobody is reached but by the way that they set, which the hub is not told."""
    if _HUB in asker.roles or (await _way_to(work, case)).channel is Channel.NONE:
        raise refused(
            "no-safe-channel", "There is no safe way to this household; it is asked when it comes by itself."
        )


async def answer_task(work: IntakeWork, command: AnswerTask) -> None:
    """What was said. It is sealed like any word of a household, and changes nothing by itself: an answer lifts
    no confidentiality, and a birth is recorded as one."""
    check_note(command.note)
    if command.answer not in YES_NO:
        raise invalid("answer-unknown", "Not a code of HUD 1.8.", field="answer")
    task, case = await _task(work, command.asker, command.task_id, follow_up=False)
    words = f"{command.answer} {command.note}".strip()
    await work.tasks.do(task, TaskOutcome.ANSWERED, None, command.asker.worker, words)
    work.cases.advance(case)


async def _task(work: IntakeWork, asker: Asker, task_id: UUID, *, follow_up: bool) -> tuple[Task, Case]:
    """The task and its case, locked, if the caller sees it: somebody else's is as if absent."""
    viewer = None if _HUB in asker.roles else await work.agencies.viewer(asker)
    await work.speak_for(REGION)
    task = await work.tasks.find(task_id)
    if task is None:
        raise not_found()
    case = await work.cases.lock(task.case_id, asker.worker)
    task = await work.tasks.find(task_id)
    if case is None or task is None:
        raise not_found()
    if task.hub_code is None if viewer is None else sight(case, viewer) is not Sight.FULL:
        raise not_found()
    if case.confidential:
        discretion.hush()
    if (task.kind is TaskKind.FOLLOW_UP) != follow_up:
        raise refused("another-kind-of-task", "This task is answered by another command.")
    if task.done_at is not None:
        raise refused("task-done", "Somebody has answered it before.")
    return task, case

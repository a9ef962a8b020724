"""Ask for a place tonight, and answer honestly: held, none and why, the hub, or not known yet."""

from dataclasses import dataclass
from datetime import timedelta

from services.chassis.call import Call
from services.intake.application.ports import Hub, HubContact, IntakeWork, Matching, TonightAnswer, Works
from services.intake.domain.access import must_see
from services.intake.domain.agencies import Asker
from services.intake.domain.cases import Case
from services.intake.domain.household import Facts
from services.intake.domain.ids import ArrivalCode, CaseId, NeedId
from services.intake.domain.needs import Need, NeedKind
from services.intake.domain.refusal import not_found, refused

# Police write and hardly read: for this long after the entry the officer still stands there.
STANDING_THERE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class FindTonight:
    asker: Asker
    case_id: CaseId
    need_id: NeedId


@dataclass(frozen=True, slots=True)
class Question:
    """What matching has to be asked; read in one transaction, asked outside of any."""

    need: Need
    facts: Facts


async def find_tonight(
    works: Works, matching: Matching, hub: Hub, command: FindTonight, call: Call
) -> TonightAnswer:
    """The answer. Matching is asked only for a household that is not in hiding."""
    async with works() as work:
        question = await _question(work, hub, command)
    if isinstance(question, HubContact):
        return question
    return await matching.find_tonight(command.case_id, question.need, question.facts, call)


async def _question(work: IntakeWork, hub: Hub, command: FindTonight) -> Question | HubContact:
    """What to ask, or the hub at once.

    For a household in hiding intake alone answers, before it even looks at the need: neither the bytes nor
    the delay of the answer can depend on whether a place is free or on what became of the case.
    """
    found = await work.cases.approach(command.case_id, command.asker)
    case, _ = must_see(found.case, found.viewer)
    if case.confidential:
        return hub.contact(_code(case))
    if found.viewer.police and work.now - case.recorded_at > STANDING_THERE:
        raise refused("police-write-mostly", "Where they sleep is told to police only as they stand there.")
    case.must_be_open()
    record = await work.needs.find(case.case_id, command.need_id)
    if record is None:
        raise not_found()
    if record.need.kind is not NeedKind.LODGING:
        raise refused("not-a-lodging-need", "Only a place to sleep is looked for tonight.")
    if not record.open:
        raise refused("need-not-open", "The need is met or was taken back.")
    return Question(record.need, case.facts)


def _code(case: Case) -> ArrivalCode:
    if case.arrival_code is None:
        raise LookupError("a confidential case has lost its code")
    return case.arrival_code

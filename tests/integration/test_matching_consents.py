"""What matching does when a household allows less, and what a provider is told of whom to expect."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from aid.intake.v1 import events_pb2 as intake
from aid.matching.v1 import matching_pb2 as pb

from services.chassis.call import Call, Principal
from services.chassis.errors import AidError
from services.matching.application.describe_arrival import Guest
from services.matching.domain.ids import CaseId, ReferralId
from services.matching.domain.refusal import Refusal
from services.matching.entrypoints.rpc import MatchingRpc
from tests.support.matching import (
    HUB,
    INTAKE,
    MOTEL,
    REFERRALS,
    SHELTER,
    World,
    call,
    cases,
    facts,
    lodging,
    matching,
    reported,
)
from tests.support.stack import RunningStack


@pytest.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with matching(stack) as opened:
        yield opened


async def proposed(world: World, case_id: str, need_id: str) -> str:
    await world.hear(reported(case_id, lodging(need_id=need_id), facts()))
    return str((await world.said(REFERRALS, case_id))[-1].referral_id)


async def accepted(world: World, case_id: str, referral_id: str) -> None:
    yes = pb.AnswerReferralRequest(case_id=case_id, referral_id=referral_id, accepted=True)
    await world.ask("AnswerReferral", yes, INTAKE)
    await world.ask(
        "AnswerAsProvider", pb.AnswerAsProviderRequest(referral_id=referral_id, accepted=True), SHELTER
    )


async def test_a_referral_that_is_allowed_no_more_closes_and_the_search_goes_on_elsewhere(
    world: World,
) -> None:
    shelter = await world.offer(3)
    [case_id], need_id = cases(1), lodging().need_id
    referral_id = await proposed(world, case_id, need_id)
    motel = await world.offer(3, who=MOTEL, name="Motel")
    await accepted(world, case_id, referral_id)
    ended = intake.ConsentChanged(case_id=case_id, closed_referral_ids=[referral_id])
    await world.hear(ended)
    await world.hear(ended)
    assert await world.told(case_id) == [
        "ReferralProposed", "ReferralAccepted", "ReferralWithdrawn", "ReferralProposed",
    ]  # fmt: skip
    assert await world.nights(shelter, 1) == [(3, 0)]
    assert await world.nights(motel, 1, MOTEL) == [(3, 1)]


async def test_a_household_that_lives_there_already_stays(world: World) -> None:
    shelter = await world.offer(3)
    [case_id], need_id = cases(1), lodging().need_id
    referral_id = await proposed(world, case_id, need_id)
    await accepted(world, case_id, referral_id)
    await world.ask("CheckIn", pb.CheckInRequest(referral_id=referral_id), SHELTER)
    await world.hear(intake.ConsentChanged(case_id=case_id, closed_referral_ids=[referral_id]))
    assert "ReferralWithdrawn" not in await world.told(case_id)
    assert await world.nights(shelter, 1) == [(3, 1)]


async def test_a_consent_that_closes_nothing_changes_nothing(world: World) -> None:
    await world.offer(3)
    [case_id], need_id = cases(1), lodging().need_id
    await proposed(world, case_id, need_id)
    await world.hear(intake.ConsentChanged(case_id=case_id, allowed=["follow-up"]))
    assert await world.told(case_id) == ["ReferralProposed"]


@dataclass
class ToldIntake:
    """Intake as a neighbour that answers what the test says, and remembers for whom it was asked."""

    guests: Sequence[Guest] = (Guest("Mara", "Quill", "adult"),)
    asked: list[tuple[CaseId, ReferralId, str]] = field(default_factory=list)

    async def of(self, case_id: CaseId, referral_id: ReferralId, call: Call) -> Sequence[Guest]:
        self.asked.append((case_id, referral_id, call.principal.subject))
        return self.guests


async def test_whom_to_expect_is_told_to_the_places_provider_after_both_said_yes(world: World) -> None:
    neighbour = ToldIntake()
    rpc = MatchingRpc(world.app.works, world.metrics, neighbour)
    await world.offer(3)
    [case_id], need_id = cases(1), lodging().need_id
    referral_id = await proposed(world, case_id, need_id)
    request = pb.DescribeArrivalRequest(referral_id=referral_id)

    async def reason(who: Principal) -> str:
        with pytest.raises(Refusal) as refused:
            await rpc.DescribeArrival(request, call("DescribeArrival", who, None))
        return str(refused.value.reason)

    assert await reason(SHELTER) == "referral-not-accepted"
    await accepted(world, case_id, referral_id)
    told = await rpc.DescribeArrival(request, call("DescribeArrival", SHELTER, None))
    [listed] = (await world.ask("ListReferrals", pb.ListReferralsRequest(), SHELTER)).referrals
    assert (told.arrival_code, told.head_count) == (listed.arrival_code, 1)
    assert [(each.given_name, each.family_name, each.age_band) for each in told.guests] == [
        ("Mara", "Quill", "adult")
    ]
    assert await reason(MOTEL) == "not-found"
    assert await reason(HUB) == "not-found"
    assert [(str(case), str(referral), who) for case, referral, who in neighbour.asked] == [
        (case_id, referral_id, SHELTER.subject)
    ]


async def test_without_intake_nobody_is_named_and_the_caller_hears_why(world: World) -> None:
    await world.offer(3)
    [case_id], need_id = cases(1), lodging().need_id
    referral_id = await proposed(world, case_id, need_id)
    await accepted(world, case_id, referral_id)
    with pytest.raises(AidError) as refused:
        await world.ask("DescribeArrival", pb.DescribeArrivalRequest(referral_id=referral_id), SHELTER)
    assert refused.value.reason == "intake-unknown"


async def test_two_stays_of_one_household_are_not_joined_by_their_codes(world: World) -> None:
    await world.offer(3)
    [case_id], need_id = cases(1), lodging().need_id
    referral_id = await proposed(world, case_id, need_id)
    await world.offer(3, who=MOTEL, name="Motel")
    await world.hear(intake.ConsentChanged(case_id=case_id, closed_referral_ids=[referral_id]))
    shown = [
        await world.ask("ListReferrals", pb.ListReferralsRequest(state=state), who)
        for state, who in (("withdrawn", SHELTER), ("proposed", MOTEL))
    ]
    [one], [other] = (answer.referrals for answer in shown)
    assert len(one.arrival_code) == len(other.arrival_code) == 8
    assert one.arrival_code != other.arrival_code

"""Where a referral leads is shown to the household's agency, by asking matching each time; no event says it."""

from pathlib import Path

import pytest
from aid.intake.v1 import intake_pb2 as messages
from aid.matching.v1 import matching_pb2 as matching

from tests.support.intake import HUB, OFFICER, OUTREACH, household, lodging, new_id, open_request
from tests.support.matching import SHELTER
from tests.support.stack import RunningStack
from tests.support.twins import twin


@pytest.mark.parametrize(
    ("matching_is_there", "shown", "not_shown"),
    [(True, [b"East shelter", b"555-0142"], [HUB.phone.encode()]), (False, [HUB.phone.encode()], [b"East"])],
)
async def test_a_case_shows_the_place_while_matching_answers_and_else_the_hub(
    matching_is_there: bool, shown: list[bytes], not_shown: list[bytes], stack: RunningStack, tmp_path: Path
) -> None:
    async with twin(stack, tmp_path, neighbour=matching_is_there) as world:
        await world.matching.offer(3)
        case_id, request = new_id(), messages.GetCaseRequest
        opening = open_request(lodging(1), case_id=case_id, household=household())
        await world.over_rpc("OpenCase", opening, OUTREACH, "key")
        await world.deliver()
        seen = await world.over_rpc("GetCase", request(case_id=case_id), OUTREACH)
        over_http = await world.over_http("GET", f"/v1/cases/{case_id}", None, OUTREACH)
        async with world.watching(messages.WatchCaseRequest(case_id=case_id), OUTREACH) as watched:
            for answer in (seen, over_http, watched[0]):
                assert b"proposed" in answer
                assert all(word in answer for word in shown)
                assert not any(word in answer for word in not_shown)
        police = new_id()
        opening = open_request(lodging(1), case_id=police, household=household())
        await world.over_rpc("OpenCase", opening, OFFICER, "key")
        await world.deliver()
        status = await world.over_rpc("GetCase", request(case_id=police), OFFICER)
        assert not any(word in status for word in (b"proposed", *shown))


async def test_provider_and_household_hold_one_arrival_code(stack: RunningStack, tmp_path: Path) -> None:
    async with twin(stack, tmp_path) as world:
        await world.matching.offer(3)
        case_id = new_id()
        opening = open_request(lodging(1), case_id=case_id, household=household())
        await world.over_rpc("OpenCase", opening, OUTREACH, "key")
        await world.deliver()
        asked = matching.ListReferralsRequest()
        [listed] = (await world.matching.ask("ListReferrals", asked, SHELTER)).referrals
        request = messages.GetCaseRequest(case_id=case_id)
        before = await world.over_rpc("GetCase", request, OUTREACH)
        assert listed.arrival_code and listed.arrival_code.encode() not in before
        await world.matching.provider(listed.referral_id, accepted=True)
        await world.matching.client(case_id, listed.referral_id, accepted=True)
        await world.deliver()
        assert listed.arrival_code.encode() in await world.over_rpc("GetCase", request, OUTREACH)

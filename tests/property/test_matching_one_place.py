"""Whatever three cases of one household and one of another do, in any order: nobody sleeps in two places.

After each step: no night is overbooked, each night of the household is one case's, whoever shares a place shares one
that there is on those nights, and a need is referred exactly while something is held for it.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake

from services.chassis.errors import of
from tests.support.matching import MOTEL, SHELTER, World, cases, facts, lodging, matching
from tests.support.stack import RunningStack

STEPS = 40
ONE, OTHER = (str(uuid.uuid4()) for _ in range(2))

# Each must find nothing.
_LAWS = (
    # Two places of one household on one night by two cases.
    """
    SELECT a.referral_id FROM referral AS a JOIN referral AS b USING (one_place)
    LEFT JOIN occupancy AS la ON la.referral_id = a.referral_id LEFT JOIN occupancy AS lb ON lb.referral_id = b.referral_id
    WHERE a.case_id <> b.case_id AND a.shares IS NULL AND b.shares IS NULL
      AND a.state IN ('proposed', 'accepted') AND b.state IN ('proposed', 'accepted')
      AND la.ended IS NOT TRUE AND lb.ended IS NOT TRUE
      AND a.from_date < b.from_date + b.nights AND b.from_date < a.from_date + a.nights
    """,
    # A shared place that nobody has on those nights, or at another offer.
    """
    SELECT s.referral_id FROM referral AS s JOIN referral AS r ON r.referral_id = s.shares
    LEFT JOIN occupancy AS l ON l.referral_id = r.referral_id LEFT JOIN occupancy AS ls ON ls.referral_id = s.referral_id
    WHERE s.state IN ('proposed', 'accepted') AND ls.ended IS NOT TRUE
      AND (r.state NOT IN ('proposed', 'accepted') OR l.ended OR r.offer_id <> s.offer_id OR r.shares IS NOT NULL
           OR s.from_date < r.from_date OR s.from_date + s.nights > r.from_date + r.nights)
    """,
    # Somebody lives where nobody has moved in.
    """
    SELECT s.referral_id FROM referral AS s JOIN referral AS r ON r.referral_id = s.shares
    WHERE s.occupied AND NOT r.occupied
    """,
    "SELECT offer_id FROM night WHERE taken > capacity",
    # The rows of the household's nights, beside what its holds and stays say.
    """
    SELECT r.one_place, night::date, r.case_id, count(*) AS places
    FROM referral AS r LEFT JOIN occupancy AS o USING (referral_id)
    CROSS JOIN generate_series(r.from_date, COALESCE(o.until_date, r.from_date + r.nights) - 1, interval '1 day') AS night
    WHERE r.one_place IS NOT NULL AND r.shares IS NULL AND r.state IN ('proposed', 'accepted') AND o.ended IS NOT TRUE
      AND night >= (SELECT DATE '{today}')
    GROUP BY 1, 2, 3
    EXCEPT SELECT one_place, on_night, case_id, places FROM one_place_night
    """,
)


class Walk:
    """Steps that fall out as they may: many are refused, and change nothing then."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.cases = dict(zip(cases(4), (ONE, ONE, ONE, OTHER), strict=True))
        self.needs: dict[str, common.Need] = {}
        self.revision = 1
        self.done = 0

    def some(self) -> str:
        return self.random.choice(list(self.cases))

    def facts(self, case_id: str) -> common.Facts:
        told = facts(revision=self.revision)
        told.one_place.CopyFrom(common.OnePlace(key=self.cases[case_id], revision=self.revision))
        return told

    async def step(self) -> None:
        steps: list[Callable[[], Awaitable[object]]] = [
            self.ask, self.ask, self.ask, self.client, self.client, self.provider, self.provider, self.arrive,
            self.leave, self.withdraw, self.wait, self.rename,
        ]  # fmt: skip
        try:
            await self.random.choice(steps)()
            self.done += 1
        except Exception as refusal:
            shown = of(refusal)
            if shown is None or shown.kind not in ("refused", "missing", "invalid"):
                raise

    async def ask(self) -> None:
        case_id = self.some()
        if case_id not in self.needs:
            first = self.world.clock.now().date() + timedelta(days=self.random.choice((0, 0, 0, 1)))
            self.needs[case_id] = lodging(self.random.randint(1, 3), from_date=first.isoformat())
        await self.world.tonight(self.facts(case_id), self.needs[case_id], case_id)

    async def referral(self) -> tuple[str, str]:
        rows = await self.world.database.pool.fetch(
            "SELECT case_id, referral_id FROM referral ORDER BY referral_id"
        )
        row = self.random.choice(rows[-8:]) if rows else (uuid.uuid4(), uuid.uuid4())
        return str(row[0]), str(row[1])

    async def client(self) -> None:
        await self.world.client(*await self.referral(), accepted=self.random.random() < 0.8)

    async def provider(self) -> None:
        _, referral_id = await self.referral()
        who = self.random.choice((SHELTER, MOTEL))
        await self.world.provider(referral_id, accepted=self.random.random() < 0.85, who=who)

    async def arrive(self) -> None:
        _, referral_id = await self.referral()
        await self.world.check_in(referral_id, self.random.choice((SHELTER, MOTEL)))

    async def leave(self) -> None:
        _, referral_id = await self.referral()
        await self.world.check_out(referral_id, who=self.random.choice((SHELTER, MOTEL)))

    async def withdraw(self) -> None:
        case_id = self.some()
        if need := self.needs.pop(case_id, None):
            await self.world.hear(intake.NeedWithdrawn(case_id=case_id, need_id=need.need_id))

    async def wait(self) -> None:
        await self.world.advance(timedelta(hours=self.random.choice((1, 3, 14))))

    async def rename(self) -> None:
        """A case turns out to be of the other household, or of this one after all."""
        case_id = self.some()
        self.revision += 1
        self.cases[case_id] = self.random.choice((ONE, ONE, OTHER, str(uuid.uuid4())))
        await self.world.hear(intake.HouseholdChanged(case_id=case_id, facts=self.facts(case_id)))


@pytest.mark.parametrize("seed", range(4))
async def test_nobody_sleeps_in_two_places(stack: RunningStack, seed: int) -> None:
    async with matching(stack) as world:
        await world.offer(2)
        await world.offer(2, who=MOTEL, name="West motel")
        walk = Walk(world, seed)
        for number in range(STEPS):
            await walk.step()
            for law in _LAWS:
                today = world.clock.now().date()
                found = await world.database.pool.fetch(law.replace("{today}", today.isoformat()))
                assert found == [], f"after step {number}: {law}"
            await world.consistent()
        assert walk.done > STEPS / 3

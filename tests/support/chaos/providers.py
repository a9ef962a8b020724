"""Those who have places: they answer referrals, check households in and out, and keep capacity true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aid.intake.v1 import intake_pb2 as intake
from aid.matching.v1 import matching_pb2 as matching

from tests.support.chaos.client import Client

YES = 0.9


@dataclass(slots=True)
class Provider:
    """A provider, or the hub, who also answers for households in hiding by their arrival codes."""

    client: Client
    offers: Sequence[matching.Offer]
    hub: bool = False
    answered: set[str] = field(default_factory=set)
    inside: list[str] = field(default_factory=list)
    left: set[str] = field(default_factory=set)

    async def step(self) -> bool:
        """Send one command; whether there was one to send."""
        if self.client.chance.random() < 0.06:
            await self._set_capacity()
            return True
        if self.inside and self.client.chance.random() < 0.2:
            await self._check_out()
            return True
        referrals = await (self._desk() if self.hub else self._listed())
        self.client.chance.shuffle(referrals)
        for referral in referrals:
            if await self._follow(referral):
                return True
        return False

    async def _listed(self) -> list[matching.ReferralView]:
        seen = await self.client.read(
            "matching", "ListReferrals", matching.ListReferralsRequest(), matching.ListReferralsResponse
        )
        return list(seen.referrals)

    async def _desk(self) -> list[matching.ReferralView]:
        seen = await self.client.read(
            "matching", "ListHubDesk", matching.ListHubDeskRequest(), matching.ListHubDeskResponse
        )
        return [entry.referral for entry in seen.entries if entry.referral.referral_id]

    async def _follow(self, referral: matching.ReferralView) -> bool:
        """The next thing to do about it, if there is one."""
        named = referral.referral_id
        if named in self.inside or named in self.left:
            return False
        if referral.state == "accepted":
            await self._check_in(named)
            return True
        if referral.state == "proposed" and named not in self.answered:
            self.answered.add(named)
            await self._answer(named)
            return True
        if referral.state == "proposed" and self.hub:
            await self._answer_for_household(referral)
            return True
        return False

    async def _answer(self, referral_id: str) -> None:
        request = matching.AnswerAsProviderRequest(
            referral_id=referral_id, accepted=self.client.chance.random() < YES
        )
        await self.client.command("matching", "AnswerAsProvider", request)

    async def _answer_for_household(self, referral: matching.ReferralView) -> None:
        request = intake.AnswerReferralRequest(
            referral_id=referral.referral_id,
            accepted=self.client.chance.random() < YES,
            arrival_code=referral.arrival_code,
        )
        await self.client.command("intake", "AnswerReferral", request)

    async def _check_in(self, referral_id: str) -> None:
        request = matching.CheckInRequest(referral_id=referral_id)
        entry = await self.client.command("matching", "CheckIn", request)
        if entry.acknowledged:
            self.inside.append(referral_id)
        else:
            self.left.add(referral_id)

    async def _check_out(self) -> None:
        referral_id = self.inside.pop(self.client.chance.randrange(len(self.inside)))
        self.left.add(referral_id)
        request = matching.CheckOutRequest(referral_id=referral_id)
        await self.client.command("matching", "CheckOut", request)

    async def _set_capacity(self) -> None:
        offer = self.client.chance.choice(self.offers)
        first = await self.client.read(
            "matching", "ListOffers", matching.ListOffersRequest(), matching.ListOffersResponse
        )
        tonight = first.offers[0].nights[0].night
        request = matching.SetCapacityRequest(
            offer_id=offer.offer_id,
            from_date=tonight,
            nights=self.client.chance.randint(1, 4),
            capacity=max(0, offer.capacity + self.client.chance.randint(-3, 3)),
        )
        await self.client.command("matching", "SetCapacity", request)

"""A referral: a place is held until a stated time, and is the household's when both sides said yes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.matching.domain.ids import CaseId, NeedId, OfferId, ReferralId
from services.matching.domain.refusal import refused


class ReferralState(StrEnum):
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


LIVE = frozenset({ReferralState.PROPOSED, ReferralState.ACCEPTED})


class Side(StrEnum):
    """Who answers: the client (through the agency) or the provider."""

    CLIENT = "client"
    PROVIDER = "provider"


_NO = {Side.CLIENT: ReferralState.DECLINED, Side.PROVIDER: ReferralState.REJECTED}


@dataclass(frozen=True, slots=True)
class Referral:
    """A proposal that a household takes an offer. Invariant: it has a hold exactly while it is live and the
    household has not arrived (`occupied`); it is accepted exactly when both sides said yes.

    `place_handle` is random and new for each referral; `arrival_code` says who arrives without a name.
    `hidden`: the place is a confidential one, so what becomes of the referral is not even counted. `shares`: the
    household has this place already by that referral of another case, and this one takes no units. `one_place`
    names the household whose nights these are.
    """

    referral_id: ReferralId
    case_id: CaseId
    need_id: NeedId
    offer_id: OfferId
    state: ReferralState
    from_date: date
    nights: int
    units: int
    head_count: int
    place_handle: UUID
    arrival_code: str
    expires_at: datetime
    client_said_yes: bool = False
    provider_said_yes: bool = False
    occupied: bool = False
    hidden: bool = False
    one_place: UUID | None = None
    shares: ReferralId | None = None

    @property
    def confirmed(self) -> bool:
        """Whether it may be told where it leads: who shares a place may only have entered the household's name, until
        the provider, who knows it, has said that it stands behind this entry, too."""
        return self.shares is None or self.provider_said_yes

    @property
    def holding(self) -> bool:
        return self.state in LIVE and not self.occupied

    @property
    def until(self) -> date:
        """The first day after the last night."""
        return self.from_date + timedelta(days=self.nights)

    def answered(self, side: Side, yes: bool, now: datetime) -> Referral:
        """With the answer of one side. Saying again what was said changes nothing.

        Raises Refusal `referral-expired`, … once the referral has ended in another way, and
        `already-arrived` when somebody says no after the household moved in.
        """
        if not yes and self.state is _NO[side]:
            return self
        if self.state not in LIVE:
            raise refused(f"referral-{self.state}", f"The referral is {self.state}.")
        if self.occupied:
            if yes:
                return self
            raise refused("already-arrived", "The household has moved in; it can leave, not say no.")
        if now >= self.expires_at:
            raise refused("referral-expired", "The hold has ended.")
        if not yes:
            return replace(self, state=_NO[side])
        said = replace(
            self,
            client_said_yes=self.client_said_yes or side is Side.CLIENT,
            provider_said_yes=self.provider_said_yes or side is Side.PROVIDER,
        )
        both = said.client_said_yes and said.provider_said_yes
        return replace(said, state=ReferralState.ACCEPTED if both else said.state)

    def expired(self, now: datetime) -> Referral:
        """After its hold ran out; unchanged when it has none, or when the hold lasts longer than `now`."""
        return replace(self, state=ReferralState.EXPIRED) if self.holding and now >= self.expires_at else self

    def withdrawn(self) -> Referral:
        """After the need went away. Who has moved in stays until they leave."""
        return replace(self, state=ReferralState.WITHDRAWN) if self.holding else self

    def arrived(self, now: datetime, today: date) -> Referral:
        """After check-in; unchanged when the household is already there."""
        if self.occupied:
            return self
        if self.state is not ReferralState.ACCEPTED:
            reason = "not-accepted" if self.state is ReferralState.PROPOSED else f"referral-{self.state}"
            raise refused(reason, "Only an accepted referral can be checked in.")
        if now >= self.expires_at:
            raise refused("referral-expired", "The hold has ended.")
        if today < self.from_date:
            raise refused("stay-not-begun", "The first night has not come.")
        return replace(self, occupied=True)

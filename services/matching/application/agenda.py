"""What a unit of work has changed, or has found to be due, and not yet drawn the consequences of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from services.matching.domain.ids import CaseId, NeedId, OccupancyId, OfferId, ReferralId


@dataclass(frozen=True, slots=True)
class Left:
    """A household that left a place, by intake's word. No referral: a place known from an import."""

    case_id: CaseId
    referral_id: ReferralId | None
    from_date: date
    until: date


@dataclass(slots=True)
class Agenda:
    """Whoever changes something notes it here; `settle` draws the consequences of all of it at once.

    So a batch of many events costs one round of matching, and locks are taken in one order, by one function.
    """

    # Needs that are new, gone, or rested; cases whose facts changed, and so all of their needs.
    needs: set[NeedId] = field(default_factory=set)
    cases: set[CaseId] = field(default_factory=set)
    closed: set[CaseId] = field(default_factory=set)
    # Of those, cases of which nothing may be known any more.
    erased: set[CaseId] = field(default_factory=set)
    # Needs that wait again, locked already.
    seeking: set[NeedId] = field(default_factory=set)
    # Offers of which something became free.
    freed: set[OfferId] = field(default_factory=set)
    # Holds and stays whose time may be over.
    expiring: set[ReferralId] = field(default_factory=set)
    ending: set[OccupancyId] = field(default_factory=set)
    # Stays of which intake says that they are over.
    left: set[Left] = field(default_factory=set)
    # Referrals that their household allows no more.
    closing: set[ReferralId] = field(default_factory=set)
    # Cases whose household moved in, or stays longer.
    housed: set[CaseId] = field(default_factory=set)
    # Referrals with a place of their own that changed: whoever shares it follows. And the nights, until before the
    # second day, that their household no longer has.
    led: set[ReferralId] = field(default_factory=set)
    vacated: dict[ReferralId, tuple[date, date]] = field(default_factory=dict)
    # Whether everything that waits is to be looked at: for places, for goods.
    places_round: bool = False
    goods_round: bool = False

    def __bool__(self) -> bool:
        return any(self._asking()) or self._rounds

    def asks_only_for_needs(self) -> bool:
        return bool(self.needs) and sum(map(bool, self._asking())) == 1 and not self._rounds

    @property
    def _rounds(self) -> bool:
        return self.places_round or self.goods_round

    def _asking(self) -> tuple[set[Any], ...]:
        """What asks for `settle`; the rest goes with one of these."""
        return (
            self.needs,
            self.cases,
            self.seeking,
            self.freed,
            self.expiring,
            self.ending,
            self.left,
            self.closing,
            self.led,
            self.housed,
        )

    def vacate(self, referral_id: ReferralId, first: date, until: date) -> None:
        self.vacated[referral_id] = (first, until)
        self.led.add(referral_id)

    def close(self, case_id: CaseId) -> None:
        self.cases.add(case_id)
        self.closed.add(case_id)

    def free(self, *offer_ids: OfferId) -> None:
        self.freed.update(offer_ids)

    def clear(self) -> None:
        for noted in (*self._asking(), self.closed, self.erased):
            noted.clear()
        self.vacated.clear()
        self.places_round = self.goods_round = False

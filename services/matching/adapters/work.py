"""One transaction of matching: its rows, what it says, and the consequences it draws before it commits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from asyncpg import CheckViolationError

from services.chassis.database import Connection
from services.chassis.metrics import Metrics
from services.chassis.work import StaleError
from services.matching.adapters.appeal import PostgresAppeal
from services.matching.adapters.desk import PostgresDesk
from services.matching.adapters.goods import PostgresGoods
from services.matching.adapters.households import PostgresHouseholds
from services.matching.adapters.needs import PostgresNeeds
from services.matching.adapters.newcomers import PostgresNewcomers
from services.matching.adapters.occupancies import PostgresOccupancies
from services.matching.adapters.offers import PostgresOffers
from services.matching.adapters.one_place import PostgresOnePlaces
from services.matching.adapters.places import PostgresPlaces
from services.matching.adapters.referrals import PostgresReferrals
from services.matching.adapters.reports import Reports
from services.matching.adapters.wire import Wire, case_of
from services.matching.application.agenda import Agenda
from services.matching.application.contention import Contention
from services.matching.application.ports import Cause, MatchingWork
from services.matching.application.settle import settle
from services.matching.application.terms import Terms
from services.matching.domain import events
from services.matching.domain.events import Event
from services.matching.domain.ids import CaseId


class PostgresWork(MatchingWork):
    """The repositories on one connection."""

    def __init__(
        self,
        connection: Connection,
        now: datetime,
        wire: Wire,
        terms: Terms,
        metrics: Metrics,
        contention: Contention,
    ) -> None:
        super().__init__(connection, now)
        self._wire = wire
        self._metrics = metrics
        self._causes: dict[CaseId, Cause] = {}
        self.cause = None
        self.terms = terms
        self.agenda = Agenda()
        self.contention = contention
        self._reports = Reports(self)
        self.households = PostgresHouseholds(self, self._reports)
        self.needs = PostgresNeeds(self, self._reports)
        self.offers = PostgresOffers(self)
        self.places = PostgresPlaces(self)
        self.newcomers = PostgresNewcomers(self, self._reports, self.places)
        self.referrals = PostgresReferrals(self)
        self.one_places = PostgresOnePlaces(self)
        self.occupancies = PostgresOccupancies(self)
        self.goods = PostgresGoods(self)
        self.appeal = PostgresAppeal(self)
        self.desk = PostgresDesk(self)

    def concern(self, case_id: CaseId) -> None:
        self._causes[case_id] = self.cause

    def say(self, event: Event, *, hidden: bool = False) -> None:
        case_id = case_of(event)
        cause = None if case_id is None else self._causes.get(case_id)
        self.announce(self._wire.announcement(event, self.now, cause))
        for count in () if hidden else counted(self._metrics, event):
            self.after_commit(count)

    async def _commit(self) -> None:
        """Every work settles what it has put on the agenda, a batch of events once for all of them."""
        try:
            await settle(self)
            self._reports.flush()
            await super()._commit()
        except StaleError:
            self.contention.lost()
            raise

    async def _first(self) -> None:
        self._reports.flush()
        await super()._first()

    async def _send(self, sql: str, arguments: tuple[object, ...]) -> None:
        try:
            await super()._send(sql, arguments)
        except CheckViolationError as error:
            if error.constraint_name == "night_not_overbooked":
                raise StaleError("a place was taken since it was seen to be free") from error
            raise


def counted(metrics: Metrics, event: Event) -> list[Callable[[], object]]:
    """What to count when the event is committed. Of allocations only what is known of their households: an
    internal event names none, so what became of them is counted by logistics, which knows none either.
    """
    referrals = metrics.referrals_total
    match event:
        case events.ReferralProposed():
            return [referrals.labels("proposed").inc, metrics.holds_made_total.inc]
        case events.ReferralAccepted():
            return [referrals.labels("accepted").inc]
        case events.ReferralDeclined():
            return [referrals.labels("declined").inc]
        case events.ReferralRejected():
            return [referrals.labels("rejected").inc]
        case events.ReferralExpired():
            return [referrals.labels("expired").inc, metrics.holds_expired_total.inc]
        case events.ReferralWithdrawn():
            return [referrals.labels("withdrawn").inc]
        case events.NeedUnmatched():
            return [metrics.needs_unmatched_total.labels(event.unmatched.reason).inc]
        case events.NeedAllocated():
            return [metrics.allocations_total.labels("proposed").inc]
        case _:
            return []

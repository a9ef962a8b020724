"""Asking matching: for a place tonight, and to pass on a household's answer."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, timedelta
from uuid import UUID

from aid.common.v1 import common_pb2 as common
from aid.matching.v1 import matching_pb2 as matching

from services.chassis import logs
from services.chassis.call import Call
from services.chassis.errors import AidError
from services.chassis.rpc_client import RpcClient
from services.intake.adapters.words import facts_message, need_message
from services.intake.application.ports import Held, NoPlace, Place, SearchGoesOn, TonightAnswer
from services.intake.domain.household import Facts
from services.intake.domain.ids import CaseId, NeedId, ReferralId
from services.intake.domain.needs import Need
from services.intake.domain.outcomes import Referral, ReferralState, Unmatched, WouldChange

SERVICE = "aid.matching.v1.MatchingService"
LONGEST_SEARCH = timedelta(seconds=2)
LONGEST_ANSWER = timedelta(seconds=5)
LONGEST_LOOK = timedelta(seconds=1)
ASK_AGAIN_SECONDS = 5

_UNMATCHED = {common.UnmatchedReason.Value(f"UNMATCHED_REASON_{word.name}"): word for word in Unmatched}
_WOULD_CHANGE = {common.WouldChange.Value(f"WOULD_CHANGE_{word.name}"): word for word in WouldChange}

_log = logs.logger("matching-client")


class MatchingClient:
    """The officer is standing there: a search that takes longer than two seconds goes on without them."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    async def find_tonight(self, case_id: CaseId, need: Need, facts: Facts, call: Call) -> TonightAnswer:
        """Whatever keeps matching from answering, the need is recorded and travels by its own event: the
        answer is then that the search goes on, never that there is no place."""
        request = matching.FindTonightRequest(
            case_id=str(case_id), need=need_message(need), facts=facts_message(facts)
        )
        try:
            answer = await self._client.call(
                "FindTonight",
                request,
                matching.FindTonightResponse,
                timeout=LONGEST_SEARCH.total_seconds(),
                call=call,
                idempotency_key=f"tonight:{need.need_id}:{facts.revision}",
            )
        except AidError as error:
            _log.warning("search-goes-on", reason=error.reason, kind=error.kind)
            return SearchGoesOn(ASK_AGAIN_SECONDS)
        return _tonight(answer, need.need_id)

    async def places(
        self, case_id: CaseId, referral_ids: Sequence[ReferralId], call: Call
    ) -> Mapping[ReferralId, Place]:
        """A case is shown also while matching is away, without the names of places."""
        request = matching.DescribeReferralsRequest(
            case_id=str(case_id), referral_ids=[str(referral_id) for referral_id in referral_ids]
        )
        try:
            answer = await self._client.call(
                "DescribeReferrals",
                request,
                matching.DescribeReferralsResponse,
                timeout=LONGEST_LOOK.total_seconds(),
                call=call,
            )
        except AidError as error:
            _log.warning("places-unknown", reason=error.reason, kind=error.kind)
            return {}
        return {
            ReferralId(UUID(each.referral_id)): Place(each.place, each.contact, each.arrival_code)
            for each in answer.referrals
        }

    async def answer_referral(
        self, case_id: CaseId, referral_id: ReferralId, accepted: bool, call: Call
    ) -> ReferralState:
        """Matching's refusals are the caller's answer. The caller's key goes with it: said twice is said
        once."""
        answer = await self._client.call(
            "AnswerReferral",
            matching.AnswerReferralRequest(
                case_id=str(case_id), referral_id=str(referral_id), accepted=accepted
            ),
            matching.AnswerReferralResponse,
            timeout=LONGEST_ANSWER.total_seconds(),
            call=call,
            idempotency_key=_forwarded(call),
        )
        return ReferralState(answer.state)

    async def extend_stay(
        self, case_id: CaseId, referral_id: ReferralId, last_night: date, call: Call
    ) -> date:
        """The caller's key goes with it: after a timeout the same command finds out what became of it."""
        answer = await self._client.call(
            "ExtendOccupancy",
            matching.ExtendOccupancyRequest(
                case_id=str(case_id), referral_id=str(referral_id), last_night=last_night.isoformat()
            ),
            matching.ExtendOccupancyResponse,
            timeout=LONGEST_ANSWER.total_seconds(),
            call=call,
            idempotency_key=_forwarded(call),
        )
        return date.fromisoformat(answer.last_night)


def _forwarded(call: Call) -> str:
    """The caller's key as ours: of one length however long both are, and of no other caller's."""
    said = f"{len(call.principal.subject)}:{call.principal.subject}:{call.idempotency_key}"
    return hashlib.sha256(said.encode()).hexdigest()


def _tonight(answer: matching.FindTonightResponse, need_id: NeedId) -> TonightAnswer:
    match answer.WhichOneof("answer"):
        case "held":
            return Held(_referral(answer.held, need_id))
        case "none" if answer.none.reason in _UNMATCHED:
            return NoPlace(_UNMATCHED[answer.none.reason], _WOULD_CHANGE.get(answer.none.would_change))
        case _:
            # An answer that this version does not know says nothing.
            return SearchGoesOn(ASK_AGAIN_SECONDS)


def _referral(held: matching.ReferralView, need_id: NeedId) -> Referral:
    return Referral(
        referral_id=ReferralId(UUID(held.referral_id)),
        need_id=need_id,
        state=ReferralState(held.state or "proposed"),
        place=held.place,
        contact=held.contact,
        from_date=date.fromisoformat(held.from_date),
        nights=held.nights,
        expires_at=held.expires_at.ToDatetime(UTC),
    )

"""The service of matching, for both doors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from aid.matching.v1 import matching_pb2 as pb
from google.protobuf.message import Message

from services.chassis.call import Call, Principal
from services.chassis.idempotency import Command, once
from services.chassis.metrics import Metrics
from services.chassis.work import WorkFactory
from services.matching.application.answer_referral import answer_as_client, answer_as_provider
from services.matching.application.check_in import check_in
from services.matching.application.check_out import check_out
from services.matching.application.describe_arrival import Disclosures, expected_referral
from services.matching.application.describe_referrals import describe_referrals
from services.matching.application.extend_occupancy import extend_occupancy
from services.matching.application.find_tonight import find_tonight
from services.matching.application.import_capacity import end_untold, import_occupancies, import_offers
from services.matching.application.keep_offers import put_offer, set_capacity
from services.matching.application.ports import MatchingWork
from services.matching.application.terms import Shown
from services.matching.application.views import Viewer
from services.matching.domain.ids import CaseId, OfferId, ReferralId
from services.matching.domain.needs import Unmatched
from services.matching.domain.places import stay
from services.matching.domain.refusal import invalid
from services.matching.entrypoints import speech, words

R = TypeVar("R", bound=Message)
Act = Callable[[MatchingWork], Awaitable[R]]

MOST_NIGHTS_SHOWN = 60


@dataclass(frozen=True, slots=True)
class MatchingRpc:
    """Every method of the contract: request in, use case, answer out. The rules have let the caller in."""

    works: WorkFactory[MatchingWork]
    metrics: Metrics
    disclosures: Disclosures

    async def PutOffer(self, request: pb.PutOfferRequest, call: Call) -> pb.PutOfferResponse:
        async def act(work: MatchingWork) -> pb.PutOfferResponse:
            viewer = _viewer(call.principal)
            await put_offer(work, viewer, speech.offer(request.offer, viewer.agency))
            return pb.PutOfferResponse()

        return await self._once(request, call, act, pb.PutOfferResponse)

    async def SetCapacity(self, request: pb.SetCapacityRequest, call: Call) -> pb.SetCapacityResponse:
        async def act(work: MatchingWork) -> pb.SetCapacityResponse:
            offer_id = OfferId(words.uuid(request.offer_id, "offer-id"))
            from_date = words.day(request.from_date, "from-date")
            viewer = _viewer(call.principal)
            await set_capacity(work, viewer, offer_id, from_date, request.nights, request.capacity)
            return pb.SetCapacityResponse()

        return await self._once(request, call, act, pb.SetCapacityResponse)

    async def ListOffers(self, request: pb.ListOffersRequest, call: Call) -> pb.ListOffersResponse:
        nights = request.nights or 7
        if not 1 <= nights <= MOST_NIGHTS_SHOWN:
            raise invalid("nights-out-of-range", f"At most {MOST_NIGHTS_SHOWN} nights are shown.")
        async with self.works() as work:
            first = words.day(request.from_date, "from-date") if request.from_date else work.today
            listed = await work.offers.listed(_viewer(call.principal), stay(first, nights))
        return pb.ListOffersResponse(offers=map(speech.listed_message, listed))

    async def FindTonight(self, request: pb.FindTonightRequest, call: Call) -> pb.FindTonightResponse:
        """Idempotent by the need, not by the key: asking again must show what is true now, not what was."""
        need = words.need(CaseId(words.uuid(request.case_id, "case-id")), request.need)
        facts = words.facts(request.facts)

        async def act(work: MatchingWork) -> Shown | Unmatched:
            work.cause = call
            return await find_tonight(work, need, facts)

        found = await self.works.run(act)
        if isinstance(found, Unmatched):
            self.metrics.find_tonight_total.labels("none").inc()
            return pb.FindTonightResponse(none=speech.unmatched(found))
        self.metrics.find_tonight_total.labels("held").inc()
        return pb.FindTonightResponse(held=speech.referral_message(found))

    async def AnswerReferral(
        self, request: pb.AnswerReferralRequest, call: Call
    ) -> pb.AnswerReferralResponse:
        async def act(work: MatchingWork) -> pb.AnswerReferralResponse:
            case_id = CaseId(words.uuid(request.case_id, "case-id"))
            referral_id = ReferralId(words.uuid(request.referral_id, "referral-id"))
            state = await answer_as_client(work, case_id, referral_id, request.accepted)
            return pb.AnswerReferralResponse(state=state)

        return await self._once(request, call, act, pb.AnswerReferralResponse)

    async def DescribeReferrals(
        self, request: pb.DescribeReferralsRequest, call: Call
    ) -> pb.DescribeReferralsResponse:
        case_id = CaseId(words.uuid(request.case_id, "case-id"))
        referral_ids = [ReferralId(words.uuid(each, "referral-id")) for each in request.referral_ids]
        async with self.works() as work:
            shown = await describe_referrals(work, case_id, referral_ids)
        return pb.DescribeReferralsResponse(referrals=map(speech.referral_message, shown))

    async def AnswerAsProvider(
        self, request: pb.AnswerAsProviderRequest, call: Call
    ) -> pb.AnswerAsProviderResponse:
        async def act(work: MatchingWork) -> pb.AnswerAsProviderResponse:
            referral_id = ReferralId(words.uuid(request.referral_id, "referral-id"))
            viewer = _viewer(call.principal)
            state = await answer_as_provider(work, viewer, referral_id, request.accepted)
            return pb.AnswerAsProviderResponse(state=state)

        return await self._once(request, call, act, pb.AnswerAsProviderResponse)

    async def ListReferrals(self, request: pb.ListReferralsRequest, call: Call) -> pb.ListReferralsResponse:
        state = speech.referral_state(request.state)
        async with self.works() as work:
            shown = await work.referrals.shown(_viewer(call.principal), state)
        return pb.ListReferralsResponse(referrals=map(speech.referral_message, shown))

    async def DescribeArrival(
        self, request: pb.DescribeArrivalRequest, call: Call
    ) -> pb.DescribeArrivalResponse:
        """Intake is asked outside of any transaction, and logs whom it named to whom."""
        referral_id = ReferralId(words.uuid(request.referral_id, "referral-id"))
        async with self.works() as work:
            referral = await expected_referral(work, _viewer(call.principal), referral_id)
        guests = await self.disclosures.of(referral.case_id, referral_id, call)
        return pb.DescribeArrivalResponse(
            arrival_code=referral.arrival_code,
            head_count=referral.head_count,
            guests=[speech.guest(each) for each in guests],
        )

    async def ListHubDesk(self, request: pb.ListHubDeskRequest, call: Call) -> pb.ListHubDeskResponse:
        async with self.works() as work:
            entries = await work.desk.entries(work.today)
        return pb.ListHubDeskResponse(entries=map(speech.desk_message, entries))

    async def ListPlaces(self, request: pb.ListPlacesRequest, call: Call) -> pb.ListPlacesResponse:
        async with self.works() as work:
            places = await work.offers.named(request.name, request.area)
        return pb.ListPlacesResponse(places=map(speech.named_place, places))

    async def CheckIn(self, request: pb.CheckInRequest, call: Call) -> pb.CheckInResponse:
        async def act(work: MatchingWork) -> pb.CheckInResponse:
            referral_id = ReferralId(words.uuid(request.referral_id, "referral-id"))
            last_night = await check_in(work, _viewer(call.principal), referral_id)
            return pb.CheckInResponse(last_night=last_night.isoformat())

        return await self._once(request, call, act, pb.CheckInResponse)

    async def CheckOut(self, request: pb.CheckOutRequest, call: Call) -> pb.CheckOutResponse:
        async def act(work: MatchingWork) -> pb.CheckOutResponse:
            named = words.uuid(request.referral_id, "referral-id")
            until = words.day(request.until_date, "until-date") if request.until_date else None
            await check_out(work, _viewer(call.principal), named, until)
            return pb.CheckOutResponse()

        return await self._once(request, call, act, pb.CheckOutResponse)

    async def ExtendOccupancy(
        self, request: pb.ExtendOccupancyRequest, call: Call
    ) -> pb.ExtendOccupancyResponse:
        async def act(work: MatchingWork) -> pb.ExtendOccupancyResponse:
            work.cause = call
            case_id = CaseId(words.uuid(request.case_id, "case-id"))
            referral_id = ReferralId(words.uuid(request.referral_id, "referral-id"))
            asked = words.day(request.last_night, "last-night")
            last_night = await extend_occupancy(work, case_id, referral_id, asked)
            return pb.ExtendOccupancyResponse(last_night=last_night.isoformat())

        return await self._once(request, call, act, pb.ExtendOccupancyResponse)

    async def ImportOffers(self, request: pb.ImportOffersRequest, call: Call) -> pb.ImportOffersResponse:
        words.day(request.as_of, "as-of")

        async def act(work: MatchingWork) -> pb.ImportOffersResponse:
            offers = [speech.imported_offer(each) for each in request.offers]
            outcomes = await import_offers(work, request.source_id, offers)
            return pb.ImportOffersResponse(results=speech.results(outcomes))

        return await self._once(request, call, act, pb.ImportOffersResponse)

    async def ImportOccupancies(
        self, request: pb.ImportOccupanciesRequest, call: Call
    ) -> pb.ImportOccupanciesResponse:
        async def act(work: MatchingWork) -> pb.ImportOccupanciesResponse:
            as_of = words.day(request.as_of, "as-of")
            taken = [speech.taken_place(each) for each in request.occupancies]
            answer = pb.ImportOccupanciesResponse()
            if taken or not request.complete:
                outcomes, above = await import_occupancies(work, request.source_id, as_of, taken)
                answer = pb.ImportOccupanciesResponse(results=speech.results(outcomes), above_capacity=above)
            if request.complete:
                answer.ended = await end_untold(work, request.source_id, as_of)
            return answer

        return await self._once(request, call, act, pb.ImportOccupanciesResponse)

    async def _once(self, request: Message, call: Call, act: Act[R], answer: type[R]) -> R:
        command = Command.of(call, request)

        async def acted(work: MatchingWork) -> bytes:
            work.cause = call
            return (await act(work)).SerializeToString()

        return answer.FromString(await once(self.works, command, acted, self.metrics))


def _viewer(principal: Principal) -> Viewer:
    if not principal.agency:
        raise invalid("agency-missing", "The caller's token names no agency.")
    return Viewer(principal.agency, hub=principal.has("hub"))

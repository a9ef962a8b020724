"""Show a case as one caller may see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.chassis.call import Call
from services.intake.application.ports import Hub, IntakeWork, Matching, Place, Works
from services.intake.domain.access import Sight, must_see, read_as, status_word
from services.intake.domain.agencies import Asker
from services.intake.domain.cases import Case
from services.intake.domain.household import Person
from services.intake.domain.ids import CaseId, ReferralId
from services.intake.domain.outcomes import NeedOutcome, ReferralState

MOST_PLACES = 100


@dataclass(frozen=True, slots=True)
class CaseView:
    """`persons` and `needs` are empty for whoever sees only the status."""

    case_id: CaseId
    status: str
    opened_at: datetime
    confidential: bool
    persons: tuple[Person, ...] = field(default=(), repr=False)
    needs: tuple[NeedOutcome, ...] = ()


async def show_case(
    works: Works, matching: Matching, hub: Hub, asker: Asker, case_id: CaseId, why: str, call: Call
) -> CaseView:
    """The view with the names of the places, which no topic carries: matching is asked, outside of any
    transaction."""
    async with works() as work:
        view = await view_case(work, asker, case_id, why)
    return await with_places(matching, hub, view, call)


async def with_places(matching: Matching, hub: Hub, view: CaseView, call: Call) -> CaseView:
    """The view with the places of its referrals. One that matching does not tell of in time has no name, and
    the hub is whom to call. Nothing is asked for whoever sees only the status."""
    referred = [each.referral_id for need in view.needs for each in need.referrals]
    if not referred:
        return view
    places = await matching.places(view.case_id, referred[:MOST_PLACES], call)
    unknown = Place(name="", contact=hub.phone)
    return replace(view, needs=tuple(_with_places(need, places, unknown) for need in view.needs))


def _with_places(need: NeedOutcome, places: Mapping[ReferralId, Place], unknown: Place) -> NeedOutcome:
    told = [(each, places.get(each.referral_id, unknown)) for each in need.referrals]
    shown = (
        replace(
            referral,
            place=place.name,
            contact=place.contact,
            arrival_code=referral.arrival_code
            or (place.arrival_code if referral.state is ReferralState.ACCEPTED else ""),
        )
        for referral, place in told
    )
    return replace(need, referrals=tuple(shown))


def _with_codes(case: Case, need: NeedOutcome) -> NeedOutcome:
    """A household says a code where it arrives; it gets it when both sides have said yes. One in hiding has its
    case's; any other the one that its provider knows, which matching tells."""
    shown = (
        replace(each, arrival_code=case.arrival_code or "") if each.state is ReferralState.ACCEPTED else each
        for each in need.referrals
    )
    return replace(need, referrals=tuple(shown))


async def view_case(work: IntakeWork, asker: Asker, case_id: CaseId, why: str) -> CaseView:
    """The view. Each person that is shown is logged, in the transaction that read it, with who and why."""
    found = await work.cases.approach(case_id, asker)
    viewer = found.viewer
    case, seen = must_see(found.case, viewer)
    status = status_word(case, seen)
    if seen is Sight.STATUS:
        return CaseView(case.case_id, status, case.opened_at, case.confidential)
    known = await work.vault.persons(case)
    needs = [_with_codes(case, each) for each in await work.needs.outcomes(case_id)]
    agency = "" if viewer.agency is None else str(viewer.agency.agency_id)
    persons = [each.person_id for each in known]
    work.access_log.read(viewer.worker, agency, case_id, persons, read_as(case, why))
    return CaseView(
        case.case_id,
        status,
        case.opened_at,
        case.confidential,
        tuple(each.person for each in known),
        tuple(needs),
    )

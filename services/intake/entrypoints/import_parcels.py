"""What a HMIS export says, in the words of the doors that take it over: offers, households, places taken."""

from collections.abc import Iterator
from datetime import date, timedelta

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from aid.matching.v1 import matching_pb2 as matching

from services.intake.domain.hmis_import import (
    Enrolment,
    Household,
    HouseholdType,
    LodgingNeed,
    Offer,
    Person,
    Placement,
    Project,
    ProjectType,
    ReferralMade,
)
from services.intake.entrypoints.import_export import Reading

# HUD 3.917: a place not meant for habitation.
UNSHELTERED = 116
# A due date that far away is a slip of the pen; what follows from a nearer one intake decides.
DUE_FROM, DUE_UNTIL = timedelta(days=-42), timedelta(days=300)
OLDEST = timedelta(days=366 * 119)


class Parcels:
    """One export, ready to be sent. `nights` is how long a place a household without a bed is looked for."""

    def __init__(self, reading: Reading, nights: int) -> None:
        self.reading = reading
        self.nights = nights
        self._projects = {project.source_key: project for project in reading.projects}

    @property
    def source_id(self) -> str:
        return f"hmis:{self.reading.export.source_id}"

    @property
    def as_of(self) -> str:
        return self.reading.export.as_of.isoformat()

    def offers(self) -> Iterator[matching.ImportedOffer]:
        """Every inventory row; one that nobody can sleep in (any more) has no capacity.

        A project whose beds all ended may still house people: it has an offer without capacity for them.
        """
        for offer in self.reading.offers:
            yield _offer(offer)
        for project in self.reading.projects:
            if project.residential:
                yield _without_beds(project)

    def households(self) -> Iterator[Household]:
        """First those that need nothing, then those that need a bed: by the time a bed is looked for, all that
        are taken are known. The order is the same each time."""
        for in_need in (False, True):
            yield from self.reading.households(in_need=in_need)

    def household(self, household: Household) -> intake.ImportedHousehold:
        return intake.ImportedHousehold(
            source_key=household.source_key,
            agency_source_key=self.agency(household).source_key,
            household=self._household(household),
            needs=self._needs(household),
            person_source_keys=[person.source_key for person in household.persons],
            opened_on=self._opened_on(household).isoformat(),
            closed=self._closed(household),
            exits=self._exits(household),
            referrals=[_referral(each) for each in household.referrals],
            living_situation=household.found[1] if household.found else 0,
            living_situation_on=household.found[0].isoformat() if household.found else "",
        )

    def agency(self, household: Household) -> intake.ImportedAgency:
        """The organisation that works with the household now, or did last."""
        project = self._project(household)
        return intake.ImportedAgency(source_key=project.organisation_key, name=project.organisation_name)

    def occupancy(self, household: Household, case_id: str) -> matching.ImportedOccupancy | None:
        """The place that the household has. It is named by the case, not by what the export calls the
        household: that stays in intake."""
        place = household.lodging
        if not isinstance(place, Placement):
            return None
        return matching.ImportedOccupancy(
            source_key=f"case:{case_id}",
            offer_source_key=place.offer_key or place.project_key,
            case_id=case_id,
            persons=place.beds,
            from_date=min(place.moved_in or place.entered, self.reading.export.as_of).isoformat(),
        )

    def _household(self, household: Household) -> intake.Household:
        fleeing = any(person.fleeing for person in household.persons)
        survivor = any(person.survivor for person in household.persons)
        lodging = household.lodging
        return intake.Household(
            persons=[self._person(person) for person in household.persons],
            unsheltered=isinstance(lodging, LodgingNeed) and lodging.sleeping == UNSHELTERED,
            survivor=survivor or (household.confidential and not fleeing),
            fleeing=fleeing,
        )

    def _person(self, person: Person) -> intake.Person:
        as_of, pregnancy = self.reading.export.as_of, person.pregnancy
        due = None if pregnancy is None else pregnancy.due
        born = person.birth_date
        return intake.Person(
            given_name=" ".join(filter(None, (person.first_name, person.middle_name))),
            family_name=" ".join(filter(None, (person.last_name, person.name_suffix))),
            birth_date=_iso(born if born is not None and as_of - OLDEST <= born <= as_of else None),
            relationship=int(person.relationship),
            due_date=_iso(due if due is not None and as_of + DUE_FROM <= due <= as_of + DUE_UNTIL else None),
        )

    def _needs(self, household: Household) -> list[intake.NeedInput]:
        lodging = household.lodging
        if not isinstance(lodging, LodgingNeed):
            return []
        outside = lodging.sleeping == UNSHELTERED
        return [
            intake.NeedInput(
                kind=common.NEED_KIND_LODGING,
                nights=self.nights,
                urgency=common.URGENCY_TONIGHT if outside else common.URGENCY_SOON,
            )
        ]

    def _exits(self, household: Household) -> list[intake.ImportedExit]:
        """Members who left on one day for one destination left together, from whichever project. An exit that
        leaves its destination blank says that a time is over, and nothing of what became of it."""
        left: dict[tuple[date, int], list[Enrolment]] = {}
        for each in household.enrolments:
            if each.exited is not None and each.exited <= self.reading.export.as_of and each.destination:
                left.setdefault((each.exited, int(each.destination)), []).append(each)
        return [
            intake.ImportedExit(
                entered_on=min(min(each.entered, exited) for each in together).isoformat(),
                exited_on=exited.isoformat(),
                destination=destination,
                persons=len({each.person_key for each in together}),
            )
            for (exited, destination), together in sorted(left.items())
        ]

    def _closed(self, household: Household) -> bool:
        as_of = self.reading.export.as_of
        return all(each.exited is not None and each.exited <= as_of for each in household.enrolments)

    def _opened_on(self, household: Household) -> date:
        return min(*(each.entered for each in household.enrolments), self.reading.export.as_of)

    def _project(self, household: Household) -> Project:
        """Where the household is, or where it entered last."""
        if household.lodging is not None:
            key = household.lodging.project_key
        else:
            key = max(household.enrolments, key=lambda each: (each.entered, each.source_key)).project_key
        return self._projects[key]


def _referral(made: ReferralMade) -> intake.ImportedReferral:
    return intake.ImportedReferral(
        on_date=made.on.isoformat(), event=made.event, result=made.result or 0, result_on=_iso(made.result_on)
    )


def _offer(offer: Offer) -> matching.ImportedOffer:
    minors = offer.household_type is HouseholdType.ONLY_CHILDREN
    terms = matching.Offer(
        kind=_kind(offer.project_type),
        name=offer.project_name,
        contact=offer.organisation_name,
        unit=matching.UNIT_BED,
        capacity=offer.beds if offer.valid else 0,
        rules=matching.Rules(
            max_persons=1 if minors else 0,  # a bed for a minor alone is none for a family
            children=offer.household_type is not HouseholdType.WITHOUT_CHILDREN,
            without_children=offer.household_type is HouseholdType.WITHOUT_CHILDREN,
        ),
        confidential=offer.for_survivors,
    )
    return matching.ImportedOffer(source_key=offer.source_key, offer=terms)


def _without_beds(project: Project) -> matching.ImportedOffer:
    terms = matching.Offer(
        kind=_kind(project.project_type),
        name=project.name,
        contact=project.organisation_name,
        unit=matching.UNIT_BED,
        rules=matching.Rules(children=True, without_children=True),
        confidential=project.for_survivors,
    )
    return matching.ImportedOffer(source_key=project.source_key, offer=terms)


def _kind(project_type: ProjectType) -> common.NeedKind.ValueType:
    """Permanent housing is no bed for a night: its places are known, and nobody is sent there tonight."""
    return common.NEED_KIND_HOUSING if project_type.permanent else common.NEED_KIND_LODGING


def _iso(day: date | None) -> str:
    return "" if day is None else day.isoformat()

"""Requests as both doors bring them, read into the domain's words. Refusals name the field, never its
value."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypeVar
from uuid import UUID

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.ids import parsed
from services.intake.domain.agencies import AgencyType
from services.intake.domain.arrival import normalized
from services.intake.domain.followups import checked_situation
from services.intake.domain.household import Household, Person
from services.intake.domain.ids import ArrivalCode, CaseId, NeedId
from services.intake.domain.imports import ImportedExit, ImportedHistory, ImportedHousehold, ImportedReferral
from services.intake.domain.needs import NeedKind, NeedRequest, Urgency
from services.intake.domain.refusal import invalid
from services.intake.entrypoints import words

_AGE_BANDS = words.reverse(words.AGE_BAND)
_AGENCY_TYPES = words.reverse(words.AGENCY_TYPE)
_KINDS = words.reverse(words.KIND)
_URGENCIES = {common.URGENCY_UNSPECIFIED: Urgency.SOON} | words.reverse(words.URGENCY)
_RELATIONSHIPS = frozenset({1, 2, 3, 4, 5, 99})

E = TypeVar("E", bound=int)
T = TypeVar("T")


def uuid_in(text: str, field: str) -> UUID:
    """A UUID in its usual form, which is also how it is shown and used as a key."""
    try:
        found = parsed(text)
    except ValueError:
        raise invalid("id-malformed", "An id is a UUID.", field=field) from None
    if str(found) != text.lower():
        raise invalid("id-malformed", "An id is a UUID.", field=field)
    return found


def optional_uuid(text: str, field: str) -> UUID | None:
    return uuid_in(text, field) if text else None


def code_in(text: str) -> ArrivalCode | None:
    return normalized(text) if text else None


def date_in(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise invalid("date-malformed", "A date is YYYY-MM-DD.", field=field) from None


def optional_date(text: str, field: str) -> date | None:
    return date_in(text, field) if text else None


def moment_in(message: Timestamp, field: str) -> datetime:
    try:
        return message.ToDatetime(UTC)
    except ValueError:
        raise invalid("time-malformed", "That is no moment.", field=field) from None


def case_id_in(text: str) -> CaseId:
    return CaseId(uuid_in(text, "case_id"))


def word_in(known: Mapping[E, T], value: E, field: str) -> T:
    """What an enumeration says; a value that it does not know, or none, is refused."""
    try:
        return known[value]
    except KeyError:
        raise invalid("word-unknown", "This value is not one of the contract's.", field=field) from None


def agency_type_in(value: intake.AgencyType.ValueType) -> AgencyType:
    return word_in(_AGENCY_TYPES, value, "type")


def first_lodging_need(needs: Sequence[NeedRequest]) -> int:
    """The place in the request of the need that is looked for tonight."""
    for index, need in enumerate(needs):
        if need.kind is NeedKind.LODGING:
            return index
    raise invalid(
        "no-lodging-need", "Without a lodging need there is nothing to find tonight.", field="needs"
    )


def household_in(message: intake.Household, areas: Collection[str] = ()) -> Household:
    area = message.area.strip()
    if areas and area and area not in areas:
        raise invalid("area-unknown", "The region has no such area.", field="household.area")
    return Household(
        persons=tuple(
            person_in(person, f"household.persons[{index}]") for index, person in enumerate(message.persons)
        ),
        wheelchair=message.wheelchair,
        pets=message.pets,
        unsheltered=message.unsheltered,
        survivor=message.survivor,
        fleeing=message.fleeing,
        area=area,
        handoff_point=message.handoff_point,
        handoff_slot=message.handoff_slot,
    )


def needs_in(messages: Sequence[intake.NeedInput]) -> tuple[NeedRequest, ...]:
    return tuple(need_in(message, f"needs[{index}]") for index, message in enumerate(messages))


def need_in(message: intake.NeedInput, where: str = "need") -> NeedRequest:
    need_id = optional_uuid(message.need_id, f"{where}.need_id")
    return NeedRequest(
        need_id=None if need_id is None else NeedId(need_id),
        kind=word_in(_KINDS, message.kind, f"{where}.kind"),
        item_id=message.item_id,
        quantity=message.quantity,
        from_date=optional_date(message.from_date, f"{where}.from_date"),
        nights=message.nights,
        urgency=word_in(_URGENCIES, message.urgency, f"{where}.urgency"),
        size=message.size,
        latest_date=optional_date(message.latest_date, f"{where}.latest_date"),
        constraints=tuple(message.constraints),
    )


def imported_in(message: intake.ImportedHousehold) -> ImportedHousehold:
    return ImportedHousehold(
        source_key=message.source_key,
        agency_source_key=message.agency_source_key,
        household=household_in(message.household),
        needs=needs_in(message.needs),
        person_source_keys=tuple(message.person_source_keys),
        opened_on=date_in(message.opened_on, "opened_on"),
        closed=message.closed,
        content=message.SerializeToString(deterministic=True),
        history=_history_in(message),
    )


def _history_in(message: intake.ImportedHousehold) -> ImportedHistory:
    exits = [
        ImportedExit(
            date_in(each.entered_on, f"exits[{index}].entered_on"),
            date_in(each.exited_on, f"exits[{index}].exited_on"),
            checked_situation(each.destination, f"exits[{index}].destination"),
            each.persons,
        )
        for index, each in enumerate(message.exits)
    ]
    referrals = [
        ImportedReferral(
            date_in(each.on_date, f"referrals[{index}].on_date"),
            each.event,
            each.result or None,
            optional_date(each.result_on, f"referrals[{index}].result_on"),
        )
        for index, each in enumerate(message.referrals)
    ]
    situation = None
    if message.living_situation:
        on = date_in(message.living_situation_on, "living_situation_on")
        situation = (on, checked_situation(message.living_situation))
    return ImportedHistory(tuple(exits), tuple(referrals), situation)


def person_in(message: intake.Person, where: str) -> Person:
    if message.relationship not in _RELATIONSHIPS and message.relationship != 0:
        raise invalid("relationship-unknown", "Not a code of HUD 3.15.", field=f"{where}.relationship")
    unknown_age = message.age_band == intake.AGE_BAND_UNSPECIFIED
    return Person(
        given_name=message.given_name,
        family_name=message.family_name,
        birth_date=optional_date(message.birth_date, f"{where}.birth_date"),
        age_band=None if unknown_age else word_in(_AGE_BANDS, message.age_band, f"{where}.age_band"),
        relationship=message.relationship or 99,
        due_date=optional_date(message.due_date, f"{where}.due_date"),
        note=message.note,
        contact=message.contact,
        aliases=tuple(message.aliases),
    )

"""Households in the contract's words and in the domain's. Refusals name the field, never its value."""

from collections.abc import Collection, Iterable, Sequence
from datetime import time
from typing import Any

from aid.intake.v1 import households_pb2 as pb
from aid.intake.v1 import intake_pb2 as intake
from google.protobuf.message import Message

from services.intake.application.edit_household import Edit
from services.intake.application.ports import KnownHousehold
from services.intake.domain.agencies import Asker
from services.intake.domain.contact import Channel, SafeContact, Voicemail
from services.intake.domain.household import MOST_AVOIDED, Household, Person
from services.intake.domain.ids import CaseId, PersonId
from services.intake.domain.refusal import invalid
from services.intake.entrypoints import requests, words
from services.intake.entrypoints.answers import person_message

CHANNEL = {Channel.NONE: pb.CHANNEL_UNSPECIFIED} | {
    word: pb.Channel.Value(f"CHANNEL_{word.name}") for word in Channel if word is not Channel.NONE
}
VOICEMAIL = {Voicemail.NOTHING: pb.VOICEMAIL_UNSPECIFIED} | {
    word: pb.Voicemail.Value(f"VOICEMAIL_{word.name}") for word in Voicemail if word is not Voicemail.NOTHING
}
_CHANNELS = words.reverse(CHANNEL)
_VOICEMAILS = words.reverse(VOICEMAIL)


def edit_in(request: Any, asker: Asker) -> Edit:
    """Of any request that names a case and the revision that its worker saw."""
    if request.expected_revision < 1:
        raise invalid(
            "revision-missing", "A change names the revision that was seen.", field="expected_revision"
        )
    return Edit(asker, requests.case_id_in(request.case_id), request.expected_revision)


def person_id_in(text: str, field: str = "person_id") -> PersonId:
    return PersonId(requests.uuid_in(text, field))


def person_ids_in(texts: Sequence[str]) -> tuple[PersonId, ...]:
    return tuple(person_id_in(text, f"person_ids[{index}]") for index, text in enumerate(texts))


def household_change_in(
    change: pb.HouseholdChange, areas: Collection[str]
) -> tuple[Household, Collection[str]]:
    """What is said, and the names of the fields that are said."""
    named = _named(change)
    told = intake.Household(**{name: getattr(change, name) for name in named})
    return requests.household_in(told, areas), named


def person_change_in(change: pb.PersonChange) -> tuple[Person, Collection[str]]:
    """What is said, and the names of the fields that are said."""
    named = _named(change)
    told = intake.Person(**{name: getattr(change, name) for name in named if name != "aliases"})
    told.aliases.extend(change.aliases.names)
    return requests.person_in(told, "change"), named


def _named(change: Message) -> tuple[str, ...]:
    """The fields that were set, empty ones included."""
    return tuple(field.name for field in change.DESCRIPTOR.fields if change.HasField(field.name))


def children_in(messages: Iterable[intake.Person]) -> tuple[Person, ...]:
    return tuple(requests.person_in(each, f"children[{index}]") for index, each in enumerate(messages))


def contact_in(message: pb.SafeContact) -> SafeContact:
    return SafeContact(
        channel=requests.word_in(_CHANNELS, message.channel, "safe_contact.channel"),
        address=message.address,
        earliest=_time_in(message.earliest, "safe_contact.earliest"),
        latest=_time_in(message.latest, "safe_contact.latest"),
        voicemail=requests.word_in(_VOICEMAILS, message.voicemail, "safe_contact.voicemail"),
    )


def _time_in(text: str, field: str) -> time:
    if not text:
        return time()
    try:
        hours, minutes = text.split(":")
        return time(int(hours), int(minutes))
    except ValueError:
        raise invalid("time-malformed", "A time of day is HH:MM.", field=field) from None


def avoid_in(texts: Sequence[str]) -> frozenset[str]:
    if len(texts) > MOST_AVOIDED:
        raise invalid("too-many-places", f"At most {MOST_AVOIDED} places fit.", field="avoid")
    return frozenset(str(requests.uuid_in(text, f"avoid[{index}]")) for index, text in enumerate(texts))


def household_message(case_id: CaseId, known: KnownHousehold) -> pb.HouseholdView:
    household = known.household
    return pb.HouseholdView(
        case_id=str(case_id),
        revision=known.facts.revision,
        persons=[
            pb.KnownPerson(person_id=str(each.person_id), person=person_message(each.person))
            for each in known.persons
        ],
        wheelchair=household.wheelchair,
        pets=household.pets,
        unsheltered=household.unsheltered,
        survivor=household.survivor,
        fleeing=household.fleeing,
        confidential=household.confidential,
        area=household.area,
        handoff_point=household.handoff_point,
        handoff_slot=household.handoff_slot,
        safe_contact=contact_message(household.safe_contact),
        avoid=sorted(household.avoid),
        avoid_words=household.avoid_words,
    )


def contact_message(contact: SafeContact) -> pb.SafeContact:
    return pb.SafeContact(
        channel=CHANNEL[contact.channel],
        address=contact.address,
        earliest=_time(contact.earliest),
        latest=_time(contact.latest),
        voicemail=VOICEMAIL[contact.voicemail],
    )


def _time(moment: time) -> str:
    return "" if moment == time() else f"{moment:%H:%M}"

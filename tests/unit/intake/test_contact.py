"""When a household may be reached, and what can be no way to reach it."""

from datetime import UTC, datetime, time

import pytest

from services.intake.domain.contact import NOBODY, Channel, SafeContact, Voicemail, checked_contact
from services.intake.domain.refusal import Refusal

NUMBER = "+1-555-0177"


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 24, hour, minute, tzinfo=UTC)


def test_until_somebody_says_so_nobody_is_reached() -> None:
    assert not any(NOBODY.allows(at(hour)) for hour in range(24))
    assert checked_contact(NOBODY) == NOBODY


@pytest.mark.parametrize(
    ("earliest", "latest", "allowed"),
    [
        (time(), time(), set(range(24))),
        (time(9), time(9), set(range(24))),
        (time(9), time(17), set(range(9, 17))),
        (time(22), time(6), {22, 23, 0, 1, 2, 3, 4, 5}),
        (time(0), time(1), {0}),
    ],
)
def test_hours_are_kept_over_midnight_too(earliest: time, latest: time, allowed: set[int]) -> None:
    contact = SafeContact(Channel.CALL, NUMBER, earliest, latest)
    assert {hour for hour in range(24) if contact.allows(at(hour))} == allowed


@pytest.mark.parametrize(
    ("contact", "field"),
    [
        (SafeContact(Channel.CALL), "address"),
        (SafeContact(Channel.TEXT, "   "), "address"),
        (SafeContact(Channel.NONE, NUMBER), "address"),
        (SafeContact(Channel.IN_PERSON, NUMBER), "address"),
        (SafeContact(Channel.EMAIL, "x" * 201), "address"),
        (SafeContact(Channel.CALL, "5\n5"), "address"),
        (SafeContact(Channel.TEXT, NUMBER, voicemail=Voicemail.MESSAGE), "voicemail"),
        (SafeContact(earliest=time(9)), "channel"),
    ],
)
def test_what_cannot_be_is_refused_by_field(contact: SafeContact, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked_contact(contact)
    assert refused.value.details == {"field": field}
    assert NUMBER not in f"{refused.value}{contact!r}"

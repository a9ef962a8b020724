"""Who may allow what, for whom and how long."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest

from services.intake.domain.consents import (
    Circle,
    Consent,
    ConsentText,
    EndedBy,
    Evidence,
    Purpose,
    check_consent,
    checked_text,
    wants_no_search,
)
from services.intake.domain.household import AgeBand, Person
from services.intake.domain.ids import ConsentId, PersonId, ReferralId
from services.intake.domain.refusal import Refusal

TODAY = date(2026, 11, 24)
MOTHER, TODDLER, FATHER, STRANGER = (PersonId(UUID(int=number)) for number in range(1, 5))
REFERRAL = ReferralId(UUID(int=9))
WORDS = ConsentText("share-2026-1", "en", Purpose.SHARE_WITH_PROVIDER, "What will be told to whom.")
HOME = Circle(
    members={
        MOTHER: Person(birth_date=date(1998, 5, 2)),
        TODDLER: Person(birth_date=date(2025, 3, 1)),
        FATHER: Person(age_band=AgeBand.ADULT),
    },
    barred=(),
    hiding=False,
)


def consent(**changes: object) -> Consent:
    fields: dict[str, object] = {
        "consent_id": ConsentId(UUID(int=7)),
        "persons": (MOTHER,),
        "signer": MOTHER,
        "purpose": Purpose.SHARE_WITH_PROVIDER,
        "referral_id": REFERRAL,
        "text_version": WORDS.version,
        "text_language": WORDS.language,
        "evidence": Evidence.PAPER,
        "note": "folder 12",
        "given_on": TODAY,
        "until_date": TODAY + timedelta(days=90),
    }
    return Consent(**(fields | changes))  # type: ignore[arg-type]


def refusal(
    given: Consent, circle: Circle = HOME, text: ConsentText | None = WORDS, *, advocate: bool = False
) -> str:
    try:
        check_consent(given, circle, text, TODAY, advocate)
    except Refusal as refused:
        return refused.reason
    return ""


def test_an_adult_signs_for_themselves_and_for_their_children() -> None:
    assert refusal(consent()) == ""
    assert refusal(consent(persons=(MOTHER, TODDLER))) == ""
    assert refusal(consent(persons=(FATHER,))) == "adults-sign-for-themselves"
    assert refusal(consent(signer=TODDLER, persons=(TODDLER,))) == "signer-not-adult"


def test_who_is_a_danger_signs_for_no_child_but_for_themselves() -> None:
    barred = replace(HOME, barred=(FATHER,))
    assert refusal(consent(signer=FATHER, persons=(TODDLER,)), barred) == "signer-barred"
    assert refusal(consent(signer=FATHER, persons=(FATHER,)), barred) == ""


def test_for_children_in_hiding_an_advocate_takes_the_signature() -> None:
    hiding = replace(HOME, hiding=True)
    given = consent(persons=(MOTHER, TODDLER))
    assert refusal(given, hiding) == "advocate-needed"
    assert refusal(given, hiding, advocate=True) == ""
    assert refusal(consent(), hiding) == ""


def test_nobody_outside_the_household_signs_or_is_signed_for() -> None:
    assert refusal(consent(signer=STRANGER)) == "not-of-the-household"
    assert refusal(consent(persons=(MOTHER, STRANGER))) == "not-of-the-household"
    assert refusal(consent(persons=())) == "persons-malformed"
    assert refusal(consent(persons=(MOTHER, MOTHER))) == "persons-malformed"


@pytest.mark.parametrize(
    ("given_on", "until", "reason"),
    [
        (0, 0, ""),
        (0, 366, ""),
        (0, 367, "consent-needs-an-end"),
        (-30, 0, ""),
        (-31, 0, "signature-date-impossible"),
        (1, 30, "signature-date-impossible"),
        (-10, -1, "consent-needs-an-end"),
    ],
)
def test_a_consent_has_an_end_within_a_year(given_on: int, until: int, reason: str) -> None:
    days = {"given_on": TODAY + timedelta(days=given_on), "until_date": TODAY + timedelta(days=until)}
    assert refusal(consent(**days)) == reason


def test_it_stands_on_words_that_inform_about_its_purpose() -> None:
    assert refusal(consent(), text=None) == "consent-text-unknown"
    assert refusal(consent(), text=replace(WORDS, purpose=Purpose.FOLLOW_UP)) == "consent-text-unknown"


def test_a_provider_is_named_by_a_referral_and_nobody_else_is() -> None:
    assert refusal(consent(referral_id=None)) == "consent-names-one-provider"
    follow_up = replace(WORDS, purpose=Purpose.FOLLOW_UP)
    assert refusal(consent(purpose=Purpose.FOLLOW_UP), text=follow_up) == "consent-names-one-provider"


def test_no_story_of_a_household_in_hiding_is_told() -> None:
    story = consent(purpose=Purpose.PUBLIC_STORY, referral_id=None)
    text = replace(WORDS, purpose=Purpose.PUBLIC_STORY)
    assert refusal(story, text=text) == ""
    assert refusal(story, replace(HOME, hiding=True), text, advocate=True) == "household-in-hiding"


def test_it_is_valid_from_its_first_through_its_last_day_and_not_when_ended() -> None:
    given = consent()
    assert given.valid_on(given.given_on)
    assert given.valid_on(given.until_date)
    assert not given.valid_on(given.given_on - timedelta(days=1))
    assert not given.valid_on(given.until_date + timedelta(days=1))
    assert not replace(given, ended_by=EndedBy.REVOKED).valid_on(TODAY)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": "Version 1"}, "version-malformed"),
        ({"version": ""}, "version-malformed"),
        ({"language": "English!"}, "language-malformed"),
        ({"body": "  "}, "text-too-long"),
        ({"body": "x" * 20_001}, "text-too-long"),
    ],
)
def test_words_that_inform_nobody_are_refused(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked_text(replace(WORDS, **changes))  # type: ignore[arg-type]
    assert refused.value.reason == reason


def test_where_the_evidence_lies_shows_in_no_repr() -> None:
    assert "folder 12" not in repr(consent())


def test_only_who_allowed_the_search_and_ended_it_wants_none() -> None:
    allowed = consent(purpose=Purpose.SEARCH, referral_id=None)
    revoked = replace(allowed, ended_by=EndedBy.REVOKED)
    assert not wants_no_search([], TODAY)
    assert not wants_no_search([allowed, revoked], TODAY)
    assert not wants_no_search([consent(ended_by=EndedBy.REVOKED)], TODAY)
    assert wants_no_search([revoked], TODAY)
    assert wants_no_search([allowed], allowed.until_date + timedelta(days=1))

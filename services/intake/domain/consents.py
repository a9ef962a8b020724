"""What a household allows: by whose hand, for what, to whom and until when."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum

from services.intake.domain.household import AgeBand, Person, age_band
from services.intake.domain.ids import ConsentId, PersonId, ReferralId
from services.intake.domain.refusal import invalid, refused

LONGEST = timedelta(days=366)
"""VAWA, FVPSA and VOCA want a release that is written, informed and reasonably time-limited; a year at most here."""
RENEWED_BEFORE = timedelta(days=14)
SIGNED_AGO = timedelta(days=30)
LONGEST_BODY = 20_000
LONGEST_NOTE = 500
_VERSION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


class Purpose(Enum):
    SHARE_WITH_PROVIDER = "share-with-provider"
    """Names and age bands may be told to the provider of one referral."""
    FOLLOW_UP = "follow-up"
    """Somebody may ask later how they are."""
    PUBLIC_STORY = "public-story"
    """The banded story may stand beside the public list."""
    SEARCH = "search"
    """The network may go on looking. Nobody is asked for it before the first search; ending it ends them."""


class Evidence(Enum):
    PAPER = "paper"
    SCREEN = "screen"
    RECORDED = "recorded"


class EndedBy(Enum):
    EXPIRED = "expired"
    REVOKED = "revoked"
    SIGNER_LEFT = "signer-left"
    """The signer left the household, or may sign for nobody else any more."""
    HIDING = "household-hides"
    """The household began to hide: what was signed before was not signed for that."""


@dataclass(frozen=True, slots=True)
class ConsentText:
    """Words to inform somebody with. A version never changes."""

    version: str
    language: str
    purpose: Purpose
    body: str


@dataclass(frozen=True, slots=True)
class Consent:
    """Given by `signer` for `persons` (themselves or children), valid through `until_date`."""

    consent_id: ConsentId
    persons: tuple[PersonId, ...]
    signer: PersonId
    purpose: Purpose
    referral_id: ReferralId | None
    text_version: str
    text_language: str
    evidence: Evidence
    note: str = field(repr=False)
    given_on: date
    until_date: date
    ended_by: EndedBy | None = None
    by_advocate: bool = False
    """An advocate took the signature."""

    def valid_on(self, day: date) -> bool:
        """Also without the timer that ends it: a clock that is late shares nothing."""
        return self.ended_by is None and self.given_on <= day <= self.until_date

    def outlives_hiding(self) -> bool:
        """What an advocate took does: they know from whom the household hides. No other signature for a child does,
        nor any that tells somebody names: nobody who signed it knew that there would be somebody to hide from. The
        search goes on, for ending it would leave whoever flees without a place; and no story is told of it."""
        match self.purpose:
            case Purpose.PUBLIC_STORY:
                return False
            case Purpose.SHARE_WITH_PROVIDER:
                return self.by_advocate
            case Purpose.SEARCH:
                return True
            case Purpose.FOLLOW_UP:
                return self.by_advocate or not self.for_others()

    def for_others(self) -> bool:
        return any(person != self.signer for person in self.persons)


def checked_text(text: ConsentText) -> ConsentText:
    if len(text.version) > 64 or not _VERSION.fullmatch(text.version):
        raise invalid("version-malformed", "A version is lower-case words with dashes.", field="text.version")
    if len(text.language) > 35 or not _LANGUAGE.fullmatch(text.language):
        raise invalid("language-malformed", "A language is a BCP 47 tag.", field="text.language")
    if not text.body.strip() or len(text.body) > LONGEST_BODY:
        raise invalid("text-too-long", f"1 to {LONGEST_BODY} characters inform somebody.", field="text.body")
    return text


@dataclass(frozen=True, slots=True)
class Circle:
    """Who is in the household, who of them signs for nobody else, and whether it hides. `others_barred`: somebody is
    barred of whom it is not known which member they are, if they are one."""

    members: Mapping[PersonId, Person]
    barred: Collection[PersonId]
    hiding: bool
    others_barred: bool = False


def check_consent(
    consent: Consent, circle: Circle, text: ConsentText | None, today: date, advocate: bool
) -> None:
    """Raise Refusal unless this consent can be given so. `advocate`: an advocate records it."""
    if text is None or text.purpose is not consent.purpose:
        raise refused("consent-text-unknown", "No words of that version inform about this purpose.")
    _check_days(consent, today)
    if len(consent.note) > LONGEST_NOTE:
        raise invalid("text-too-long", f"At most {LONGEST_NOTE} characters fit.", field="evidence_note")
    if (consent.purpose is Purpose.SHARE_WITH_PROVIDER) != (consent.referral_id is not None):
        raise invalid("consent-names-one-provider", "A provider is named by a referral.", field="referral_id")
    if consent.purpose is Purpose.PUBLIC_STORY and circle.hiding:
        raise refused("household-in-hiding", "No story of a household in hiding is told.")
    _check_signer(consent, circle, today, advocate)


def _check_days(consent: Consent, today: date) -> None:
    if not today - SIGNED_AGO <= consent.given_on <= today:
        raise invalid(
            "signature-date-impossible",
            "A signature is of today or of the last 30 days.",
            field="given_on",
        )
    if not max(consent.given_on, today) <= consent.until_date <= consent.given_on + LONGEST:
        raise invalid(
            "consent-needs-an-end", "A consent ends within a year of the signature.", field="until_date"
        )


def _check_signer(consent: Consent, circle: Circle, today: date, advocate: bool) -> None:
    """An adult signs for themselves; for children an adult who is no danger to them. Of a household in hiding
    only an advocate takes a signature for children: they know from whom it hides."""
    if not consent.persons or len(set(consent.persons)) < len(consent.persons):
        raise invalid("persons-malformed", "A consent is for persons, each named once.", field="person_ids")
    if any(person not in circle.members for person in (*consent.persons, consent.signer)):
        raise refused("not-of-the-household", "Somebody named is not of this household.")
    if age_band(circle.members[consent.signer], today) is not AgeBand.ADULT:
        raise refused("signer-not-adult", "Only an adult signs.")
    others = [person for person in consent.persons if person != consent.signer]
    if any(age_band(circle.members[person], today) is AgeBand.ADULT for person in others):
        raise refused("adults-sign-for-themselves", "An adult signs for themselves.")
    if others and consent.signer in circle.barred:
        raise refused("signer-barred", "This person may sign for nobody else.")
    if others and (circle.hiding or circle.others_barred) and not advocate:
        raise refused(
            "advocate-needed", "For the children of this household an advocate takes the signature."
        )


def renew_on(consent: Consent) -> date:
    """The day to ask for it anew: two weeks before its last one, for a shorter one half-way."""
    half = (consent.until_date - consent.given_on) // 2
    return consent.until_date - min(RENEWED_BEFORE, half)


def wants_no_questions(consents: Collection[Consent], today: date) -> bool:
    """Whether somebody allowed to be asked how they are, and does not any more."""
    return _no_longer(Purpose.FOLLOW_UP, consents, today)


def wants_no_search(consents: Collection[Consent], today: date) -> bool:
    """Whether somebody allowed the network to look for them, and does not any more: nothing begins a search by
    itself then. What a worker asks for at their word needs no consent."""
    return _no_longer(Purpose.SEARCH, consents, today)


def _no_longer(purpose: Purpose, consents: Collection[Consent], today: date) -> bool:
    allowed = [consent for consent in consents if consent.purpose is purpose]
    return bool(allowed) and not any(consent.valid_on(today) for consent in allowed)

"""One place a night for one household, whoever entered it: by digests that nobody can read or try names against."""

import hashlib
import hmac
from datetime import date

from services.intake.domain.household import AgeBand, Household, Person, age_band
from services.intake.domain.search import words_of

SELF = 1


def tokens_of(secret: bytes, household: Household, today: date) -> tuple[bytes, ...]:
    """Who the household is: its head, and all of its adults together. The surest first.

    Either is the same household's in every agency. Somebody of whom names or birth date are missing could be too
    many people to be told apart, and has no token; nobody has who hides.
    """
    if household.confidential:
        return ()
    adults = [each for each in household.persons if age_band(each, today) is AgeBand.ADULT]
    head = next((each for each in household.persons if each.relationship == SELF), None)
    named = [_named(each) for each in adults]
    of_head = next((name for each, name in zip(adults, named, strict=True) if each is head), None)
    if of_head is None and head is not None:  # a child can be the head
        of_head = _named(head)
    said = [] if head is None else ["head", *filter(None, [of_head])]
    whole = ["adults", *sorted(filter(None, named))]
    identities = [said] if len(said) > 1 else []
    if len(adults) > 1 and all(named):
        identities.append(whole)
    elif head is None and len(adults) == 1 and all(named):
        identities.append(["head", *filter(None, named)])
    return tuple(_token(secret, "\n".join(identity)) for identity in identities)


def _named(person: Person) -> str | None:
    """Names in any order and the birth date; None when one of them is missing."""
    given, family = words_of(person.given_name), words_of(person.family_name)
    if not given or not family or person.birth_date is None:
        return None
    return " ".join((*sorted(given + family), person.birth_date.isoformat()))


def _token(secret: bytes, identity: str) -> bytes:
    return hmac.digest(secret, b"one place\n" + identity.encode(), hashlib.sha256)

"""What follows when a household is others than before: the one place where everything that derives from it hears.

Whoever opens a case, changes its household, or erases it calls `household_changed` once, in the same unit of
work, after it has told the change itself. What derives from the household (needs by norms, the clocks of due
dates and birthdays) is brought up to date here, and commits with the change or not at all.
"""

from collections.abc import Sequence
from datetime import date

from services.chassis.ids import uuid7
from services.intake.application.derive_needs import follow_household
from services.intake.application.end_consent import end_signatures
from services.intake.application.look_again import set_looks
from services.intake.application.ports import IntakeWork, KnownHousehold, KnownPerson
from services.intake.domain.cases import Case
from services.intake.domain.household import AgeBand, Household, Person, age_band
from services.intake.domain.ids import PersonId


async def household_changed(
    work: IntakeWork, case: Case, before: KnownHousehold | None, after: KnownHousehold | None
) -> None:
    """Bring up to date what derives from the household.

    `before` is None when the case was opened just now, `after` is None when its last person was erased. `case`
    is as it is after the change: its facts are those of `after`, its row is written and its version advanced
    already by whoever calls (so nothing here advances it again), and it is open. Persons keep their ids, so
    `before` and `after` can be compared person by person.
    """
    set_looks(work, case, before, after)
    if before is not None and after is not None:
        await leavers_sign_no_more(work, case, before, after)
        await follow_household(work, case, after.household.persons)


async def leavers_sign_no_more(
    work: IntakeWork, case: Case, before: KnownHousehold, after: KnownHousehold
) -> None:
    """All that follows on a closed case, too: a consent does not outlive its signer."""
    left = {each.person_id for each in before.persons} - {each.person_id for each in after.persons}
    if left:
        await end_signatures(work, case, left, present=False)


def adults_part(before: KnownHousehold, after: KnownHousehold, today: date) -> bool:
    """Whether an adult is no longer there. Whoever entered the household elsewhere knows both of them, and neither is
    to be led to the other by the place that the two got together.

    A source that names nobody says all of them anew: who is called as one of the new, and born on that day, is there
    still.
    """
    known, there = ({each.person_id for each in household.persons} for household in (before, after))
    new = {_called(each.person) for each in after.persons if each.person_id not in known}
    return any(
        each.person_id not in there
        and _called(each.person) not in new
        and age_band(each.person, today) is AgeBand.ADULT
        for each in before.persons
    )


def _called(person: Person) -> tuple[str, str, date | None]:
    return person.given_name, person.family_name, person.birth_date


def known_persons(household: Household, source_keys: Sequence[str] = ()) -> tuple[KnownPerson, ...]:
    """The persons of a new household, each with a new id, and the name the exporting system has for them."""
    keys = source_keys or ("",) * len(household.persons)
    return tuple(
        KnownPerson(PersonId(uuid7()), person, key, person.due_date if key else None)
        for person, key in zip(household.persons, keys, strict=True)
    )

"""Suggest other cases of the agency that may be with the same household."""

from collections import defaultdict
from dataclasses import dataclass, field

from services.intake.application.find_person import log_shown, searching
from services.intake.application.ports import IntakeWork, KnownPerson
from services.intake.application.search_ports import Findable
from services.intake.application.whole_household import whole_household
from services.intake.domain.access import Sight, must_see
from services.intake.domain.agencies import Asker
from services.intake.domain.cases import Case
from services.intake.domain.duplicates import MOST_DUPLICATES, Likeness, Resemblance, likeness, resemblance
from services.intake.domain.ids import CaseId, PersonId
from services.intake.domain.refusal import not_found
from services.intake.domain.search import LIKELY, MOST_FOUND, Wanted, words_of


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Another case, why it may be the same household's, and the persons of it that are alike."""

    case_id: CaseId
    status: str
    version: int
    resemblance: Resemblance
    others: dict[PersonId, Findable] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Duplicates:
    version: int
    found: tuple[Duplicate, ...]


async def list_duplicates(work: IntakeWork, asker: Asker, case_id: CaseId) -> Duplicates:
    """Most alike first. For a household in hiding nothing is suggested, and it is suggested to nobody."""
    approach = await work.cases.approach(case_id, asker)
    case, seen = must_see(approach.case, approach.viewer)
    if seen is not Sight.FULL:
        raise not_found()
    if case.confidential:
        return Duplicates(case.version, ())
    searching(approach.viewer)
    found = defaultdict[CaseId, list[Likeness]](list)
    others: dict[PersonId, Findable] = {}
    known = await work.vault.persons(case)
    one_household = set(await whole_household(work, case_id))
    for each in known:
        for like, other in await _alike(work, case, each, one_household):
            found[other.case_id].append(like)
            others[other.person_id] = other
    duplicates = [_duplicate(resemblance(likes), others) for likes in found.values()]
    chosen = sorted(duplicates, key=lambda each: (-each.resemblance.score, each.case_id))[:MOST_DUPLICATES]
    agency = str(case.agency_id)
    persons = [each.person_id for each in known]
    work.access_log.read(asker.worker, agency, case_id, persons, "ListDuplicates")
    log_shown(
        work, approach.viewer, (other for each in chosen for other in each.others.values()), "ListDuplicates"
    )
    return Duplicates(case.version, tuple(chosen))


async def _alike(
    work: IntakeWork, case: Case, one: KnownPerson, one_household: set[CaseId]
) -> list[tuple[Likeness, Findable]]:
    """Persons of other households of the agency who are like this one."""
    words = words_of(f"{one.person.given_name} {one.person.family_name}")
    if not words:
        return []
    candidates = await work.search.candidates(case.agency_id, Wanted(words, one.person.birth_date))
    scores = {each.person_id: each.score for each in candidates if each.score >= LIKELY}
    alike = []
    for other in await work.search.findable(case.agency_id, list(scores)[: 2 * MOST_FOUND]):
        if other.household_id == case.household_id or other.case_id in one_household:
            continue
        pair = (one.person_id, one.person), (other.person_id, other.person)
        if like := likeness(*pair, scores[other.person_id]):
            alike.append((like, other))
    return alike


def _duplicate(alike: Resemblance, others: dict[PersonId, Findable]) -> Duplicate:
    persons = {each.other_id: others[each.other_id] for each in alike.likenesses}
    first = next(iter(persons.values()))
    return Duplicate(first.case_id, first.status, first.version, alike, persons)

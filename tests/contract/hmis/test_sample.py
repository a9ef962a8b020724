"""The sample that the project ships holds what the story needs around it."""

from collections import Counter
from pathlib import Path

from services.intake.adapters.hmis import read_export, sentences
from services.intake.domain.hmis_import import LodgingNeed, Placement, SourceKey

SAMPLE = Path(__file__).parents[2] / "sample" / "hmis-sample"


def test_thirteen_households_in_five_projects() -> None:
    reading = read_export(SAMPLE)
    households = list(reading.households())
    assert reading.report.households_accepted == len(households) == 13
    assert reading.report.persons_accepted == 27
    assert Counter(type(household.lodging).__name__ for household in households) == {
        "Placement": 7,
        "LodgingNeed": 4,
        "NoneType": 2,
    }
    assert sum(household.confidential for household in households) == 3
    assert len(reading.projects) == 5
    assert sum(offer.beds for offer in reading.offers if offer.valid) == 82


def test_there_is_room_for_a_family_tonight() -> None:
    reading = read_export(SAMPLE)
    taken: Counter[str] = Counter()
    for household in reading.households():
        if isinstance(household.lodging, Placement):
            assert household.lodging.over_by == 0
            taken[household.lodging.offer_key or ""] += household.lodging.beds
    free = {offer.source_key: offer.beds - taken[offer.source_key] for offer in reading.offers if offer.valid}
    assert sum(free.values()) == 82 - 17
    assert free[SourceKey("hmis:XX-500:inventory:I1")] == 12


def test_a_pregnant_mother_with_a_toddler_sleeps_outside() -> None:
    found = [
        household
        for household in read_export(SAMPLE).households()
        if any(person.pregnancy for person in household.persons)
    ]
    assert len(found) == 1
    assert found[0].confidential
    assert isinstance(found[0].lodging, LodgingNeed)
    assert found[0].lodging.sleeping == 116


def test_only_the_victim_service_providers_lines_are_refused() -> None:
    reading = read_export(SAMPLE)
    assert {refusal.reason for refusal in reading.report.refusals} == {"victim-service-provider"}
    assert len(reading.report.refusals) == 10
    text = "\n".join(sentences(reading.report))
    assert "13 households (27 persons) taken, 1 refused" in text
    assert "Organization.csv, line 5: refused (victim-service-provider)" in text

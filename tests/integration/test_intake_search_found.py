"""Who is found among some thousand made-up persons, in the way in which `make bench-search` asks among many more."""

from collections import Counter
from pathlib import Path

from services.chassis.call import Principal
from services.intake.domain.search import words_of
from tests.bench.search import (
    FOR_ONE_WORKER,
    PRECISION,
    RECALL,
    STRANGERS,
    Figures,
    find,
    judge,
    questions,
    strangers,
    write_down,
)
from tests.support.intake import OUTREACH, opened_intake
from tests.support.names import People
from tests.support.stack import RunningStack


async def test_nearly_everybody_is_found_and_hardly_anybody_else(stack: RunningStack, tmp_path: Path) -> None:
    households = list(People(seed=21).households(2_000))
    known = [person for household in households for person in household.persons]
    figures = Figures()
    async with opened_intake(stack, tmp_path) as intake:
        assert await write_down(intake, households) == len(known) == 2_000
        assert (
            await intake.count("person")
            == await intake.count("keystore.subject_key") - len(households)
            == 2_000
        )
        for n, asked in enumerate(questions(known, strangers(40), 40)):
            worker = Principal(f"worker-{n // FOR_ONE_WORKER}", OUTREACH.agency, OUTREACH.roles)
            judge(figures.found[asked.kind], asked, await find(intake, asked, worker))
        logged = await intake.count("access_log")
    total = figures.total()
    assert total.recall >= RECALL
    assert total.precision >= PRECISION
    assert logged == total.shown > 0
    assert figures.found[STRANGERS].asked > 20


def test_the_made_up_people_are_as_varied_as_a_citys() -> None:
    persons = [each for household in People(seed=3).households(20_000) for each in household.persons]
    again = [each for household in People(seed=3).households(20_000) for each in household.persons]
    assert persons == again
    names = Counter(words_of(f"{each.given_name} {each.family_name}") for each in persons)
    words = Counter(word for name in names.elements() for word in name)
    assert len(names) > 17_000 and len(words) > 9_000
    most_borne = words.most_common(1)[0][1]
    assert 100 < most_borne < 2_000

"""Whatever intake says that may be known of a household, matching reads as it was said."""

from dataclasses import fields
from uuid import uuid4

from services.intake.adapters.words import facts_message
from services.intake.domain.household import Facts
from services.matching.domain.household import Facts as Known
from services.matching.entrypoints import words

# The same fact under another name; who is told which of two gets one place is the business of its own tests.
RENAMED = {"newborn_space_from_week": "newborn_week"}
OWN = {"one_place", "one_place_revision"}


def test_every_fact_arrives() -> None:
    avoided = frozenset({str(uuid4()), str(uuid4())})
    said = Facts(1, 2, 3, "2026-W48", True, False, True, True, "riverside", 4, avoided)
    read = words.facts(facts_message(said))
    told = {each.name for each in fields(Facts)} - OWN
    assert {RENAMED.get(name, name) for name in told} == {each.name for each in fields(Known)} - OWN
    for name in told:
        assert getattr(read, RENAMED.get(name, name)) == getattr(said, name), name

"""Who sees a case and who may act on it: every combination that matters."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from services.intake.domain.access import (
    WITH_THE_HUB,
    Sight,
    assigned_from_the_start,
    must_act,
    must_see,
    sight,
    status_word,
)
from services.intake.domain.agencies import Agency, AgencyType, Viewer
from services.intake.domain.break_glass import checked_reason, may_break
from services.intake.domain.cases import Case
from services.intake.domain.household import Facts
from services.intake.domain.ids import AgencyId, ArrivalCode, CaseId, HouseholdId, WorkerName
from services.intake.domain.refusal import Refusal

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
AGENCIES = {kind: Agency(AgencyId(uuid4()), kind.value, kind) for kind in AgencyType}


def viewer(name: str, agency: AgencyType | None, *roles: str) -> Viewer:
    found = None if agency is None else AGENCIES[agency]
    return Viewer(WorkerName(name), found, frozenset(roles))


def case(
    *,
    confidential: bool,
    agency: AgencyType = AgencyType.OUTREACH,
    assigned: bool = False,
    glass_broken: bool = False,
) -> Case:
    return Case(
        case_id=CaseId(uuid4()),
        household_id=HouseholdId(uuid4()),
        agency_id=AGENCIES[agency].agency_id,
        opened_by=WorkerName("opener"),
        opened_at=NOON,
        recorded_at=NOON,
        closed_at=None,
        facts=Facts(1, 0, 0, "", False, False, False, confidential, "", 1),
        arrival_code=ArrivalCode("CODE") if confidential else None,
        version=1,
        assigned=assigned,
        glass_broken=glass_broken,
    )


@pytest.mark.parametrize(
    ("name", "agency", "role", "open_case", "hidden", "hidden_assigned"),
    [
        ("opener", AgencyType.OUTREACH, "outreach", Sight.FULL, Sight.STATUS, Sight.FULL),
        ("colleague", AgencyType.OUTREACH, "case_manager", Sight.FULL, Sight.ABSENT, Sight.FULL),
        ("colleague", AgencyType.OUTREACH, "provider", Sight.ABSENT, Sight.ABSENT, Sight.FULL),
        ("other", AgencyType.SHELTER, "case_manager", Sight.ABSENT, Sight.ABSENT, Sight.FULL),
        ("advocate", AgencyType.VICTIM_SERVICE_PROVIDER, "advocate", Sight.ABSENT, Sight.ABSENT, Sight.FULL),
        ("hub", AgencyType.HUB, "hub", Sight.ABSENT, Sight.ABSENT, Sight.FULL),
        ("nobody", None, "outreach", Sight.ABSENT, Sight.ABSENT, Sight.FULL),
    ],
)
def test_sight(
    name: str, agency: AgencyType | None, role: str, open_case: Sight, hidden: Sight, hidden_assigned: Sight
) -> None:
    who = viewer(name, agency, role)
    assert sight(case(confidential=False), who) is open_case
    assert sight(case(confidential=True), who) is hidden
    assert sight(case(confidential=True, assigned=True), who) is hidden_assigned


def test_whoever_left_the_agency_left_the_cases_they_opened() -> None:
    moved = viewer("opener", AgencyType.SHELTER, "outreach")
    assert sight(case(confidential=True), moved) is sight(case(confidential=False), moved) is Sight.ABSENT


@pytest.mark.parametrize(
    ("agency", "role", "seen"),
    [
        (AgencyType.OUTREACH, "case_manager", Sight.FULL),
        (AgencyType.OUTREACH, "provider", Sight.ABSENT),
        (AgencyType.SHELTER, "case_manager", Sight.ABSENT),
        (AgencyType.POLICE, "outreach", Sight.ABSENT),
        (None, "advocate", Sight.ABSENT),
    ],
)
def test_broken_glass_opens_a_case_to_its_own_agency_s_caseworkers_only(
    agency: AgencyType | None, role: str, seen: Sight
) -> None:
    broken = case(confidential=True, glass_broken=True)
    assert sight(broken, viewer("colleague", agency, role)) is seen
    of_the_police = case(confidential=True, glass_broken=True, agency=AgencyType.POLICE)
    assert sight(of_the_police, viewer("colleague", AgencyType.POLICE, role)) is Sight.ABSENT


@pytest.mark.parametrize(
    ("about", "who", "reason"),
    [
        ({"confidential": True}, ("colleague", AgencyType.OUTREACH, "outreach"), None),
        ({"confidential": True}, ("opener", AgencyType.OUTREACH, "outreach"), None),
        ({"confidential": True}, ("colleague", AgencyType.OUTREACH, "provider"), "not-found"),
        ({"confidential": True}, ("colleague", AgencyType.SHELTER, "advocate"), "not-found"),
        (
            {"confidential": True, "agency": AgencyType.POLICE},
            ("opener", AgencyType.POLICE, "outreach"),
            "not-found",
        ),
        ({"confidential": False}, ("colleague", AgencyType.OUTREACH, "outreach"), "not-confidential"),
        (
            {"confidential": True, "assigned": True},
            ("colleague", AgencyType.OUTREACH, "outreach"),
            "assigned-already",
        ),
    ],
)
def test_who_may_break_the_glass(
    about: dict[str, Any], who: tuple[str, AgencyType, str], reason: str | None
) -> None:
    found = case(**about)
    if reason is None:
        assert may_break(found, viewer(*who)) is found
        return
    with pytest.raises(Refusal) as refused:
        may_break(found, viewer(*who))
    assert refused.value.reason == reason


def test_a_breaking_of_the_glass_says_why() -> None:
    assert checked_reason("  She called and is in danger.  ") == "She called and is in danger."
    for said in ("", "x" * 9, " " * 30, "x" * 1_001, "a bell \x07 rings here"):
        with pytest.raises(Refusal) as refused:
            checked_reason(said)
        assert refused.value.reason == "reason-missing"


def test_police_never_see_more_than_the_status_of_their_own_cases() -> None:
    for confidential, assigned in itertools.product((True, False), repeat=2):
        theirs = case(confidential=confidential, agency=AgencyType.POLICE, assigned=assigned)
        assert sight(theirs, viewer("opener", AgencyType.POLICE, "outreach", "advocate")) is Sight.STATUS
        assert sight(theirs, viewer("colleague", AgencyType.POLICE, "outreach", "advocate")) is Sight.ABSENT


def test_the_status_of_a_hidden_case_never_changes_for_its_opener() -> None:
    hidden = case(confidential=True)
    closed = replace(hidden, closed_at=NOON)
    assert status_word(hidden, Sight.STATUS) == status_word(closed, Sight.STATUS) == WITH_THE_HUB
    assert (status_word(hidden, Sight.FULL), status_word(closed, Sight.FULL)) == ("open", "closed")


def test_absent_and_foreign_are_one_answer() -> None:
    answers = []
    for found in (None, case(confidential=True), case(confidential=False)):
        for look in (must_see, must_act):
            with pytest.raises(Refusal) as refused:
                look(found, viewer("other", AgencyType.SHELTER, "case_manager"))
            answers.append(
                (refused.value.kind, refused.value.reason, str(refused.value), refused.value.details)
            )
    assert all(answer == answers[0] for answer in answers)


def test_whoever_handed_the_case_to_the_hub_cannot_act_on_it_any_more() -> None:
    hidden = case(confidential=True)
    opener = viewer("opener", AgencyType.OUTREACH, "outreach")
    with pytest.raises(Refusal) as refused:
        must_act(hidden, opener)
    assert refused.value.reason == "with-the-hub"
    assert must_act(replace(hidden, assigned=True), opener)


def test_police_act_on_their_own_open_cases() -> None:
    theirs = case(confidential=False, agency=AgencyType.POLICE)
    assert must_act(theirs, viewer("opener", AgencyType.POLICE, "outreach")) is theirs


@pytest.mark.parametrize(
    ("agency", "role", "confidential", "assigned"),
    [
        (AgencyType.OUTREACH, "advocate", True, True),
        (AgencyType.OUTREACH, "advocate", False, False),
        (AgencyType.OUTREACH, "outreach", True, False),
        (AgencyType.POLICE, "advocate", True, False),
    ],
)
def test_only_an_advocate_stays_with_a_hidden_case(
    agency: AgencyType, role: str, confidential: bool, assigned: bool
) -> None:
    assert assigned_from_the_start(viewer("opener", agency, role), confidential) is assigned

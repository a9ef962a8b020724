"""Needs as they are asked for, and one word for what became of them."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.arrival import ALPHABET, arrival_code, normalized
from services.intake.domain.ids import AllocationId, CaseId, NeedId
from services.intake.domain.imports import mark
from services.intake.domain.needs import Need, NeedKind, NeedRequest, Urgency, changed_need, need_of
from services.intake.domain.outcomes import (
    Allocation,
    AllocationState,
    NeedState,
    ReferralState,
    Unmatched,
    allocation_state,
    need_state,
    outcome_of,
)
from services.intake.domain.refusal import Refusal

TODAY = date(2026, 11, 24)
ID = NeedId(uuid4())
LODGING = NeedRequest(None, NeedKind.LODGING, "", 0, None, 3, Urgency.TONIGHT)
GOODS = NeedRequest(None, NeedKind.GOODS, "diapers-size-1", 60, None, 0, Urgency.SOON)


HOME = NeedRequest(None, NeedKind.HOUSING, "", 0, None, 0, Urgency.PLANNED)
HELP = replace(HOME, kind=NeedKind.SERVICES, item_id="legal-aid")
JOB = replace(HOME, kind=NeedKind.JOB)
TOMORROW = TODAY + timedelta(days=1)


def test_a_night_that_has_passed_reads_as_tonight() -> None:
    assert need_of(LODGING, ID, TODAY).from_date == TODAY
    assert need_of(replace(LODGING, from_date=TODAY - timedelta(days=2)), ID, TODAY).from_date == TODAY
    later = TODAY + timedelta(days=2)
    assert need_of(replace(LODGING, from_date=later), ID, TODAY).from_date == later


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (replace(LODGING, nights=0), "nights-out-of-range"),
        (replace(LODGING, nights=91), "nights-out-of-range"),
        (replace(LODGING, nights=-1), "nights-out-of-range"),
        (replace(LODGING, quantity=1), "need-fields-mixed"),
        (replace(LODGING, from_date=TODAY + timedelta(days=367)), "date-too-far"),
        (replace(GOODS, quantity=0), "quantity-out-of-range"),
        (replace(GOODS, quantity=5_000), "quantity-out-of-range"),
        (replace(GOODS, item_id="Diapers"), "item-malformed"),
        (replace(GOODS, item_id="a" * 65), "item-malformed"),
        (replace(GOODS, item_id=""), "item-malformed"),
        (replace(GOODS, nights=1), "need-fields-mixed"),
        (replace(GOODS, size="large"), "size-unknown"),
        (replace(GOODS, size="eu-51"), "size-unknown"),
        (replace(LODGING, size="m"), "need-fields-mixed"),
        (replace(HOME, nights=3), "need-fields-mixed"),
        (replace(HOME, item_id="flat"), "need-fields-mixed"),
        (replace(HELP, item_id="magic"), "service-unknown"),
        (replace(HELP, item_id=""), "service-unknown"),
        (replace(JOB, quantity=1), "need-fields-mixed"),
        (replace(JOB, constraints=("quiet",)), "constraint-unknown"),
        (replace(HOME, constraints=("Mara",)), "constraint-unknown"),
        (replace(HOME, constraints=("quiet",) * 11), "too-many-constraints"),
        (replace(LODGING, from_date=TOMORROW, latest_date=TODAY), "window-reversed"),
        (replace(GOODS, latest_date=TODAY + timedelta(days=367)), "date-too-far"),
    ],
)
def test_what_cannot_be_asked_for(request_: NeedRequest, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        need_of(request_, ID, TODAY)
    assert refused.value.reason == reason


def test_the_same_thing_asked_for_has_the_same_mark() -> None:
    assert mark(LODGING) == mark(replace(LODGING, need_id=ID))
    assert len({mark(LODGING), mark(GOODS), mark(replace(LODGING, nights=4))}) == 3


referral_states = st.lists(st.sampled_from(ReferralState), max_size=4)
allocation_states = st.lists(st.sampled_from(AllocationState), max_size=4)


@given(st.booleans(), st.sampled_from([None, *Unmatched]), referral_states, allocation_states)
def test_the_word_is_the_furthest_that_the_need_has_come(
    met: bool, unmatched: Unmatched | None, referrals: list[ReferralState], allocations: list[AllocationState]
) -> None:
    word = need_state(
        withdrawn=False, met=met, unmatched=unmatched, referrals=referrals, allocations=allocations
    )
    if met:
        assert word is NeedState.MET
    elif word is NeedState.PLACED:
        assert ReferralState.ACCEPTED in referrals
    elif word is NeedState.REFERRED:
        assert ReferralState.PROPOSED in referrals
        assert ReferralState.ACCEPTED not in referrals
    elif word is NeedState.ALLOCATED:
        assert {AllocationState.PROPOSED, AllocationState.RESERVED, AllocationState.HANDED_OVER} & set(
            allocations
        )
    else:
        ended = {ReferralState.PROPOSED, ReferralState.ACCEPTED}.isdisjoint(referrals)
        assert ended
        assert word is (NeedState.REPORTED if unmatched is None else NeedState.UNMATCHED)


def test_a_withdrawn_need_is_withdrawn_whatever_else_was_told() -> None:
    word = need_state(
        withdrawn=True, met=False, unmatched=None, referrals=[ReferralState.ACCEPTED], allocations=[]
    )
    assert word is NeedState.WITHDRAWN


@pytest.mark.parametrize(
    ("told", "withdrawn", "state"),
    [
        (None, False, AllocationState.PROPOSED),
        (None, True, AllocationState.WITHDRAWN),
        ("reserved", False, AllocationState.RESERVED),
        ("reserved", True, AllocationState.WITHDRAWN),
        ("refused", False, AllocationState.REFUSED),
        ("refused", True, AllocationState.REFUSED),
        ("handed over", True, AllocationState.HANDED_OVER),
        ("withdrawn", False, AllocationState.WITHDRAWN),
    ],
)
def test_an_allocation_is_one_word_from_two_sides(
    told: str | None, withdrawn: bool, state: AllocationState
) -> None:
    assert allocation_state(told, withdrawn) is state


@pytest.mark.parametrize(("quantity", "reason"), [(60, None), (59, Unmatched.NO_STOCK)])
def test_a_part_that_is_missing_is_said_beside_the_part_that_is_there(
    quantity: int, reason: Unmatched | None
) -> None:
    need = Need(ID, NeedKind.GOODS, "diapers-size-1", 60, None, 0, Urgency.SOON)
    allocations = (Allocation(AllocationId(uuid4()), ID, quantity, AllocationState.RESERVED, "BAG"),)
    outcome = outcome_of(
        need, withdrawn=False, met=False, unmatched=Unmatched.NO_STOCK, referrals=(), allocations=allocations
    )
    assert (outcome.state, outcome.unmatched) == (NeedState.ALLOCATED, reason)


@given(st.binary(min_size=32, max_size=32), st.uuids(), st.integers(0, 3))
def test_a_code_is_always_the_same_and_can_be_said(secret: bytes, case: object, attempt: int) -> None:
    case_id = CaseId(case)  # type: ignore[arg-type]
    code = arrival_code(secret, case_id, attempt)
    assert code == arrival_code(secret, case_id, attempt)
    assert code != arrival_code(secret, case_id, attempt + 1)
    assert len(code) == 8
    assert set(code) <= set(ALPHABET)
    assert normalized(f" {code[:4].lower()}-{code[4:]}") == code


def test_without_the_secret_the_code_is_another() -> None:
    case_id = CaseId(uuid4())
    assert arrival_code(b"a" * 32, case_id) != arrival_code(b"b" * 32, case_id)


@pytest.mark.parametrize("size", ["xxs", "s", "xxxl", "50", "68", "188", "2t", "eu-15", "eu-50"])
def test_a_size_is_one_of_those_that_are_known(size: str) -> None:
    assert need_of(replace(GOODS, size=size), ID, TODAY).size == size


@given(st.from_regex(r"[a-z]{5,12}", fullmatch=True) | st.text(min_size=7))
def test_no_word_of_somebodys_own_passes_as_a_size_or_a_constraint(text: str) -> None:
    for request in (replace(GOODS, size=text), replace(GOODS, constraints=(text,))):
        with pytest.raises(Refusal):
            need_of(request, ID, TODAY)


def test_a_home_a_service_and_a_job_are_wanted_from_a_day_on() -> None:
    assert need_of(HOME, ID, TODAY).from_date == TODAY
    assert need_of(replace(HELP, from_date=TOMORROW), ID, TODAY).from_date == TOMORROW
    assert need_of(JOB, ID, TODAY).nights == 0


def test_a_latest_day_that_has_passed_reads_as_the_first() -> None:
    assert need_of(replace(LODGING, latest_date=TODAY - timedelta(days=3)), ID, TODAY).latest_date == TODAY
    assert need_of(replace(GOODS, latest_date=TOMORROW), ID, TODAY).latest_date == TOMORROW


def test_constraints_are_kept_once_and_in_one_order() -> None:
    request = replace(HOME, constraints=("quiet", "near-school", "quiet"))
    assert need_of(request, ID, TODAY).constraints == ("near-school", "quiet")


def test_a_need_that_becomes_another_stays_of_its_kind_and_item() -> None:
    before = need_of(GOODS, ID, TODAY)
    assert changed_need(before, replace(GOODS, quantity=9), TODAY) == replace(before, quantity=9)
    for other in (LODGING, replace(GOODS, item_id="blanket")):
        with pytest.raises(Refusal, match="take it back"):
            changed_need(before, other, TODAY)
    with pytest.raises(Refusal, match="overrule"):
        changed_need(replace(before, norm="diapers"), GOODS, TODAY)

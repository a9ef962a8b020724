"""A round of goods: by priority, never more than a shelf has, and a shortfall that hides in a crowd."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.matching.domain.goods import Asked, Shelf, WantedGoods, divide, shortfalls
from services.matching.domain.ids import CaseId, NeedId, WarehouseId
from services.matching.domain.needs import Priority, Tier

NOW = datetime(2026, 3, 2, 20, tzinfo=UTC)


def wanted(
    missing: int,
    item: str = "soap",
    area: str = "east",
    since: int = 0,
    of: Tier = Tier.OTHERS,
    case: int = 0,
) -> WantedGoods:
    need_id = NeedId(uuid4())
    case_id = CaseId(UUID(int=case) if case else uuid4())
    priority = Priority(of, NOW + timedelta(minutes=since), need_id)
    return WantedGoods(need_id, case_id, item, missing, area, priority)


def shelf(free: int, number: int = 1, item: str = "soap", area: str = "east") -> Shelf:
    return Shelf(WarehouseId(UUID(int=number)), item, area, free)


def test_who_comes_first_gets_all_before_the_next_gets_any() -> None:
    late, early = wanted(5, since=2), wanted(5, since=1)
    done = divide([late, early], [shelf(7)])
    assert [(each.need_id, each.quantity) for each in done.shares] == [(early.need_id, 5), (late.need_id, 2)]
    assert done.short == ((late, 3),)


def test_a_share_comes_from_one_shelf_and_the_own_area_first() -> None:
    done = divide([wanted(10)], [shelf(20, 1, area="west"), shelf(4, 2)])
    assert [each.quantity for each in done.shares] == [4, 6]


def test_what_was_asked_for_and_not_answered_is_not_there() -> None:
    done = divide([wanted(5)], [shelf(7)], [Asked("soap", "east", 4), Asked("socks", "east", 9)])
    assert [each.quantity for each in done.shares] == [3]


wants = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from(["soap", "socks"]), st.sampled_from(["east", "west", ""])),
    max_size=10,
)
shelves = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["soap", "socks"])), max_size=6)


@given(wants, shelves)
def test_a_round_gives_what_there_is_and_accounts_for_the_rest(
    asked: list[tuple[int, str, str]], filled: list[tuple[int, str]]
) -> None:
    needs = [wanted(missing, item, area, since) for since, (missing, item, area) in enumerate(asked)]
    stock = [shelf(free, number, item) for number, (free, item) in enumerate(filled)]
    done = divide(needs, stock)
    given_out, missing, free, needed = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for share in done.shares:
        assert share.quantity > 0
        assert share.quantity <= max(each.free for each in stock if each.item_id == share.item_id)
        given_out[share.item_id] += share.quantity
    for need, short in done.short:
        missing[need.item_id] += short
    for each in stock:
        free[each.item_id] += each.free
    for one in needs:
        needed[one.item_id] += one.missing
    for item in ("soap", "socks"):
        assert given_out[item] == min(free[item], needed[item])
        assert missing[item] == needed[item] - given_out[item]


def test_a_shortfall_is_pooled_and_rounded_up_to_packs() -> None:
    short = [(wanted(4), 4), (wanted(4), 4), (wanted(4), 3)]
    assert shortfalls(short, {"soap": 10}, k=3) == {("east", "soap"): 2}
    assert shortfalls(short, {"soap": 11}, k=3) == {("east", "soap"): 1}


def test_fewer_than_k_households_are_not_told_however_many_needs_they_have() -> None:
    same = [(wanted(9, case=7), 9) for _ in range(9)]
    assert shortfalls([*same, (wanted(9), 9)], {"soap": 1}, k=3) == {}
    assert shortfalls([*same, (wanted(9), 9), (wanted(9, area="west"), 9)], {"soap": 1}, k=3) == {}
    assert shortfalls([*same, (wanted(9), 9), (wanted(9), 9)], {"soap": 1}, k=3) == {("east", "soap"): 99}


def test_an_unknown_pack_size_keeps_a_line_untold() -> None:
    assert shortfalls([(wanted(9), 9) for _ in range(5)], {"socks": 2}, k=3) == {}

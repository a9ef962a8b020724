"""What of counts may leave: nothing that points at few, and nothing from which few could be had by subtraction."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.reports import (
    CATEGORIES,
    ELSEWHERE,
    REGION,
    Counts,
    Indicator,
    Period,
    days_band,
    destination_class,
    in_areas,
    last_published,
    nights_band,
    told,
)

AREAS = ("hillside", "riverside")


@st.composite
def counted(draw: st.DrawFn) -> tuple[Indicator, Counts]:
    indicator = draw(st.sampled_from(Indicator))
    few_or_many = st.one_of(st.integers(0, 12), st.integers(0, 500))
    cells = [(area, category) for area in (*AREAS, ELSEWHERE) for category in CATEGORIES[indicator]]
    return indicator, {cell: draw(few_or_many) for cell in cells}


@given(counted())
def test_few_are_not_told_and_the_rest_is_rounded(made: tuple[Indicator, Counts]) -> None:
    indicator, counts = made
    for cell in told(indicator, counts, AREAS):
        if cell.area == REGION:
            true = sum(count for (_, category), count in counts.items() if category == cell.category)
        else:
            true = counts[cell.area, cell.category]
        if cell.count is not None:
            assert true >= 10
            assert cell.count % 5 == 0
            assert abs(cell.count - true) <= 2


@given(counted())
def test_nothing_hidden_stands_alone_in_its_row_or_column(made: tuple[Indicator, Counts]) -> None:
    """The column of a category has the region, which is the sum of its areas; a row may have a known sum."""
    indicator, counts = made
    cells = told(indicator, counts, AREAS)
    lines = [[each for each in cells if each.category == category] for category in CATEGORIES[indicator]]
    if len(CATEGORIES[indicator]) > 1:
        lines += [[each for each in cells if each.area == area] for area in (REGION, *AREAS, ELSEWHERE)]
    for line in lines:
        assert sum(cell.count is None for cell in line) != 1


def test_everything_is_told_where_all_are_many() -> None:
    counts = {(area, "returned to the street"): 22 for area in (*AREAS, ELSEWHERE)}
    assert [(each.area, each.count) for each in told(Indicator.RETURNS, counts, AREAS)] == [
        (REGION, 65),
        ("hillside", 20),
        ("riverside", 20),
        (ELSEWHERE, 20),
    ]


def test_one_small_area_takes_another_with_it() -> None:
    counts = {("hillside", "returned to the street"): 3, ("riverside", "returned to the street"): 40,
              (ELSEWHERE, "returned to the street"): 25}  # fmt: skip
    assert {each.area: each.count for each in told(Indicator.RETURNS, counts, AREAS)} == {
        REGION: 70, "hillside": None, "riverside": 40, ELSEWHERE: None,
    }  # fmt: skip


def test_without_areas_only_the_region_is_told() -> None:
    assert {
        each.area for each in told(Indicator.RETURNS, {(ELSEWHERE, "returned to the street"): 12}, ())
    } == {REGION}


@pytest.mark.parametrize(
    ("code", "kind"),
    [(101, "homeless"), (116, "homeless"), (206, "institutional"), (302, "temporary"), (410, "permanent"),
     (435, "permanent"), (8, "unknown"), (99, "unknown"), (24, "unknown")],
)  # fmt: skip
def test_destinations_fall_into_classes_by_their_hundreds(code: int, kind: str) -> None:
    assert destination_class(code) == kind


def test_bands() -> None:
    assert [days_band(days) for days in (0, 7, 8, 30, 31, 180, 181)] == [
        "up to 7", "up to 7", "8 to 30", "8 to 30", "31 to 90", "91 to 180", "more than 180",
    ]  # fmt: skip
    assert [nights_band(nights) for nights in (0, 1, 2, 3, 4, 7, 8, None)] == [
        "same night", "1 night", "2 to 3 nights", "2 to 3 nights", "4 to 7 nights", "4 to 7 nights",
        "more than 7 nights", "none",
    ]  # fmt: skip


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_quarters_follow_each_other_and_each_is_told_once_two_weeks_after_it(day: date) -> None:
    period = Period.of(day)
    assert period.first_day <= day <= period.last_day
    assert Period.parse(period.name) == period
    assert period.next.first_day == period.last_day + timedelta(days=1)
    due = last_published(day)
    assert due.published_on <= day < due.next.published_on


@pytest.mark.parametrize("name", ["2026", "2026-Q0", "2026-Q5", "26-Q1", "2026-q1", "-Q1"])
def test_what_names_no_quarter(name: str) -> None:
    with pytest.raises(ValueError, match=name or "-"):
        Period.parse(name)


def test_an_area_that_is_none_of_the_regions_is_elsewhere() -> None:
    assert [in_areas(each, AREAS) for each in ("riverside", "", "moon")] == [
        "riverside",
        ELSEWHERE,
        ELSEWHERE,
    ]

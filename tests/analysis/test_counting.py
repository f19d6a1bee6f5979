"""The spread over seeds, to the last bit."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.counting import Measure, deviation

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e150, max_value=1e150)


@given(st.lists(NUMBERS, min_size=2, max_size=20))
def test_a_deviation_is_that_of_the_standard_library(values: list[float]) -> None:
    assert deviation(values) == statistics.stdev(values)


@given(st.lists(st.floats(min_value=20, max_value=40), min_size=2, max_size=20))
def test_a_deviation_of_scores_is_that_of_the_standard_library(values: list[float]) -> None:
    assert deviation(values) == statistics.stdev(values)


def test_three_seeds_have_a_students_interval() -> None:
    measure = Measure((1, 2, 3), (1.0, 2.0, 3.0), "")
    assert (measure.mean, measure.deviation) == (2.0, 1.0)
    # t of two degrees of freedom, 97.5 %: 4.303, from a printed table
    assert measure.interval == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)


@pytest.mark.parametrize("values", [(1.0,), ()])
def test_one_seed_has_no_spread(values: tuple[float, ...]) -> None:
    measure = Measure((1,) * len(values), values, "")
    assert measure.deviation is None
    assert measure.interval is None

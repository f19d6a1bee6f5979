"""Mean, deviation and interval over seeds."""

import pytest

from analysis.counting import Measure


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

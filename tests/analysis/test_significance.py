"""Tests over seeds against scipy's own, hand numbers, and made-up arms with a known truth."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.significance import LEVEL, MARGIN, holm, verdicts, welch

EQUAL = [30.0, 30.1, 29.9, 30.05, 29.95]


def test_statistic_and_error_are_scipys_welch():
    first, second = [30.1, 31.4, 29.8], [28.0, 28.9, 30.2, 27.5]
    theirs = stats.ttest_ind(first, second, equal_var=False)
    ours = welch(first, second)
    assert ours is not None
    assert ours.difference / ours.error == pytest.approx(theirs.statistic)


def test_equal_variances_have_the_freedom_of_both_samples():
    """Welch's (1947) formula gives 2 (n + 1) - 2 there, more than there is."""
    theirs = stats.ttest_ind([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    ours = welch([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    assert ours is not None
    assert ours.freedom == pytest.approx(4)
    assert ours.p == pytest.approx(theirs.pvalue)
    low, high = theirs.confidence_interval(0.95)
    assert ours.interval == pytest.approx((low, high))


def test_an_arm_without_spread_leaves_the_freedom_of_the_other():
    ours = welch([1.0, 2.0, 3.0], [5.0, 5.0, 5.0])
    assert ours is not None
    assert ours.freedom == pytest.approx(2)
    assert ours.p == pytest.approx(stats.ttest_1samp([1.0, 2.0, 3.0], 5.0).pvalue)


def test_freedom_lies_between_those_of_one_arm_and_of_both():
    # s²/n = 1/3 and 4/3: (5/3)² / (1/9/4 + 16/9/4) - 2 = 25/9 * 36/17 - 2 = 3.882
    ours = welch([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert ours is not None
    assert ours.freedom == pytest.approx(100 / 17 - 2)


def test_holms_own_steps():
    """0.01 x 4, 0.02 x 3, 0.03 x 2; 0.035 x 1 is less than what came before it."""
    found = holm({"a": 0.03, "b": 0.01, "c": 0.035, "d": 0.02})
    assert found == pytest.approx({"b": 0.04, "d": 0.06, "a": 0.06, "c": 0.06})


def test_equivalence_is_the_worse_of_two_one_sided_tests():
    first, second = [30.1, 30.3, 30.2], [30.0, 30.3, 30.1]
    ours = welch(first, second)
    assert ours is not None
    above = stats.t.cdf((ours.difference - MARGIN) / ours.error, ours.freedom)
    below = stats.t.sf((ours.difference + MARGIN) / ours.error, ours.freedom)
    assert ours.p_outside(MARGIN) == pytest.approx(max(above, below))


def test_verdicts_in_words():
    arms = {
        "up": [value + 2 for value in EQUAL],
        "down": [value - 2 for value in EQUAL],
        "near": [value + 0.02 for value in EQUAL],
        "wild": [28.0, 33.0, 30.0, 27.0, 32.0],
        "alone": [35.0],
        "none": [],
    }
    found = verdicts(EQUAL, arms, MARGIN)
    assert {arm: verdict.word for arm, verdict in found.items()} == {
        "up": "better",
        "down": "worse",
        "near": "the same",
        "wild": "cannot tell",
        "alone": "one seed",
        "none": "no score",
    }


def test_one_seed_of_base_decides_nothing():
    found = verdicts([30.0], {"a": EQUAL, "b": []}, MARGIN)
    assert found["a"].word == "one seed"
    assert found["a"].test is None
    assert found["b"].word == "no score"


def test_seeds_that_do_not_differ_decide_nothing():
    found = verdicts([30.0, 30.0], {"a": [31.0, 31.0]}, MARGIN)
    assert (found["a"].word, found["a"].p) == ("cannot tell", 1.0)


def test_the_more_rows_the_more_it_takes():
    better = [value + 0.15 for value in EQUAL]
    assert verdicts(EQUAL, {"a": better}, 0.01)["a"].word == "better"
    noise = {str(n): [value + n / 1000 for value in EQUAL] for n in range(19)}
    assert verdicts(EQUAL, {"a": better, **noise}, 0.01)["a"].word == "cannot tell"


@pytest.mark.parametrize("spread", [1.0, 3.0])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_equal_arms_are_told_apart_in_five_of_a_hundred_cases(seeds: int, spread: float):
    """The interval covers no difference in all others: it is the same test."""
    rng = np.random.default_rng(seeds)
    cases = 2000
    found = [
        welch(rng.normal(0, spread, seeds).tolist(), rng.normal(0, 1, seeds).tolist())
        for _ in range(cases)
    ]
    wrong = [one for one in found if one is not None and one.p < LEVEL]
    assert len(wrong) == sum(
        one is not None and one.interval is not None and math.prod(one.interval) > 0
        for one in found
    )
    assert 100 * len(wrong) / cases == pytest.approx(5, abs=1.5 + 3 * 0.49)


def test_a_study_of_equal_arms_has_a_wrong_verdict_in_at_most_five_of_a_hundred_cases():
    rng = np.random.default_rng(7)
    cases = 300
    wrong = 0
    for _ in range(cases):
        base, *others = rng.normal(30, 0.3, (20, 3)).tolist()
        found = verdicts(base, {str(n): arm for n, arm in enumerate(others)}, 0.01)
        wrong += any(verdict.word in ("better", "worse") for verdict in found.values())
    assert 100 * wrong / cases < 5 + 3 * 1.26


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_arms_the_margin_apart_are_seldom_called_the_same(seeds: int):
    rng = np.random.default_rng(seeds)
    cases = 1500
    wrong = 0
    for _ in range(cases):
        test = welch(rng.normal(0.5, 0.1, seeds).tolist(), rng.normal(0, 0.1, seeds).tolist())
        wrong += test is not None and test.p_outside(0.5) < LEVEL
    assert 100 * wrong / cases < 5 + 3 * 0.56

"""Seeds until decided, the statistics: levels, intervals, verdicts and how often they are wrong."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from analysis.sequential import FAMILY_ERROR, FUTILE, Design

Floats = NDArray[np.float64]


def draws(seed: int, *size: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(size)


def by_seed(scores: Floats) -> dict[int, float]:
    return dict(enumerate(scores.tolist(), 1))


def ends(design: Design, arms: Floats, base: Floats) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Verdict and seeds of every comparison, walked to its end."""
    shape = np.broadcast_shapes(arms.shape, base.shape)[:-1]
    verdicts, seeds = np.full(shape, "open", "U9"), np.zeros(shape, np.int64)
    for number, count in enumerate(design.looks):
        found = design.look(number, arms[..., :count], base[..., :count])
        now = (verdicts == "open") & (found.verdict != "open")
        verdicts[now], seeds[now] = found.verdict[now], count
    return verdicts, seeds


# What is fixed beforehand


@pytest.mark.parametrize(
    ("most", "looks"),
    [(3, (3,)), (4, (3, 4)), (8, (3, 5, 8)), (13, (3, 5, 8, 13)), (20, (3, 5, 8, 13, 20))],
)
def test_looks_end_with_the_most_seeds(most: int, looks: tuple[int, ...]) -> None:
    assert Design(1, most, None).looks == looks


@pytest.mark.parametrize("comparisons", [1, 4, 19])
@pytest.mark.parametrize("most", [3, 5, 13, 100])
def test_levels_of_all_rows_and_looks_are_the_family_s_error(comparisons: int, most: int) -> None:
    levels = Design(comparisons, most, None).levels
    assert comparisons * sum(levels) == pytest.approx(FAMILY_ERROR)
    assert all(level > 0 for level in levels)


def test_what_is_spent_follows_kim_and_demets() -> None:
    levels = Design(2, 10, None).levels  # looks at 3, 5, 8 and 10 of 10
    assert np.cumsum(levels) == pytest.approx([0.025 * f**2 for f in (0.3, 0.5, 0.8, 1)])


# One look


def test_an_interval_by_hand() -> None:
    """Means 3 and 2, variances 1 and 3, three seeds each: error sqrt(4 / 3)."""
    design = Design(1, 3, None)
    look = design.look(0, np.array([2.0, 3, 4]), np.array([0.0, 3, 3]))
    assert look.difference == 1
    half = 4.302652729911275 * np.sqrt(4 / 3)  # t with 2 degrees of freedom, 97.5 %
    assert (look.low, look.high) == pytest.approx((1 - half, 1 + half))


@pytest.mark.parametrize("number", range(4))
def test_with_a_base_that_never_varies_it_is_the_interval_of_one_sample(number: int) -> None:
    design = Design(3, 13, None)
    scores = draws(number, design.looks[number])
    look = design.look(number, scores, np.full_like(scores, 0.7))
    expected = stats.ttest_1samp(scores, 0.7).confidence_interval(1 - design.levels[number])
    assert (look.low + 0.7, look.high + 0.7) == pytest.approx((expected.low, expected.high))


def test_verdicts_are_read_off_the_interval() -> None:
    design, base = Design(1, 3, 0.5), np.array([-0.01, 0, 0.01])
    arms = np.array([1, -1, 0, 5])[:, None] + np.array([[1], [1], [1], [500]]) * base
    assert design.look(0, arms, base).verdict.tolist() == ["better", "worse", "same", "undecided"]


def test_a_difference_that_is_sure_and_within_the_margin_is_a_difference() -> None:
    base = np.array([-0.01, 0, 0.01])
    assert str(Design(1, 3, 0.5).look(0, base + 0.3, base).verdict) == "better"


def test_without_a_margin_no_row_is_the_same() -> None:
    base = np.array([-0.01, 0, 0.01])
    assert str(Design(1, 3, None).look(0, base, base).verdict) == "undecided"


@pytest.mark.parametrize("change", [lambda x: x + 30, lambda x: 30 - x], ids=["shift", "mirror"])
def test_a_scale_that_is_shifted_or_mirrored_changes_signs_at_most(
    change: Callable[[Floats], Floats],
) -> None:
    design, arms, base = Design(2, 13, 1.0), draws(1, 500, 5) * 2 + 1, draws(2, 500, 5)
    before, after = design.look(1, arms, base), design.look(1, change(arms), change(base))
    assert after.chance == pytest.approx(before.chance)
    assert np.abs(after.difference) == pytest.approx(np.abs(before.difference))
    for verdict in ("same", "undecided", "open"):
        assert ((after.verdict == verdict) == (before.verdict == verdict)).all()


def test_scores_without_any_spread_decide_nothing() -> None:
    """They say that the score does not measure the seeds, not that the next one would agree."""
    look = Design(1, 13, 1.0).look(0, np.full(3, 2.1), np.full(3, 0.1 + 0.2))
    assert (str(look.verdict), float(look.chance)) == ("undecided", 0)


# The chance of a verdict


@pytest.mark.parametrize("margin", [None, 0.4])
@pytest.mark.parametrize("now", [0.0, 0.3, 0.6])
def test_the_chance_is_that_of_futures_drawn_by_hand(margin: float | None, now: float) -> None:
    """With so many seeds that the spread is known: the truth is drawn about what was seen, the
    rest of the seeds about the truth."""
    design = Design(1, 144, margin)
    number = design.looks.index(89)
    scores = stats.norm.ppf((np.arange(89) + 0.5) / 89)
    scores /= scores.std(ddof=1)
    look = design.look(number, scores + now, scores)
    truth = now + draws(3, 200_000) * np.sqrt(2 / 89)
    rest = truth + draws(4, 200_000) * np.sqrt(2 / 55)
    last = (89 * now + 55 * rest) / 144
    half = stats.t.ppf(1 - design.levels[-1] / 2, 143) * np.sqrt(2 / 144)
    told = np.abs(last) > half
    if margin is not None:
        told |= np.abs(last) + half < margin
    assert float(look.chance) == pytest.approx(told.mean(), abs=0.01)


def test_a_row_without_a_chance_gets_no_further_seeds() -> None:
    look = Design(19, 13, None).look(1, draws(5, 2000, 5), draws(6, 2000, 5))
    assert set(look.verdict[look.chance < FUTILE]) == {"undecided"}
    assert set(look.verdict[look.chance >= FUTILE]) <= {"open", "better", "worse"}


# An arm's way


def test_an_arm_waits_for_seeds_of_its_own_and_of_base() -> None:
    design, base = Design(1, 13, None), by_seed(draws(7, 13))
    far = {seed: score + 4 for seed, score in base.items()}
    some = {seed: far[seed] for seed in (1, 2)}
    for arm, other in ((some, base), (far, some), ({2: 1.0, 3: 1.0}, base)):
        standing = design.stand(arm, other)
        assert (standing.verdict, standing.seeds, standing.wanted) == ("open", 0, 3)
        assert standing.difference is None


def test_an_open_arm_wants_the_seeds_of_the_next_look() -> None:
    design = Design(1, 13, None)
    arm, base = np.array([1.0, 3, 2]), np.array([0.0, 1, 1.5])
    standing = design.stand(by_seed(arm), by_seed(base))
    assert (standing.verdict, standing.seeds, standing.wanted) == ("open", 3, 5)
    assert standing.difference == pytest.approx(2 - 2.5 / 3)


def test_a_verdict_stays_whatever_scores_come_after_it() -> None:
    design, base = Design(1, 13, None), draws(8, 13)
    arm = draws(9, 13) + 40
    whole = design.stand(by_seed(arm), by_seed(base))
    assert (whole.verdict, whole.seeds) == ("better", 3)
    arm[3:] = -1000
    assert design.stand(by_seed(arm), by_seed(base)) == whole
    assert design.stand(by_seed(arm[:3]), by_seed(base[:3])) == whole


# How often verdicts are wrong; benchmarks/until_decided.py draws many more


def at_most(hits: NDArray[np.bool_], level: float) -> bool:
    """Whether so many hits are likely where each has this chance at most."""
    count = int(hits.sum())
    return bool(stats.binomtest(count, hits.size, level, alternative="greater").pvalue > 1e-4)


@pytest.mark.parametrize("spread", [1, 4, 100])
@pytest.mark.parametrize("comparisons", [1, 19])
def test_rows_like_base_seldom_differ_however_unlike_their_spreads(
    spread: float, comparisons: int
) -> None:
    verdicts, _ = ends(
        Design(comparisons, 13, None), spread * draws(10, 40_000, 13), draws(11, 40_000, 13)
    )
    assert at_most(np.isin(verdicts, ("better", "worse")), FAMILY_ERROR / comparisons)


def test_rows_that_differ_by_the_margin_are_seldom_the_same() -> None:
    """Only one side can miss, so the error is half of a comparison's."""
    verdicts, _ = ends(Design(1, 13, 2.0), draws(12, 40_000, 13) + 2, draws(13, 40_000, 13))
    assert at_most(verdicts == "same", FAMILY_ERROR / 2)
    assert at_most(verdicts == "worse", FAMILY_ERROR / 2)


def test_in_a_sweep_of_19_rows_on_a_steady_base_any_wrong_verdict_is_rare() -> None:
    """The worst that spreads can do: n - 1 degrees of freedom are then all that there are."""
    arms, base = draws(14, 2000, 19, 13), draws(15, 2000, 1, 13) / 100
    verdicts, _ = ends(Design(19, 13, None), arms, base)
    wrong = np.isin(verdicts, ("better", "worse")).any(-1)
    assert at_most(wrong, FAMILY_ERROR)
    assert wrong.mean() > FAMILY_ERROR / 2  # nor is the rate given away


def test_large_differences_take_few_seeds_and_no_difference_stops_early() -> None:
    design, base = Design(19, 13, None), draws(16, 4000, 13)
    verdicts, seeds = ends(design, draws(17, 4000, 13) + 8, base)
    assert (verdicts == "better").mean() > 0.99
    assert seeds.mean() < 7
    _, seeds = ends(design, draws(18, 4000, 13), base)
    assert seeds.mean() < 7

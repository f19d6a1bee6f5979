"""Resampled sentences: sacreBLEU's own resamples, and made-up sentences with a known truth."""

from collections.abc import Sequence

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest

from analysis import sentences
from analysis.sentences import Floats, against, compare, resampled, weights
from lit_transformer.scoring import bleu_of, sentence_statistics

WORDS = ["the", "a", "small", "large", "house", "dog", "saw", "near", "old", "tree", "ran", "to"]


def texts(seed: int, count: int, kept: float) -> tuple[list[str], list[str]]:
    """References, and hypotheses that keep each word with a probability."""
    rng = np.random.default_rng(seed)
    references = [rng.choice(WORDS, rng.integers(6, 15)).tolist() for _ in range(count)]
    hypotheses = [
        [word if rng.random() < kept else str(rng.choice(WORDS)) for word in words]
        for words in references
    ]
    return [" ".join(words) for words in references], [" ".join(words) for words in hypotheses]


def mean(sums: Floats) -> Floats:
    return sums[..., 0] / sums[..., 1]


def with_counts(values_S: Floats) -> Floats:
    """Sentences' values, and a one for each: their sums give the mean."""
    return np.stack([values_S, np.ones_like(values_S)], 1)


def test_one_seed_each_has_sacrebleus_own_resamples_and_p_value(
    monkeypatch: pytest.MonkeyPatch,
):
    """Its p-value counts one tail alone; ours counts both, of the same scores."""
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    references, base = texts(1, 120, 0.85)
    _, arm = texts(1, 120, 0.84)
    paired = PairedTest([("base", base), ("arm", arm)], {"BLEU": BLEU()}, [references], "bs")
    theirs = paired()[1]["BLEU"][1]
    drawn = weights(120)
    first, second = (
        resampled([sentence_statistics(lines, references)], drawn, bleu_of) for lines in (arm, base)
    )
    assert first.scores_R[0] == pytest.approx(theirs.score)
    assert first.scores_RN.mean() == pytest.approx(theirs.mean)
    apart = np.abs(first.scores_RN[0] - second.scores_RN[0])
    difference = abs(first.scores_R[0] - second.scores_R[0])
    beyond = (apart - apart.mean() > difference).sum()
    assert theirs.p_value == (beyond + 1) / (sentences.RESAMPLES + 1)
    assert compare(first, second).p_both is None
    assert compare(first, second).p >= theirs.p_value


def test_an_arm_against_itself_differs_by_nothing():
    runs = [with_counts(np.random.default_rng(seed).normal(size=50)) for seed in (1, 2)]
    found = against("base", {"base": runs, "same": runs}, mean)
    assert found.keys() == {"same"}
    assert found["same"].deviation == 0
    assert found["same"].p == 1


def test_models_of_one_score_on_all_sentences_do_not_differ():
    """As two that have learnt nothing: no resample can be nearer to a difference of 0."""
    nothing = np.zeros((30, 10))
    found = against("base", {"base": [nothing], "arm": [nothing]}, bleu_of)
    assert found["arm"].p == 1


def test_what_sentences_do_to_all_arms_cancels():
    rng = np.random.default_rng(3)
    shared = rng.normal(0, 100, 80)
    apart = rng.normal(0, 1, (2, 80))
    found = against(
        "base",
        {"base": [with_counts(shared + apart[0])], "a": [with_counts(shared + apart[1])]},
        mean,
    )
    assert found["a"].deviation == pytest.approx((apart[0] - apart[1]).std() / 80**0.5, rel=0.1)


def test_what_sentences_do_to_single_seeds_is_not_counted_twice():
    """Their part of the variance of an arm's mean, in closed form for a mean over sentences."""
    runs_RS = np.random.default_rng(4).normal(size=(3, 200))
    arm = resampled([with_counts(run) for run in runs_RS], weights(200), mean)
    residual_RS = runs_RS - runs_RS.mean(0)
    residual_RS -= residual_RS.mean(1, keepdims=True)
    expected = (residual_RS**2).sum() / (200 * 2) / 200 / 3
    assert arm.of_one_seed == pytest.approx(expected, rel=0.15)


def made_up(
    rng: np.random.Generator, seeds: int, ratio: float, on_arms: float
) -> Sequence[list[Floats]]:
    """Two equal arms; the unit is what sentences do to an arm's mean."""
    unit = 60**0.5
    common = rng.normal(0, 3 * unit, 60)
    return [
        [
            with_counts(common + of_arm + rng.normal(0, unit, 60) + rng.normal(0, ratio))
            for _ in range(seeds)
        ]
        for of_arm in rng.normal(0, on_arms * unit, (2, 60))
    ]


@pytest.mark.parametrize("ratio", [1 / 3, 1.0, 3.0])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_seeds_and_sentences_hold_the_level_on_other_sentences(seeds: int, ratio: float):
    rng = np.random.default_rng(10 * seeds)
    drawn = weights(60)
    cases = 400
    wrong = 0
    for _ in range(cases):
        one, other = (
            resampled(runs, drawn, mean) for runs in made_up(rng, seeds, ratio, on_arms=1.0)
        )
        p_both = compare(one, other).p_both
        wrong += p_both is not None and p_both < 0.05
    assert 100 * wrong / cases == pytest.approx(5, abs=1.5 + 3 * 1.1)


def test_two_models_are_told_apart_in_five_of_a_hundred_cases():
    rng = np.random.default_rng(5)
    drawn = weights(60)
    found = [
        compare(*(resampled(runs, drawn, mean) for runs in made_up(rng, 1, 0.0, on_arms=1.0))).p
        for _ in range(600)
    ]
    assert 100 * np.mean(np.array(found) < 0.05) == pytest.approx(5, abs=1.5 + 3 * 0.9)


def test_the_spread_of_resampled_bleu_is_that_of_other_sentences():
    """BLEU is no mean over sentences; fresh sentences of the same source are the oracle."""

    def scores(seed: int) -> Floats:
        references, hypotheses = texts(seed, 100, 0.8)
        return sentence_statistics(hypotheses, references)

    fresh = [float(bleu_of(scores(seed).sum(0))) for seed in range(100, 200)]
    one = resampled([scores(1)], weights(100), bleu_of)
    assert one.scores_RN.std() == pytest.approx(np.std(fresh), rel=0.3)

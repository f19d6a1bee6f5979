"""How often each test of two equal arms says that they differ: nominally in 5 of 100 cases.

    python benchmarks/error_rates.py --json error_rates.json
    python benchmarks/error_rates.py --read benchmarks/results/error_rates.json

The first takes some five minutes of a core. The second prints the tables of docs/statistics.md.

The truth: the score of seed r of arm a is mu_a + a seed's effect + the mean over sentences of (what
is common to all arms + what the sentence does to the arm + what it does to this seed of the arm),
all normal. The unit is the standard deviation of the mean over sentences of each of the last two;
`ratio` is a seed's effect in that unit. Two questions, and so two nulls:

- these sentences: the arms' expected scores over seeds are equal on the sentences at hand;
- other sentences: mu is equal, and the sentences are a sample as the seeds are.

Where sentences act on seeds alone, the two are one.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean, variance
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy
import turns
from scipy.special import stdtr

from analysis import sentences, significance
from analysis.sentences import Resampled

Floats = npt.NDArray[np.float64]

SENTENCES = 200
SEEDS, RATIOS = (2, 3, 5), (1 / 3, 1.0, 3.0)
COMMON = 3.0
"""What sentences do to all arms, in the unit."""
FEW = (1, 2, 3, 5, 8, 12, 20, 50)
"""Sentences on which two models of one seed are compared."""
ARMS = 19
"""Comparisons of the study in which verdicts are corrected."""
MARGIN = 0.5
AT_ONCE = 20
"""Made-up studies whose sentences are resampled together."""


class Truth(NamedTuple):
    """Which sentences act on what, and which null holds."""

    name: str
    on_arms: float
    these: bool


TRUTHS = (
    Truth("sentences act on seeds alone", 0.0, False),
    Truth("sentences act on arms: these sentences", 1.0, True),
    Truth("sentences act on arms: other sentences", 1.0, False),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=6000, help="made-up studies for each number")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--read", type=Path, help="print the tables of an earlier run")
    given = parser.parse_args()
    found = json.loads(given.read.read_text("utf-8")) if given.read else None
    if found is None:
        found = measure(given.studies, np.random.default_rng(given.seed))
        found["few sentences"] = few(given.studies, np.random.default_rng(given.seed))
        settings = {"studies": given.studies, "seed": given.seed, "sentences": SENTENCES}
        settings |= {"resamples": sentences.RESAMPLES, "arms": ARMS, "common": COMMON}
        versions = {"numpy": np.__version__, "scipy": scipy.__version__}
        found = {"settings": settings, "versions": versions, **turns.machine(), **found}
    print(tables(found))
    if given.json:
        turns.write_json(given.json, found)


def measure(studies: int, rng: np.random.Generator) -> dict[str, Any]:
    """Every rate in per cent."""
    drawn = sentences.weights(SENTENCES)
    return {
        "two sources": [
            {"truth": truth.name, "seeds": seeds, "ratio": ratio}
            | two_sources(truth, seeds, ratio, studies, drawn, rng)
            for truth in TRUTHS
            for seeds in SEEDS
            for ratio in RATIOS
        ],
        "one seed": one_seed(studies, drawn, rng),
        "spreads": [
            {"seeds": counts, "spreads": spread} | over_seeds(counts, spread, 5 * studies, rng)
            for counts in ((2, 2), (3, 3), (5, 5), (3, 2), (2, 3), (5, 3), (3, 5), (5, 2), (2, 5))
            for spread in (1.0, 2.0, 3.0, 10.0)
        ],
        "study": [
            {"seeds": seeds, "unequal": unequal} | whole_study(seeds, unequal, studies, rng)
            for seeds in SEEDS
            for unequal in (0.0, 0.5, 1.0)
        ],
        "the same": [
            {"seeds": seeds, "spread": spread} | equivalence(seeds, spread, 5 * studies, rng)
            for seeds in SEEDS
            for spread in (0.05, 0.2, 0.5)
        ],
    }


def pairs(
    truth: Truth, seeds: int, ratio: float, drawn: Floats, rng: np.random.Generator
) -> Iterator[tuple[Resampled, Resampled]]:
    """Two equal arms, again and again; many at a time are resampled, by `drawn`, as one product."""
    unit = SENTENCES**0.5
    while True:
        common_NS = rng.normal(0, COMMON * unit, (AT_ONCE, SENTENCES))
        of_arms_NAS = rng.normal(0, truth.on_arms * unit, (AT_ONCE, 2, SENTENCES))
        if truth.these:
            of_arms_NAS -= of_arms_NAS.mean(-1, keepdims=True)
        runs_NARS = rng.normal(0, unit, (AT_ONCE, 2, seeds, SENTENCES))
        runs_NARS += rng.normal(0, ratio, (AT_ONCE, 2, seeds, 1))
        runs_NARS += (common_NS[:, None] + of_arms_NAS)[:, :, None]
        scores_NAR = runs_NARS.mean(-1)
        resampled_NARB = runs_NARS @ drawn.T / SENTENCES
        for scores_AR, resampled_ARB in zip(scores_NAR, resampled_NARB, strict=True):
            one, other = map(Resampled, scores_AR, resampled_ARB)
            yield one, other


def two_sources(
    truth: Truth, seeds: int, ratio: float, studies: int, drawn: Floats, rng: np.random.Generator
) -> dict[str, float]:
    """Rates of every method."""
    made = pairs(truth, seeds, ratio, drawn, rng)

    def study() -> dict[str, float]:
        one, other = next(made)
        found = sentences.compare(one, other)
        assert found.p_both is not None
        return {
            **seeds_alone(one.scores_R.tolist(), other.scores_R.tolist()),
            "sentences": found.p,
            "hierarchical": hierarchical(one, other, rng),
            "both, Satterthwaite": satterthwaite(one, other, found.deviation),
            "seeds and sentences": found.p_both,
        }

    return rates(study, studies)


def seeds_alone(first: Sequence[float], second: Sequence[float]) -> dict[str, float]:
    """Tests that take no notice of sentences."""
    kept = significance.welch(first, second)
    assert kept is not None
    parts = [variance(values) / len(values) for values in (first, second)]
    counts = [len(first), len(second)]
    squares = sum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True))
    degrees = sum(counts) - 2.0
    pooled = sum((n - 1) * n * part for part, n in zip(parts, counts, strict=True)) / degrees
    error = (pooled * sum(1 / count for count in counts)) ** 0.5
    return {
        "Welch": kept.p,
        "Welch-Satterthwaite": two_sided(
            kept.difference, sum(parts) ** 0.5, sum(parts) ** 2 / squares
        ),
        "Student": two_sided(kept.difference, error, degrees),
    }


def two_sided(difference: float, error: float, freedom: float) -> float:
    return float(2 * stdtr(freedom, -abs(difference) / error))


def satterthwaite(one: Resampled, other: Resampled, deviation: float) -> float:
    """Seeds and sentences with the degrees of freedom as the formula has them."""
    parts = [float(arm.scores_R.var(ddof=1)) / len(arm.scores_R) for arm in (one, other)]
    whole = sum(parts) + max(0.0, deviation**2 - one.of_one_seed - other.of_one_seed)
    squares = sum(part**2 for part in parts) / (len(one.scores_R) - 1)
    difference = float(one.scores_R.mean() - other.scores_R.mean())
    return two_sided(difference, whole**0.5, whole**2 / squares)


def hierarchical(one: Resampled, other: Resampled, rng: np.random.Generator) -> float:
    """Seeds are resampled within the sentences' resamples; by percentiles."""
    means = []
    for arm in (one, other):
        count, resamples = arm.scores_RN.shape
        places = rng.integers(count, size=(count, resamples))
        means.append(np.take_along_axis(arm.scores_RN, places, 0).mean(0))
    above = float(np.mean(means[0] > means[1]))
    return 2 * min(above, 1 - above)


def one_seed(studies: int, drawn: Floats, rng: np.random.Generator) -> dict[str, float]:
    """Two models that are equal on the source: ours, and sacreBLEU's paired bootstrap."""
    made = pairs(Truth("", 1.0, False), 1, 0.0, drawn, rng)

    def study() -> dict[str, float]:
        one, other = next(made)
        apart_N = np.abs(one.scores_RN[0] - other.scores_RN[0])
        beyond = apart_N - apart_N.mean() > abs(float(one.scores_R[0] - other.scores_R[0]))
        return {
            "sentences": sentences.compare(one, other).p,
            "sacreBLEU": float((beyond.sum() + 1) / (len(apart_N) + 1)),
        }

    return rates(study, studies)


def few(studies: int, rng: np.random.Generator) -> dict[str, float]:
    """As `one_seed`, ours, by the number of sentences."""
    found = {}
    for count in FEW:
        drawn = sentences.weights(count)

        def study(drawn: Floats = drawn, count: int = count) -> dict[str, float]:
            made = (rng.normal(size=count) for _ in range(2))
            one, other = (Resampled(np.array([x.mean()]), (drawn @ x / count)[None]) for x in made)
            return {"sentences": sentences.compare(one, other).p}

        found[str(count)] = rates(study, studies)["sentences"]
    return found


def over_seeds(
    counts: tuple[int, int], spread: float, studies: int, rng: np.random.Generator
) -> dict[str, float]:
    """Arms with `counts` seeds, the first with a spread `spread` times that of the second."""
    return rates(
        lambda: seeds_alone(
            rng.normal(0, spread, counts[0]).tolist(), rng.normal(0, 1, counts[1]).tolist()
        ),
        studies,
    )


def whole_study(
    seeds: int, unequal: float, studies: int, rng: np.random.Generator
) -> dict[str, float]:
    """Studies in which some verdict is wrong; the arms' spreads are log-normal."""

    def study() -> dict[str, float]:
        spreads = np.exp(rng.normal(0, unequal, ARMS + 1))
        base, *others = (rng.normal(0, spread, seeds).tolist() for spread in spreads)
        named = {str(place): values for place, values in enumerate(others)}
        found = significance.verdicts(base, named, MARGIN)
        pooled = fmean(variance(values) for values in (base, *others)) * 2 / seeds
        over_all = [
            two_sided(fmean(values) - fmean(base), pooled**0.5, (ARMS + 1.0) * (seeds - 1))
            for values in others
        ]
        alone = [seeds_alone(values, base)["Student"] for values in others]
        return {
            "Welch": min(one.p for one in found.values() if one.p is not None),
            "Student": ARMS * min(alone),
            "one spread for all arms": ARMS * min(over_all),
        }

    return rates(study, studies)


def equivalence(
    seeds: int, spread: float, studies: int, rng: np.random.Generator
) -> dict[str, float]:
    """Arms exactly the margin apart that are called the same."""

    def study() -> dict[str, float]:
        test = significance.welch(
            rng.normal(MARGIN, spread, seeds).tolist(), rng.normal(0, spread, seeds).tolist()
        )
        assert test is not None
        return {"two one-sided tests": test.p_outside(MARGIN)}

    return rates(study, studies)


def rates(study: Callable[[], dict[str, float]], studies: int) -> dict[str, float]:
    """In how many of 100 studies each p-value is below the level."""
    p_values = [study() for _ in range(studies)]
    return {
        name: 100 * fmean(one[name] < significance.LEVEL for one in p_values)
        for name in p_values[0]
    }


def tables(found: dict[str, Any]) -> str:
    """Markdown; what strays from 5 % by more than 1.5 is marked."""
    methods = (
        *("Welch", "Welch-Satterthwaite", "Student", "sentences", "hierarchical"),
        *("both, Satterthwaite", "seeds and sentences"),
    )
    parts = []
    for truth in TRUTHS:
        rows = [one for one in found["two sources"] if one["truth"] == truth.name]
        parts.append(f"{truth.name[0].upper()}{truth.name[1:]}:")
        parts.append(
            turns.table(
                ("seeds", "seed : sentence", *methods),
                [
                    [str(r["seeds"]), _ratio(r["ratio"]), *(_cell(r[m]) for m in methods)]
                    for r in rows
                ],
            )
        )
    alone = ("Welch", "Welch-Satterthwaite", "Student")
    study = ("Welch", "Student", "one spread for all arms")
    one = found["one seed"]
    parts += [
        "One seed each, other sentences:",
        turns.table(("", *one), [["two models", *(_cell(rate) for rate in one.values())]]),
        "The same, by the number of sentences:",
        turns.table(
            ("", *found["few sentences"]),
            [["two models", *(_cell(rate) for rate in found["few sentences"].values())]],
        ),
        "Seeds alone, arms of unequal spreads:",
        turns.table(
            ("seeds", "spreads", *alone),
            [
                [
                    " and ".join(map(str, r["seeds"])),
                    f"{r['spreads']:g} : 1",
                    *(_cell(r[m]) for m in alone),
                ]
                for r in found["spreads"]
            ],
        ),
        f"A study of {found['settings']['arms']} rows and base, after Holm's correction:",
        turns.table(
            ("seeds", "spreads of the arms", *study),
            [
                [str(r["seeds"]), _unequal(r["unequal"]), *(_cell(r[m]) for m in study)]
                for r in found["study"]
            ],
        ),
        f"Arms {MARGIN:g} apart that are called the same ±{MARGIN:g}:",
        turns.table(
            ("seeds", "spread", "two one-sided tests"),
            [
                [str(r["seeds"]), f"{r['spread']:g}", f"{r['two one-sided tests']:.1f}"]
                for r in found["the same"]
            ],
        ),
    ]
    return "\n\n".join(parts)


def _ratio(ratio: float) -> str:
    return f"{ratio:g} : 1" if ratio >= 1 else f"1 : {1 / ratio:g}"


def _unequal(deviation: float) -> str:
    return f"log-normal, {deviation:g}" if deviation else "equal"


def _cell(rate: float) -> str:
    return f"{rate:.1f}" if abs(rate - 100 * significance.LEVEL) <= 1.5 else f"({rate:.1f})"


if __name__ == "__main__":
    main()

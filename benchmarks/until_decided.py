"""What `sweep --until decided` promises, by simulation: errors, power and seeds.

    python benchmarks/until_decided.py --sweeps 20000 --json until_decided.json

Scores are drawn, not trained: normal ones, unless said otherwise, with base's spread as the unit of
all differences. Sweeps are looked at by `analysis.sequential` itself. Three tables: the error of
one comparison under the design as it is and under others that were not chosen; the chance of any
wrong verdict in sweeps of 19 comparisons that share one base; verdicts and seeds beside a design of
fixed size. A verdict is wrong when it says better or worse of a row that is not, or the same of one
that differs by the margin or more.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy
import turns
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from analysis.sequential import FAMILY_ERROR, FUTILE, MOST_SEEDS, Design

Floats = NDArray[np.float64]
ROWS = 19
"""Comparisons of Table 3."""
SPREADS = (1.0, 1.5, 2.0, 4.0, 16.0)
"""An arm's standard deviation over base's."""
EFFECTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
"""True differences, in standard deviations of a score."""
CHUNK = 20_000
"""Comparisons drawn at once."""


class Ended(NamedTuple):
    """Of each comparison: its verdict and the seeds that it took."""

    verdicts: NDArray[np.str_]
    seeds: NDArray[np.int64]


def walk(design: Design, arms: Floats, base: Floats) -> Ended:
    """Every comparison to its end; scores (..., most seeds)."""
    shape = np.broadcast_shapes(arms.shape, base.shape)[:-1]
    verdicts, seeds = np.full(shape, "open", "U9"), np.zeros(shape, np.int64)
    for number, count in enumerate(design.looks):
        found = design.look(number, arms[..., :count], base[..., :count])
        now = (verdicts == "open") & (found.verdict != "open")
        verdicts[now], seeds[now] = found.verdict[now], count
    return Ended(verdicts, seeds)


def wrong(verdicts: NDArray[np.str_], truth: Floats, margin: float | None) -> NDArray[np.bool_]:
    """Whether a verdict contradicts the true difference."""
    same = np.zeros_like(truth, bool) if margin is None else np.abs(truth) >= margin
    return (
        ((verdicts == "better") & (truth <= 0))
        | ((verdicts == "worse") & (truth >= 0))
        | ((verdicts == "same") & same)
    )


# One comparison: the design that was chosen, and others


def pocock(error: float, fraction: Floats) -> Floats:
    """Lan and DeMets's function like Pocock's bounds."""
    return error * np.log1p((np.e - 1) * fraction)


def kim(error: float, fraction: Floats) -> Floats:
    """Kim and DeMets's, with power 2."""
    return error * fraction**2


def obrien(error: float, fraction: Floats) -> Floats:
    """Lan and DeMets's function like O'Brien and Fleming's bounds."""
    return np.asarray(2 - 2 * ndtr(ndtri(1 - error / 2) / np.sqrt(fraction)))


SPENDING: Mapping[str, Callable[[float, Floats], Floats]] = {
    "t², as it is": kim,
    "like Pocock": pocock,
    "like O'Brien-Fleming": obrien,
}


def crossed(arms: Floats, base: Floats, spent: Floats, looks: Sequence[int], welch: bool) -> Any:
    """Seeds at which |t| first crosses, 0: never; levels are what each look adds to `spent`."""
    found = np.zeros(arms.shape[:-1], np.int64)
    for count, level in zip(looks, np.diff(spent, prepend=0), strict=True):
        one, two = arms[..., :count].var(-1, ddof=1), base[..., :count].var(-1, ddof=1)
        freedom = (one + two) ** 2 / (one**2 + two**2) * (count - 1) if welch else count - 1
        difference = arms[..., :count].mean(-1) - base[..., :count].mean(-1)
        bound = stdtrit(freedom, 1 - level / 2) * np.sqrt((one + two) / count)
        found[(found == 0) & (np.abs(difference) > bound)] = count
    return found


def alternatives(draws: int, generator: np.random.Generator) -> list[list[str]]:
    """Errors over what was meant, at each spread, and power and seeds, at equal spreads."""
    error, looks = FAMILY_ERROR / ROWS, Design(ROWS, MOST_SEEDS, None).looks
    rows = []
    for name, spending in SPENDING.items():
        spent = spending(error, np.array(looks) / looks[-1])
        for welch in (False, True):

            def crossings(count: int, spread: float, effect: float, welch: bool = welch) -> Any:
                size = (count, looks[-1])
                arms = effect + spread * generator.standard_normal(size)
                return crossed(arms, generator.standard_normal(size), spent, looks, welch)  # noqa: B023

            cells = [name, "Welch's" if welch else "n - 1"]
            for spread in SPREADS:
                hits = [np.mean(crossings(CHUNK, spread, 0) > 0) for _ in range(draws // CHUNK)]
                cells.append(f"{np.mean(hits) / error:.2f}")
            for effect in (2.0, 4.0):
                seeds = crossings(CHUNK, 1, effect)
                mean = np.where(seeds > 0, seeds, looks[-1]).mean()
                cells.append(f"{np.mean(seeds > 0):.2f} / {mean:.1f}")
            rows.append(cells)
    return rows


# A whole sweep


class World(NamedTuple):
    """What is true of 19 rows, and how their scores fall."""

    name: str
    truth: Floats
    spreads: Floats
    base: float
    """Its spread."""
    margin: float | None
    draw: Callable[[np.random.Generator, tuple[int, ...]], Floats]


def normal(generator: np.random.Generator, size: tuple[int, ...]) -> Floats:
    return generator.standard_normal(size)


def heavy(generator: np.random.Generator, size: tuple[int, ...]) -> Floats:
    """Student's t with 3 degrees of freedom."""
    return generator.standard_t(3, size)


def lapses(generator: np.random.Generator, size: tuple[int, ...]) -> Floats:
    """One seed in ten lands four standard deviations lower; the mean is 0."""
    return generator.standard_normal(size) - 4 * (generator.random(size) < 0.1) + 0.4


def worlds() -> list[World]:
    none, equal = np.zeros(ROWS), np.ones(ROWS)
    mixed, steps = np.geomspace(1 / 4, 4, ROWS), np.linspace(0, 4, ROWS)
    halves = np.arange(ROWS) % 2 * 2.0
    return [
        World("no row differs", none, equal, 1, None, normal),
        World("no row differs, spreads 1/4 to 4", none, mixed, 1, None, normal),
        World("no row differs, base 16 times as steady", none, equal, 1 / 16, None, normal),
        World("no row differs, rows 16 times as steady", none, equal / 16, 1, None, normal),
        World("rows differ by 0 to 4", steps, equal, 1, None, normal),
        World("rows differ by 0 to 4, spreads 1/4 to 4", steps, mixed, 1, None, normal),
        World("half differ by the margin, 2", halves, equal, 1, 2.0, normal),
        World("half differ by the margin, 2, spreads 1/4", halves, equal / 4, 1 / 4, 2.0, normal),
        World("no row differs, heavy tails (t, 3 degrees)", none, equal, 1, None, heavy),
        World("no row differs, one seed in ten lapses", none, equal, 1, None, lapses),
        World("the same, base 16 times as steady", none, equal, 1 / 16, None, lapses),
    ]


def families(sweeps: int, generator: np.random.Generator) -> list[list[str]]:
    """The chance of any wrong verdict, and the mean seeds of a row."""
    rows = []
    for world in worlds():
        design, each = Design(ROWS, MOST_SEEDS, world.margin), CHUNK // ROWS
        errors: list[bool] = []
        seeds: list[float] = []
        while len(errors) < sweeps:
            base = world.base * world.draw(generator, (each, 1, MOST_SEEDS))
            drawn = world.draw(generator, (each, ROWS, MOST_SEEDS))
            arms = world.truth[:, None] + world.spreads[:, None] * drawn
            ended = walk(design, arms, base)
            bad = wrong(
                ended.verdicts, np.broadcast_to(world.truth, ended.seeds.shape), world.margin
            )
            errors += bad.any(-1).tolist()
            seeds.append(float(ended.seeds.mean()))
        share = np.mean(errors)
        spread = np.sqrt(share * (1 - share) / len(errors))
        rows.append([world.name, f"{share:.4f} ± {spread:.4f}", f"{np.mean(seeds):.1f}"])
    return rows


# Power and seeds beside a fixed number of seeds


def powers(draws: int, generator: np.random.Generator) -> list[list[str]]:
    rows = []
    for comparisons in (1, 4, ROWS):
        for effect in EFFECTS:
            size = (draws, MOST_SEEDS)
            arms, base = effect + generator.standard_normal(size), generator.standard_normal(size)
            cells = [f"{comparisons}", f"{effect:g}"]
            for margin in (None, 2.0):
                ended = walk(Design(comparisons, MOST_SEEDS, margin), arms, base)
                different = np.isin(ended.verdicts, ("better", "worse")).mean()
                same = "" if margin is None else f" / {np.mean(ended.verdicts == 'same'):.2f}"
                cells += [f"{different:.2f}{same}", f"{ended.seeds.mean():.1f}"]
            for count in (5, MOST_SEEDS):
                spent = np.array([FAMILY_ERROR / comparisons])
                seeds = crossed(arms[:, :count], base[:, :count], spent, [count], welch=False)
                cells.append(f"{np.mean(seeds > 0):.2f}")
            rows.append(cells)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sweeps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    generator = np.random.default_rng(given.seed)
    versions = {"numpy": np.__version__, "scipy": scipy.__version__}
    settings = {
        **{"sweeps": given.sweeps, "seed": given.seed, "family error": FAMILY_ERROR},
        **{"most seeds": MOST_SEEDS, "futile": FUTILE, "looks": Design(1, MOST_SEEDS, None).looks},
    }
    print(f"{settings}\n{versions}")
    effects = ("power / seeds at 2", "at 4")
    heads = {
        "alternatives": ("spending", "freedom", *(f"{s:g}" for s in SPREADS), *effects),
        "families": ("world", "any wrong verdict", "seeds a row"),
        "powers": (
            *("rows", "difference", "decided", "seeds", "with margin 2: different / same", "seeds"),
            *("fixed 5 seeds", f"fixed {MOST_SEEDS}"),
        ),
    }
    tables = {}
    for name, make, count in (
        ("families", families, given.sweeps),
        ("powers", powers, given.sweeps),
        ("alternatives", alternatives, 20 * given.sweeps),
    ):
        tables[name] = make(count, generator)
        print(f"\n{turns.table(heads[name], tables[name])}", flush=True)
    if given.json:
        found = {name: {"head": heads[name], "rows": rows} for name, rows in tables.items()}
        about = {"settings": settings, "versions": versions, **turns.machine()}
        turns.write_json(given.json, {**about, **found})


if __name__ == "__main__":
    main()

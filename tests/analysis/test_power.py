"""Power against simulation and textbook numbers, and the pilot's spread of a table."""

import re
from pathlib import Path

import numpy as np
import pytest

from analysis import power, published, tables
from analysis.power import Spread
from analysis.significance import LEVEL, welch
from analysis.tables import Table
from tests.analysis.example import heading, run, stored, trials


@pytest.fixture(scope="module")
def piloted() -> Table:
    """Two rows of three seeds with known spreads, one of a single seed, one not run."""
    some = trials("grammar", ["base", "A1", "C1", "E"], [1, 2, 3])
    scores = {"base": (29.0, 30.0, 31.0), "A1": (27.0, 29.0, 31.0), "C1": (25.0,)}
    records = [
        run(trial, scores[trial.arm][trial.seed - 1], 2.0)
        for trial in some
        if trial.seed <= len(scores.get(trial.arm, ()))
    ]
    return tables.build(heading("grammar"), some, stored(records), published.load())


@pytest.mark.parametrize(("difference", "seeds"), [(1.0, 17), (0.8, 26), (0.5, 64)])
def test_seeds_are_those_of_the_printed_tables(difference: float, seeds: int):
    """Cohen's tables of the two-sample t-test, 5 % two-sided, power 0.8."""
    assert power.seeds_needed(difference, 1.0, comparisons=1) == seeds


@pytest.mark.parametrize(("seeds", "comparisons"), [(2, 1), (3, 1), (3, 4), (5, 19)])
def test_the_smallest_difference_is_found_four_times_in_five(seeds: int, comparisons: int):
    smallest = power.smallest_difference(2.0, seeds, comparisons)
    assert smallest is not None
    rng = np.random.default_rng(seeds)
    cases = 1500
    found = 0
    for _ in range(cases):
        arm, base = rng.normal(smallest, 2.0, seeds), rng.normal(0, 2.0, seeds)
        test = welch(arm.tolist(), base.tolist())
        found += test is not None and test.p < LEVEL / comparisons
    assert found / cases == pytest.approx(0.8, abs=3 * 0.0103)


def test_the_page_s_table_of_smallest_differences_is_this_one():
    page = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text("utf-8")
    head, _, *rows = re.findall(r"^\|(.*)\|$", page[page.index("| rows compared") :], re.M)
    counts = [int(seeds) for seeds in re.findall(r"(\d+) seeds", head)]
    for row in rows:
        comparisons, *printed = (float(cell) for cell in row.split("|"))
        found = [power.smallest_difference(1.0, n, int(comparisons)) for n in counts]
        assert printed == pytest.approx(found, abs=0.051)
    assert len(rows) == 3


def test_needed_seeds_show_the_difference_and_one_fewer_does_not():
    seeds = power.seeds_needed(1.5, 1.0, comparisons=19)
    assert seeds is not None
    enough = power.smallest_difference(1.0, seeds, 19)
    fewer = power.smallest_difference(1.0, seeds - 1, 19)
    assert enough is not None
    assert fewer is not None
    assert enough <= 1.5 < fewer


def test_what_no_sensible_number_of_seeds_shows_has_none():
    assert power.seeds_needed(0.1, 1.0, comparisons=19) is None
    assert power.seeds_needed(0.0, 1.0, comparisons=1) is None
    assert power.smallest_difference(1.0, 1, 1) is None
    assert power.power(9.0, 1, 1) == 0


def test_a_pilots_spread_is_the_rows_and_bases_or_that_of_all(piloted: Table):
    found = power.pilot(piloted)
    assert found["A1"] == Spread(pytest.approx(((2 * 1 + 2 * 4) / 4) ** 0.5), 4)
    assert found["C1"] == found["E"] == Spread(pytest.approx(2.5**0.5), 4)
    assert "base" not in found


def test_rows_that_cannot_be_decided_are_told_from_those_that_can(piloted: Table):
    spreads = {arm: Spread(0.2, 0) for arm in ("A1", "C1", "E")}
    found = {one.arm: one for one in power.prospects(piloted, spreads, 3, None)}
    assert found["A1"].expected == pytest.approx(-0.9)
    assert found["C1"].seeds is not None
    assert found["A1"].seeds is not None
    assert found["C1"].seeds < found["A1"].seeds
    assert found["E"].seeds == power.seeds_needed(0.1, 0.2, 3)
    assert found["E"].smallest == power.smallest_difference(0.2, 3, 3)


def test_a_difference_of_ones_own_is_looked_for_in_every_row(piloted: Table):
    spreads = {arm: Spread(0.2, 0) for arm in ("A1", "C1", "E")}
    found = power.prospects(piloted, spreads, 3, 1.0)
    assert {one.expected for one in found} == {1.0}
    assert {one.seeds for one in found} == {power.seeds_needed(1.0, 0.2, 3)}


def test_nothing_finished_twice_is_no_pilot():
    some = trials("grammar", ["base", "A1"], [1])
    table = tables.build(heading("grammar"), some, stored([run(some[0], 30, 2)]), None)
    assert power.pilot(table) == {}

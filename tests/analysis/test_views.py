"""Arms at equal budgets, on curves whose readings can be worked out by hand."""

from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from analysis import tables, views
from analysis.tables import Table
from tests.analysis.example import curve, diverged, heading, run, stored, trials

STEPS = 800
"""Of every arm here."""


def table_of(seeds: Sequence[int] = (1,)) -> Table:
    """C5 costs 2.6 times base's operations and twice its time; the tokens are the same."""
    some = trials("grammar", ["base", "C5"], seeds, STEPS)
    spent = {"base": (2e14, 100.0), "C5": (5.2e14, 200.0)}
    records = [
        run(t, 30, 2)
        | {"score.cost.target_tokens": 8e5, "score.cost.flops": spent[t.arm][0]}
        | {"score.cost.train_seconds": spent[t.arm][1]}
        for t in some
    ]
    return tables.build(heading("grammar"), some, stored(records), None)


def histories(table: Table, bleu: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """A point every 100 updates."""
    return pd.concat(
        curve(found.run_id, name, values)
        for found in table.runs
        for name, values in (
            ("valid.curve_bleu", bleu[found.arm]),
            ("valid.perplexity", [100 / value for value in bleu[found.arm]]),
        )
    )


RISING = [1.0, 2, 3, 4, 5, 6, 7, 8]
CURVES = {"base": RISING, "C5": [10 * value for value in RISING]}


def read(table: Table, points: pd.DataFrame, arm: str, budget: views.Budget) -> views.Reading:
    means = views.by_arm(points)
    step = views.last_step(means, arm, budget, views.limit(means, budget))
    return views.reading(points, step, arm, views.measures(table))


@pytest.mark.parametrize(
    ("budget", "limit", "base_at", "c5_at"),
    [
        ("updates", 800, 800, 800),
        ("tokens", 8e5, 800, 800),
        # C5 spends 6.5e11 an update: 307 updates' worth of 2e14, so its validation at 300.
        ("operations", 2e14, 800, 300),
        ("seconds", 100, 800, 400),
    ],
)
def test_each_arm_is_read_at_its_last_validation_within_the_budget(
    budget: views.Budget, limit: float, base_at: int, c5_at: int
) -> None:
    table = table_of()
    points = views.spent(table, histories(table, CURVES))
    assert views.limit(views.by_arm(points), budget) == pytest.approx(limit)
    base, c5 = (read(table, points, arm, budget) for arm in ("base", "C5"))
    assert (base.step, c5.step) == (base_at, c5_at)
    assert base.measures["valid.curve_bleu"].mean == base_at / 100
    assert c5.measures["valid.curve_bleu"].mean == c5_at / 10
    assert c5.measures["valid.perplexity"].mean == pytest.approx(1000 / c5_at)


def test_the_budget_is_what_the_shortest_run_reached() -> None:
    table = table_of()
    short = histories(table, {**CURVES, "base": RISING[:2]})
    points = views.spent(table, short)
    assert views.limit(views.by_arm(points), "updates") == 200
    assert read(table, points, "C5", "updates").measures["valid.curve_bleu"].mean == 20


def test_an_arm_without_a_validation_within_the_budget_has_no_value() -> None:
    table = table_of()
    some = histories(table, CURVES)
    late = table.rows[1].runs[0].run_id
    some = some[(some["run_id"] != late) | (some["step"] == 800)]
    section = views.section(table, some)
    assert section is not None
    cells = {column.name: [cell.text for cell in column.cells] for column in section.columns}
    assert cells["operations.valid.curve_bleu"] == ["8.00", "–"]
    assert cells["updates.valid.curve_bleu"] == ["8.00", "80.00"]


def test_what_a_trial_had_spent_at_a_validation_comes_before_its_share_of_the_whole() -> None:
    """A machine that was slow at first: half the time is gone after the first of eight points."""
    table = table_of()
    base = table.base.runs[0].run_id
    seconds = [50.0, 55, 60, 65, 70, 80, 90, 100]
    told = pd.concat([histories(table, CURVES), curve(base, "cost.train_seconds", seconds)])
    points = views.spent(table, told)
    assert points[points["arm"] == "base"]["seconds"].tolist() == seconds
    assert points[points["arm"] == "C5"]["seconds"].tolist() == [25.0 * n for n in range(1, 9)]


def test_seeds_are_read_apart_and_averaged() -> None:
    table = table_of(seeds=(1, 2))
    some = histories(table, CURVES)
    second = some["run_id"].isin([r.run_id for r in table.runs if r.seed == 2])
    some.loc[second & (some["metric"] == "valid.curve_bleu"), "value"] += 1
    points = views.spent(table, some)
    measure = read(table, points, "base", "updates").measures["valid.curve_bleu"]
    assert (measure.seeds, measure.values, measure.mean) == ((1, 2), (8.0, 9.0), 8.5)


@pytest.mark.parametrize(("more", "step"), [(1.005, 800), (1.1, 700)])
def test_a_few_tokens_more_are_no_larger_budget(more: float, step: int) -> None:
    table = table_of()
    told = [1e5 * n * more for n in range(1, 9)]
    c5 = table.rows[1].runs[0].run_id
    some = pd.concat([histories(table, CURVES), curve(c5, "cost.target_tokens", told)])
    points = views.spent(table, some)
    assert read(table, points, "base", "tokens").step == 800
    assert read(table, points, "C5", "tokens").step == step


def test_all_seeds_of_an_arm_are_read_at_one_update() -> None:
    """One seed's machine was a third as fast as the other's; both arms took 100 s on average."""
    table = table_of(seeds=(1, 2))
    slow = {1: 50.0, 2: 150.0}
    told = [
        curve(r.run_id, "cost.train_seconds", [slow[r.seed] * n / 8 for n in range(1, 9)])
        for r in table.runs
    ]
    points = views.spent(table, pd.concat([histories(table, CURVES), *told]))
    found = read(table, points, "C5", "seconds")
    assert found.step == 800
    assert found.measures["valid.curve_bleu"].seeds == (1, 2)


def test_a_reading_without_the_seed_that_diverged_is_marked() -> None:
    table = table_of(seeds=(1, 2))
    section = views.section(diverged(table, "C5"), histories(table, CURVES))
    assert section is not None
    for column in section.columns[1:]:
        base, c5 = column.cells
        assert (base.text[-1] == "§", c5.text[-1]) == (False, "§")
        assert c5.meaning.endswith("mean of 2 of 3 seeds, seed 9 diverged")


def test_greedy_search_and_first_sentences_are_said() -> None:
    table = table_of()
    section = views.section(table, histories(table, CURVES))
    assert section is not None
    assert "BLEU is of greedy search on the first sentences" in section.notes[0].text


def test_one_arm_alone_has_no_view() -> None:
    table = table_of()
    some = histories(table, CURVES)
    assert views.section(table, some[some["run_id"] == table.base.runs[0].run_id]) is None
    assert views.section(table, some.iloc[:0]) is None

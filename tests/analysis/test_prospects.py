"""What seeds can show, as `ablate plan` tells it."""

import io

import pytest
from rich.console import Console

from analysis import power, prospects, published, tables
from analysis.tables import Table
from tests.analysis.example import heading, run, stored, trials


def table(*seeds_of_base: float) -> Table:
    some = trials("grammar", ["base", "A1", "A3"], [1, 2])
    records = [run(t, seeds_of_base[t.seed - 1], 2.0) for t in some if t.arm == "base"]
    return tables.build(heading("grammar"), some, stored(records), published.load())


def printed(found: list[power.Prospect]) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(prospects.grid(found, 3))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_an_assumed_spread_is_that_of_every_row_and_differences_are_the_papers() -> None:
    made = table(30.0, 30.0)
    found = prospects.of(made, 3, 0.3, None)
    assert [(one.arm, one.spread.deviation) for one in found] == [("A1", 0.3), ("A3", 0.3)]
    assert [one.expected for one in found] == pytest.approx([-0.9, 0.0])
    assert found[0].smallest == power.smallest_difference(0.3, 3, 2)
    assert found[0].seeds == power.seeds_needed(0.9, 0.3, 2)
    assert any("assumed" in line for line in prospects.lines(found, 3, made))
    row = next(line for line in printed(found).splitlines() if line.startswith("A1"))
    assert row.split() == ["A1", "0.30", f"{found[0].smallest:.2f}", "-0.90", str(found[0].seeds)]


def test_finished_seeds_are_a_pilot() -> None:
    made = table(29.0, 31.0)
    found = prospects.of(made, 2, None, 0.01)
    assert [one.spread.deviation for one in found] == [2**0.5] * 2
    told = prospects.lines(found, 2, made)
    assert "that of finished runs" in told[0]
    assert told[1].endswith("if the difference is as looked for: A1, A3")
    assert "over 100" in printed(found)


def test_nothing_is_told_of_an_unknown_spread_or_of_one_seed() -> None:
    bare = trials("grammar", ["base", "A1"], [1])
    empty = tables.build(heading("grammar"), bare, [], published.load())
    assert prospects.of(empty, 1, None, None) == []
    assert "--spread POINTS" in prospects.lines([], 1, empty)[0]
    made = table(29.0, 31.0)
    found = prospects.of(made, 1, 0.5, None)
    assert [one.smallest for one in found] == [None, None]
    assert prospects.lines(found, 1, made)[-1] == "one seed shows nothing: --seeds 2 or more"
    assert [*prospects.as_object(found)[0]][:2] == ["arm", "deviation"]


def test_of_base_alone_there_is_nothing_to_show_whatever_spread_is_assumed() -> None:
    alone = trials("grammar", ["base"], [1])
    made = tables.build(heading("grammar"), alone, [], published.load())
    found = prospects.of(made, 3, 0.5, None)
    assert prospects.lines(found, 3, made) == [
        "seeds show differences between rows, and base is alone"
    ]

"""What no arm beats for less, and its picture."""

import random
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from analysis import frontier, tables
from analysis.frontier import Point
from tests.analysis.example import curve, heading, run, stored, trials


def beaten(point: Point, points: list[Point]) -> bool:
    """Whether another has at least its score for at most its operations, and one of them better."""
    return any(
        p.operations <= point.operations
        and p.score >= point.score
        and (p.operations, p.score) != (point.operations, point.score)
        for p in points
    )


def test_the_frontier_is_what_nothing_beats() -> None:
    draw = random.Random(1)
    points = [Point(draw.randint(1, 30), draw.randint(1, 30), str(n)) for n in range(60)]
    places = {(p.operations, p.score) for p in points if not beaten(p, points)}
    found = frontier.frontier(points)
    assert [(p.operations, p.score) for p in found] == sorted(places)


def test_pictures_are_of_the_scores_and_of_the_curves() -> None:
    some = trials("grammar", ["base", "C1", "C5"], [1])
    costs = {"base": 2e14, "C1": 1e14, "C5": 5e14}
    scores = {"base": 30.0, "C1": 25.0, "C5": 29.0}
    records = [
        run(t, scores[t.arm], 2)
        | {"score.cost.flops": costs[t.arm], "score.cost.target_tokens": 8e5}
        for t in some
    ]
    table = tables.build(heading("grammar"), some, stored(records), None)
    histories = curve(table.runs[0].run_id, "valid.curve_bleu", [1.0, 2])
    drawn = dict(frontier.pictures(table, histories))
    assert list(drawn) == ["BLEU of the last step, not averaged, on the valid part"]
    [picture] = drawn.values()
    words = {node.text for node in ET.fromstring(picture).iter() if node.tag.endswith("text")}
    assert {"base", "C1"} <= words
    assert "C5" not in words  # costs more than base and scores less


def test_a_curve_has_a_point_where_all_seeds_have_one() -> None:
    some = trials("grammar", ["base"], [1, 2], steps=800)
    records = [
        run(t, 30, 2) | {"score.cost.flops": 8e14, "score.cost.target_tokens": 8e5} for t in some
    ]
    table = tables.build(heading("grammar"), some, stored(records), None)
    one, two = (found.run_id for found in table.runs)
    name = "valid.curve_bleu"
    both = pd.concat([curve(one, name, [1.0, 2, 3]), curve(two, name, [3.0, 4])])
    assert frontier.curves(table, both) == [Point(1e14, 2.0, "base"), Point(2e14, 3.0, "base")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1e14, 9e14, {1e14, 2e14, 5e14}), (3e12, 8e16, {1e13, 1e14, 1e15, 1e16})],
)
def test_ticks_are_few_and_round(low: float, high: float, expected: set[float]) -> None:
    assert set(frontier.ticks(low, high)) == expected


@pytest.mark.parametrize("digits", range(10, 100, 3))
def test_arms_of_one_cost_have_a_tick(digits: int) -> None:
    cost = digits * 1e13
    assert frontier.ticks(cost / frontier.EDGE, cost * frontier.EDGE)

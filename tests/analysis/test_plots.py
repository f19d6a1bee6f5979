"""Pictures: what is drawn, and that it is drawn the same every time."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pandas as pd
import pytest

from analysis import plots, published, tables
from analysis.tables import PERPLEXITY, Table
from tests.analysis.example import curve, heading, run, stored, trials


def table_of(arms: list[str], seeds: list[int]) -> Table:
    some = trials("grammar", arms, seeds)
    records = [run(t, 30 + n, 2.0 + n / 10) for n, t in enumerate(some)]
    return tables.build(heading("grammar"), some, stored(records), published.load())


def histories(table: Table) -> pd.DataFrame:
    return pd.concat(
        curve(found.run_id, "valid.perplexity", [9.0, 4.0, 2.0 + found.seed / 10])
        for found in table.runs
    )


@pytest.mark.parametrize(("metric", "figure"), [("valid.bleu", "bleu"), (PERPLEXITY, "ppl")])
def test_differences_name_every_row_but_base(metric: str, figure: str):
    picture = plots.differences(table_of(["base", "A1", "C1"], [1, 2]), metric, figure)
    words = [node.text for node in ET.fromstring(picture).iter() if node.tag.endswith("text")]
    assert {"A1", "C1", "base"} <= set(words)


def test_without_base_there_are_no_differences():
    some = trials("grammar", ["base", "A1"], [1])
    table = tables.build(heading("grammar"), some, stored([run(some[1], 30, 2)]), published.load())
    assert plots.differences(table, "valid.bleu", "bleu") == ""


def test_curves_come_by_group_with_base_in_each():
    table = table_of(["base", "A1", "A2", "B1"], [1, 2])
    panels = plots.curves(table, histories(table), "valid.perplexity")
    assert [panel.title for panel in panels] == ["A", "B"]
    assert [arm for _, _, arm in panels[0].key] == ["base", "A1", "A2"]


def test_a_row_that_diverged_has_its_curve_and_says_so():
    """It moves no scale: the others' curves would be flat lines."""
    some = trials("grammar", ["base", "A1", "A2"], [1])
    records = [run(trial, 30, 2.0) for trial in some]
    lost = str(records[2]["run_id"])
    records[2]["kind"] = "diverged"
    table = tables.build(heading("grammar"), some, stored(records), published.load())
    others = [curve(run.run_id, PERPLEXITY, [9.0, 4.0, 2.0]) for run in table.runs]
    (panel,) = plots.curves(
        table, pd.concat([*others, curve(lost, PERPLEXITY, [9.0, 4e3, 1e9])]), PERPLEXITY
    )
    (calm,) = plots.curves(table, pd.concat(others), PERPLEXITY)
    assert [arm for _, _, arm in panel.key] == ["base", "A1", "A2, diverged"]
    ticks = re.compile(r">([\d.]+)</text>")
    assert ticks.findall(panel.svg) == ticks.findall(calm.svg)


def test_a_row_that_has_learned_nothing_leaves_others_their_differences():
    some = trials("grammar", ["base", "A1", "A2"], [1, 2])
    perplexities = {"base": 2.0, "A1": 2.2, "A2": 300.0}
    records = [run(t, 30.0, perplexities[t.arm] + t.seed / 100) for t in some]
    table = tables.build(heading("grammar"), some, stored(records), published.load())
    words = [node.text for node in ET.fromstring(_perplexities(table)).iter()]
    assert {"base", "+10", "+100", "+1000", "+10000"} <= {*words}
    calm = replace(table, rows=table.rows[:2])
    assert "+100" not in [node.text for node in ET.fromstring(_perplexities(calm)).iter()]


def _perplexities(table):
    return plots.differences(table, "valid.perplexity", "ppl")


def test_base_alone_still_has_its_curve():
    table = table_of(["base"], [1])
    assert [p.title for p in plots.curves(table, histories(table), "valid.perplexity")] == ["base"]


def test_curves_of_nothing_are_none():
    table = table_of(["base", "A1"], [1])
    assert plots.curves(table, histories(table).iloc[:0], "valid.perplexity") == []


def test_pictures_repeat_and_carry_no_colour_or_date_of_their_own():
    table = table_of(["base", "A1"], [1, 2])
    one, two = (plots.differences(table, "valid.bleu", "bleu") for _ in range(2))
    assert one == two
    assert "#00f" not in one
    assert "<metadata" not in one
    assert "var(--series-1)" in one


def test_a_users_matplotlibrc_changes_nothing():
    import matplotlib as mpl

    table = table_of(["base", "A1"], [1, 2])
    before = plots.differences(table, "valid.bleu", "bleu")
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "text.usetex": False}):
        assert plots.differences(table, "valid.bleu", "bleu") == before


def test_a_name_in_mathematics_stays_a_name():
    table = table_of(["base", "A1"], [1])
    row = replace(table.rows[1], arm=r"$\frac{<b>$")
    hostile = replace(table, rows=(table.rows[0], row))
    picture = plots.differences(hostile, "valid.bleu", "bleu")
    words = [node.text for node in ET.fromstring(picture).iter() if node.tag.endswith("text")]
    assert r"$\frac{<b>$" in words

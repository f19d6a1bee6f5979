"""What a report shows of searches: best configurations, rows at their best, Optuna's plots."""

import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from analysis import plots, search_plots, searches, significance
from analysis.columns import main_columns
from analysis.notes import notes
from analysis.rendering import markdown
from experiments.searched import best_first, front, parse
from tests.analysis.example import curve
from tests.analysis.searching import search_table, searched, tuned_table

FRONT = ["score", "cost.flops"]


def words_of(picture: str) -> list[str]:
    root = ET.fromstring(picture)
    return ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("text")]


def test_a_search_as_json_is_the_same_search():
    search = searched(FRONT)
    assert parse(search.as_object()) == search


def test_the_front_is_what_no_other_beats_in_everything():
    search = searched(FRONT)
    points = {one.number: one.objectives for one in search.found if one.end == "complete"}
    expected = {
        number
        for number, (score, cost) in points.items()
        if not any(s >= score and c <= cost and (s, c) != (score, cost) for s, c in points.values())
    }
    assert {one.number for one in front(search)} == expected == {6, 7}
    assert [one.number for one in best_first(search)[:2]] == [7, 6]


@pytest.mark.parametrize("objectives", [["score"], FRONT])
def test_the_best_configurations_are_a_section(objectives: list[str]):
    search = searched(objectives)
    section = searches.section(search_table(search))
    assert section is not None
    columns = {column.name: [cell.text for cell in column.cells] for column in section.columns}
    assert columns["arm"] == ["t7", "t6", "t4", "t3", "t1", "t0"]
    assert columns["valid.bleu"] == ["27.00", "26.00", "24.00", "23.00", "21.00", "20.00"]
    assert columns["model.positions"][:2] == ["learned", "sinusoidal"]
    assert ("front" in columns) == (len(objectives) > 1)
    if len(objectives) > 1:
        assert columns["front"] == ["yes", "yes", "", "", "", ""]
    assert "8 suggestions of tpe for valid.bleu" in section.notes[0].text


def test_of_a_search_nothing_is_called_base():
    table = search_table(searched(["score"]))
    text = markdown(table, None, [searches.section(table)])
    assert "base" not in re.sub(r"base model|`[^`]*`", "", text)
    assert "differences are from t7, the best" in text
    assert "verdict" not in [column.name for column in main_columns(table)]
    picture = plots.differences(table, "valid.bleu", "bleu")
    assert {"t7", "t6", "t0"} <= {*words_of(picture)}
    assert "base" not in words_of(picture)
    assert "t2" not in words_of(picture)  # pruned: it has no score to differ by


def test_pruned_curves_are_drawn_with_those_that_finished():
    table = search_table(searched(["score"]))
    histories = pd.concat(
        curve(one.run_id, "valid.curve_bleu", [1.0, 2.0, 3.0][: 3 if one in table.runs else 2])
        for one in (*table.runs, *table.pruned_runs)
    )
    (panel,) = plots.curves(table, histories, "valid.curve_bleu")
    assert [name for _, _, name in panel.key] == [*(f"t{n}" for n in (7, 6, 4, 3, 1, 0)), "pruned"]
    finished = histories[histories["run_id"].isin([run.run_id for run in table.runs])]
    (alone,) = plots.curves(table, finished, "valid.curve_bleu")
    assert "pruned" not in [name for _, _, name in alone.key]


@pytest.mark.parametrize("objectives", [["score"], FRONT])
def test_optuna_s_plots_name_the_keys_and_fit_the_page(objectives: list[str]):
    names = ["valid.bleu", "cost.flops"][: len(objectives)]
    found = search_plots.pictures(searched(objectives), names)
    assert len(found) == (4 if len(objectives) == 1 else 1 + 2 * 4)
    for plot in found:
        assert "data:" not in plot.svg  # the page's policy would not show it
        assert "#00f" not in plot.svg
        assert "<metadata" not in plot.svg
    words = [word for plot in found for word in words_of(plot.svg)]
    assert {"P_drop", "rate_factor", "positions", "learned", "valid.bleu"} <= {*words}
    assert not {"model.dropout", "score", "'learned'"} & {*words}


def test_an_axis_of_less_than_a_decade_has_few_numbers():
    search = searched(["score"], "A1")
    narrow = [
        one._replace(values={**one.values, "optim.rate_factor": 1.7 + 0.4 * one.number})
        for one in search.found
    ]
    (plot,) = search_plots.slices(search._replace(found=tuple(narrow)), "valid.bleu")
    rates = [word for word in words_of(plot.svg) if re.fullmatch(r"[2-4](\.\d)?", word)]
    assert 2 <= len(rates) <= 4, rates


def test_plots_repeat():
    one, two = (search_plots.pictures(searched(["score"]), ["valid.bleu"]) for _ in range(2))
    assert one == two


def test_a_search_with_one_result_has_no_plots():
    assert search_plots.pictures(searched(["score"], count=1), ["valid.bleu"]) == []
    assert search_plots.slices(searched(["score"], "A1", count=1), "valid.bleu") == []


def test_what_a_search_has_pruned_has_no_score_in_its_table_whatever_was_trained_since():
    search = searched(["score"])
    table = search_table(search)
    gone = next(row.arm for row in table.rows if row.slots[0].state == "pruned")
    again = search_table(search, since=gone)
    row = next(row for row in again.rows if row.arm == gone)
    assert (row.runs, row.mean("valid.bleu"), row.slots[0].state) == ((), None, "pruned")
    assert again.base.arm == table.base.arm
    text = " ".join(note.text for note in notes(again, spanned=False))
    assert f"Pruned, without a score and with its curve kept: {gone}" in text


def test_what_was_pruned_has_lines_in_the_main_table_alone():
    table = search_table(searched(["score"]))
    gone = {row.arm for row in table.rows if row.slots[0].state == "pruned"}
    kept = [row.arm for row in table.rows if row.arm not in gone]
    assert [row.arm for row in table.without_pruned.rows] == kept
    main, _, rest = markdown(table, None).partition("## Other scores")
    arms = {text: re.findall(r"^\| (t\d+)", text, re.M) for text in (main, rest)}
    assert {*arms[main]} == {*kept, *gone}
    assert arms[rest] == kept


@pytest.mark.parametrize("factor", [1, 10])
def test_values_in_other_sizes_than_the_rows_are_said_to_be(factor: int):
    search = searched(["score"])
    table = search_table(search)
    values = {search.name(one): dict(one.values) for one in search.found}
    for row in table.rows:
        rate = values[row.arm]["optim.rate_factor"] * factor
        settings = {**row.settings, **values[row.arm], "optim.rate_factor": rate}
        object.__setattr__(row, "settings", settings)
    section = searches.section(table)
    assert section is not None
    told = [note.text for note in section.notes]
    assert (searches.IN_PAPERS_SIZES in told) == (factor != 1)


def test_a_search_that_has_pruned_all_keeps_its_rows():
    search = searched(["score"])
    search = search._replace(
        found=tuple(one._replace(end="pruned", objectives=()) for one in search.found)
    )
    table = search_table(search)
    assert table.without_pruned is table
    assert len(table.pruned) == len(search.found)


def test_rows_at_their_best_are_compared_with_base_at_its_best():
    table = tuned_table()
    rows = {row.arm: row for row in table.rows}
    assert table.base_of(rows["A1"]).arm == "base"
    assert table.base_of(rows["A1.best"]).arm == "base.best"
    assert table.difference(rows["A1"], "valid.bleu") == pytest.approx(-2)
    assert table.difference(rows["A1.best"], "valid.bleu") == pytest.approx(-0.5)
    own = {arm: rows[arm].scores("valid.bleu") for arm in rows}
    for base, others in (("base", ["A1", "C1"]), ("base.best", ["A1.best", "C1.best"])):
        some = {arm: own[arm] for arm in others}
        expected = significance.verdicts(own[base], some, significance.MARGIN)
        assert {arm: rows[arm].verdict for arm in others} == expected
    assert rows["base"].verdict is rows["base.best"].verdict is None
    assert "base at its best" in " ".join(note.text for note in notes(table, spanned=False))


def test_where_base_has_no_best_rows_at_their_best_are_compared_with_nothing():
    table = tuned_table(without="base.best")
    rows = {row.arm: row for row in table.rows}
    assert table.base_of(rows["A1.best"]) is rows["A1.best"]
    assert rows["A1.best"].verdict is rows["C1.best"].verdict is None
    assert rows["A1"].verdict is not None
    text = " ".join(note.text for note in notes(table, spanned=False))
    assert "base has no best here, so they are compared with nothing." in text


def test_a_section_shows_each_row_as_it_stands_and_at_its_best():
    section = searches.section(tuned_table())
    assert section is not None
    columns = {column.name: [cell.text for cell in column.cells] for column in section.columns}
    assert columns["arm"] == ["base", "A1", "C1"]
    assert columns["gain"] == ["+3.00", "+4.50", "–"]
    assert columns["optim.rate_factor"] == ["2.108"] * 3
    assert columns["trials"] == ["8: 6 finished, 2 pruned"] * 3


def test_a_row_of_which_a_seed_diverged_has_no_gain():
    section = searches.section(tuned_table(lost="A1.best"))
    assert section is not None
    (gains,) = [column for column in section.columns if column.name == "gain"]
    assert [cell.text for cell in gains.cells] == ["+3.00", "–", "–"]
    (best,) = [column for column in section.columns if column.name == "at_its_best"]
    assert [cell.text.endswith("§") for cell in best.cells] == [False, True, False]

"""Markdown, CSV and JSON of a table, with names that mean harm."""

import csv
import io
import json
from dataclasses import replace
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt

from analysis import published, tables
from analysis.rendering import csv_text, json_text, markdown
from analysis.tables import Table
from tests.analysis.example import heading, run, stored, trials

HOSTILE = ["=cmd|' /C calc'!A0", "<script>alert(1)</script>", "a|b`c`*d*\n# e", r"\input{x}%&_^$"]


@pytest.fixture(scope="module")
def small() -> Table:
    """Four rows, two seeds each, one trial missing."""
    some = trials("grammar", ["base", "A1", "E", "big"], [1, 2])
    records = [run(t, 30 + n, 2.0) for n, t in enumerate(some[:-1])]
    return tables.build(heading("grammar"), some, stored(records), published.load())


def named(table: Table, name: str) -> Table:
    """The table with a hostile study, setting and last arm."""
    row = replace(table.rows[-1], arm=name, label=name, group=name)
    about = table.heading._replace(study=name, setting=name, description=name, command=name)
    return replace(table, heading=about, rows=(*table.rows[:-1], row))


def cells(text: str) -> list[list[str]]:
    """Each row of the first table that Markdown's own parser finds, as text."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    rows: list[list[str]] = []
    for token, content in pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            children = content.children or []
            rows[-1].append("".join(child.content for child in children))
        elif token.type == "table_close":
            break
    return rows


def test_markdown_is_one_table_with_a_blank_row_between_groups(small: Table):
    rows = cells(markdown(small, None))
    assert [row[0] for row in rows] == ["", "base", "", "A1", "", "E", "", "big"]
    assert len({len(row) for row in rows}) == 1


def test_markdown_shows_paper_and_ours(small: Table):
    header, _, _, a1, *_ = cells(markdown(small, None))
    shown = dict(zip(header, a1, strict=True))
    assert (shown["BLEU†"], shown["BLEU ours"]) == ("24.9", "32.50 ± 0.71")
    assert (shown["ΔBLEU†"], shown["ΔBLEU ours"]) == ("-0.9", "+2.00")
    assert (shown["h"], shown["d_k"], shown["N"]) == ("1", "64", "")


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200])
def test_markdown_fits_the_terminal(small: Table, width: int):
    lines = markdown(small, width).splitlines()
    assert max(len(line) for line in lines if line.startswith("|")) <= width


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_words_in_markdown(small: Table, name: str):
    text = markdown(named(small, name), None)
    assert cells(text)[-1][0] == name.replace("\n", " ")
    assert "<script>" not in MarkdownIt("commonmark").enable("table").render(text)


def test_no_sign_that_steers_a_terminal_gets_through(small: Table):
    assert "\x1b" not in markdown(named(small, "a\x1b[31mb"), 200)


@pytest.mark.parametrize("name", [*HOSTILE, "-1+1", "+x", "@sum", "\t=1", " =1"])
def test_a_spreadsheet_finds_no_formula(small: Table, name: str):
    rows = list(csv.DictReader(io.StringIO(csv_text(named(small, name)))))
    harmless = rows[-1]["arm"].lstrip()[:1] not in ("=", "+", "-", "@")
    assert harmless
    assert rows[-1]["arm"].removeprefix("'") == name


def test_csv_numbers_are_raw_and_negative_ones_stay_numbers(small: Table):
    rows = {row["arm"]: row for row in csv.DictReader(io.StringIO(csv_text(small)))}
    assert float(rows["A1"]["valid.bleu.mean"]) == 32.5
    assert float(rows["base"]["valid.bleu.difference"]) == 0
    assert rows["big"]["valid.bleu.deviation"] == ""
    assert rows["A1"]["model.heads"] == "1"


def test_json_holds_every_number_and_every_missing_trial(small: Table):
    found = json.loads(json_text(small))
    assert found["format"] == 1
    a1 = next(row for row in found["rows"] if row["arm"] == "A1")
    assert a1["ours"]["valid.bleu"]["values"] == [32, 33]
    assert a1["paper"]["bleu"] == 24.9
    assert a1["settings"]["model.heads"] == 1
    assert [(m["arm"], m["seed"]) for m in found["missing"]] == [("big", 2)]


@pytest.fixture(scope="module")
def judged() -> Table:
    """Three seeds: a row that is worse, one that is the same, one of a single seed."""
    some = trials("grammar", ["base", "C1", "E", "big"], [1, 2, 3])
    scores = {"base": 30.0, "C1": 27.0, "E": 30.01, "big": 33.0}
    records = [
        run(t, scores[t.arm] + t.seed / 50, 2.0) for t in some if t.arm != "big" or t.seed == 1
    ]
    return tables.build(heading("grammar"), some, stored(records), published.load())


def test_verdicts_are_words_in_the_table_with_a_note_of_how(judged: Table):
    header, *rows = cells(markdown(judged, None))
    shown = {row[0]: row[header.index("verdict")] for row in rows if row[0]}
    assert shown == {"base": "", "C1": "worse", "E": "the same ±0.5", "big": "one seed"}
    text = markdown(judged, None)
    assert "Holm's correction over 2 rows" in text
    assert "margin of 0.5 points" in text


def test_json_and_csv_say_what_a_verdict_rests_on(judged: Table):
    found = json.loads(json_text(judged))
    base, c1, _, big = (row["verdict"] for row in found["rows"])
    assert (found["margin"], base, big["word"], big["p"]) == (0.5, None, "one seed", None)
    assert c1["p"] == pytest.approx(2 * c1["p_alone"])
    # 27 less 30, both ± 0.02 over three seeds, t of four degrees of freedom: 2.776
    half = 2.776 * 0.02 * (2 / 3) ** 0.5
    assert c1["interval"] == pytest.approx([-3 - half, -3 + half], abs=1e-4)
    line = list(csv.DictReader(io.StringIO(csv_text(judged))))[1]
    assert (line["verdict"], float(line["verdict.low"])) == ("worse", c1["interval"][0])
    assert float(line["verdict.p"]) == c1["p"]


def test_the_same_table_gives_the_same_bytes(small: Table):
    assert markdown(small, None) == markdown(small, None)
    assert json_text(small) == json_text(small)

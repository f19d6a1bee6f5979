"""Exponents, crossings and files of made-up measurements."""

import csv
import json
import math
from pathlib import Path

import pytest
from scipy import stats

from analysis import complexity, complexity_report
from analysis.complexity import Point, Survey
from lit_transformer.complexity.cells import Cell, LayerType, Terms, operations
from lit_transformer.complexity.record import LeftOut

TERMS = Terms(16, 3, 64, 1)
ABOUT = {
    "device": "a <cpu>",
    "threads": 2,
    "platform": "Linux",
    "python": "3.11",
    "versions": {"torch": "2.13"},
}
LENGTHS, WIDTHS = (64, 128, 256, 512, 1024, 2048), (64, 128, 256, 512)
PRICES: dict[LayerType, float] = {"self-attention": 1.0, "recurrent-lstm": 512.0}


def made(layer: LayerType, n: int, d: int) -> Point:
    """n^2 d against 512 n d^2 / d: they cross where n = 512."""
    cell = Cell(layer, n, d)
    cost = n * n * d if layer == "self-attention" else PRICES[layer] * n * d
    return Point(cell, cost * 1e-9, 3e-9 * cost, n * d, 4 * n * d, operations(cell, TERMS), 3, 1.0)


def survey() -> Survey:
    points = {
        Cell(layer, n, d): made(layer, n, d) for layer in PRICES for n in LENGTHS for d in WIDTHS
    }
    left_out = {Cell("self-attention", 4096, 512): LeftOut("memory", 2.0**34)}
    path = {"layer": "recurrent-lstm", "length": 16, "sequential": 16, "longest": 15}
    runs = [{"command": "ablate complexity", "commit": "abc"}]
    return Survey(TERMS, ABOUT, runs, points, left_out, {("recurrent-lstm", 16): path})


def test_a_power_is_its_exponent() -> None:
    found = complexity.in_length(survey(), "self-attention", 64, lambda point: point.training_s)
    assert found is not None
    assert found.exponent == pytest.approx(2)
    assert (found.low, found.high) == (pytest.approx(2), pytest.approx(2))
    assert found.points == 3
    found = complexity.in_width(survey(), "recurrent-lstm", 64, lambda point: point.training_s)
    assert found is not None
    assert found.exponent == pytest.approx(1)


def test_the_interval_is_that_of_a_line() -> None:
    """Against scipy's own least squares, over the larger half: three of six."""
    seconds = [9.0, 9.0, 9.0, 1.0, 2.5, 3.5]
    points = [
        made("self-attention", n, 64)._replace(training_s=s)
        for n, s in zip(LENGTHS, seconds, strict=True)
    ]
    found = complexity.growth(points, lambda point: point.training_s, lambda cell: cell.length)
    line = stats.linregress([math.log(n) for n in LENGTHS[3:]], [math.log(s) for s in seconds[3:]])
    half = stats.t.ppf(0.975, 1) * line.stderr
    assert found is not None
    assert found.exponent == pytest.approx(line.slope)
    assert (found.low, found.high) == (
        pytest.approx(line.slope - half),
        pytest.approx(line.slope + half),
    )


def test_two_points_have_no_interval_and_so_no_exponent() -> None:
    points = survey().by_length("self-attention", 64)[:2]
    assert (
        complexity.growth(points, lambda point: point.training_s, lambda cell: cell.length) is None
    )


def test_lines_cross_where_their_formulas_do() -> None:
    found = complexity.crossings(survey())
    assert [(one.width, one.faster) for one in found] == [(d, "recurrent-lstm") for d in WIDTHS]
    assert all(one.length == pytest.approx(512) for one in found)


def test_the_fastest_is_told_by_spans() -> None:
    spans = complexity.fastest(survey(), 64)
    assert spans == [("self-attention", 64, 512), ("recurrent-lstm", 1024, 2048)]


def test_files_say_what_was_measured(tmp_path: Path) -> None:
    files = complexity_report.write(survey(), tmp_path)
    rows = [*csv.DictReader(files["csv"].read_text().splitlines())]
    assert len(rows) == len(survey().points) + 1
    assert {row["left_out"] for row in rows} == {"", "memory"}
    told = json.loads(files["json"].read_text())
    assert told["growth"]["n64"][0]["training"] == pytest.approx(2)
    assert told["crossings"][0]["faster"] == "recurrent-lstm"
    assert told["paper"]["self-attention"]["complexity"] == "O(n^2 d)"
    page = files["html"].read_text()
    assert "a &lt;cpu&gt;" in page
    assert "<cpu>" not in page
    assert "<svg" in page
    text = files["md"].read_text()
    assert "Exponents of n, where d = 64" in text
    assert "self-attention (n = 64 to 512), recurrent-lstm (n = 1,024 to 2,048)" in text
    assert (tmp_path / "training-d-64.svg").read_text().startswith("<?xml")


def test_a_busy_machine_is_told() -> None:
    quiet = survey()
    cell = Cell("self-attention", 64, 64)
    busy = quiet._replace(points={**quiet.points, cell: quiet.points[cell]._replace(share=0.5)})
    assert "Beside 1 of 48 cells other work" in complexity_report.text(busy, None)
    assert "other work" not in complexity_report.text(quiet, None)


def test_the_same_measurements_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (complexity_report.write(survey(), tmp_path / name) for name in ("a", "b"))
    assert {k: f.read_bytes() for k, f in first.items()} == {
        k: f.read_bytes() for k, f in second.items()
    }


def test_one_cell_is_enough_for_a_report(tmp_path: Path) -> None:
    cell = Cell("feed-forward", 16, 64)
    point = Point(cell, 1.0, 2.0, 3, 4, 5, 1, 1.0)
    one = survey()._replace(points={cell: point}, left_out={}, paths={})
    assert complexity_report.write(one, tmp_path)["md"].exists()


def test_nothing_but_what_was_left_out_is_a_report_too(tmp_path: Path) -> None:
    none = survey()._replace(points={}, paths={})
    assert complexity_report.write(none, tmp_path)["html"].exists()

"""Heads of a table's arms: means by hand, what is missing, and the pictures."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from analysis import head_plots, heads, tables
from analysis.heads import Measured
from analysis.tables import Table
from lit_transformer.attention_maps import Part
from lit_transformer.heads import Heads, Numbers, Removal
from tests.analysis.example import diverged, heading, run, stored, trials


def measured(seed: int, count: int, entropy: float, sentences: int = 50) -> Measured:
    """Heads of two parts, of importance 0, 0.001, 0.002 and so on; all but the last can go for
    0.005 nats."""
    parts: dict[Part, Numbers] = {}
    for number, part in enumerate(("encoder", "cross")):
        importance = 0.001 * (np.arange(count // 2) + number * count // 2)
        shape = (1, count // 2)
        parts[part] = Numbers(
            np.full(shape, entropy), np.full(shape, 2.0), importance.reshape(shape)
        )
    removed = [Removal(n, 2.0 + 0.005 * (n > 0) + (n == count)) for n in range(count + 1)]
    return Measured(seed, Heads(sentences, 300, 400, parts, removed))


@pytest.fixture(scope="module")
def table() -> Table:
    some = trials("grammar", ["base", "A1", "A4", "E"], [1, 2])
    records = [run(t, 30, 2.0) for t in some if t.arm != "E"]
    return tables.build(heading("grammar"), some, stored(records), None, "valid", [], ())


FOUND: heads.Found = {
    "base": (measured(1, 8, 1.0), measured(2, 8, 1.5)),
    "A1": (measured(1, 4, 2.0),),
    "A4": (),
    "E": (),
}


def test_means_are_over_heads_and_then_over_seeds(table: Table) -> None:
    made = heads.section(table, FOUND)
    assert made is not None
    base, a1, a4, e = made.content["rows"]  # type: ignore[misc]
    assert (base["arm"], base["heads"], base["sentences"]) == ("base", 8, [50])
    assert base["measures"]["encoder.entropy"]["values"] == [1.0, 1.5]
    assert base["measures"]["encoder.entropy"]["mean"] == 1.25
    assert base["measures"]["importance.median"]["mean"] == pytest.approx(0.0035)
    assert base["measures"]["importance.largest"]["mean"] == pytest.approx(0.007)
    assert base["measures"]["removable.0.01"]["mean"] == 100 * 7 / 8
    assert a1["measures"]["removable.0.1"]["mean"] == 75
    assert (a4["measures"], e["measures"], a4["heads"]) == ({}, {}, None)
    assert "decoder.entropy" not in base["measures"]


def test_columns_are_those_of_parts_that_there_are(table: Table) -> None:
    made = heads.section(table, FOUND)
    assert made is not None
    assert [column.name for column in made.columns] == [
        *("arm", "heads", "encoder.entropy", "encoder.distance"),
        *("cross.entropy", "cross.distance", "importance.median", "importance.largest"),
        *("removable.0.01", "removable.0.1"),
    ]
    entropy = made.columns[2]
    assert [cell.text for cell in entropy.cells] == ["1.25", "2.00", "–", "–"]
    meanings = [cell.meaning for cell in entropy.cells[2:]]
    assert meanings == ["heads were not measured", "no finished run"]


def test_runs_that_lack_their_heads_are_named_with_the_remedy(table: Table) -> None:
    made = heads.section(table, FOUND)
    assert made is not None
    note = made.notes[-1]
    assert "A1, A4." in note.text  # seed 2 of A1, and both of A4; E has not run
    assert note.code == "ablate heads RUN_ID"


def test_heads_of_a_row_of_which_a_seed_diverged_are_marked(table: Table) -> None:
    made = heads.section(diverged(table, "A1"), FOUND)
    assert made is not None
    cells = made.columns[2].cells
    assert [cell.text for cell in cells] == ["1.25", "2.00§", "–", "–"]
    assert cells[1].meaning.endswith("mean of 1 of 3 seeds, seed 9 diverged")


def test_unlike_numbers_of_sentences_are_told(table: Table) -> None:
    made = heads.section(table, {**FOUND, "A4": (measured(1, 4, 1.0, sentences=7),)})
    assert made is not None
    assert "first 7 or 50 sentences" in made.notes[0].text
    assert "do not compare exactly" in made.notes[1].text


def test_where_nobody_has_measured_there_is_no_section_and_no_picture(table: Table) -> None:
    nothing: heads.Found = {row.arm: () for row in table.rows}
    assert heads.section(table, nothing) is None
    assert head_plots.pictures(table, nothing) == []


def test_pictures_have_rows_of_other_numbers_of_heads_and_a_dot_for_each(table: Table) -> None:
    found = {**FOUND, "E": (measured(1, 8, 1.0),)}
    assert [arm for arm, _ in head_plots.chosen(table, found)] == ["base", "A1"]
    entropy, importance, removal = head_plots.pictures(table, found)
    for panel in (entropy, importance):
        drawn = ElementTree.fromstring(panel.svg)
        uses = drawn.findall(".//{http://www.w3.org/2000/svg}use")
        dots = [use for use in uses if "fill-opacity" in (use.get("style") or "")]
        assert len(dots) == 8 + 4
    assert [arm for _, _, arm in removal.key] == ["base", "A1"]


def test_no_head_is_beyond_the_edge_of_its_picture(table: Table) -> None:
    far = measured(1, 4, 9.0)
    importance = np.array([[-30.0, 30.0]])
    parts = {part: one._replace(importance_LH=importance) for part, one in far.heads.parts.items()}
    found = {**FOUND, "A1": (Measured(1, far.heads._replace(parts=parts)),)}
    for panel in head_plots.pictures(table, found)[:2]:
        drawn = ElementTree.fromstring(panel.svg)
        width = float(drawn.attrib["viewBox"].split()[2])
        uses = drawn.findall(".//{http://www.w3.org/2000/svg}use")
        dots = [use for use in uses if "fill-opacity" in (use.get("style") or "")]
        assert len(dots) == 8 + 4
        assert all(0 < float(dot.attrib["x"]) < width for dot in dots)


def test_a_study_without_other_numbers_of_heads_shows_its_first_arms() -> None:
    some = trials("grammar", ["base", "C1", "E"], [1])
    made = tables.build(
        heading("grammar"), some, stored([run(t, 30, 2.0) for t in some]), None, "valid", [], ()
    )
    found = {arm: (measured(1, 4, 1.0),) for arm in ("base", "C1", "E")}
    assert [arm for arm, _ in head_plots.chosen(made, found)] == ["base", "C1", "E"]


def test_equal_heads_are_equal_bytes(table: Table, tmp_path: Path) -> None:
    assert head_plots.pictures(table, FOUND) == head_plots.pictures(table, FOUND)

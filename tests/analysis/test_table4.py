"""The paper's Table 4 beside ours, one setting beside another."""

from dataclasses import replace

from analysis import published, table4, tables
from analysis.sections import Section
from analysis.tables import Table
from experiments.study import expand, load_setting, load_study
from tests.analysis.example import diverged, heading, run, stored


def table_of(name: str, f1: float) -> Table:
    """What grammar-trees would have scored under the name of a setting."""
    study = load_study("table4")
    some = expand(study, load_setting("grammar-trees"), [1], [], {})
    records = [
        run(t, 0, 2) | {"score.valid.f1": f1 - 1, "score.test.f1": f1, "signature.bleu": ""}
        for t in some
    ]
    return tables.build(heading(name)._replace(study="table4"), some, stored(records), None)


def lines(section: Section) -> list[list[str]]:
    columns = [column.cells for column in section.columns]
    return [[cell.text for cell in line] for line in zip(*columns, strict=True)]


def test_each_setting_of_the_paper_stands_in_its_row() -> None:
    some = [table_of("wsj", 91.0), table_of("wsj-semi", 92.0)]
    found = lines(table4.section(some, published.load()))
    assert len(found) == 12
    assert ["Transformer (4 layers)", "WSJ only, discriminative", "91.3", "90.00", "91.00"] in found
    assert ["Transformer (4 layers)", "semi-supervised", "92.7", "91.00", "92.00"] in found
    assert sum(line[3] != "" for line in found) == 2


def test_other_settings_follow_the_paper_s_rows() -> None:
    section = table4.section([table_of("grammar-trees", 80.0)], published.load())
    *paper, ours = lines(section)
    assert len(paper) == 12
    assert ours == ["Transformer (4 layers)", "grammar-trees", "", "79.00", "80.00"]
    assert section.blocks[-1] == (12,)
    assert "no figure compares with those of the Penn Treebank" in section.notes[1].text


def test_what_is_left_of_a_row_that_diverged_is_marked() -> None:
    table = table_of("wsj", 91.0)
    section = table4.section([diverged(table, table.base.arm)], published.load())
    (ours,) = [line for line in lines(section) if line[3]]
    assert ours[3:] == ["90.00§", "91.00§"]


def test_a_setting_without_section_23_has_a_dash() -> None:
    table = table_of("wsj-sample", 80.0)
    row = replace(
        table.base, measures={n: m for n, m in table.base.measures.items() if n != "test.f1"}
    )
    other = replace(table, rows=(row,))
    cell = table4.section([other], published.load()).columns[-1].cells[-1]
    assert (cell.text, cell.meaning) == ("–", "the setting has no such part")

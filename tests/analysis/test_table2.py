"""The paper's Table 2 beside ours: what is printed, where ours stands, why it cannot compare."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import latex, published, rendering, table2, tables
from analysis.rates import known
from analysis.sections import Section
from analysis.table2 import Place
from analysis.tables import Table
from experiments.study import expand, load_setting, load_study
from tests.analysis.example import diverged, heading, run, stored
from tests.analysis.test_latex import compiled

PAPER = """
ByteNet | 23.75 | | |
Deep-Att + PosUnk | | 39.2 | | 1.0·10²⁰
GNMT + RL | 24.6 | 39.92 | 2.3·10¹⁹ | 1.4·10²⁰
ConvS2S | 25.16 | 40.46 | 9.6·10¹⁸ | 1.5·10²⁰
MoE | 26.03 | 40.56 | 2.0·10¹⁹ | 1.2·10²⁰
Deep-Att + PosUnk Ensemble | | 40.4 | | 8.0·10²⁰
GNMT + RL Ensemble | 26.3 | 41.16 | 1.8·10²⁰ | 1.1·10²¹
ConvS2S Ensemble | 26.36 | 41.29 | 7.7·10¹⁹ | 1.2·10²¹
Transformer (base model) | 27.3 | 38.1 | 3.3·10¹⁸ | 3.3·10¹⁸
Transformer (big) | 28.4 | 41.8 / 41.0 | 2.3·10¹⁹ | 2.3·10¹⁹
"""


def table_of(setting: str, bleu: float) -> Table:
    study = load_study("table2")
    some = expand(study, load_setting(setting), [1], [], {})
    records = [
        run(t, 1.0, 2.0)
        | {"score.test.averaged.bleu": bleu + n, "score.cost.flops": 3e14 * (n + 1)}
        | {"device_name": "Tesla P100", "devices": 8}
        for n, t in enumerate(some)
    ]
    about = heading(setting)._replace(study="table2")
    return tables.build(about, some, stored(records), None, study.score, known([]))


def made(*some: Table) -> Section:
    return table2.section(some, published.load())


def cells(section: Section) -> dict[str, list[str]]:
    return {column.name: [cell.text for cell in column.cells] for column in section.columns}


def words(section: Section) -> str:
    return "\n".join(f"{note.mark} {note.text}" for note in section.notes)


def test_what_is_left_of_a_row_that_diverged_is_marked() -> None:
    ours = cells(made(diverged(table_of("grammar", 30), "big")))
    assert [text for text in ours["grammar.test.averaged.bleu"] if text] == ["30.00", "31.00§"]
    assert [text for text in ours["grammar.cost.flops"] if text] == ["3.0·10¹⁴", "6.0·10¹⁴§"]


@pytest.fixture(scope="module")
def both() -> Section:
    return made(table_of("multi30k-en-de", 30), table_of("multi30k-en-fr", 50))


def test_the_published_part_is_as_printed(both: Section) -> None:
    columns = [column.cells for column in both.columns[:5]]
    lines = [" | ".join(cell.text for cell in line) for line in zip(*columns, strict=True)]
    squeezed = [re.sub(r" +", " ", line).strip() for line in lines]
    assert squeezed == [line.strip() for line in PAPER.strip().splitlines()]


def test_ours_stands_beside_its_own_model_in_its_own_language_pair(both: Section) -> None:
    found = cells(both)
    assert found["multi30k-en-de.test.averaged.bleu"] == [""] * 8 + ["30.00", "31.00"]
    assert found["multi30k-en-fr.test.averaged.bleu"] == [""] * 8 + ["50.00", "51.00"]
    heads = [column.head.text for column in both.columns if "BLEU ours" in column.top.text]
    assert heads == ["EN-DE §", "EN-FR ¶"]


def test_both_definitions_of_cost_are_there(both: Section) -> None:
    found = cells(both)
    assert found["multi30k-en-de.cost.flops"][-2:] == ["3.0·10¹⁴", "6.0·10¹⁴"]
    assert found["multi30k-en-de.cost.rated_flops"][-1] == "9.1·10¹⁵"  # 120 s x 8 x 9.5e12


def test_the_disputed_figure_is_told_with_its_editions(both: Section) -> None:
    assert "Transformer (big), EN-FR: 41.8 in Table 2" in words(both)
    assert "41.0 in Section 6.1 (NIPS 2017 proceedings; arXiv 1706.03762" in words(both)


def test_other_data_another_bleu_and_averaging_are_said_of_each_setting(both: Section) -> None:
    for mark, pair in (("§", "en-de"), ("¶", "en-fr")):
        [note] = [n.text for n in both.notes if n.mark == mark]
        assert f"Setting multi30k-{pair}: BLEU of the averaged model, on the test part" in note
        assert "Not comparable with the paper's: other data (corpus multi30k" in note
        assert "ours is sacreBLEU" in note
        assert "averaged: the last 5 of base, the last 20 of big, every 75 updates (the" in note


@pytest.mark.parametrize(
    ("setting", "kept"), [("wmt14-en-de", ""), ("wmt14-en-fr", "tokenizer unigram")]
)
def test_the_paper_s_own_data_depart_in_no_more_than_they_do(setting: str, kept: str) -> None:
    table = table_of(setting, 27)
    place = Place(table, "§", table2.pair_of(table.base.settings))
    data = [reason for reason in table2.reasons(place, published.load()) if "data" in reason]
    assert data == ([f"other data ({kept})"] if kept else [])


def test_another_corpus_has_a_column_called_after_its_setting() -> None:
    section = made(table_of("grammar", 60))
    assert section.columns[5].head.text == "grammar §"


def test_an_arm_that_the_paper_lacks_has_a_line_of_its_own() -> None:
    table = table_of("grammar", 60)
    row = replace(table.rows[1], arm="huge", label="")
    other = replace(table, rows=(table.rows[0], row))
    section = made(other)
    assert [cell.text for cell in section.columns[0].cells][-1] == "huge"
    assert cells(section)["grammar.test.averaged.bleu"][-2:] == ["", "61.00"]
    assert section.blocks[-1] == (10,)


def test_a_narrow_terminal_loses_no_column(both: Section) -> None:
    table = table_of("multi30k-en-de", 30)
    wide, narrow = (rendering.markdown(table, width, [both]) for width in (None, 100))
    part = narrow[narrow.index("## The paper's Table 2") : narrow.index("- † Table 2")]
    assert max(map(len, part.splitlines())) <= 100
    for column in both.columns[1:]:
        head = f"{column.top.text} {column.head.text}"
        assert head in wide
        assert head in part
    assert part.count("Transformer (big)") == part.count("| model ") > 1


def test_the_latex_table_spans_the_two_languages_and_compiles(
    both: Section, tmp_path: Path
) -> None:
    text = latex.document(table_of("multi30k-en-de", 30), [both])
    assert r"\multicolumn{2}{c}{3.3$\cdot$10$^1$$^8$}" in text
    assert text.index("Transformer (big)") < text.index("The table ends here")
    compiled(text, tmp_path)

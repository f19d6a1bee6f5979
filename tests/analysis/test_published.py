"""published.yaml against a second transcription of the paper's tables, cell by cell."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from analysis.published import Cells, Published, System, load
from experiments.files import read_as
from experiments.study import load_study
from lit_transformer.config import RunConfig
from lit_transformer.config_io import ConfigError, flatten, keys

# As printed: id, group, N, d_model, d_ff, h, d_k, d_v, P_drop, eps_ls, steps, PPL, BLEU, params.
TABLE_3 = """
base base 6 512 2048 8 64 64 0.1 0.1 100K 4.92 25.8 65
A1 A - - - 1 512 512 - - - 5.29 24.9 -
A2 A - - - 4 128 128 - - - 5.00 25.5 -
A3 A - - - 16 32 32 - - - 4.91 25.8 -
A4 A - - - 32 16 16 - - - 5.01 25.4 -
B1 B - - - - 16 - - - - 5.16 25.1 58
B2 B - - - - 32 - - - - 5.01 25.4 60
C1 C 2 - - - - - - - - 6.11 23.7 36
C2 C 4 - - - - - - - - 5.19 25.3 50
C3 C 8 - - - - - - - - 4.88 25.5 80
C4 C - 256 - - 32 32 - - - 5.75 24.5 28
C5 C - 1024 - - 128 128 - - - 4.66 26.0 168
C6 C - - 1024 - - - - - - 5.12 25.4 53
C7 C - - 4096 - - - - - - 4.75 26.2 90
D1 D - - - - - - 0.0 - - 5.77 24.6 -
D2 D - - - - - - 0.2 - - 4.95 25.5 -
D3 D - - - - - - - 0.0 - 4.67 25.3 -
D4 D - - - - - - - 0.2 - 5.47 25.7 -
E E - - - - - - - - - 4.92 25.7 -
big big 6 1024 4096 16 - - 0.3 - 300K 4.33 26.4 213
"""

# EN-DE, EN-FR, then FLOPs EN-DE, EN-FR, both.
TABLE_2 = """
ByteNet: 23.75 - - - -
Deep-Att + PosUnk: - 39.2 - 1.0e20 -
GNMT + RL: 24.6 39.92 2.3e19 1.4e20 -
ConvS2S: 25.16 40.46 9.6e18 1.5e20 -
MoE: 26.03 40.56 2.0e19 1.2e20 -
Deep-Att + PosUnk Ensemble: - 40.4 - 8.0e20 -
GNMT + RL Ensemble: 26.30 41.16 1.8e20 1.1e21 -
ConvS2S Ensemble: 26.36 41.29 7.7e19 1.2e21 -
Transformer (base model): 27.3 38.1 - - 3.3e18
Transformer (big): 28.4 41.8 - - 2.3e19
"""

TABLE_1 = """
Self-Attention; O(n^2 d); O(1); O(1)
Recurrent; O(n d^2); O(n); O(n)
Convolutional; O(k n d^2); O(1); O(log_k(n))
Self-Attention (restricted); O(r n d); O(1); O(n/r)
"""

TABLE_4 = """
Vinyals & Kaiser et al. (2014); WSJ only, discriminative; 88.3
Petrov et al. (2006); WSJ only, discriminative; 90.4
Zhu et al. (2013); WSJ only, discriminative; 90.4
Dyer et al. (2016); WSJ only, discriminative; 91.7
Transformer (4 layers); WSJ only, discriminative; 91.3
Zhu et al. (2013); semi-supervised; 91.3
Huang & Harper (2009); semi-supervised; 91.3
McClosky et al. (2006); semi-supervised; 92.1
Vinyals & Kaiser et al. (2014); semi-supervised; 92.1
Transformer (4 layers); semi-supervised; 92.7
Luong et al. (2015); multi-task; 93.0
Dyer et al. (2016); generative; 93.3
"""


def number(cell: str) -> float | None:
    return None if cell == "-" else float(cell.replace("K", "000"))


@pytest.fixture(scope="module")
def published() -> Published:
    return load()


def test_table_3_is_the_papers_cell_by_cell(published: Published) -> None:
    expected = [line.split() for line in TABLE_3.strip().splitlines()]
    assert list(published.table3.rows) == [cells[0] for cells in expected]
    for name, group, *cells in expected:
        row = published.table3[name]
        settings = [getattr(row.cells, column) for column in Cells.model_fields]
        assert [*settings, row.ppl, row.bleu, row.params] == [number(c) for c in cells], name
        assert row.group == group


def test_row_e_has_words_in_place_of_cells(published: Published) -> None:
    texts = {name: row.text for name, row in published.table3.rows.items() if row.text}
    assert texts == {"E": "positional embedding instead of sinusoids"}


def test_table_2_is_the_papers_cell_by_cell(published: Published) -> None:
    columns = ("bleu_en_de", "bleu_en_fr", "flops_en_de", "flops_en_fr", "flops_both")
    rows = [
        f"{row.model}: {[getattr(row, column) for column in columns]}"
        for row in published.table2.rows.values()
    ]
    lines = [line.partition(": ") for line in TABLE_2.strip().splitlines()]
    assert rows == [f"{model}: {[number(c) for c in cells.split()]}" for model, _, cells in lines]


def test_table_1_is_the_papers(published: Published) -> None:
    rows = published.table1.rows.values()
    printed = [
        f"{r.layer}; {r.complexity}; {r.sequential_operations}; {r.maximum_path_length}"
        for r in rows
    ]
    assert printed == TABLE_1.strip().splitlines()


def test_table_4_is_the_papers_and_only_in_the_current_text(published: Published) -> None:
    rows = published.table4.rows.values()
    assert [f"{r.parser}; {r.training}; {r.f1}" for r in rows] == TABLE_4.strip().splitlines()
    assert {row.editions for row in rows} == {("arxiv",)}


def test_the_disputed_figure_of_big_carries_its_places(published: Published) -> None:
    printings = published.table2["transformer-big"].figures("bleu_en_fr")
    assert {(f.value, f.place.split(",")[0], f.editions) for f in printings} == {
        (41.8, "Table 2", ("arxiv",)),
        (41.8, "Abstract", ("arxiv",)),
        (41.0, "Section 6.1", ("nips", "arxiv")),
        (41.0, "Table 2", ("nips",)),
        (41.0, "Abstract", ("nips",)),
    }


def test_an_undisputed_figure_has_its_rows_place(published: Published) -> None:
    (figure,) = published.table2["transformer-base"].figures("bleu_en_de")
    assert (figure.value, figure.place) == (27.3, "Table 2, Transformer (base model)")
    assert published.table2["bytenet"].figures("bleu_en_fr") == ()


def test_a_dispute_begins_with_the_rows_own_figure() -> None:
    figure = {"value": 41.0, "place": "Abstract", "editions": ["nips"]}
    row = {"model": "big", "bleu_en_fr": 41.8, "place": "Table 2", "editions": ["arxiv"]}
    with pytest.raises(ValidationError, match="must begin with the row's own figure"):
        System.model_validate({**row, "disputed": {"bleu_en_fr": [figure]}})


def test_every_arm_of_the_shipped_study_has_its_published_row(published: Published) -> None:
    assert [arm.id for arm in load_study("table3").arms] == list(published.table3.rows)


def test_places_name_table_and_row(published: Published) -> None:
    row = published.table3["A1"]
    assert row.place == "Table 3, row (A)1"
    both = "NIPS 2017 proceedings; arXiv 1706.03762, current text"
    assert published.cite(row) == f"Table 3, row (A)1 ({both})"


def test_the_translation_settings_are_the_defaults(published: Published) -> None:
    """The project's one place of defaults is the paper's base model."""
    ours = flatten(RunConfig())
    theirs = published.settings["translation"] | published.settings["wmt14-en-de"]
    stated = {key: figure.value for key, figure in theirs.items() if key in ours}
    assert len(stated) == 15
    assert stated == {key: ours[key] for key in stated}


def test_dotted_keys_of_the_settings_exist(published: Published) -> None:
    dotted = {key for facts in published.settings.values() for key in facts if "." in key}
    assert dotted <= {key.name for key in keys()}


def test_a_slip_in_the_file_names_its_line(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "analysis" / "published.yaml"
    path = tmp_path / "published.yaml"
    path.write_text(shipped.read_text().replace("ppl: 5.29", "pppl: 5.29"))
    with pytest.raises(
        ConfigError, match=r"published.yaml:\d+: unknown key table3.rows.A1.pppl; did"
    ):
        read_as(path, Published)

"""LaTeX that compiles, whatever the names are."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import published, tables
from analysis.latex import document, escape
from analysis.tables import Table
from tests.analysis.example import heading, run, stored, trials

HOSTILE = r"\input{/etc/passwd} {}$x^2$ & 100% _#~^ <a|b> " + '"q" ±Δé ∑ 中文 \x00\n'


@pytest.fixture(scope="module")
def twenty() -> Table:
    """Every row, two seeds; the last row lacks one."""
    some = trials("grammar", [], [1, 2])
    records = [
        run(t, 30 + n / 7, 2.0) | {"score.test.bleu": 29.0, "score.valid.averaged.bleu": 31.0}
        for n, t in enumerate(some[:-1])
    ]
    return tables.build(heading("grammar"), some, stored(records), published.load())


def compiled(text: str, folder: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    (folder / "report.tex").write_text(text, "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
    done = subprocess.run(
        [*command, "report.tex"], cwd=folder, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (folder / "report.pdf").stat().st_size > 0


def test_the_table_compiles(twenty: Table, tmp_path: Path):
    compiled(document(twenty), tmp_path)


def test_hostile_names_compile_and_run_nothing(twenty: Table, tmp_path: Path):
    row = replace(twenty.rows[-1], arm=HOSTILE, label=HOSTILE)
    about = twenty.heading._replace(study=HOSTILE, setting=HOSTILE, command=HOSTILE)
    hostile = replace(twenty, heading=about, rows=(*twenty.rows[:-1], row))
    text = document(hostile)
    assert r"\input" not in text
    compiled(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b&c", r"a\_b\&c"),
        ("\\", r"\textbackslash{}"),
        ("中", "[U+4E2D]"),
        ("é\n", "é "),
        ("±", r"$\pm$"),
    ],
)
def test_every_sign_is_printed_or_named(text: str, expected: str):
    assert escape(text) == expected


def test_groups_are_ruled_off_and_row_e_speaks(twenty: Table):
    text = document(twenty)
    main = text[: text.index("The table ends here")]
    assert main.count(r"\midrule") == 7  # head, base, A, B, C, D, E
    assert r"\multicolumn{9}{c}{positional embedding instead of sinusoids}" in main
    assert r"$-$0.9" in main

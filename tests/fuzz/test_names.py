"""Names that mean harm, in every format that a table, a run's page and a terminal have."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt
from rich.console import Console

from analysis import attention, latex, published, rendering, report, tables
from analysis.listing import Places
from analysis.report import Sample
from analysis.tables import Table
from experiments import description, display, store
from experiments.description import Identity
from lit_transformer.terminal import printable
from tests.analysis.example import curve, heading, run, stored, trials
from tests.experiments.directories import end, make_trial
from tests.fuzz.harm import CASES, FEW, NAMES, is_plain, names
from tests.lit_transformer.sentences import sentence

HARMLESS = "harmless"
FORMULA = tuple("=+-@\t\r＝＋－＠")  # noqa: RUF001


def table(name: str) -> Table:
    """A table whose study, setting, arm, group, label and so on are the name."""
    some = trials("grammar", ["base", "E"], [1, 2])
    records = [
        {**run(t, 30 + n, 2.0), "commit": name, "device": name, "trained_as": name}
        for n, t in enumerate(some[:-1])
    ]
    stray = {**records[0], "arm": name, "seed": 7, "digest": name, "run_id": name}
    made = tables.build(heading("grammar"), some, stored([*records, stray]), published.load())
    row = replace(made.rows[-1], arm=name, label=name, group=name)
    about = made.heading._replace(
        study=name, setting=name, description=name, command=name, versions={name: name}
    )
    signatures = dict.fromkeys(made.signatures, name)
    checksums = ((name, name),)
    rows = (*made.rows[:-1], row)
    return replace(made, heading=about, rows=rows, signatures=signatures, checksums=checksums)


class Page(HTMLParser):
    """Which elements and attributes a page has, in their order, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.shape: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def page(name: str, folder: Path) -> Page:
    made = table(name)
    samples = [Sample(name, 1, name, name, name), Sample("base", 1, name, name, name)]
    history = curve(made.runs[0].run_id, "valid.perplexity", [9, 5])
    maps = attention.choose({name: [sentence()._replace(source=(name,) * 4, text=name)]}, 1)
    places = Places("http://127.0.0.1:5000", folder)
    text = report.page(made, history, samples, maps, {}, places, folder)
    found = Page()
    found.feed(text)
    found.close()
    return found


@pytest.mark.filterwarnings("ignore:Glyph")  # a picture's letters are the reader's own
@settings(FEW, max_examples=FEW.max_examples * 2)
@given(names)
def test_a_page_has_the_elements_of_a_harmless_one(tmp_path: Path, name: str) -> None:
    found = page(name or "x", tmp_path)
    assert found.shape == page(HARMLESS, tmp_path).shape
    assert all(re.match(r"http://127\.0\.0\.1:5000/|#|\.", link) for link in found.links)


@CASES
@given(names)
def test_markdown_has_the_elements_of_a_harmless_table(name: str) -> None:
    def elements(text: str) -> list[str]:
        tokens = MarkdownIt("commonmark").enable("table").parse(text)
        return [t.type for token in tokens for t in (token, *(token.children or []))]

    kinds = {*elements(rendering.markdown(table(name), 200))}
    assert kinds <= {
        *elements(rendering.markdown(table(HARMLESS), 200)),
        "text_special",
        "softbreak",
    }
    assert is_plain(rendering.markdown(table(name), 200))


@CASES
@given(names)
def test_csv_comes_back_whole_and_without_formulas(name: str) -> None:
    text = rendering.csv_text(table(name))
    frame = pd.read_csv(io.StringIO(text, newline=""), keep_default_na=False, dtype=str)
    assert frame.shape[0] == 2
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    unguarded = [c for c in cells if c.lstrip(" ").startswith(FORMULA) and not _is_number(c)]
    assert unguarded == []
    assert list(csv.DictReader(io.StringIO(text, newline="")))[1]["arm"].removeprefix("'") == name


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?[\d.e+-]+", text) is not None


@CASES
@given(names)
def test_json_comes_back_whole(name: str) -> None:
    found = json.loads(rendering.json_text(table(name)).encode())
    assert (found["study"], found["rows"][1]["arm"], found["command"]) == (name, name, name)


@CASES
@given(names)
def test_latex_has_no_commands_but_ours(name: str) -> None:
    commands = re.findall(r"\\([A-Za-z]+|.)", latex.escape(name))
    assert {*commands} <= {
        *("textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater"),
        *("textbar", "pm", "Delta", "epsilon", "times", "dag", "ddag", *"{}$&#%_"),
    }
    assert is_plain(latex.document(table(name)))


def test_latex_with_every_name_compiles(tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    (tmp_path / "report.tex").write_text(latex.document(table(" ".join(NAMES))), "utf-8")
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
    done = subprocess.run([*words, "report.tex"], cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


@CASES
@given(names)
def test_a_terminal_shows_a_name_and_obeys_none(name: str) -> None:
    assert is_plain(printable(name))
    assert printable(HARMLESS) == HARMLESS
    rows = display.Columns({"trial": "left", "reason": "left"})
    rows.add_row(name, name)
    for width in (10, 400):
        console = Console(file=io.StringIO(), width=width, force_terminal=False)
        console.print(rows)
        with display.Screen(console) as screen:
            screen.say(name)
        assert isinstance(console.file, io.StringIO)
        assert is_plain(console.file.getvalue())


@settings(FEW, max_examples=FEW.max_examples * 2)
@given(names)
def test_a_runs_page_in_mlflow_is_text(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.mktemp("root")
    who = Identity(name, name, name, name, 1, "0" * 16)
    record = make_trial(root, who)
    end(record, "failed", name)
    trial = description.read(who, record.path)
    assert trial is not None
    told = (description.note(trial, "id"), description.experiment_note(name, name))
    for text in told:
        html = MarkdownIt("commonmark").enable("table").render(text)
        found = Page()
        found.feed(html)
        assert found.links == []
        assert {tag for tag, _ in found.shape} <= {
            *("p", "strong", "code", "table", "thead", "tbody", "tr", "th", "td"),
        }
        assert is_plain(text)
    tags = description.tags(trial, "root", "trials/x")
    assert all("\x00" not in text for text in tags.values())
    assert json.loads(tags["ablate.row"])["arm"] == name
    assert store.scrub(name) == name or "@" in name


def test_the_interpreter_is_not_the_shell() -> None:
    """`ablate`'s own command line shows a hostile argument and obeys none."""
    words = [sys.executable, "-m", "ablate", "status", "table3", "--setting", "\x1b]0;x\x07\u202e"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert is_plain(done.stdout + done.stderr)

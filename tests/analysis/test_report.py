"""The page and the files of a report."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from analysis import attention, published, rendering, report, svg, tables
from analysis.listing import Places
from analysis.report import Sample
from analysis.tables import Table
from lit_transformer import attention_page
from tests.analysis.example import curve, heading, run, stored, trials
from tests.lit_transformer.sentences import sentence

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
SAMPLE = Sample("base", 1, "a short sentence", "ein kurzer Satz", "ein Satz")
MAPS = attention.choose({"base": [sentence()], "A1": [sentence(heads=1)], "E": []}, 1)
VOID = {"meta", "img", "br", "path", "circle", "rect", "use", "line"}


class Page(HTMLParser):
    """Tags, attributes and text; says whether tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


@pytest.fixture(scope="module")
def table() -> Table:
    """Four rows, two seeds each, one trial missing and one diverged."""
    some = trials("grammar", ["base", "A1", "E", "big"], [1, 2])
    records = [run(t, 30 + n, 2.0) | {"score.test.bleu": 28.0} for n, t in enumerate(some[:-1])]
    records[3] |= {"kind": "diverged"}
    return tables.build(heading("grammar"), some, stored(records), published.load())


@pytest.fixture(scope="module")
def histories(table: Table) -> pd.DataFrame:
    return pd.concat(curve(r.run_id, "valid.perplexity", [9.0, 4.0, 2.0]) for r in table.runs)


def page(table: Table, histories: pd.DataFrame) -> str:
    places = Places("http://127.0.0.1:5000", Path("mlruns/trials"))
    return report.page(
        table, histories, [SAMPLE], MAPS, {}, places, Path("mlruns/reports/table3/grammar")
    )


def written(table: Table, histories: pd.DataFrame, root: Path) -> dict[str, Path]:
    places = Places("http://127.0.0.1:5000", root / "trials")
    return report.write(
        table, histories, [SAMPLE], MAPS, {}, places, root / "reports" / "table3" / "grammar"
    )


def test_the_page_says_that_no_run_has_measured_its_heads(
    table: Table, histories: pd.DataFrame
) -> None:
    assert "<code>ablate heads RUN_ID</code>" in page(table, histories)


def test_the_page_is_well_formed(table: Table, histories: pd.DataFrame):
    assert Page(page(table, histories)).open == []


def test_many_rows_have_no_pictures_and_the_page_says_so(
    table: Table, histories: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = page(table, histories)
    assert "Learning curves" in drawn
    assert "No pictures" not in drawn
    monkeypatch.setattr(report, "MOST_DRAWN", 3)
    bare = page(table, histories)
    assert "No pictures: the table has 4 rows, and more than 3 show nothing." in bare
    assert "Learning curves" not in bare
    assert bare.count("<svg") < drawn.count("<svg")


def test_the_page_loads_nothing(table: Table, histories: pd.DataFrame):
    text = page(table, histories)
    found = Page(text)
    assert not [tag for tag, _ in found.tags if tag in ("link", "img", "iframe", "object", "base")]
    assert not found.values("src")
    assert not re.findall(r"@import|url\((?!#)", text)
    assert "default-src 'none'" in text
    links = {link for link in found.values("href") if not link.startswith(("#", "../"))}
    assert all(link.startswith("http://127.0.0.1:5000/#/experiments/7/runs/") for link in links)


def test_each_row_leads_to_its_runs_and_their_directories(table: Table, histories: pd.DataFrame):
    links = Page(page(table, histories)).values("href")
    for found in table.runs:
        assert f"http://127.0.0.1:5000/#/experiments/7/runs/{found.run_id}" in links
        assert f"../../../trials/{found.digest}/" in links
    assert {"#runs-0", "#runs-3"} <= set(links)


def test_anchors_that_rows_lead_to_are_there_once(table: Table, histories: pd.DataFrame):
    names = Page(page(table, histories)).values("id")
    assert len(names) == len(set(names))
    assert {f"runs-{number}" for number in range(4)} <= set(names)


def test_hostile_names_are_text_on_the_page(table: Table, histories: pd.DataFrame):
    before = Page(page(table, histories))
    row = replace(table.rows[1], arm=HOSTILE, label=HOSTILE, group=HOSTILE)
    about = table.heading._replace(
        study=HOSTILE, setting=HOSTILE, description=HOSTILE, command=HOSTILE
    )
    hostile = replace(table, heading=about, rows=(table.rows[0], row, *table.rows[2:]))
    after = Page(page(hostile, histories))
    count = [tag for tag, _ in before.tags].count("script")
    assert [tag for tag, _ in after.tags].count("script") == count == 1
    assert not [name for _, attrs in after.tags for name in attrs if name.startswith("on")]


def test_arms_show_what_every_head_looks_at(table: Table, histories: pd.DataFrame):
    text = page(table, histories)
    heads = [
        attrs["data-heads"]
        for tag, attrs in Page(text).tags
        if tag == "figure"
        if "data-heads" in attrs
    ]
    assert heads == ["2"] * 3 + ["1"] * 3
    assert "base: 2 layers, 2 heads" in text
    assert "A1: 2 layers, 1 head<" in text
    assert "No maps of this sentence: E." in text


def test_a_page_of_nothing_run_is_a_page():
    some = trials("grammar", [], [1])
    empty = tables.build(heading("grammar"), some, stored([]), published.load())
    nothing = curve("none", "valid.perplexity", [])
    assert "20 of 20 trials unfinished" in page(empty, nothing)


def test_five_files_and_no_scraps(table: Table, histories: pd.DataFrame, tmp_path: Path):
    files = written(table, histories, tmp_path)
    assert list(files) == ["md", "csv", "tex", "json", "html"]
    folder = tmp_path / "reports" / "table3" / "grammar"
    beside = [folder / "figures", folder / "overview.md"]
    assert sorted(folder.iterdir()) == sorted([*files.values(), *beside])
    assert json.loads(files["json"].read_text("utf-8"))["study"] == "table3"


def test_figures_are_pictures_by_themselves(table: Table, histories: pd.DataFrame, tmp_path: Path):
    folder = written(table, histories, tmp_path)["md"].parent / "figures"
    (folder / "09-of-an-earlier-report.svg").write_text("<svg/>")
    written(table, histories, tmp_path)
    pictures = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    assert "01-bleu-points-from-base.svg" in pictures
    assert any("perplexity-on-the-valid-part" in name for name in pictures)
    assert "09-of-an-earlier-report.svg" not in pictures
    for picture in pictures.values():
        assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in picture
        assert float(ElementTree.fromstring(picture).attrib["width"]) > 100


def test_colours_of_figures_are_the_page_s() -> None:
    style = attention_page.read_template("page.css").partition("@media")[0]
    assert {**svg.LIGHT}.items() <= dict(re.findall(r"(--[\w-]+): (#\w+);", style)).items()


def test_an_overview_has_the_widest_layout_that_fits(table: Table) -> None:
    whole = rendering.overview(table, 10**6)
    assert table.heading.command in whole
    for limit in range(len(whole), 100, -97):
        text = rendering.overview(table, limit)
        assert len(text) <= limit
        assert limit < 1500 or "| A1" in text


def test_the_same_table_gives_the_same_files(table: Table, histories: pd.DataFrame, tmp_path: Path):
    first = {k: p.read_bytes() for k, p in written(table, histories, tmp_path).items()}
    second = {k: p.read_bytes() for k, p in written(table, histories, tmp_path).items()}
    other = {k: p.read_bytes() for k, p in written(table, histories, tmp_path / "x").items()}
    assert first == second == other


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    table: Table, histories: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = written(table, histories, tmp_path)
    old = files["md"].read_bytes()

    def refuse(source: object, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        written(table, histories, tmp_path)
    assert files["md"].read_bytes() == old
    assert not list(files["md"].parent.glob(".*"))


def test_a_report_needs_neither_torch_nor_mlflow():
    code = (
        "import sys; import analysis.report; "
        "print(*sorted({'torch', 'mlflow', 'lightning', 'pytorch_lightning'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == ""


def browse(path: Path, folder: Path) -> str:
    """The page after a browser has run its script."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on this machine")
    switches = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update"),
        *(f"--user-data-dir={folder}", "--virtual-time-budget=3000", "--dump-dom"),
    )
    done = subprocess.run(
        [browser, *switches, path.as_uri()],
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    return done.stdout


@pytest.mark.slow
def test_a_browser_runs_the_script_and_sorts(table: Table, histories: pd.DataFrame, tmp_path: Path):
    path = written(table, histories, tmp_path)["html"]
    text = path.read_text("utf-8")
    # Clicks twice: from the highest down; the page's policy allows only its own script, so this
    # copy goes without one.
    probe = (
        "<script>const b=document.querySelector('th[data-sort=\"valid.bleu\"] button');"
        "b.click();b.click();"
        "document.title=[...document.querySelectorAll('table.wide tbody th a')]"
        ".map((a)=>a.textContent).join(' ');</script></body>"
    )
    copy = path.with_name("probe.html")
    without = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    copy.write_text(without.replace("</body>", probe), "utf-8")
    shown = browse(copy, tmp_path / "profile")
    assert "<title>big E A1 base</title>" in shown
    assert 'aria-sort="descending"' in shown


@pytest.mark.slow
def test_the_policy_lets_the_pages_own_script_run(
    table: Table, histories: pd.DataFrame, tmp_path: Path
):
    path = written(table, histories, tmp_path)["html"]
    # The script's last word is a mark on the page's root.
    assert 'data-ready="true"' in browse(path, tmp_path / "profile")

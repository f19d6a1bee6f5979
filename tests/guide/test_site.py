"""The site as `make docs` builds it: without a warning, complete in both languages, with links that
lead somewhere."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent.parent
GUIDE = ROOT / "docs" / "guide"
LANGUAGES = ("en", "ko")
NEEDED = ("sphinx", "myst_parser", "furo", "sphinx_copybutton")
BUILT_ONCE = pytest.mark.xdist_group("site")
"""One worker builds the site, for all tests that look at it."""


class Links(HTMLParser):
    """Where a page leads, and where in it one can be led."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (name == "id" or (tag == "a" and name == "name")):
                self.anchors.add(value)
            elif value and name in ("href", "src") and tag in ("a", "img", "script", "link"):
                self.targets.append(value)


def pages(language: str) -> dict[str, str]:
    folder = GUIDE / language
    return {p.relative_to(folder).as_posix(): p.read_text("utf-8") for p in folder.rglob("*.md")}


def test_both_languages_have_the_same_pages() -> None:
    assert pages("en").keys() == pages("ko").keys()


@pytest.mark.parametrize("page", pages("en"))
def test_both_languages_show_the_same_of_reports(page: str) -> None:
    shown = [
        re.findall(r"^```\{.*?^```|\{value\}`.*?`", pages(one)[page], re.M | re.S)
        for one in LANGUAGES
    ]
    directives = [
        sorted(re.sub(r"\s+", " ", text) for text in some if "toctree" not in text)
        for some in shown
    ]
    assert directives[0] == directives[1]


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("[results](../benchmarks/RESULTS.md#gpu)", "results (`benchmarks/RESULTS.md`)"),
        ("[`Makefile`](../Makefile)", "`Makefile`"),
        ("[here](../docs/explain.md)", "[here](../docs/explain.md)"),
    ],
)
def test_a_file_that_is_no_page_is_named(link: str, shown: str) -> None:
    site = pytest.importorskip("guide.site", reason="the guide's tools are missing")
    source = [f"See {link}."]
    site._name_files(SimpleNamespace(srcdir=ROOT / "docs"), "scaling", source)
    assert source == [f"See {shown}."]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in NEEDED:
        pytest.importorskip(name, reason="the guide's tools are missing: `make docs` installs them")
    folder = tmp_path_factory.mktemp("site")
    for language in LANGUAGES:
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "guide"]
        command += ["-d", str(folder / "doctrees" / language), "-D", f"language={language}"]
        command += ["docs", str(folder / language)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    shutil.copyfile(ROOT / "guide" / "landing.html", folder / "index.html")
    return folder


@pytest.mark.slow
@BUILT_ONCE
def test_every_link_leads_to_a_file_and_a_place_in_it(site: Path) -> None:
    found = {path: Links(path.read_text("utf-8")) for path in site.rglob("*.html")}
    broken = []
    for path, links in found.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or "report.html" in path.name:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not file.is_file() or (
                anchor and file in found and anchor not in found[file].anchors
            ):
                broken.append(f"{path.relative_to(site)}: {target}")
    assert len(found) > 20
    assert not broken


@pytest.mark.slow
@BUILT_ONCE
@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_loaded_from_elsewhere(site: Path, language: str) -> None:
    for path in (site / language / "guide").rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="(https?:)?//', path.read_text()
        )
        assert not loaded


@pytest.mark.slow
@BUILT_ONCE
def test_the_index_of_korean_words_has_them_without_particles(site: Path) -> None:
    index = (site / "ko" / "searchindex.js").read_text("utf-8")
    terms = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))["terms"]
    assert {"위치", "학습률", "디코더"} <= {*terms}
    assert not {"위치를", "학습률은", "디코더가"} & {*terms}
    assert "particle" in (site / "ko" / "_static" / "language_data.js").read_text("utf-8")

"""The page of attention maps: what it holds, that it loads nothing, and that its script draws."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lit_transformer.attention_maps import PARTS, LeftOut, entropy, labels
from lit_transformer.attention_page import ALPHABET, draw, fitting, page
from tests.lit_transformer.sentences import sentence

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x1b[31m"


class Page(HTMLParser):
    """Tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def figures(self) -> list[dict[str, str]]:
        return [
            {k: v or "" for k, v in attrs.items()} for tag, attrs in self.tags if tag == "figure"
        ]


def test_the_page_holds_words_and_weights_of_every_head() -> None:
    one = sentence(layers=2, heads=3)
    figures = Page(page("of a test", [one])).figures()
    for part, weights, figure in zip(PARTS, one.maps, figures, strict=True):
        rows, columns = labels(one, part)
        assert json.loads(figure["data-rows"]) == [word.replace("▁", "·") for word in rows]
        assert json.loads(figure["data-columns"]) == [word.replace("▁", "·") for word in columns]
        levels = [ALPHABET.index(letter) / 63 for letter in figure["data-levels"]]
        assert (figure["data-layers"], figure["data-heads"]) == ("2", "3")
        np.testing.assert_allclose(levels, weights.flatten(), atol=0.5 / 63 + 1e-6)
        told = json.loads(figure["data-entropy"])
        np.testing.assert_allclose(told, entropy(weights), atol=0.005001)


def test_letters_of_weights_are_64_and_harmless_in_markup() -> None:
    assert len(set(ALPHABET)) == 64
    assert not set(ALPHABET) & set("<>&\"'")


def test_the_page_loads_nothing_and_runs_its_own_script_alone() -> None:
    text = page("of a test", [sentence()])
    found = Page(text)
    assert not [tag for tag, _ in found.tags if tag in ("link", "img", "iframe", "object", "base")]
    assert not [attrs for _, attrs in found.tags if {"src", "href"} & attrs.keys()]
    assert not re.findall(r"@import|url\(", text)
    script = text[text.index("<script>") + 8 : text.index("</script>")]
    assert script.isascii()  # its mark then holds whatever encoding a viewer takes the page for
    mark = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{mark}'" in text
    assert "default-src 'none'" in text


def test_hostile_words_are_text() -> None:
    one = sentence()._replace(source=(HOSTILE,) * 4, text=HOSTILE)
    before, after = Page(page("of a test", [sentence()])), Page(page(HOSTILE, [one]))
    assert [tag for tag, _ in before.tags] == [tag for tag, _ in after.tags]
    assert not [name for _, attrs in after.tags for name in attrs if name.startswith("on")]
    assert "\x1b" not in page(HOSTILE, [one])


def test_the_same_sentences_give_the_same_page() -> None:
    assert page("of a test", [sentence()]) == page("of a test", [sentence()])


def test_what_is_left_out_is_named() -> None:
    text = page("of a test", [LeftOut(4, "too long")])
    assert "Sentence 4 is left out: too long." in text
    assert not Page(text).figures()


def test_sentences_find_room_one_after_the_other() -> None:
    drawings = [draw(name, sentence(words=n)) for name, n in (("a", 3), ("b", 9), ("c", 3))]
    # 2 layers, 2 heads; 4 source pieces with the mark, 3 of the output: 16 + 9 + 12 cells a head.
    assert drawings[0].cells == 4 * 37
    chosen, crowded = fitting(drawings, 2 * 4 * 37)
    assert ([one.title for one in chosen], crowded) == (["a", "c"], ["b"])
    assert fitting(drawings, 10_000) == (drawings, [])


def browse(text: str, folder: Path, probe: str) -> str:
    """The page after a browser has run its script and `probe`, which its policy would not let."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on this machine")
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text) if probe else text
    path = folder / "page.html"
    path.write_text(free.replace("</body>", f"<script>{probe}</script></body>"), "utf-8")
    switches = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update"),
        *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=3000", "--dump-dom"),
    )
    done = subprocess.run(
        [browser, *switches, path.as_uri()], capture_output=True, check=True, text=True, timeout=120
    )
    return done.stdout


@pytest.mark.slow
def test_a_browser_draws_every_head_and_the_words_of_one(tmp_path: Path) -> None:
    """Under the page's own policy."""
    one = sentence(layers=2, heads=3)
    shown = browse(page("of a test", [one]), tmp_path, "")
    assert shown.count("<canvas") == 3 * 2 * 3
    heads = [
        word.replace("▁", "·") for part in PARTS for side in labels(one, part) for word in side
    ]
    assert all(shown.count(f">{escape(word)}</th>") == heads.count(word) for word in heads)
    first = f"entropy {entropy(one.maps.encoder_LHSS)[0, 0]:.2f} nats"
    assert f"<b>layer 1, head 1: {first}" in shown


@pytest.mark.slow
def test_keys_go_from_head_to_head_and_from_cell_to_cell(tmp_path: Path) -> None:
    one = sentence(layers=2, heads=3)
    probe = """
        const figure = document.querySelector("figure.maps");
        for (const place of [".heads", ".map"]) {
          for (const key of ["ArrowDown", "ArrowDown", "ArrowRight"]) {
            const event = new KeyboardEvent("keydown", { key, bubbles: true });
            figure.querySelector(place).dispatchEvent(event);
          }
        }
        document.title = [document.activeElement.getAttribute("aria-label"),
          figure.querySelector("output").textContent].join(" | ");
    """
    shown = browse(page("of a test", [one]), tmp_path, probe)
    weight = round(round(float(one.maps.encoder_LHSS[1, 1, 1, 1]) * 63) / 63 * 100)
    title = re.search("<title>(.*?)</title>", shown)
    assert title is not None
    assert title[1].startswith("layer 2, head 2: entropy ")
    assert title[1].endswith(f"| ·s1 → ·s1: {weight} %")

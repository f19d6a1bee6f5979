"""Attention maps out of a report's page, which is where a report has them: drawn without a script.

The weights are those of the page, in as many steps.
"""

import json
import re
from collections import defaultdict
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from guide.reports import GuideError
from guide.words import Words
from lit_transformer.attention_maps import Part
from lit_transformer.attention_page import WORDS

SMALL, LARGE = 6, 26
"""Pixels of a weight's side: where all heads are drawn, and where one is."""
GAP, LINE = 8, 18
"""Between heads, and for words above them."""


class Maps(NamedTuple):
    """One kind of attention of one arm, over one sentence."""

    sentence: int
    """Its line in the valid part, from 1."""
    seed: int
    layers: int
    heads: int
    rows: list[str]
    columns: list[str]
    entropy: list[list[float]]
    """By layer and head, in nats."""
    weights: list[float]
    """0 to 1: layer by layer, head by head, row by row."""

    @property
    def sharpest(self) -> tuple[int, int]:
        """Layer and head, from 0, whose rows look at the fewest tokens."""
        places = [(layer, head) for layer in range(self.layers) for head in range(self.heads)]
        return min(places, key=lambda place: self.entropy[place[0]][place[1]])

    def of(self, layer: int, head: int) -> list[list[float]]:
        """A row for each token that looks."""
        size, wide = len(self.rows) * len(self.columns), len(self.columns)
        own = self.weights[(layer * self.heads + head) * size :][:size]
        return [own[start : start + wide] for start in range(0, size, wide)]


def read(page: Path, arm: str, part: Part) -> Maps | None:
    """From a report's page; None where it has no maps. GuideError for an arm or a kind of
    attention that it has none of."""
    text = page.read_text("utf-8")
    told = re.search(r"Sentence (\d+) of the valid part, .* of seed (\d+)\.", text)
    if told is None:
        return None
    parser = _Page()
    parser.feed(text)
    title, _ = WORDS[part]
    found = parser.found
    if (arm, title) not in found:
        known = ", ".join(dict.fromkeys(f"{one} ({kind})" for one, kind in found))
        raise GuideError(f"{page}: no maps of {arm} ({title}); there are {known}")
    data = found[arm, title]
    last = len(data["alphabet"]) - 1
    return Maps(
        int(told[1]),
        int(told[2]),
        int(data["layers"]),
        int(data["heads"]),
        json.loads(data["rows"]),
        json.loads(data["columns"]),
        json.loads(data["entropy"]),
        [data["alphabet"].index(level) / last for level in data["levels"]],
    )


def heads(maps: Maps, words: Words) -> str:
    """All heads, a line a layer, as SVG."""
    wide, high = SMALL * len(maps.columns) + GAP, SMALL * len(maps.rows) + GAP
    left = 54
    drawn = [_word(left + head * wide, 12, str(head + 1)) for head in range(maps.heads)]
    for layer in range(maps.layers):
        top = LINE + layer * high
        drawn.append(_word(0, top + high / 2, words.layer.format(layer=layer + 1)))
        for head in range(maps.heads):
            drawn.append(_cells(maps.of(layer, head), left + head * wide, top, SMALL))
    return _svg(left + maps.heads * wide, LINE + maps.layers * high, words.all_heads, drawn)


def chosen(maps: Maps, layer: int, head: int, title: str) -> str:
    """One head with its words, as SVG: a row for each token that looks. Counted from 0."""
    left = 9 * max(map(len, maps.rows)) + 6
    top = 9 * max(map(len, maps.columns)) + 6
    drawn = [_cells(maps.of(layer, head), left, top, LARGE)]
    for row, word in enumerate(maps.rows):
        y = top + (row + 0.5) * LARGE + 4
        drawn.append(_word(left - 6, y, word, 'text-anchor="end"'))
    for column, word in enumerate(maps.columns):
        x = left + (column + 0.5) * LARGE + 4
        drawn.append(_word(x, top - 6, word, f'transform="rotate(-90 {x:g} {top - 6:g})"'))
    wide, high = left + LARGE * len(maps.columns), top + LARGE * len(maps.rows)
    return _svg(wide, high, title, drawn)


def _cells(weights: list[list[float]], left: float, top: float, side: int) -> str:
    """The stronger the colour, the more; a frame shows where nothing is."""
    by_weight: dict[float, list[str]] = defaultdict(list)
    for row, line in enumerate(weights):
        for column, weight in enumerate(line):
            path = f"M{left + column * side:g} {top + row * side:g}h{side}v{side}h-{side}z"
            by_weight[weight].append(path)
    drawn = "".join(
        f'<path d="{"".join(paths)}" fill-opacity="{weight:.2f}"/>'
        for weight, paths in sorted(by_weight.items())
        if weight
    )
    wide, high = side * len(weights[0]), side * len(weights)
    frame = f'<path d="M{left:g} {top:g}h{wide}v{high}h-{wide}z" fill="none" stroke="var(--hair)"/>'
    return f'<g fill="var(--series-1)">{drawn}</g>{frame}'


def _word(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="var(--faint)" {more}>{escape(text)}</text>'


def _svg(wide: float, high: float, title: str, drawn: list[str]) -> str:
    box = f"-1 -1 {wide + 2:g} {high + 2:g}"
    style = f"max-width: {wide + 2:g}px"
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="{box}" font-size="13" '
        f'style="{style}">{"".join(drawn)}</svg>'
    )


class _Page(HTMLParser):
    """By arm and title of the kind of attention, what a `figure.maps` says."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[tuple[str, str], dict[str, str]] = {}
        self.inside = ""
        self.arm = ""
        self.figure: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        values = {name: value or "" for name, value in attrs}
        if tag == "figure":
            is_map = values.get("class") == "maps"
            self.figure = {
                name.removeprefix("data-"): value
                for name, value in values.items()
                if is_map and name.startswith("data-")
            }

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "summary":
            self.arm = data.rpartition(":")[0]
        elif self.inside == "b" and self.figure:
            self.found[self.arm, data] = self.figure

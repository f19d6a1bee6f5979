"""Attention maps as a page that needs nothing from outside, and the part of it that reports share.

The page holds weights as letters, one a cell; its script draws them, in the colours of a light or a
dark page. The same sentences give the same bytes.
"""

import base64
import hashlib
import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lit_transformer.attention_maps import (
    LeftOut,
    Part,
    Sentence,
    Weights,
    distance,
    entropy,
    labels,
)
from lit_transformer.terminal import printable

TEMPLATES = Path(__file__).with_name("templates")
ALPHABET = string.digits + string.ascii_letters + "+-"
"""Weights 0 to 1, in 63 steps."""
ROOM = 4_000_000
"""Cells of all maps on a page; sentences beyond them are left out and named."""
WORDS: dict[Part, tuple[str, str]] = {
    "encoder": ("Encoder", "each source piece looks at the whole source"),
    "decoder": ("Decoder", "each output piece looks at what was written before it"),
    "cross": ("Decoder to encoder", "each output piece looks at the source"),
}


class Panel(NamedTuple):
    """All heads of one kind of attention."""

    title: str
    meaning: str
    rows: list[str]
    columns: list[str]
    entropy: list[list[float]]
    """By layer and head."""
    distance: list[list[float]]
    levels: str
    """A letter of ALPHABET for each weight: layer by layer, head by head, row by row."""


class Drawing(NamedTuple):
    """One sentence by one model, ready for the template."""

    title: str
    text: str
    layers: int
    heads: int
    parts: list[Panel]
    alphabet: str

    @property
    def cells(self) -> int:
        return sum(len(part.levels) for part in self.parts)


def draw(title: str, sentence: Sentence) -> Drawing:
    layers, heads = sentence.maps.cross_LHTS.shape[:2]
    parts = [_panel(sentence, part, weights) for part, weights in sentence.maps.parts().items()]
    return Drawing(printable(title), printable(sentence.text), layers, heads, parts, ALPHABET)


def _panel(sentence: Sentence, part: Part, weights: Weights) -> Panel:
    title, meaning = WORDS[part]
    rows, columns = labels(sentence, part)
    return Panel(
        title,
        meaning,
        [_word(piece) for piece in rows],
        [_word(piece) for piece in columns],
        entropy(weights).round(2).tolist(),
        distance(weights).round(1).tolist(),
        _levels(weights),
    )


def _word(piece: str) -> str:
    """With a lighter sign than sentencepiece's where a word begins."""
    return printable(piece).replace("▁", "·")


def _levels(weights: Weights) -> str:
    steps = np.rint(weights * (len(ALPHABET) - 1)).clip(0, len(ALPHABET) - 1).astype(np.intp)
    return np.frombuffer(ALPHABET.encode("ascii"), np.uint8)[steps].tobytes().decode("ascii")


def fitting(drawings: Iterable[Drawing], room: int) -> tuple[list[Drawing], list[str]]:
    """Those that find room, one after the other, and the titles of those that do not."""
    chosen: list[Drawing] = []
    left_out: list[str] = []
    for drawing in drawings:
        if drawing.cells <= room:
            room -= drawing.cells
            chosen.append(drawing)
        else:
            left_out.append(drawing.title)
    return chosen, left_out


def page(origin: str, observed: Sequence[Sentence | LeftOut]) -> str:
    """`origin` says whose sentences they are."""
    sentences = [one for one in observed if isinstance(one, Sentence)]
    drawings = [draw(f"Sentence {one.number}", one) for one in sentences]
    chosen, crowded = fitting(drawings, ROOM)
    left_out = [
        f"Sentence {one.number} is left out: {one.reason}."
        for one in observed
        if isinstance(one, LeftOut)
    ]
    left_out += [f"{title} is left out: the page has no more room." for title in crowded]
    script = read_template("attention.js")
    return (
        environment()
        .get_template("attention_page.html.j2")
        .render(
            origin=printable(origin),
            drawings=chosen,
            left_out=left_out,
            style=Markup(read_template("page.css") + read_template("attention.css")),
            script=Markup(script),
            script_hash=script_hash(script),
        )
    )


def environment(*folders: Path) -> Environment:
    """Of the templates in these folders, then of those here."""
    return Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def read_template(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")


def script_hash(script: str) -> str:
    """By which a page's policy knows its own script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

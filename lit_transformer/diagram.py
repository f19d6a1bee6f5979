"""A configuration's model drawn as SVG, after the paper's Figure 1, in its own numbers.

The drawing needs nothing from outside and is readable on a light and on a dark page. The same
configuration gives the same bytes.
"""

import textwrap
from collections.abc import Sequence
from html import escape
from typing import Literal, NamedTuple, final

from markupsafe import Markup

from lit_transformer.architecture import Box, Sizes, adds_positions, amount, boxes, shape
from lit_transformer.attention_page import environment, read_template
from lit_transformer.config import ModelConfig
from lit_transformer.model.cost import Stack
from lit_transformer.terminal import printable

BOX, EDGE, BETWEEN, MARGIN = 330, 34, 56, 16
"""Widths: of a box, from it to its layer's frame, between the frames, around all."""
LINE, FIRST, BELOW = 15, 19, 8
"""Heights: from line to line, from a box's top to its title, below its last line."""
STEP = 16
"""Height of an arrow."""
SIGN = 9
"""Radius of a plus."""
HEAD = 44
"""Height of the title, without what stands below it."""
LONGEST = 120
"""Characters of a line below the title, which has fewer."""

STYLE = """\
svg { --page: #fffefb; --ink: #1d1c1a; --faint: #6d6860; --line: #8d877c; --frame: #f3efe7;
  --attention: #f9e3d2; --feed_forward: #d8e8f3; --norm: #f5f0cd; --embedding: #f6dfe4;
  --project: #dfe0f1; --softmax: #dcebd9; --recurrence: #e8ddf0; --convolution: #d5ece6; }
@media (prefers-color-scheme: dark) { svg { --page: #171614; --ink: #e8e4db; --faint: #a49d91;
  --line: #7d776c; --frame: #211f1c; --attention: #4e3526; --feed_forward: #243c4d;
  --norm: #45401f; --embedding: #4b2c35; --project: #323454; --softmax: #2c4229;
  --recurrence: #3f3150; --convolution: #1f463f; } }
text { font: 12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--faint);
  font-variant-numeric: tabular-nums; }
.title { font-size: 17px; font-weight: 600; fill: var(--ink); }
.name { font-size: 13px; font-weight: 600; fill: var(--ink); }
.number { text-anchor: end; fill: var(--ink); }
.flow { fill: none; stroke: var(--line); stroke-width: 1.3; }
.box { stroke: var(--line); stroke-width: .8; }
.frame { fill: var(--frame); stroke: var(--line); stroke-width: .8; }
.sign { fill: var(--page); stroke: var(--line); stroke-width: 1.3; }
"""

Outward = Literal[-1, 1]


class Place(NamedTuple):
    """Of a box: its lower and its upper edge."""

    bottom: float
    top: float

    @property
    def middle(self) -> float:
        return (self.bottom + self.top) / 2


@final
class Column:
    """One of the two stacks, drawn from below to above; y falls on the way."""

    def __init__(self, left: float, outward: Outward) -> None:
        self.left, self.outward = left, outward
        self.middle = left + BOX / 2
        self.y = 0.0
        self.drawn: list[str] = []

    @property
    def outer(self) -> float:
        """The side on which residuals pass by."""
        return self.left if self.outward < 0 else self.left + BOX

    def label(self, text: str) -> None:
        self.drawn.append(f'<text x="{self.middle:g}" y="{self.y - 4:g}" text-anchor="middle">')
        self.drawn.append(f"{escape(text)}</text>")
        self.y -= LINE + 4

    def arrow(self, beside: str = "") -> None:
        self.drawn.append(_flow(f"M{self.middle:g} {self.y:g}v{-STEP}", ends=True))
        if beside:
            self.drawn.append(_text(self.middle + 8, self.y - 4, beside))
        self.y -= STEP

    def box(self, kind: str, title: str, lines: Sequence[str], numbers: Sequence[str]) -> Place:
        rows = max(1 + len(lines), len(numbers))
        height = FIRST + (rows - 1) * LINE + BELOW
        top = self.y - height
        self.drawn.append(
            f'<rect class="box" x="{self.left:g}" y="{top:g}" width="{BOX}" height="{height:g}" '
            f'rx="5" fill="var(--{kind})"/>'
        )
        self.drawn.append(_text(self.left + 10, top + FIRST, title, "name"))
        for number, line in enumerate(lines, start=1):
            self.drawn.append(_text(self.left + 10, top + FIRST + number * LINE, line))
        for number, word in enumerate(numbers):
            y = top + FIRST + number * LINE
            self.drawn.append(_text(self.left + BOX - 10, y, word, "number"))
        self.y = top
        return Place(top + height, top)

    def plus(self) -> float:
        """-> where its middle is."""
        y = self.y - SIGN
        self.drawn.append(f'<circle class="sign" cx="{self.middle:g}" cy="{y:g}" r="{SIGN}"/>')
        arms = f"M{self.middle - 5:g} {y:g}h10M{self.middle:g} {y - 5:g}v10"
        self.drawn.append(_flow(arms))
        self.y -= 2 * SIGN
        return y

    def around(self, start: float, end: float, to: float) -> None:
        """A residual, from the stack at `start` to x = `to` at `end`."""
        side = self.outer + self.outward * 18
        self.drawn.append(_flow(f"M{self.middle:g} {start:g}H{side:g}V{end:g}H{to:g}", ends=True))

    def frame(self, start: float, words: str, number: str) -> None:
        """Behind all that was drawn since y = `start`."""
        top = self.y - LINE - 8
        rect = (
            f'<rect class="frame" x="{self.left - EDGE:g}" y="{top:g}" width="{BOX + 2 * EDGE}" '
            f'height="{start - top:g}" rx="9"/>'
        )
        self.drawn.insert(0, rect)
        right = self.left + BOX + EDGE - 12
        self.drawn.append(_text(self.left - EDGE + 12, top + 17, words, "name"))
        self.drawn.append(_text(right, top + 17, number, "number"))
        self.drawn.append(_flow(f"M{self.middle:g} {self.y:g}V{top:g}"))
        self.y = top


def draw(title: str, about: str, model: ModelConfig, sizes: Sizes) -> str:
    """`about` is what stands below the title, beside the model's counts."""
    found = boxes(model, sizes)
    left = MARGIN + EDGE
    right = left + BOX + 2 * EDGE + BETWEEN
    encoder, decoder = Column(left, -1), Column(right, 1)
    _inputs(encoder, "source", found, f"source, {sizes.source} tokens", model)
    _layers(encoder, "encoder", found, model)
    _inputs(decoder, "target", found, f"target, one to the right, {sizes.target} tokens", model)
    looks = _layers(decoder, "decoder", found, model)
    _outputs(decoder, found, sizes)
    cross = looks["cross_attention"].middle
    memory = encoder.y
    between = right - EDGE - BETWEEN / 2
    path = f"M{encoder.middle:g} {memory:g}v{-STEP}H{between:g}V{cross:g}H{right:g}"
    words = f"keys and values from {shape((sizes.source, model.d_model))}"
    over = _text(encoder.middle + 8, memory - STEP - 5, words)
    parameters = sum(box.part.parameters for box in found)
    operations = sum(box.part.operations for box in found)
    counts = (
        f"{parameters:,} parameters; {amount(operations)} operations forward, a pair; boxes tell "
        "those of one copy"
    )
    below = [*textwrap.wrap(about, LONGEST), counts]
    heading = [_text(0, 0, textwrap.shorten(title, LONGEST // 2, placeholder="…"), "title")]
    heading += [_text(0, 22 + n * (LINE + 2), words) for n, words in enumerate(below)]
    top = min(encoder.y - 2 * STEP, decoder.y) - HEAD - (LINE + 2) * len(below)
    width = right + BOX + EDGE + MARGIN
    height = -top + MARGIN
    body = "\n".join((*encoder.drawn, *decoder.drawn, _flow(path, ends=True), over))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {top:g} {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" aria-label="{_safe(title)}">\n'
        f"<style>\n{STYLE}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="var(--line)"/></marker>'
        "</defs>\n"
        f'<rect x="0" y="{top:g}" width="100%" height="100%" fill="var(--page)"/>\n'
        f'<g transform="translate({MARGIN} {top + 30:g})">{"".join(heading)}</g>\n{body}\n</svg>\n'
    )


def _inputs(
    column: Column, stack: Stack, found: Sequence[Box], words: str, model: ModelConfig
) -> None:
    column.label(words)
    for box in found:
        if box.part.stack == stack and box.part.kind == "embedding":
            column.arrow()
            _draw_box(column, "embedding", box._replace(title=f"{stack.capitalize()} embedding"))
        elif box.part.stack == stack and adds_positions(model):
            column.arrow()
            y = column.plus()
            edge = column.middle + SIGN
            column.drawn.append(_flow(f"M{edge + 22:g} {y:g}H{edge:g}", ends=True))
            column.drawn.append(_text(edge + 27, y + 4, box.title.partition(": ")[2]))


def _layers(
    column: Column, stack: Stack, found: Sequence[Box], model: ModelConfig
) -> dict[str, Place]:
    """-> where the sub-layers are, by kind."""
    own = [box for box in found if box.part.stack == stack]
    sublayers = [box for box in own if box.part.kind != "norm"]
    norms = [box for box in own if box.part.kind == "norm"]
    column.arrow()
    start, places = column.y, dict[str, Place]()
    for box, norm in zip(sublayers, norms, strict=False):
        column.arrow()
        branch = column.y + STEP / 2
        if model.norm == "pre":
            _draw_box(column, "norm", norm)
            column.arrow()
        places[box.part.kind] = _draw_box(column, _colour(box), box)
        column.arrow()
        if model.norm == "pre":
            column.around(branch, column.plus(), column.middle + column.outward * SIGN)
        else:
            place = _draw_box(column, "norm", norm._replace(title="Add and layer norm"))
            column.around(branch, place.middle, column.outer)
    layer = sum(box.parameters for box in own if box.part.copies == model.layers)
    words = f"× {model.layers} layer{'s' if model.layers > 1 else ''}"
    column.frame(start, words, f"{layer:,} each")
    for norm in norms[len(sublayers) :]:
        column.arrow()
        _draw_box(column, "norm", norm._replace(title="Last layer norm"))
    return places


def _outputs(column: Column, found: Sequence[Box], sizes: Sizes) -> None:
    for box in found:
        if box.part.kind == "project":
            column.arrow()
            _draw_box(column, "project", box)
    column.arrow()
    words = f"probabilities {shape((sizes.target, sizes.vocabulary))}"
    column.box("softmax", "Softmax", [words], [])
    column.arrow()


def _draw_box(column: Column, kind: str, box: Box) -> Place:
    counts = [f"{box.parameters:,}"] if box.parameters else []
    if box.operations:
        counts = [*(counts or ["shared"]), f"{amount(box.operations)} ops"]
    lines = (*box.lines, *box.tensors) if box.part.kind != "norm" else ()
    return column.box(kind, box.title, lines, counts)


def _colour(box: Box) -> str:
    return "attention" if "attention" in box.part.kind else box.part.kind


def _flow(path: str, ends: bool = False) -> str:
    tip = ' marker-end="url(#tip)"' if ends else ""
    return f'<path class="flow" d="{path}"{tip}/>'


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{named}>{_safe(words)}</text>'


def _safe(words: str) -> str:
    return escape(printable(words))


def page(title: str, about: str, model: ModelConfig, sizes: Sizes) -> str:
    """The drawing with a table of every tensor."""
    found = boxes(model, sizes)
    return (
        environment()
        .get_template("architecture.html.j2")
        .render(
            title=printable(title),
            style=Markup(read_template("page.css")),
            drawing=Markup(draw(title, about, model, sizes)),
            boxes=found,
            amount=amount,
            Markup=Markup,
            parameters=sum(box.part.parameters for box in found),
            operations=sum(box.part.operations for box in found),
        )
    )

"""matplotlib's drawings as SVG inside a page.

Colours are CSS variables of the page, so that one picture serves a light and a dark page; text
stays text; the same drawing gives the same bytes, whatever the user's matplotlibrc says.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Colours that no drawing uses otherwise; each becomes a variable of the page.
INK, FAINT, HAIR, PAGE = "#00fe01", "#00fe02", "#00fe03", "#00fe04"
LINES = ("#00fd01", "#00fd02", "#00fd03", "#00fd04", "#00fd05", "#00fd06", "#00fd07")
VARIABLES = {INK: "--ink", FAINT: "--faint", HAIR: "--hair", PAGE: "--page"} | {
    colour: f"--series-{number}" for number, colour in enumerate(LINES, 1)
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
}


@contextmanager
def style(salt: str) -> Iterator[None]:
    """The page's lines and letters; `salt` keeps the names inside two drawings apart."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE | {"svg.hashsalt": salt})
        yield


def inline(drawing: Figure, title: str) -> str:
    """The drawing without prologue, date or style, and no names but those it refers to."""
    FigureCanvasSVG(drawing)
    stream = io.StringIO()
    drawing.savefig(
        stream,
        format="svg",
        transparent=True,
        bbox_inches="tight",
        pad_inches=0.04,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", text, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda m: m.group() if m.group(1) in used else "", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r" font-family: [^;\"]*;", "", text)  # the page's letters
    return _sized(text, title).strip()


def _sized(text: str, title: str) -> str:
    """As wide as its place on the page, and at most as drawn (72 points are 96 pixels)."""
    width = re.search(r' width="([\d.]+)pt"', text)
    pixels = float(width.group(1)) * 4 / 3 if width else 0
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    opening = f'<svg role="img" aria-label="{escape(title)}" style="max-width: {pixels:.0f}px"'
    return text.replace("<svg", opening, 1)

"""matplotlib's drawings as SVG inside a page.

Colours are CSS variables of the page, so that one picture serves a light and a dark page; text
stays text; the same drawing gives the same bytes, whatever the user's matplotlibrc says.
"""

import io
import re
from collections.abc import Iterator, Sequence
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
LIGHT = {
    **{"--ink": "#1d1c1a", "--faint": "#77726a", "--hair": "#ddd8cd", "--page": "#fffefb"},
    **{"--series-1": "#2b5a86", "--series-2": "#b5562f", "--series-3": "#4f8457"},
    **{"--series-4": "#87558a", "--series-5": "#b08a24", "--series-6": "#3b8f93"},
    "--series-7": "#6d5f4f",
}
"""The variables as report.css has them for a light page."""
LINE = 12
"""Points from one line of a key to the next."""
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


def alone(text: str, title: str, key: Sequence[tuple[str, bool, str]]) -> str:
    """A drawing of `inline` as a file of its own: its title and key above it, in the light page's
    colours. The key: (colour variable, dashed, name)."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert box is not None
    width, height = float(box[1]), float(box[2])
    above = [f'<text x="4" y="12" font-weight="600" fill="var(--ink)">{escape(title)}</text>']
    for number, (colour, dashed, name) in enumerate(key, start=1):
        y, dash = 12 + LINE * number, ' stroke-dasharray="4 2"' if dashed else ""
        line = f'd="M4 {y - 3:g}h16" stroke="var({colour})" stroke-width="2"{dash}'
        above.append(f'<path {line}/><text x="24" y="{y:g}">{escape(name)}</text>')
    room, wide = 18 + LINE * len(key), max(width, 6.0 * len(title))
    place = f' y="{room:g}" width="{width}" height="{height}"'
    inner = re.sub(r' style="[^"]*"', place, text, count=1)
    # Twice as large as on the page. Without a size, an image has none.
    size = f'width="{2 * wide:g}" height="{2 * (height + room):g}"'
    whole = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" {size} '
        f'viewBox="0 0 {wide:g} {height + room:g}" font-family="system-ui, sans-serif" '
        f'font-size="9" fill="var(--faint)">\n<rect width="100%" height="100%" '
        f'fill="var(--page)"/>\n{"".join(above)}\n<g fill="black">{inner}</g>\n</svg>\n'
    )
    for name, value in LIGHT.items():
        whole = whole.replace(f"var({name})", value)
    return whole


def _sized(text: str, title: str) -> str:
    """As wide as its place on the page, and at most as drawn (72 points are 96 pixels)."""
    width = re.search(r' width="([\d.]+)pt"', text)
    pixels = float(width.group(1)) * 4 / 3 if width else 0
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    opening = f'<svg role="img" aria-label="{escape(title)}" style="max-width: {pixels:.0f}px"'
    return text.replace("<svg", opening, 1)

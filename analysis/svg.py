"""Drawings as SVG inside a page, in points.

Colours are CSS variables of the page, so that one picture serves a light and a dark page; text
stays text, in the page's letters; the same drawing gives the same bytes.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

INK, FAINT, HAIR, PAGE = "--ink", "--faint", "--hair", "--page"
LINES = tuple(f"--series-{number}" for number in range(1, 8))
LETTERS = 9.0
"""Height of letters."""
ADVANCE = 0.55 * LETTERS
"""Width of a letter, about; what is wider reaches over the picture's edge and is still seen."""

Point = tuple[float, float]


class Scale(NamedTuple):
    """Numbers from `low` to `high` on the way from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, number: float) -> float:
        return self.start + (number - self.low) / (self.high - self.low) * (self.end - self.start)


class LogScale(NamedTuple):
    """The same with equal ways for equal factors; what is not positive is at the lowest."""

    low: float
    high: float
    start: float
    end: float

    def at(self, number: float) -> float:
        share = math.log(max(number, self.low / 1e3) / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between low and high, steps of 1, 2 or 5 tens apart: at most `most` steps."""
    span = high - low
    ten = 10.0 ** math.floor(math.log10(span / most))
    step = next(ten * nice for nice in (1, 2, 5, 10, 20) if span / (ten * nice) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def line(points: Iterable[Point], colour: str, width: float, dashed: bool) -> str:
    """A line through the points."""
    dashes = f' stroke-dasharray="{3 * width:g} {1.6 * width:g}"' if dashed else ""
    return (
        f'<path d="M{_path(points)}" fill="none" stroke="var({colour})"'
        f' stroke-width="{width:g}"{dashes}/>'
    )


def area(points: Iterable[Point], colour: str, opacity: float) -> str:
    """The inside of a line through the points and back to the first."""
    return f'<path d="M{_path(points)}Z" fill="var({colour})" fill-opacity="{opacity:g}"/>'


def dot(at: Point, radius: float, inside: str, rim: str) -> str:
    return (
        f'<circle cx="{at[0]:.2f}" cy="{at[1]:.2f}" r="{radius:g}" fill="var({inside})"'
        f' stroke="var({rim})" stroke-width="0.9"/>'
    )


def text(at: Point, words: str, anchor: str, colour: str) -> str:
    """One line; `anchor` (start, middle, end) says which of its ends is at the point."""
    return (
        f'<text x="{at[0]:.2f}" y="{at[1]:.2f}" text-anchor="{anchor}" fill="var({colour})">'
        f"{escape(words)}</text>"
    )


def clipped(parts: Iterable[str], left_top: Point, right_bottom: Point, name: str) -> str:
    """The parts as far as they lie in a rectangle; `name` is no other clipping's on the page."""
    (x, y), (right, bottom) = left_top, right_bottom
    box = f'<rect x="{x:.2f}" y="{y:.2f}" width="{right - x:.2f}" height="{bottom - y:.2f}"/>'
    return (
        f'<clipPath id="{escape(name)}">{box}</clipPath>'
        f'<g clip-path="url(#{escape(name)})">{"".join(parts)}</g>'
    )


def inline(parts: Sequence[str], width: float, height: float, title: str) -> str:
    """As wide as its place on the page, and at most as drawn (72 points are 96 pixels)."""
    return (
        f'<svg role="img" aria-label="{escape(title)}" style="max-width: {width * 4 / 3:.0f}px"'
        f' viewBox="0 0 {width:.2f} {height:.2f}" font-size="{LETTERS:g}"'
        ' xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(parts) + "\n</svg>"
    )


def _path(points: Iterable[Point]) -> str:
    return "L".join(f"{x:.2f} {y:.2f}" for x, y in points)

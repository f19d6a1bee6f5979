"""What a report has besides its main table: further tables as values, before any markup."""

from collections.abc import Mapping
from typing import NamedTuple

from analysis.columns import Column
from analysis.counting import Measure
from analysis.notes import Note
from analysis.plots import Curve


class Section(NamedTuple):
    """A table with a heading and notes of its own."""

    name: str
    """Its key in the JSON object."""
    title: str
    leads: bool
    """Whether it stands before the main table."""
    columns: tuple[Column, ...]
    blocks: tuple[tuple[int, ...], ...]
    """Numbers of the rows; a rule sets each group apart."""
    notes: tuple[Note, ...]
    content: Mapping[str, object]
    """What the JSON object has of it."""
    curves: Mapping[str, Mapping[str, Curve]] = {}
    """Pictures below the table: title -> arm -> curve."""


SPANNING = "one cell of the paper spans the columns"
"""The meaning of neighbouring cells that are one in the paper."""


def measure_object(measure: Measure) -> dict[str, object]:
    """A measure as the JSON object has it."""
    return {
        "seeds": list(measure.seeds),
        "values": list(measure.values),
        "mean": measure.mean,
        "deviation": measure.deviation,
        "interval": measure.interval and list(measure.interval),
        "withheld": measure.withheld,
    }

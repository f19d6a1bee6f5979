"""Which attention maps a report shows: one sentence, as a trial of each arm saw it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lit_transformer.attention_maps import Sentence
from lit_transformer.attention_page import Drawing, draw, fitting

ROOM = 1_000_000
"""Cells of all maps on a report's page, a byte each."""


class Shown(NamedTuple):
    """The maps of one sentence."""

    number: int
    """Its line in the valid part, from 1."""
    seed: int
    drawings: list[Drawing]
    """Titled with their arms, in the table's order."""
    crowded: list[str]
    """Arms whose maps found no room."""
    absent: list[str]
    """Arms that have none of this sentence."""


def choose(found: Mapping[str, Sequence[Sentence]], seed: int) -> Shown | None:
    """The first sentence that any arm has, by all that have it; `found` is in the table's order.
    None where nobody has one."""
    numbers = [one.number for sentences in found.values() for one in sentences]
    if not numbers:
        return None
    number = min(numbers)
    drawings = [
        draw(arm, one)
        for arm, sentences in found.items()
        for one in sentences
        if one.number == number
    ]
    chosen, crowded = fitting(drawings, ROOM)
    absent = [
        arm for arm, sentences in found.items() if all(one.number != number for one in sentences)
    ]
    return Shown(number, seed, chosen, crowded, absent)

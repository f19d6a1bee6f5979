"""How a sequence is divided where self-attention sees a window alone (section 4), and when it is.

Every block of queries is compared with its own keys and the nearest of its neighbours, so that work
and memory grow with the length, where a mask over all pairs has them grow with its square.
"""

from typing import NamedTuple

SMALLEST_BLOCK = 32
"""Queries of a block; smaller products are not quicker on a CPU's or a GPU's vector units."""
WORTH = 2
"""So many times the keys of a block, a sequence is at least as long where blocks are quicker: they
take copies of keys and values that a mask does without (measured on a CPU, windows 2 to 64)."""


class Blocks(NamedTuple):
    """A sequence of `length` in blocks of `size`; the last one may not be full."""

    length: int
    size: int
    before: int
    """Keys of the block before that a block sees; at most `size`."""
    after: int
    """The same of the block behind."""

    @property
    def number(self) -> int:
        return -(-self.length // self.size)

    @property
    def keys(self) -> int:
        """With which each query is compared; those too far away are hidden."""
        return self.before + self.size + self.after


def divide(window: int | None, length: int, causal: bool) -> Blocks | None:
    """For a sequence whose queries see `window` keys to each side, or back alone if `causal`; None:
    a mask over all pairs is as quick, or there is no window."""
    if window is None:
        return None
    size = max(SMALLEST_BLOCK, 2 * window)
    blocks = Blocks(length, size, window, 0 if causal else window)
    return blocks if length >= WORTH * blocks.keys else None

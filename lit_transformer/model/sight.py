"""Who sees whom in self-attention, as far as places alone tell; the same in a stack's layers."""

# B batch, T queries, S keys, H heads, K d_k

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lit_transformer.model.blocks import hidden_outside
from lit_transformer.model.packing import Rectangles
from lit_transformer.model.positions import Positions, turn
from lit_transformer.model.varlen import LIMITLESS, Reach
from lit_transformer.model.window import Blocks, divide


class Sight(NamedTuple):
    """What self-attention knows beside the tokens."""

    bias: Tensor | None
    """Added to scores, minus infinity where a query may not look; broadcasts to (B, H, T, S), where
    with `blocks` every block is a sentence."""
    turns_TK: Tensor | None
    """For queries and keys at the queries' places, as in `turn`."""
    blocks: Blocks | None = None
    """How queries and keys are divided before they are compared; None: every query meets every
    key."""
    reach: Reach | None = None
    """All that is above, padding apart, where it is no more than this."""

    def turn(self, x_BHTK: Tensor) -> Tensor:
        return x_BHTK if self.turns_TK is None else turn(x_BHTK, self.turns_TK)

    def hiding(self, bias: Tensor | None) -> "Sight":
        """And what `bias` hides."""
        return self._replace(bias=_sum(bias, self.bias))


UNSEEN = Sight(None, None)
"""Of a stack without self-attention."""


def see(
    positions: Positions,
    window: int | None,
    tokens: Rectangles,
    causal: bool,
    hidden: Tensor | None,
) -> Sight:
    """Of all tokens on each other; `hidden` (B, 1, 1, T) hides padding as keys."""
    length, device = tokens.longest, tokens.packing.slot_N.device
    place_T = torch.arange(length, device=device)
    reach = _reach(positions, window, causal)
    blocks = divide(window, length, causal)
    if blocks is not None:
        assert window is not None
        near = _near(positions, window, blocks, causal, device)
        if hidden is None:
            hidden = torch.zeros(tokens.sentences, 1, 1, length, device=device)
        bias = near + hidden_outside(hidden[:, 0, 0], blocks)
        return Sight(bias, positions.turns(place_T, length), blocks, reach)
    if hidden is not None and window is not None:
        hidden = hidden_from_others(hidden)
    seen = sight(positions, window, length, place_T)._replace(reach=reach)
    return seen.hiding(_sum(hidden, causal_bias(length, device) if causal else None))


def _reach(positions: Positions, window: int | None, causal: bool) -> Reach | None:
    """None: positions have a say in who attends to whom."""
    if positions.acts_inside:
        return None
    back = LIMITLESS if window is None else window
    return Reach(back, 0 if causal else back)


def sight(positions: Positions, window: int | None, length: int, query_T: Tensor) -> Sight:
    """Of queries at these places, on keys at all places below `length`."""
    key_S = torch.arange(length, device=query_T.device)
    bias = positions.bias(query_T, key_S)
    if window is not None and window < length - 1:
        bias = _sum(window_bias(query_T, key_S, window), bias)
    return Sight(bias, positions.turns(query_T, length))


def look_back(positions: Positions, window: int | None, query_1: Tensor, place: int) -> Sight:
    """Of one query at `place`, on what it sees of the keys up to it."""
    first = 0 if window is None else max(0, place - window)
    key_S = torch.arange(first, place + 1, device=query_1.device)
    return Sight(positions.bias(query_1, key_S), positions.turns(query_1, place + 1))


def causal_bias(length: int, device: torch.device) -> Tensor:
    """What hides later positions (section 3.2.3), added to scores -> (T, T)."""
    forbidden = torch.full((length, length), -math.inf, device=device)
    return forbidden.triu_(diagonal=1)


def window_bias(query_T: Tensor, key_S: Tensor, window: int) -> Tensor:
    """What hides keys more than `window` places away (section 4), added to scores -> (T, S)."""
    is_far_TS = (query_T[:, None] - key_S).abs() > window
    return torch.zeros(is_far_TS.shape, device=is_far_TS.device).masked_fill_(is_far_TS, -math.inf)


def hidden_from_others(hidden_B11S: Tensor) -> Tensor:
    """What hides padding as keys, but from itself -> (B, 1, S, S).

    A query in a window of padding would look nowhere else, and spoil the gradients of all.
    """
    hidden_B1SS = hidden_B11S.repeat(1, 1, hidden_B11S.size(-1), 1)
    hidden_B1SS.diagonal(dim1=-2, dim2=-1).zero_()
    return hidden_B1SS


def _near(
    positions: Positions, window: int, blocks: Blocks, causal: bool, device: torch.device
) -> Tensor:
    """What distances add to scores, and hide: the same in every block -> (1, 1 or H, Q, W)."""
    key_W = torch.arange(blocks.keys, device=device)
    query_Q = key_W[blocks.before : blocks.before + blocks.size]
    bias = window_bias(query_Q, key_W, window)
    if causal:
        bias.masked_fill_(key_W > query_Q[:, None], -math.inf)
    added = _sum(bias, positions.bias(query_Q, key_W))
    assert added is not None
    return added.expand(1, *added.shape[-3:]) if added.dim() == 4 else added[None, None]


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second

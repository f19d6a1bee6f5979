"""Who sees whom in self-attention, as far as places alone tell; the same in a stack's layers."""

# B batch, T queries, S keys, H heads, K d_k

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lit_transformer.model.positions import Positions, turn


class Sight(NamedTuple):
    """What self-attention knows beside the tokens."""

    bias: Tensor | None
    """Added to scores, minus infinity where a query may not look; broadcasts to (B, H, T, S)."""
    turns_TK: Tensor | None
    """For queries and keys at the queries' places, as in `turn`."""

    def turn(self, x_BHTK: Tensor) -> Tensor:
        return x_BHTK if self.turns_TK is None else turn(x_BHTK, self.turns_TK)

    def hiding(self, bias: Tensor | None) -> "Sight":
        """And what `bias` hides."""
        return self._replace(bias=_sum(bias, self.bias))


UNSEEN = Sight(None, None)
"""Of a stack without self-attention."""


def sight(positions: Positions, window: int | None, length: int, query_T: Tensor) -> Sight:
    """Of queries at these places, on keys at all places below `length`."""
    key_S = torch.arange(length, device=query_T.device)
    bias = positions.bias(query_T, key_S)
    if window is not None and window < length - 1:
        bias = _sum(window_bias(query_T, key_S, window), bias)
    return Sight(bias, positions.turns(query_T, length))


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


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second

"""Tensors of a sequence in blocks, each of which then stands for a sentence of its own."""

# B batch, H heads, T places of the whole, C channels, N blocks of each sentence, Q queries of a
# block, W keys that a block sees

import math

import torch
from torch import Tensor
from torch.nn import functional

from lit_transformer.model.window import Blocks


def split_queries(x_BHTC: Tensor, blocks: Blocks) -> Tensor:
    """-> (B * N, H, Q, C); zeros behind the end."""
    return _filled(x_BHTC, blocks, 0.0).transpose(1, 2).flatten(0, 1)


def split_keys(x_BHTC: Tensor, blocks: Blocks, outside: float = 0.0) -> Tensor:
    """-> (B * N, H, W, C): every block with what it sees of its neighbours; `outside` before the
    beginning and behind the end."""
    own_BHNQC = _filled(x_BHTC, blocks, outside)
    parts = [own_BHNQC]
    if blocks.before:
        nearest = own_BHNQC[:, :, :-1, -blocks.before :]
        parts.insert(0, functional.pad(nearest, (0, 0, 0, 0, 1, 0), value=outside))
    if blocks.after:
        nearest = own_BHNQC[:, :, 1:, : blocks.after]
        parts.append(functional.pad(nearest, (0, 0, 0, 0, 0, 1), value=outside))
    return torch.cat(parts, dim=3).transpose(1, 2).flatten(0, 1)


def join(x_XHQC: Tensor, blocks: Blocks) -> Tensor:
    """Of queries, (B * N, H, Q, C) -> (B, H, T, C)."""
    x_BNHQC = torch.unflatten(x_XHQC, 0, (-1, blocks.number))
    return x_BNHQC.transpose(1, 2).flatten(2, 3)[:, :, : blocks.length]


def whole(weight_XHQW: Tensor, blocks: Blocks) -> Tensor:
    """Weights of each block's keys, (B * N, H, Q, W) -> (B, H, T, T), zeros elsewhere."""
    weight_BNHQW = torch.unflatten(weight_XHQW, 0, (-1, blocks.number))
    sentences, count, heads, size, keys = weight_BNHQW.shape
    room = blocks.before + count * size + blocks.after
    full = weight_BNHQW.new_zeros(sentences, heads, count * size, room)
    for number in range(count):
        first = number * size
        full[:, :, first : first + size, first : first + keys] = weight_BNHQW[:, number]
    return full[:, :, : blocks.length, blocks.before :][..., : blocks.length]


def hidden_outside(hidden_BT: Tensor, blocks: Blocks) -> Tensor:
    """What hides keys that are none (padding, minus infinity in `hidden_BT`, and what is outside of
    the sequence) from all but themselves -> (B * N, 1, Q, W).

    A query of padding would look nowhere else, and spoil the gradients of all.
    """
    hidden_X11W = split_keys(hidden_BT[:, None, :, None], blocks, -math.inf).mT
    hidden_X1QW = hidden_X11W.repeat(1, 1, blocks.size, 1)
    hidden_X1QW.diagonal(offset=blocks.before, dim1=-2, dim2=-1).zero_()
    return hidden_X1QW


def _filled(x_BHTC: Tensor, blocks: Blocks, outside: float) -> Tensor:
    """-> (B, H, N, Q, C), the last block filled up."""
    missing = blocks.number * blocks.size - blocks.length
    filled = functional.pad(x_BHTC, (0, 0, 0, missing), value=outside)
    return torch.unflatten(filled, 2, (blocks.number, blocks.size))

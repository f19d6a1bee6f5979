"""Attention of sentences that lie end to end: a GPU's own kernel, which needs no rectangles.

It knows half precision, and no bias but that a query sees so many tokens back and so many on.
"""

# N tokens of all sentences without padding, M those of the keys, B sentences, H heads, K d_k, V d_v

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from lit_transformer.config import AttentionKind
from lit_transformer.model.packing import Ends

LIMITLESS = -1
MOST_CHANNELS, CHANNELS_IN_STEPS_OF = 256, 8
AMPERE = (8, 0)
"""Compute capability from which on GPUs have the kernel."""


class Reach(NamedTuple):
    """How many tokens a query sees before and behind it; LIMITLESS: all."""

    back: int
    on: int


EVERYTHING = Reach(LIMITLESS, LIMITLESS)


def runs_on(x_NC: Tensor) -> bool:
    """Whether the kernel knows this type on this device."""
    return x_NC.is_cuda and x_NC.dtype in (torch.bfloat16, torch.float16) and _has_it(x_NC.device)


def hindrance(
    kind: AttentionKind, key_width: int, value_width: int, drops: bool, reach: Reach | None
) -> str | None:
    """What of an attention the kernel does not know; None: nothing. `drops`: of its weights."""
    if kind == "additive":
        return "model.attention=additive"
    if key_width != value_width:
        return f"d_k={key_width} and d_v={value_width} differ"
    if key_width > MOST_CHANNELS or key_width % CHANNELS_IN_STEPS_OF:
        return f"d_k={key_width} is over {MOST_CHANNELS} or no multiple of {CHANNELS_IN_STEPS_OF}"
    if drops:
        return "model.attention_dropout is not 0"
    return "positions act inside attention" if reach is None else None


@cache
def _has_it(device: torch.device) -> bool:
    return torch.version.hip is None and torch.cuda.get_device_capability(device) >= AMPERE


def mix(
    q_NHK: Tensor,
    k_MHK: Tensor,
    v_MHV: Tensor,
    queries: Ends,
    keys: Ends,
    kind: AttentionKind,
    reach: Reach,
) -> Tensor:
    """Equation (1) in every sentence -> (N, H, V)."""
    mixed_NHV = varlen_attn(
        q_NHK,
        k_MHK,
        v_MHV,
        queries.after_B1,
        keys.after_B1,
        queries.longest,
        keys.longest,
        scale=1.0 if kind == "unscaled" else None,
        window_size=reach,
    )
    assert isinstance(mixed_NHV, Tensor)
    return mixed_NHV

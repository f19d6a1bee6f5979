"""Attention of section 3.2: comparison, weights, heads and masks.

The parts that encoder and decoder share are `weigh`, `attend` and `MultiHeadAttention`;
`SelfAttention` and `CrossAttention` differ in where their queries, keys and values come from.
"""

# B batch, T queries, S keys, P pairs of both, H heads, K d_k, V d_v, D d_model, C any channels,
# N tokens of all sentences without padding

import logging
import math
from functools import cache
from typing import NamedTuple, assert_never, final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from lit_transformer.config import AttentionKind, ModelConfig
from lit_transformer.model import varlen
from lit_transformer.model.blocks import join, split_keys, split_queries
from lit_transformer.model.dropout import Dropout
from lit_transformer.model.packing import Ends, Rectangles
from lit_transformer.model.sight import Sight
from lit_transformer.model.varlen import EVERYTHING, Reach
from lit_transformer.model.window import Blocks

KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Of torch's fused attention. cuDNN's plans anew for every shape, and a batch of sentences has one
of its own: a step of base took 379 ms with it and 100 ms without (H100, bfloat16)."""
SHORT_ROW = 16
"""Below this many float32 elements, a vector register of current CPUs, torch's softmax works one
element at a time and is ten times slower."""


def padding_bias(is_pad_BS: Tensor) -> Tensor | None:
    """What hides padding, added to scores -> (B, 1, 1, S); None where there is none, which is known
    on a CPU alone: elsewhere asking would wait for the device."""
    if is_pad_BS.device.type == "cpu" and not bool(is_pad_BS.any()):
        return None
    bias_BS = torch.zeros(is_pad_BS.shape, device=is_pad_BS.device)
    return bias_BS.masked_fill_(is_pad_BS, -math.inf)[:, None, None, :]


def compare(
    q_BHTK: Tensor, k_BHSK: Tensor, kind: AttentionKind, additive_HK: Tensor | None
) -> Tensor:
    """How well each key answers each query -> (B, H, T, S); `additive_HK` for that kind alone."""
    match kind:
        case "scaled":
            return (q_BHTK @ k_BHSK.mT).mul_(q_BHTK.size(-1) ** -0.5)
        case "unscaled":
            return q_BHTK @ k_BHSK.mT
        case "additive":
            # Bahdanau et al. (2015): v^T tanh(W q + U k). W and U are the projections of q and k.
            assert additive_HK is not None
            pair_BHTSK = q_BHTK.contiguous().unsqueeze(3) + k_BHSK.contiguous().unsqueeze(2)
            scores_BHP1 = pair_BHTSK.tanh_().flatten(2, 3) @ additive_HK.unsqueeze(2)
            return scores_BHP1.view(pair_BHTSK.shape[:-1])
        case _ as never:
            assert_never(never)


def softmax(scores_BHTS: Tensor) -> Tensor:
    """Over the keys; rows too short for the vector unit are lengthened for the time being."""
    keys = scores_BHTS.size(-1)
    if keys >= SHORT_ROW or scores_BHTS.device.type != "cpu":
        return scores_BHTS.softmax(dim=-1)
    longer = functional.pad(scores_BHTS, (0, SHORT_ROW - keys), value=float("-inf"))
    return longer.softmax(dim=-1)[..., :keys]


def fuses(q_BHTK: Tensor, kind: AttentionKind) -> bool:
    """Whether torch's own kernel does it all at once: on a GPU, where the comparison is a product.

    On a CPU, at the lengths of sentences, the same written out is faster.
    """
    if q_BHTK.is_cuda and kind == "additive":
        _say_once("model.attention=additive: no fused kernel compares so; it is written out")
    return q_BHTK.is_cuda and kind != "additive"


@cache
def _say_once(text: str) -> None:
    logging.getLogger(__name__).warning(text)


def weigh(
    q_BHTK: Tensor,
    k_BHSK: Tensor,
    bias: Tensor | None,
    kind: AttentionKind,
    additive_HK: Tensor | None,
) -> Tensor:
    """How much of each key's value a query takes, in eq. (1) softmax(QK^T / sqrt(d_k)) -> (B, H, T,
    S), rows of sum 1; `bias` as in `attend`."""
    scores_BHTS = compare(q_BHTK, k_BHSK, kind, additive_HK)
    if bias is not None:
        scores_BHTS = scores_BHTS + bias
    return softmax(scores_BHTS)


def attend(
    q_BHTK: Tensor,
    k_BHSK: Tensor,
    v_BHSV: Tensor,
    bias: Tensor | None,
    kind: AttentionKind,
    additive_HK: Tensor | None,
    drop: Dropout,
) -> Tensor:
    """Attention, eq. (1) for the scaled kind: softmax(QK^T / sqrt(d_k)) V -> (B, H, T, V).

    `bias` is added to the scores: minus infinity where a query may not look, and every query may
    look somewhere. It broadcasts to (B, H, T, S).
    """
    if fuses(q_BHTK, kind):
        with sdpa_kernel(KERNELS):
            return functional.scaled_dot_product_attention(
                q_BHTK,
                k_BHSK,
                v_BHSV,
                attn_mask=None if bias is None else bias.to(q_BHTK.dtype),
                dropout_p=drop.rate if drop.training else 0.0,
                scale=1.0 if kind == "unscaled" else None,
            )
    mixed_BHTV: Tensor = drop(weigh(q_BHTK, k_BHSK, bias, kind, additive_HK)) @ v_BHSV
    return mixed_BHTV


def joint_projection(d_model: int, widths: list[int]) -> nn.Linear:
    """Several bias-free projections of one input as one matrix product.

    Each is initialised as the matrix of its own that it is: Glorot's bound depends on the shape.
    """
    linear = nn.Linear(d_model, sum(widths), bias=False)
    for rows in torch.split(linear.weight.detach(), widths):
        nn.init.xavier_uniform_(rows)
    return linear


class KeysValues(NamedTuple):
    """Keys and values of one attention, split into heads."""

    k_BHSK: Tensor
    v_BHSV: Tensor


@final
class MultiHeadAttention(nn.Module):
    """Heads side by side, each of its own d_k and d_v, and the projection that joins them."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.heads = cfg.heads
        self.head_widths = cfg.key_width, cfg.value_width
        self.kind = cfg.attention
        self.drop = Dropout(cfg.attention_dropout)
        self.additive_HK: nn.Parameter | None = None
        if cfg.attention == "additive":
            # Glorot's bound for the matrix K x 1 that this is in each head.
            bound = (6 / (cfg.key_width + 1)) ** 0.5
            self.additive_HK = nn.Parameter(
                torch.empty(cfg.heads, cfg.key_width).uniform_(-bound, bound)
            )
        self.output = joint_projection(cfg.heads * cfg.value_width, [cfg.d_model])

    def forward(
        self,
        q_BHTK: Tensor,
        kv: KeysValues,
        bias: Tensor | None,
        queries: Rectangles,
        blocks: Blocks | None,
    ) -> Tensor:
        """-> (N, D), the tokens of `queries`; `bias` is of blocks where there are any."""
        if blocks is None:
            mixed_BHTV = attend(q_BHTK, *kv, bias, self.kind, self.additive_HK, self.drop)
        else:
            own, seen = (
                split_queries(q_BHTK, blocks),
                KeysValues(*(split_keys(x, blocks) for x in kv)),
            )
            mixed = attend(own, *seen, bias, self.kind, self.additive_HK, self.drop)
            mixed_BHTV = join(mixed, blocks)
        joined_ND: Tensor = self.output(queries.gather(mixed_BHTV))
        return joined_ND

    def packs(self, x_NC: Tensor, reach: Reach | None) -> bool:
        """Whether queries, keys and values like `x_NC` are mixed where they lie; `reach` is None
        where it does not say all."""
        if not varlen.runs_on(x_NC):
            return False
        drops = self.drop.training and self.drop.rate > 0
        hindrance = varlen.hindrance(self.kind, *self.head_widths, drops, reach)
        if hindrance is not None:
            _say_once(f"{hindrance}: sentences are copied into rectangles, which takes longer")
        return hindrance is None

    def packed(
        self, q_NC: Tensor, k_MC: Tensor, v_MC: Tensor, queries: Ends, keys: Ends, reach: Reach
    ) -> Tensor:
        """The same without rectangles -> (N, D)."""
        q_NHK, k_MHK, v_MHV = (torch.unflatten(x, 1, (self.heads, -1)) for x in (q_NC, k_MC, v_MC))
        mixed_NHV = varlen.mix(q_NHK, k_MHK, v_MHV, queries, keys, self.kind, reach)
        joined_ND: Tensor = self.output(mixed_NHV.flatten(1))
        return joined_ND


@final
class SelfAttention(nn.Module):
    """Queries, keys and values of one sequence, by one matrix product."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.heads = cfg.heads
        self.head_widths = [cfg.key_width, cfg.key_width, cfg.value_width]
        self.widths = [cfg.heads * width for width in self.head_widths]
        self.queries_keys_values = joint_projection(cfg.d_model, self.widths)
        self.attention = MultiHeadAttention(cfg)

    def forward(self, x_ND: Tensor, sight: Sight, tokens: Rectangles) -> Tensor:
        x_NC = self.queries_keys_values(x_ND)
        if self.attention.packs(x_NC, sight.reach):
            assert sight.reach is not None
            ends = tokens.ends()
            q_NC, k_NC, v_NC = torch.split(x_NC, self.widths, dim=1)
            return self.attention.packed(q_NC, k_NC, v_NC, ends, ends, sight.reach)
        q, k, v = tokens.spread(x_NC, self.heads, self.head_widths)
        kv = KeysValues(sight.turn(k), v)
        out_ND: Tensor = self.attention(sight.turn(q), kv, sight.bias, tokens, sight.blocks)
        return out_ND


@final
class CrossAttention(nn.Module):
    """Queries of the decoder; keys and values of the encoder's output, by one matrix product."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.heads = cfg.heads
        self.head_widths = [cfg.key_width, cfg.value_width]
        self.widths = [cfg.heads * width for width in self.head_widths]
        self.queries = joint_projection(cfg.d_model, self.widths[:1])
        self.keys_values = joint_projection(cfg.d_model, self.widths)
        self.attention = MultiHeadAttention(cfg)

    def forward(
        self,
        x_ND: Tensor,
        memory_ND: Tensor,
        bias: Tensor | None,
        queries: Rectangles,
        keys: Rectangles,
    ) -> Tensor:
        """Of tokens in `queries` that look at those in `keys` -> (N, D)."""
        q_NC, kv_MC = self.queries(x_ND), self.keys_values(memory_ND)
        if self.attention.packs(q_NC, EVERYTHING):
            k_MC, v_MC = torch.split(kv_MC, self.widths, dim=1)
            return self.attention.packed(q_NC, k_MC, v_MC, queries.ends(), keys.ends(), EVERYTHING)
        (q_BHTK,) = queries.spread(q_NC, self.heads, self.head_widths[:1])
        kv = KeysValues(*keys.spread(kv_MC, self.heads, self.head_widths))
        out_ND: Tensor = self.attention(q_BHTK, kv, bias, queries, None)
        return out_ND

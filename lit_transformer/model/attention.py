"""Attention of section 3.2: comparison, weights, heads, masks and the keys and values of a search.

The parts that encoder and decoder share are `attend` and `MultiHeadAttention`; `SelfAttention` and
`CrossAttention` differ in where their queries, keys and values come from.
"""

# B batch, T queries, S keys, P pairs of both, H heads, K d_k, V d_v, D d_model, C any channels,
# R rows of a search: B sentences times their beams, sentence by sentence; L tokens found so far

from typing import NamedTuple, assert_never, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_transformer.config import AttentionKind, ModelConfig
from lit_transformer.model.dropout import Dropout

SHORT_ROW = 16
"""Below this many float32 elements, a vector register of current CPUs, torch's softmax works one
element at a time and is ten times slower."""


class Mask(NamedTuple):
    """Where queries may look, in the form that every layer needs; built once per batch."""

    bias: Tensor
    """Added to the scores: 0 where a query may look, minus infinity where not. Broadcasts to
    (B, H, T, S). All 0 for a query that may look nowhere."""
    blind: Tensor | None
    """True for a query that may look nowhere; broadcasts to (B, H, T, 1). None: there is none."""


def build_mask(allowed: Tensor) -> Mask | None:
    """From `allowed`, True where a query may look, which broadcasts to (B, H, T, S).

    None where nothing is forbidden; on a CPU only, since elsewhere asking would wait for the
    device.
    """
    on_cpu = allowed.device.type == "cpu"
    if on_cpu and bool(allowed.all()):
        return None
    blind = ~allowed.any(dim=-1, keepdim=True)
    bias = torch.zeros(allowed.shape, device=allowed.device)
    bias.masked_fill_(~(allowed | blind), float("-inf"))
    return Mask(bias, None if on_cpu and not bool(blind.any()) else blind)


def padding_mask(is_pad_BS: Tensor) -> Mask | None:
    """No query looks at padding."""
    return build_mask(~is_pad_BS[:, None, None, :])


def causal_mask(length: int, device: torch.device) -> Mask:
    """No query looks at a later position (section 3.2.3)."""
    forbidden = torch.full((length, length), float("-inf"), device=device)
    return Mask(forbidden.triu_(diagonal=1), blind=None)


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


def attend(
    q_BHTK: Tensor,
    k_BHSK: Tensor,
    v_BHSV: Tensor,
    mask: Mask | None,
    kind: AttentionKind,
    additive_HK: Tensor | None,
    drop: Dropout,
) -> Tensor:
    """Attention, eq. (1) for the scaled kind: softmax(QK^T / sqrt(d_k)) V -> (B, H, T, V).

    A query that may look nowhere returns zeros. Written out because it is faster on a CPU, at the
    lengths of sentences, than torch's fused kernel.
    """
    scores_BHTS = compare(q_BHTK, k_BHSK, kind, additive_HK)
    if mask is not None:
        scores_BHTS = scores_BHTS + mask.bias
    mixed_BHTV: Tensor = drop(softmax(scores_BHTS)) @ v_BHSV
    if mask is not None and mask.blind is not None:
        mixed_BHTV = mixed_BHTV.masked_fill(mask.blind, 0.0)
    return mixed_BHTV


def split_heads(x_BTC: Tensor, heads: int) -> Tensor:
    """-> (B, H, T, C / H)."""
    batch, length, _ = x_BTC.shape
    return x_BTC.view(batch, length, heads, -1).transpose(1, 2)


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

    def forward(self, q_BHTK: Tensor, kv: KeysValues, mask: Mask | None) -> Tensor:
        """-> (B, T, D)."""
        mixed_BHTV = attend(q_BHTK, *kv, mask, self.kind, self.additive_HK, self.drop)
        joined_BTD: Tensor = self.output(mixed_BHTV.transpose(1, 2).flatten(2))
        return joined_BTD


@final
class SelfAttention(nn.Module):
    """Queries, keys and values of one sequence, by one matrix product."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.heads = cfg.heads
        keys, values = cfg.heads * cfg.key_width, cfg.heads * cfg.value_width
        self.widths = [keys, keys, values]
        self.queries_keys_values = joint_projection(cfg.d_model, self.widths)
        self.attention = MultiHeadAttention(cfg)

    def project(self, x_BTD: Tensor) -> tuple[Tensor, KeysValues]:
        parts = torch.split(self.queries_keys_values(x_BTD), self.widths, dim=-1)
        q_BHTK, k_BHTK, v_BHTV = (split_heads(part, self.heads) for part in parts)
        return q_BHTK, KeysValues(k_BHTK, v_BHTV)

    def forward(self, x_BTD: Tensor, mask: Mask | None) -> Tensor:
        q_BHTK, kv = self.project(x_BTD)
        out_BTD: Tensor = self.attention(q_BHTK, kv, mask)
        return out_BTD

    def step(self, x_RD: Tensor, past: "Past") -> Tensor:
        """One more token of each row, which looks at itself and at those before -> (R, D)."""
        q_RH1K, kv = self.project(x_RD.unsqueeze(1))
        out_R1D: Tensor = self.attention(q_RH1K, past.append(kv), None)
        return out_R1D.squeeze(1)


@final
class CrossAttention(nn.Module):
    """Queries of the decoder; keys and values of the encoder's output, by one matrix product."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.heads = cfg.heads
        keys, values = cfg.heads * cfg.key_width, cfg.heads * cfg.value_width
        self.widths = [keys, values]
        self.queries = joint_projection(cfg.d_model, [keys])
        self.keys_values = joint_projection(cfg.d_model, self.widths)
        self.attention = MultiHeadAttention(cfg)

    def project(self, memory_BSD: Tensor) -> KeysValues:
        """Keys and values, which serve every query that is asked of this memory."""
        parts = torch.split(self.keys_values(memory_BSD), self.widths, dim=-1)
        return KeysValues(*(split_heads(part, self.heads) for part in parts))

    def forward(self, x_BTD: Tensor, memory: KeysValues, mask: Mask | None) -> Tensor:
        q_BHTK = split_heads(self.queries(x_BTD), self.heads)
        out_BTD: Tensor = self.attention(q_BHTK, memory, mask)
        return out_BTD


@final
class Past:
    """Keys and values of the tokens that each row of a search has so far, in one layer.

    Stored token by token, so that a step writes one block and reads whole blocks.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.length = 0
        self.stores: list[Tensor] = []
        """Keys (room, R, H, K) and values (room, R, H, V); filled up to `length`."""
        self.spares: list[Tensor] = []
        """Where `select` writes; then the two change places, since fresh memory is slow."""

    def append(self, kv: KeysValues) -> KeysValues:
        """Adds a token, (R, H, 1, K) and (R, H, 1, V) -> all, (R, H, L, K) and (R, H, L, V)."""
        if not self.stores:
            self.stores = [x.new_empty(self.room, *x.squeeze(2).shape) for x in kv]
            self.spares = [store[:, :0] for store in self.stores]
        for store, x in zip(self.stores, kv, strict=True):
            store[self.length] = x.squeeze(2)
        self.length += 1
        return KeysValues(*(store[: self.length].permute(1, 2, 0, 3) for store in self.stores))

    def select(self, rows_R: Tensor) -> None:
        """Row r continues what row `rows_R[r]` was."""
        chosen = []
        for store, spare in zip(self.stores, self.spares, strict=True):
            if spare.size(1) != len(rows_R):
                spare = store.new_empty(self.room, len(rows_R), *store.shape[2:])
            filled = slice(self.length)
            torch.index_select(store[filled], 1, rows_R, out=spare[filled])
            chosen.append(spare)
        self.stores, self.spares = chosen, self.stores

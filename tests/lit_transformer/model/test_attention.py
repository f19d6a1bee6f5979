from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lit_transformer.config import AttentionKind, ModelConfig
from lit_transformer.model import attention
from lit_transformer.model.attention import (
    CrossAttention,
    SelfAttention,
    attend,
    compare,
    padding_bias,
    softmax,
)
from lit_transformer.model.dropout import Dropout
from lit_transformer.model.packing import Rectangles, pack
from lit_transformer.model.sight import Sight, causal_bias

# B batch, T queries, S keys, H heads, K d_k, V d_v
KINDS = get_args(AttentionKind)
CFG = ModelConfig(layers=1, d_model=12, d_ff=16, heads=3, d_k=5, d_v=7, dropout=0.0)
NO_DROPOUT = Dropout(0.0)


def triple(queries: int, keys: int, d_k: int = 5, d_v: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return (
        torch.randn(2, 3, queries, d_k, requires_grad=True),
        torch.randn(2, 3, keys, d_k, requires_grad=True),
        torch.randn(2, 3, keys, d_v, requires_grad=True),
    )


def may_look(name: str, queries: int, keys: int) -> Tensor | None:
    if name == "none":
        return None
    if name == "causal":
        return torch.ones(queries, keys, dtype=torch.bool).tril()
    is_pad_BS = torch.arange(keys) >= torch.tensor([[keys], [keys - 2]])
    return ~is_pad_BS[:, None, None, :]


@pytest.mark.parametrize("length", [1, 4, 15, 16, 33])
@pytest.mark.parametrize("name", ["none", "causal", "padding"])
def test_scaled_attention_is_torchs_own(name: str, length: int) -> None:
    q, k, v = triple(length, length + 2 * (name == "padding"))
    allowed = may_look(name, q.size(2), k.size(2))
    bias = None if allowed is None else torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)
    mine = attend(q, k, v, bias, "scaled", None, NO_DROPOUT)
    theirs = functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    weight = torch.randn_like(mine)
    for a, b in zip(
        torch.autograd.grad((mine * weight).sum(), (q, k, v)),
        torch.autograd.grad((theirs * weight).sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_unscaled_attention_is_a_plain_dot_product() -> None:
    q, k, v = triple(4, 6)
    theirs = functional.scaled_dot_product_attention(q, k, v, scale=1.0)
    mine = attend(q, k, v, None, "unscaled", None, NO_DROPOUT)
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_additive_scores_are_the_formula_one_by_one() -> None:
    q, k, _ = triple(2, 3)
    v_HK = torch.randn(3, 5)
    scores = compare(q, k, "additive", v_HK)
    assert scores.shape == (2, 3, 2, 3)
    for b, h, t, s in torch.cartesian_prod(*(torch.arange(n) for n in scores.shape)):
        expected = v_HK[h] @ torch.tanh(q[b, h, t] + k[b, h, s])
        torch.testing.assert_close(scores[b, h, t, s], expected)


@pytest.mark.parametrize("keys", [1, 3, 15, 16, 17])
def test_softmax_of_short_rows_is_softmax(keys: int) -> None:
    scores = torch.randn(2, 3, 4, keys)
    torch.testing.assert_close(softmax(scores), scores.softmax(dim=-1))


def test_without_padding_nothing_is_hidden() -> None:
    assert padding_bias(torch.zeros(2, 3, dtype=torch.bool)) is None


def test_a_bias_says_where_not_to_look() -> None:
    inf = float("inf")
    bias = padding_bias(torch.tensor([[False, True], [False, False]]))
    assert bias is not None
    assert bias[:, 0, 0].tolist() == [[0.0, -inf], [0.0, 0.0]]
    assert causal_bias(2, torch.device("cpu")).tolist() == [[0.0, -inf], [0.0, 0.0]]


@pytest.mark.parametrize("kind", ["scaled", "unscaled"])
def test_torchs_kernel_is_what_is_written_out(
    kind: AttentionKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU uses; here on a CPU."""
    q, k, v = triple(4, 6)
    bias = padding_bias(torch.tensor([[False] * 6, [False] * 4 + [True] * 2]))
    written = attend(q, k, v, bias, kind, None, NO_DROPOUT)
    monkeypatch.setattr(attention, "fuses", lambda q_BHTK, kind: True)
    fused = attend(q, k, v, bias, kind, None, NO_DROPOUT)
    torch.testing.assert_close(fused, written, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_heads_are_attentions_side_by_side(kind: AttentionKind) -> None:
    """Each head alone, from its own rows of the projections, then W^O over their row."""
    torch.manual_seed(1)
    module = SelfAttention(CFG.model_copy(update={"attention": kind}))
    x_BTD = torch.randn(2, 4, 12)
    w_q, w_k, w_v = torch.split(module.queries_keys_values.weight, [15, 15, 21])
    additive_HK = module.attention.additive_HK
    heads = []
    for h in range(3):
        rows, v_rows = slice(5 * h, 5 * h + 5), slice(7 * h, 7 * h + 7)
        q, k, v = x_BTD @ w_q[rows].T, x_BTD @ w_k[rows].T, x_BTD @ w_v[v_rows].T
        one_head = None if additive_HK is None else additive_HK[h : h + 1]
        scores = compare(q[:, None], k[:, None], kind, one_head)[:, 0]
        heads.append(scores.softmax(dim=-1) @ v)
    expected = torch.cat(heads, dim=-1) @ module.attention.output.weight.T
    found_ND = module(x_BTD.flatten(0, 1), Sight(None, None), Rectangles(pack([4, 4])))
    torch.testing.assert_close(found_ND, expected.flatten(0, 1), rtol=1e-5, atol=1e-6)


def test_cross_attention_to_oneself_is_self_attention() -> None:
    torch.manual_seed(1)
    own, cross = SelfAttention(CFG), CrossAttention(CFG)
    cross.attention.load_state_dict(own.attention.state_dict())
    fused = own.queries_keys_values.weight.detach()
    cross.queries.weight.data, cross.keys_values.weight.data = fused[:15], fused[15:]
    tokens, x_ND = Rectangles(pack([4, 2])), torch.randn(6, 12)
    bias = torch.randn(2, 1, 1, 4)
    found_ND = cross(x_ND, x_ND, bias, tokens, tokens)
    torch.testing.assert_close(found_ND, own(x_ND, Sight(bias, None), tokens))


def test_each_projection_has_its_own_glorot_bound() -> None:
    own = SelfAttention(ModelConfig(d_model=64, heads=2, d_k=4, d_v=128))
    for weight, width in zip(
        torch.split(own.queries_keys_values.weight, [8, 8, 256]), (8, 8, 256), strict=True
    ):
        bound = (6 / (64 + width)) ** 0.5
        assert 0.95 * bound < weight.abs().max() <= bound

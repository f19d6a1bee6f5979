from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lit_transformer.config import AttentionKind, ModelConfig
from lit_transformer.model.attention import (
    CrossAttention,
    KeysValues,
    Mask,
    Past,
    SelfAttention,
    attend,
    build_mask,
    causal_mask,
    compare,
    padding_mask,
    softmax,
)
from lit_transformer.model.dropout import Dropout

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
    mask = None if allowed is None else build_mask(allowed)
    mine = attend(q, k, v, mask, "scaled", None, NO_DROPOUT)
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keys", [4, 20])
def test_a_query_that_may_look_nowhere_returns_zeros(kind: AttentionKind, keys: int) -> None:
    q, k, v = triple(2, keys)
    is_pad_BS = torch.zeros(2, keys, dtype=torch.bool)
    is_pad_BS[1] = True
    mixed = attend(q, k, v, padding_mask(is_pad_BS), kind, torch.ones(3, 5), NO_DROPOUT)
    assert mixed[0].abs().sum() > 0
    assert torch.equal(mixed[1], torch.zeros_like(mixed[1]))
    for gradient in torch.autograd.grad(mixed.sum(), (q, k, v)):
        assert gradient.isfinite().all()
        assert not gradient[1].any()


def test_without_padding_there_is_no_mask() -> None:
    assert padding_mask(torch.zeros(2, 3, dtype=torch.bool)) is None


def test_a_mask_says_where_not_to_look() -> None:
    inf = float("inf")
    mask = padding_mask(torch.tensor([[False, True], [False, False]]))
    assert mask is not None
    assert mask.blind is None
    assert mask.bias[:, 0, 0].tolist() == [[0.0, -inf], [0.0, 0.0]]
    assert causal_mask(2, torch.device("cpu")).bias.tolist() == [[0.0, -inf], [0.0, 0.0]]


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
    torch.testing.assert_close(module(x_BTD, None), expected, rtol=1e-5, atol=1e-6)


def test_cross_attention_to_oneself_is_self_attention() -> None:
    torch.manual_seed(1)
    own, cross = SelfAttention(CFG), CrossAttention(CFG)
    cross.attention.load_state_dict(own.attention.state_dict())
    fused = own.queries_keys_values.weight.detach()
    cross.queries.weight.data, cross.keys_values.weight.data = fused[:15], fused[15:]
    x_BTD = torch.randn(2, 4, 12)
    mask = Mask(torch.randn(2, 1, 1, 4), blind=None)
    torch.testing.assert_close(cross(x_BTD, cross.project(x_BTD), mask), own(x_BTD, mask))


def test_each_projection_has_its_own_glorot_bound() -> None:
    own = SelfAttention(ModelConfig(d_model=64, heads=2, d_k=4, d_v=128))
    for weight, width in zip(
        torch.split(own.queries_keys_values.weight, [8, 8, 256]), (8, 8, 256), strict=True
    ):
        bound = (6 / (64 + width)) ** 0.5
        assert 0.95 * bound < weight.abs().max() <= bound


def test_the_past_is_what_was_appended_in_the_order_of_the_rows() -> None:
    k_RHLK, v_RHLV = torch.randn(4, 2, 3, 5), torch.randn(4, 2, 3, 7)
    past = Past(room=3)
    for t in range(2):
        past.append(KeysValues(k_RHLK[:, :, t : t + 1], v_RHLV[:, :, t : t + 1]))
    rows = torch.tensor([1, 1, 3])
    past.select(rows)
    found = past.append(KeysValues(k_RHLK[rows, :, 2:], v_RHLV[rows, :, 2:]))
    assert past.length == 3
    assert torch.equal(found.k_BHSK, k_RHLK[rows])
    assert torch.equal(found.v_BHSV, v_RHLV[rows])

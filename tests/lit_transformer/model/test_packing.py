"""Packed tokens and rectangles by hand numbers, and against plain reshaping."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_transformer.model.packing import Rectangles, from_rectangle, pack, to_rectangle


def test_a_packing_by_hand():
    packing = pack([1, 3, 2])
    assert packing.slot_N.tolist() == [0, 3, 4, 5, 6, 7]
    assert packing.place_N.tolist() == [0, 0, 1, 2, 0, 1]
    assert packing.token_BT.tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 0]]
    assert packing.padding_P.tolist() == [1, 2, 8]


def test_a_sentence_has_a_token():
    with pytest.raises(AssertionError, match="end mark"):
        pack([2, 0])


def test_the_bias_hides_padding_alone():
    inf = float("inf")
    bias = Rectangles(pack([1, 2])).bias()
    assert bias.tolist() == [[[[0.0, -inf]]], [[[0.0, 0.0]]]]
    assert Rectangles(pack([2, 2])).bias() is None


def test_layouts_by_hand():
    rectangles, x_ND = Rectangles(pack([1, 3, 2])), torch.arange(1.0, 7)[:, None]
    by_time = rectangles.by_time(backwards=False)
    filled = by_time.put(x_ND).index_fill(0, by_time.empty, 0).view(3, 3)
    assert filled.tolist() == [[1, 2, 5], [0, 3, 6], [0, 4, 0]]
    backwards = rectangles.by_time(backwards=True)
    filled = backwards.put(x_ND).index_fill(0, backwards.empty, 0).view(3, 3)
    assert filled.tolist() == [[1, 4, 6], [0, 3, 5], [0, 2, 0]]
    apart = rectangles.apart(2)
    assert apart.put(x_ND).index_fill(0, apart.empty, 0).flatten().tolist() == [
        *(1, 0, 0, 2, 3, 4, 0, 0, 5, 6),
    ]


lengths = st.lists(st.integers(1, 7), min_size=1, max_size=6)


@settings(deadline=None)
@given(lengths, st.integers(0, 3))
def test_a_layout_gives_back_what_was_put_with_its_gradients(lengths, gap):
    rectangles = Rectangles(pack(lengths))
    for layout in (*map(rectangles.by_time, (False, True)), rectangles.apart(gap)):
        x_ND = torch.randn(sum(lengths), 2, requires_grad=True)
        put_RD = layout.put(x_ND)
        assert len({*layout.back_N.tolist(), *layout.empty.tolist()}) == len(put_RD)
        weight_RD = torch.randn_like(put_RD)
        back_ND = layout.take(put_RD * weight_RD)
        assert torch.equal(back_ND, x_ND * weight_RD[layout.back_N])
        (gradient,) = torch.autograd.grad(back_ND.sum(), x_ND)
        assert torch.equal(gradient, weight_RD[layout.back_N])


@settings(deadline=None)
@given(lengths)
def test_a_rectangle_of_ids_comes_back(lengths):
    ids_BT = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    for row, length in enumerate(lengths):
        ids_BT[row, :length] = torch.randint(1, 9, (length,))
    sentences = from_rectangle(ids_BT, pad=0)
    assert len(sentences.ids_N) == sum(lengths)
    back = to_rectangle(sentences.ids_N[:, None], sentences.packing).squeeze(2)
    assert torch.equal(back, ids_BT)


@settings(deadline=None)
@given(lengths, st.integers(1, 3), st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_channels_go_to_rectangles_and_back_with_their_gradients(lengths, heads, widths):
    packing = pack(lengths)
    rectangles = Rectangles(packing)
    x_NC = torch.randn(sum(lengths), heads * sum(widths), dtype=torch.double, requires_grad=True)
    whole = to_rectangle(x_NC, packing)  # plain indexing, whose gradient torch knows
    is_token_B1T1 = torch.ones(whole.shape[:2]).flatten().index_fill(0, packing.padding_P, 0)
    is_token_B1T1 = is_token_B1T1.view(len(lengths), 1, -1, 1).bool()
    plain = [
        part.unflatten(2, (heads, -1)).transpose(1, 2)
        for part in whole.split([heads * width for width in widths], dim=2)
    ]
    weights, gathered = [], []
    for part, expected in zip(rectangles.spread(x_NC, heads, widths), plain, strict=True):
        assert part.is_contiguous()
        assert torch.equal(part * is_token_B1T1, expected)
        weights.append(torch.randn_like(part) * is_token_B1T1)
        gathered.append(rectangles.gather(part))
    assert torch.equal(torch.cat(gathered, dim=1), x_NC)
    spread = rectangles.spread(x_NC, heads, widths)
    ours = sum((rectangles.gather(p * w) ** 2).sum() for p, w in zip(spread, weights, strict=True))
    theirs = sum(((p * w) ** 2).sum() for p, w in zip(plain, weights, strict=True))
    torch.testing.assert_close(*(torch.autograd.grad(y, x_NC)[0] for y in (ours, theirs)))


def test_padding_gets_no_gradient():
    rectangles = Rectangles(pack([1, 3]))
    x_BHTC = torch.randn(2, 2, 3, 4, requires_grad=True)
    rectangles.gather(x_BHTC).sum().backward()
    expected = torch.ones(2, 2, 3, 4)
    expected[0, :, 1:] = 0
    assert torch.equal(x_BHTC.grad, expected)

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch

from lit_transformer.config import ModelConfig, PositionKind
from lit_transformer.model.positions import (
    Positions,
    bucket,
    build_positions,
    concatenated_sinusoids,
    sinusoids,
    slopes,
    turn,
)
from tests.lit_transformer.plain import authors_slopes, hand_bucket

ADDED: list[PositionKind] = ["sinusoidal", "concatenated", "learned"]
"""The kinds that add to embeddings."""


def build(kind: PositionKind, heads: int = 2, causal: bool = False) -> Positions:
    cfg = ModelConfig(d_model=24, heads=heads, positions=kind, max_positions=300)
    return build_positions(cfg, causal)


def test_sinusoids_of_width_four_by_hand() -> None:
    # 10000^(2 * 1 / 4) = 100: the second pair turns a hundred times as slowly.
    expected = [
        [0.0, 1.0, 0.0, 1.0],
        [0.8414710, 0.5403023, 0.0099998, 0.9999500],
        [0.9092974, -0.4161468, 0.0199987, 0.9998000],
    ]
    torch.testing.assert_close(sinusoids(3, 4), torch.tensor(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("position", "i"), [(0, 0), (1, 3), (77, 0), (299, 255)])
def test_sinusoids_are_the_formula_of_section_3_5(position: int, i: int) -> None:
    table = sinusoids(300, 512)
    angle = position / 10_000 ** (2 * i / 512)
    assert table[position, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
    assert table[position, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


@pytest.mark.parametrize(("position", "i"), [(0, 0), (1, 3), (77, 0), (299, 255)])
def test_concatenated_waves_are_those_of_the_papers_code(position: int, i: int) -> None:
    """tensor2tensor's get_timing_signal_1d: the exponent's denominator is one less."""
    table = concatenated_sinusoids(300, 512)
    angle = position * math.exp(i * -(math.log(10_000) / (512 // 2 - 1)))
    assert table[position, i].item() == pytest.approx(math.sin(angle), abs=1e-6)
    assert table[position, 256 + i].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_one_pair_of_waves_is_the_same_either_way() -> None:
    assert torch.equal(concatenated_sinusoids(300, 2), sinusoids(300, 2))


@pytest.mark.parametrize("kind", get_args(PositionKind))
def test_a_later_start_is_the_rest_of_a_sequence(kind: PositionKind) -> None:
    positions = build(kind)
    x_BTD = torch.randn(2, 200, 24)
    place_T = torch.arange(200)
    whole = positions(x_BTD, place_T, 200)
    for start in (0, 1, 150, 199):
        assert torch.equal(positions(x_BTD[:, start:], place_T[start:], 200), whole[:, start:])


@pytest.mark.parametrize("kind", get_args(PositionKind))
def test_only_three_kinds_touch_the_embeddings(kind: PositionKind) -> None:
    x_TD = torch.randn(3, 24)
    same = torch.equal(build(kind)(x_TD, torch.arange(3), 3), x_TD)
    assert same == (kind not in ADDED)


@pytest.mark.parametrize("kind", ADDED)
def test_places_differ_and_sentences_do_not(kind: PositionKind) -> None:
    added = build(kind)(torch.zeros(2, 300, 24), torch.arange(300), 300)
    assert torch.equal(added[0], added[1])
    assert len(torch.unique(added[0], dim=0)) == 300


@pytest.mark.parametrize(
    ("kind", "form"), [("sinusoidal", sinusoids), ("concatenated", concatenated_sinusoids)]
)
def test_waves_have_no_last_length(
    kind: PositionKind, form: Callable[[int, int], torch.Tensor]
) -> None:
    positions = build(kind)
    place = torch.tensor([5000])
    assert torch.equal(positions(torch.zeros(1, 24), place, 5001)[0], form(5001, 24)[5000])


def test_learned_positions_end_with_their_table() -> None:
    positions = build("learned")
    with pytest.raises(ValueError, match=r"301 tokens, but model\.max_positions=300"):
        positions(torch.zeros(1, 24), torch.tensor([300]), 301)


def test_what_is_learned_is_all_that_is_saved() -> None:
    shapes = {
        kind: [tuple(tensor.shape) for tensor in build(kind).state_dict().values()]
        for kind in get_args(PositionKind)
    }
    assert {kind: found for kind, found in shapes.items() if found} == {
        "learned": [(300, 24)],
        "relative": [(32, 2)],
    }


def test_a_turn_is_a_complex_product_in_each_pair() -> None:
    """Su et al. 2021: channels 2i and 2i + 1 by an angle of place * 10000^(-2i / d_k)."""
    x_BHTK = torch.randn(2, 2, 9, 12)
    place = torch.arange(50, 59)
    turns = build("rotary").turns(place, 59)
    assert turns is not None
    angle = place.double()[:, None] * 10_000 ** (-torch.arange(0, 12, 2).double() / 12)
    z = torch.view_as_complex(x_BHTK.double().unflatten(-1, (-1, 2))) * torch.polar(
        torch.ones_like(angle), angle
    )
    expected = torch.view_as_real(z).flatten(-2).float()
    torch.testing.assert_close(turn(x_BHTK, turns), expected, rtol=1e-5, atol=1e-5)


def test_turned_products_depend_on_distances_alone() -> None:
    q, k = torch.randn(2, 2, 1, 7, 12)
    positions = build("rotary")

    def scores(first: int) -> torch.Tensor:
        turns = positions.turns(torch.arange(first, first + 7), first + 7)
        assert turns is not None
        return turn(q, turns) @ turn(k, turns).mT

    torch.testing.assert_close(scores(100), scores(0), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(scores(0), q @ k.mT)


def test_slopes_by_hand() -> None:
    eight = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    assert slopes(8) == eight
    assert slopes(12) == pytest.approx([*eight, 2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5])


@pytest.mark.parametrize("heads", range(1, 34))
def test_slopes_are_those_of_the_authors_code(heads: int) -> None:
    assert slopes(heads) == pytest.approx(authors_slopes(heads))


def test_alibi_falls_to_both_sides() -> None:
    bias = build("alibi").bias(torch.tensor([1, 3]), torch.arange(4))
    assert bias is not None
    far = [[1.0, 0.0, 1.0, 2.0], [3.0, 2.0, 1.0, 0.0]]
    slope = torch.tensor([1 / 16, 1 / 256])[:, None, None]
    torch.testing.assert_close(bias, (-slope * torch.tensor(far))[None])


def test_buckets_by_hand() -> None:
    left = [0, -1, -7, -8, -11, -12, -15, -16, -22, -23, -32, -64, -90, -91, -127, -128, -999]
    both = [0, 1, 7, 8, 8, 9, 9, 10, 10, 11, 12, 14, 14, 15, 15, 15, 15]
    assert bucket(torch.tensor(left), False).tolist() == both
    assert bucket(-torch.tensor(left[1:]), False).tolist() == [16 + one for one in both[1:]]
    back = [0, 1, 7, 8, 11, 12, 15, 16, 18, 18, 21, 26, 29, 29, 31, 31, 31]
    assert bucket(torch.tensor(left), True).tolist() == back
    assert not bucket(torch.arange(1, 9), True).any()


@pytest.mark.parametrize("causal", [True, False])
def test_buckets_are_those_of_whole_numbers(causal: bool) -> None:
    offsets = torch.arange(-300, 301)
    expected = [hand_bucket(int(offset), causal) for offset in offsets]
    assert bucket(offsets, causal).tolist() == expected


@pytest.mark.parametrize("kind", get_args(PositionKind))
@pytest.mark.parametrize("causal", [True, False])
def test_what_is_added_to_scores_depends_on_distances_alone(
    kind: PositionKind, causal: bool
) -> None:
    positions, place = build(kind, 3, causal), torch.arange(40)
    bias = positions.bias(place, place)
    assert (bias is None) == (kind not in ("alibi", "relative"))
    if bias is not None:
        assert bias.shape == (1, 3, 40, 40)
        assert torch.equal(bias[:, :, 1:, 1:], bias[:, :, :-1, :-1])
        last = positions.bias(place[-1:], place)
        assert last is not None
        assert torch.equal(last, bias[:, :, -1:])

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch

from lit_transformer.config import ModelConfig, PositionKind
from lit_transformer.model.positions import build_positions, concatenated_sinusoids, sinusoids

ADDED: list[PositionKind] = ["sinusoidal", "concatenated", "learned"]
"""The kinds that add to embeddings."""


def config(kind: PositionKind) -> ModelConfig:
    return ModelConfig(d_model=8, heads=2, positions=kind, max_positions=300)


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
    positions = build_positions(config(kind))
    x_BTD = torch.randn(2, 200, 8)
    place_T = torch.arange(200)
    whole = positions(x_BTD, place_T, 200)
    for start in (0, 1, 150, 199):
        assert torch.equal(positions(x_BTD[:, start:], place_T[start:], 200), whole[:, start:])


@pytest.mark.parametrize("kind", get_args(PositionKind))
def test_only_three_kinds_touch_the_embeddings(kind: PositionKind) -> None:
    x_TD = torch.randn(3, 8)
    same = torch.equal(build_positions(config(kind))(x_TD, torch.arange(3), 3), x_TD)
    assert same == (kind not in ADDED)


@pytest.mark.parametrize("kind", ADDED)
def test_places_differ_and_sentences_do_not(kind: PositionKind) -> None:
    added = build_positions(config(kind))(torch.zeros(2, 300, 8), torch.arange(300), 300)
    assert torch.equal(added[0], added[1])
    assert len(torch.unique(added[0], dim=0)) == 300


@pytest.mark.parametrize(
    ("kind", "form"), [("sinusoidal", sinusoids), ("concatenated", concatenated_sinusoids)]
)
def test_waves_have_no_last_length(
    kind: PositionKind, form: Callable[[int, int], torch.Tensor]
) -> None:
    positions = build_positions(config(kind))
    place = torch.tensor([5000])
    assert torch.equal(positions(torch.zeros(1, 8), place, 5001)[0], form(5001, 8)[5000])


def test_learned_positions_end_with_their_table() -> None:
    positions = build_positions(config("learned"))
    with pytest.raises(ValueError, match=r"301 tokens, but model\.max_positions=300"):
        positions(torch.zeros(1, 8), torch.tensor([300]), 301)


def test_only_learned_positions_are_trained_or_saved() -> None:
    for kind in get_args(PositionKind):
        assert (kind == "learned") == bool(build_positions(config(kind)).state_dict())
    learned = build_positions(config("learned"))
    assert [tuple(p.shape) for p in learned.parameters()] == [(300, 8)]

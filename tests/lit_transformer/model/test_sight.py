import math

import torch

from lit_transformer.config import ModelConfig
from lit_transformer.model.positions import build_positions
from lit_transformer.model.sight import Sight, hidden_from_others, sight, window_bias

INF = math.inf
NO_POSITIONS = build_positions(ModelConfig(positions="none"), causal=False)


def test_a_window_hides_what_is_farther_away() -> None:
    place = torch.arange(4)
    assert window_bias(place, place, 1).tolist() == [
        [0.0, 0.0, -INF, -INF],
        [0.0, 0.0, 0.0, -INF],
        [-INF, 0.0, 0.0, 0.0],
        [-INF, -INF, 0.0, 0.0],
    ]
    assert window_bias(place[2:], place, 0).tolist() == [[-INF, -INF, 0, -INF], [-INF] * 3 + [0]]


def test_a_window_that_reaches_all_hides_nothing() -> None:
    place = torch.arange(4)
    assert sight(NO_POSITIONS, 3, 4, place).bias is None
    assert sight(NO_POSITIONS, None, 4, place) == Sight(None, None)
    assert sight(NO_POSITIONS, 2, 4, place).bias is not None


def test_padding_sees_itself_alone() -> None:
    hidden_B11S = torch.tensor([[[[0.0, -INF, -INF]]], [[[0.0, 0.0, 0.0]]]])
    hidden_B1SS = hidden_from_others(hidden_B11S)
    assert hidden_B1SS[0, 0].tolist() == [[0, -INF, -INF], [0, 0, -INF], [0, -INF, 0]]
    assert not hidden_B1SS[1].any()


def test_what_hides_is_added_up() -> None:
    first, second = Sight(torch.tensor([1.0, -INF]), None), torch.tensor([2.0, 3.0])
    hidden = first.hiding(second).bias
    assert hidden is not None
    assert hidden.tolist() == [3.0, -INF]
    assert first.hiding(None) == first
    assert Sight(None, None).hiding(second).bias is second

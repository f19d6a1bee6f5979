"""Who depends on whom, against what each layer is by definition."""

import pytest
import torch

from lit_transformer.complexity.cells import LayerType, Terms
from lit_transformer.complexity.layers import build
from lit_transformer.complexity.paths import CPU, Path, depends, trace

LENGTH = 12


def dependences(layer: LayerType, layers: int, terms: Terms) -> torch.Tensor:
    torch.manual_seed(0)
    built = build(layer, LENGTH, 16, terms._replace(head_width=8), LENGTH, CPU)
    built.module.double()
    return depends(built, LENGTH, 16, layers)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("window", "kernel"), [(1, 3), (2, 5)])
def test_one_layer_reaches_its_neighbours_and_a_stack_further(
    layers: int, window: int, kernel: int
) -> None:
    terms = Terms(window, kernel, 8, 1)
    place_T = torch.arange(LENGTH)
    distance_TT = (place_T[:, None] - place_T).abs()
    for layer, reach in (
        ("self-attention-restricted", window),
        ("self-attention-restricted-unprojected", window),
        ("convolutional", kernel // 2),
        ("self-attention", LENGTH),
        ("feed-forward", 0),
    ):
        found = dependences(layer, layers, terms)  # type: ignore[arg-type]
        assert torch.equal(found, distance_TT <= layers * reach), layer


@pytest.mark.parametrize("layer", ["recurrent-lstm", "recurrent-gru"])
def test_a_recurrence_knows_what_came_before(layer: LayerType) -> None:
    found = dependences(layer, 1, Terms(1, 3, 8, 1))
    assert torch.equal(found, torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril())


@pytest.mark.parametrize("length", [2, 9, 14])
@pytest.mark.parametrize(("window", "kernel"), [(2, 5), (4, 3)])
def test_paths_are_as_long_as_section_4_says(length: int, window: int, kernel: int) -> None:
    terms = Terms(window, kernel, 64, 1)
    hops = {
        "self-attention": 1,
        "self-attention-restricted": -(-(length - 1) // window),
        "convolutional": -(-(length - 1) // (kernel // 2)),
        "recurrent-lstm": length - 1,
        "recurrent-gru": length - 1,
        "feed-forward": None,
    }
    for layer, longest in hops.items():
        found = trace(layer, length, terms)  # type: ignore[arg-type]
        assert found.longest == longest, layer
        assert found.sequential == (length if layer.startswith("recurrent") else 1)


def test_a_state_that_nobody_needs_is_no_step() -> None:
    assert Path("self-attention", 9, 1, 0).sequential == 1
    assert Path("feed-forward", 9, None, 0).longest is None

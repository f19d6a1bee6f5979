"""What is counted and estimated, against what torch counts and its allocator sees."""

from typing import get_args

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lit_transformer.complexity.cells import Cell, LayerType, Terms, ask, memory, operations
from lit_transformer.complexity.layers import build
from lit_transformer.complexity.measuring import measure
from lit_transformer.config_io import ConfigError

LAYERS = get_args(LayerType)
TERMS = Terms(window=4, kernel=3, head_width=8, sentences=2)
CPU = torch.device("cpu")
DONE = Terms(16, 3, 64, 1)


@pytest.mark.parametrize("length", [20, 120])
@pytest.mark.parametrize("layer", LAYERS)
def test_operations_are_those_that_torch_counts(layer: LayerType, length: int) -> None:
    built = build(layer, length, 24, TERMS, TERMS.sentences, CPU)
    built.module.double()  # a float32 LSTM is one call of oneDNN, which torch does not look into
    x_ND = torch.randn(TERMS.sentences * length, 24, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter:
        built.apply(x_ND)
    counted = operations(Cell(layer, length, 24), TERMS)
    if layer == "convolutional":  # torch convolves the gap between the two sentences, too
        counted = counted * (2 * length + 1) // (2 * length)
    assert counter.get_total_flops() == counted


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("length", "width"), [(256, 128), (1024, 64)])
def test_memory_is_estimated_from_above(layer: LayerType, length: int, width: int) -> None:
    cell = Cell(layer, length, width)
    found = measure(cell, DONE, CPU, repeats=1, most_s=1.0)
    assert found.training_bytes <= memory(cell, DONE, fused=False) <= 3 * found.training_bytes


def asked(layers: str = "", lengths: str = "16", widths: str = "64", kernel: int = 3) -> object:
    return ask(layers, lengths, widths, "8", DONE._replace(kernel=kernel), 1, 1.0)


def test_lists_are_read_in_order() -> None:
    found = ask("feed-forward, self-attention", "64,16,64", "1_28", "8", DONE, 2, 1.0)
    assert found.layers == ["self-attention", "feed-forward"]
    assert (found.lengths, found.widths) == ([16, 64], [128])
    assert len(ask("", "1", "64", "1", DONE, 1, 1.0).layers) == len(LAYERS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layers": "lstm"}, "--layers lstm: not a layer type; they are self-attention, "),
        ({"lengths": "16,x"}, "--lengths 16,x: whole numbers from 1"),
        ({"lengths": "0"}, "--lengths 0: whole numbers from 1"),
        ({"lengths": ""}, "--lengths : whole numbers from 1"),
        ({"widths": "64,100"}, "100 is not a multiple of --head-width 64"),
        ({"kernel": 4}, "--kernel 4: an odd number"),
    ],
)
def test_what_cannot_be_measured_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asked(**wrong)  # type: ignore[arg-type]

"""Which checkpoints are averaged, and their mean against NumPy's."""

import numpy as np
import pytest
import torch

from lit_transformer.averaging import average, steps_to_average
from lit_transformer.checkpoints import save_tensors


@pytest.mark.parametrize(
    ("steps", "every", "last", "expected"),
    [
        (100_000, 1_500, 5, [94_000, 95_500, 97_000, 98_500, 100_000]),  # section 6.1, base
        (10, 3, 2, [7, 10]),
        (10, 3, 4, [1, 4, 7, 10]),
        (10, 3, 9, [1, 4, 7, 10]),
        (9, 3, 4, [3, 6, 9]),
        (10, 3, 1, [10]),
        (2, 100, 5, [2]),
    ],
)
def test_steps_go_back_from_the_last(steps, every, last, expected):
    assert steps_to_average(steps, every, last) == expected


@pytest.fixture
def write(tmp_path):
    def run(name, tensors):
        path = tmp_path / f"{name}.safetensors"
        save_tensors(tensors, path)
        return path

    return run


def test_the_mean_is_numpy_s_in_float64(write):
    generator = torch.Generator().manual_seed(0)
    scales = [1e6, 1.0, 1e-6, 3.0, 7.0]  # a sum in float32 would lose digits
    models = [{"w": torch.randn(4, 5, generator=generator) * scale} for scale in scales]
    found = average([write(i, model) for i, model in enumerate(models)])["w"]
    expected = np.mean([model["w"].numpy().astype(np.float64) for model in models], axis=0)
    assert found.dtype == torch.float32
    assert np.array_equal(found.numpy(), expected.astype(np.float32))


def test_one_model_is_its_own_mean(write):
    weights = {"half": torch.randn(3).bfloat16(), "single": torch.randn(2)}
    found = average([write("one", weights)])
    for name, value in weights.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_models_of_other_parameters_are_refused(write):
    files = [write("a", {"w": torch.ones(1)}), write("b", {"v": torch.ones(1)})]
    with pytest.raises(ValueError, match=r"b\.safetensors: holds other parameters than .*a\.safe"):
        average(files)

"""What a search takes: counted work, and the prices that two searches tell."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lit_transformer import pace
from lit_transformer.config import DecodeConfig
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.module import TransformerModule
from lit_transformer.pace import Pace, Work, reference_work, search_pace, solve

CPU = torch.device("cpu")


@pytest.mark.parametrize("true", [Pace(0.5, 0.01), Pace(0.0, 2.0), Pace(3.0, 0.0)])
def test_two_searches_tell_both_prices(true: Pace) -> None:
    small, large = Work(40, 300), Work(44, 1_300)
    taken = [true.step_s * work.steps + true.row_s * work.rows for work in (small, large)]
    assert solve(small, taken[0], large, taken[1]) == pytest.approx(true)


@pytest.mark.parametrize("small_s", [0.001, 90.0])
def test_noise_never_makes_a_price_negative(small_s: float) -> None:
    small, large = Work(40, 300), Work(44, 1_300)
    found = solve(small, small_s, large, 10.0)
    assert min(found) >= 0
    assert found.step_s * large.steps + found.row_s * large.rows == pytest.approx(10.0)


def test_searches_of_one_size_tell_one_price() -> None:
    assert solve(Work(40, 300), 3.0, Work(40, 300), 3.0) == Pace(0.0, 0.01)


def test_work_is_that_of_outputs_as_long_as_the_references() -> None:
    pairs = SimpleNamespace(
        source_lengths=np.array([3, 9, 5, 4], np.int32),
        target_lengths=np.array([6, 7, 2, 40], np.int32),
    )
    decode = DecodeConfig(beam=4, batch_sentences=2, extra_length=10)
    # Longest sources first, two a batch: 9 and 5, 4 and 3; 4 + 10 is the limit of the last one.
    assert reference_work(pairs, None, decode, CPU) == Work(7 + 14, 7 + 2 + 14 + 6)
    assert reference_work(pairs, 2, decode, CPU) == Work(7 + 6, 7 + 6)


@pytest.fixture
def data(trained):
    found = TranslationData(trained.config, trained.cache)
    found.prepare_data()
    found.setup("fit")
    return found


def test_a_search_goes_to_its_limit_whatever_the_model_says(data, monkeypatch):
    """As many steps as the sources are long: here both sides have equal lengths."""
    seen = []
    monkeypatch.setattr(pace, "solve", lambda *both: seen.append(both) or Pace(0.0, 0.0))
    module = TransformerModule(data.config, len(data.vocab), data.vocab.pad)
    search_pace(module, data, 2, 12)
    small, small_s, large, large_s = seen[0]
    lengths = sorted(data.parts["valid"].source_lengths.tolist(), reverse=True)
    assert large == Work(lengths[0] + lengths[6], sum(lengths))  # 12 in two batches
    middle = lengths[5:7]  # a sixth of the batch, once for each of two
    assert small == Work(sum(middle), sum(middle))
    assert min(small_s, large_s) > 0


def test_no_sentences_take_no_time(data):
    module = TransformerModule(data.config, len(data.vocab), data.vocab.pad)
    found = search_pace(module, data, 1, 0)
    none = found.of(data, ["valid"], 1, 0, CPU)
    assert (none.steps_s, none.rows_s) == (0, 0)

"""What the training comparison makes of measurements, by hand numbers."""

import pytest
import train_step
from turns import Answer

MODEL = train_step.model_of("small", "paper", 4096)
STEP = {"pairs": 10, "tokens": 150, "source_tokens": 140, "slots": 160, "loss": 5.0}


def test_the_operations_of_an_update() -> None:
    """By the formula: three forward passes, pairs of 14 source and 15 target tokens."""
    d, ff, s, t = 256, 1024, 14, 15
    encoder = s * 2 * (4 * d * d + 2 * d * ff) + 4 * s * s * d
    decoder = t * 2 * (6 * d * d + 2 * d * ff) + s * 4 * d * d + 2 * d * t * (t + 1) + 4 * d * s * t
    expected = 3 * 10 * (3 * (encoder + decoder) + t * 2 * d * 8000)
    assert train_step.operations(MODEL, 8000, STEP) == pytest.approx(expected)


def test_a_row_counts_real_tokens_only() -> None:
    answers = [Answer(STEP, seconds, 100.0) for seconds in (1.0, 2.0, 4.0)]
    row = train_step.row(answers, [1e12, 1e12, 0.5e12], MODEL, 8000)
    assert row["every_rate"] == [150.0, 75.0, 37.5]
    assert row["tokens_per_second"]["median"] == 75.0
    assert row["padding"] == pytest.approx(1 / 16)
    done = train_step.operations(MODEL, 8000, STEP)
    assert row["best_share_of_peak"] == pytest.approx(done / 1e12)
    assert row["share_of_peak"]["median"] == pytest.approx(done / 2e12)


def test_every_size_splits_evenly_into_heads() -> None:
    for size in train_step.SIZES.values():
        assert size["d_model"] % size["heads"] == 0

"""What a trial takes is the sum of its pieces, each as often as the configuration has it."""

import pytest

from lit_transformer.averaging import steps_to_average
from lit_transformer.config import RunConfig
from lit_transformer.config_io import Given, build
from lit_transformer.forecast import (
    CURVE_POINT_BYTES,
    ROWS,
    STEPS,
    Pieces,
    Searches,
    Span,
    forecast,
    total,
)

PIECES = Pieces(
    start_s=3.0,
    update_s=(1.0, 2.0, 6.0),
    point_s=10.0,
    point_search=Searches(steps_s=20.0, rows_s=0.0),
    checkpoint_s=100.0,
    weights_s=1000.0,
    reading_s=500.0,
    scoring_s=5_000.0,
    scoring_search=Searches(steps_s=0.0, rows_s=20_000.0),
    heads_s=100_000.0,
    memory_bytes=7,
    gpu_bytes=0,
    checkpoint_bytes=30_000,
    weights_bytes=10_000,
    core_share=1.0,
    text_bytes=2,
)
NOTHING = Pieces(
    **{
        **PIECES.model_dump(),
        **dict.fromkeys(("start_s", "point_s", "checkpoint_s", "weights_s", "reading_s"), 0.0),
        "update_s": (0.0,),
        "point_search": Searches(steps_s=0, rows_s=0),
        "scoring_s": 0.0,
        "scoring_search": Searches(steps_s=0, rows_s=0),
        "heads_s": 0.0,
    }
)


def config(**train: object) -> RunConfig:
    given = {
        **{"steps": 10, "valid_every": 4, "checkpoint_every": 5, "log_every": 3},
        **{"average_last": 3, "average_every": 2},
        **train,
    }
    return build({f"train.{name}": Given(value, "a test") for name, value in given.items()})


def test_every_piece_counts_as_often_as_a_trial_has_it() -> None:
    found = forecast(config(), PIECES)
    # Points after 4, 8 and 10; checkpoints after 5 and 10; three checkpoints to average, and two
    # models to write and to read; two models to score, and one's heads.
    beside = 3 + 3 * 10 + 2 * 100 + 5 * 1_500 + 2 * 5_000 + 100_000
    assert found.train_s == Span(10.0, 30.0, 60.0)
    for case in range(3):
        searches = STEPS[case] * 3 * 20 + ROWS[case] * 2 * 20_000
        assert found.total_s[case] == pytest.approx(found.train_s[case] + beside + searches)


@pytest.mark.parametrize(("steps", "every", "last"), [(1, 1, 5), (7, 3, 5), (9, 3, 3), (9, 3, 2)])
def test_weights_are_written_as_often_as_training_writes_them(
    steps: int, every: int, last: int
) -> None:
    one_second = NOTHING.model_copy(update={"weights_s": 1.0})
    asked = config(steps=steps, average_every=every, average_last=last)
    expected = len(steps_to_average(steps, every, last)) + 2  # the last model, and the mean
    assert forecast(asked, one_second).total_s.likely == expected


@pytest.mark.parametrize(
    ("keep", "kept", "most"),
    [
        ("nothing", 0, 20_000 + 30_000 + 2 * 30_000),
        ("model", 20_000, 20_000 + 30_000 + 2 * 30_000),
        ("checkpoints", 20_000 + 30_000 + 60_000, 20_000 + 30_000 + 60_000),
    ],
)
def test_the_disk_holds_what_is_kept(keep: str, kept: int, most: int) -> None:
    """Two models of 10,000; three more to average; two checkpoints of 30,000."""
    found = forecast(config(keep=keep), PIECES)
    points = 4 + 3  # logged after 3, 6, 9, 10; validated after 4, 8, 10
    beside = 2 + points * CURVE_POINT_BYTES
    assert (found.kept_bytes, found.most_bytes) == (kept + beside, most + beside)


def test_spans_add_up_end_by_end() -> None:
    assert total([Span(1, 2, 3), Span(10, 20, 30)]) == Span(11, 22, 33)
    assert total([]) == Span(0, 0, 0)


def test_what_is_read_back_is_what_was_measured() -> None:
    assert Pieces.model_validate_json(PIECES.model_dump_json()) == PIECES

"""A plan's times: what is measured once for whom, how trials follow each other, and the error."""

import itertools
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments import calibrating, planning
from experiments.calibrating import Calibration, Place, key, lacking, place, recall
from experiments.planning import look_ahead, schedule
from experiments.runners.local import Slot
from experiments.sweep import Planned, Root
from lit_transformer.config_io import keys
from lit_transformer.forecast import Measured, Pieces, Span
from lit_transformer.record import write_bytes
from tests.lit_transformer.test_forecast import NOTHING
from tests.toy import Toy, write_toy

TWO = [Slot(None, 1)] * 2
HERE = Place(on_gpu=False, threads=1, beside=2)


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return write_toy(tmp_path / "toy")


def remember(item: Planned, root: Path, pieces: Pieces, measured_at: float = 0.0) -> None:
    """As if the trial's shape had been measured."""
    made = Calibration(
        time=measured_at,
        host="here",
        measured=Measured(device="a core", pieces=pieces),
        **HERE._asdict(),
    )
    path = calibrating.folder(Root(root)) / f"{key(item, HERE)}.json"
    write_bytes(path, made.model_dump_json().encode())


def seconds(each_update: float) -> Pieces:
    return NOTHING.model_copy(update={"update_s": (0.5 * each_update, 1.5 * each_update)})


def finish(item: Planned, total_s: float, train_s: float) -> None:
    item.record.start_attempt({})
    scores = {"cost.total_seconds": total_s, "cost.train_seconds": train_s}
    item.record.write_json("result.json", {"scores": scores, "threads": 1})


# What is measured once for whom


def shapes(toy: Toy, *sets: str) -> set[str]:
    items = [item for one in sets for item in toy.plan(toy.folder, [1, 2], ["base"], one.split())]
    return {key(item, HERE) for item in items}


@pytest.mark.parametrize(
    "sets",
    [
        ("model.dropout=0.1", "model.dropout=0.3", "optim.label_smoothing=0.2"),
        ("train.steps=16", "train.steps=32", "train.average_last=1", "train.valid_every=2"),
        ("optim.warmup_steps=3", "optim.rate_factor=2.0", "decode.alpha=0.1"),
    ],
)
def test_trials_of_one_shape_share_a_calibration(toy: Toy, sets: tuple[str, ...]) -> None:
    assert len(shapes(toy, *sets)) == 1


@pytest.mark.parametrize(
    "sets",
    [
        ("model.dropout=0.1", "model.dropout=0.0"),
        ("optim.label_smoothing=0.1", "optim.label_smoothing=0.0"),
        ("optim.clip_norm=1.0", "optim.clip_norm=null"),
        ("model.d_model=16", "model.d_model=32"),
        ("train.tokens_per_batch=64", "train.tokens_per_batch=128"),
        ("decode.beam=2", "decode.beam=4"),
        ("data.vocabulary_size=60", "data.vocabulary_size=50"),
    ],
)
def test_trials_of_other_shapes_do_not(toy: Toy, sets: tuple[str, ...]) -> None:
    assert len(shapes(toy, *sets)) == 2


def test_keys_without_a_price_of_their_own_exist() -> None:
    named = calibrating.UNPRICED | calibrating.PRICED_IF_ANY
    assert named <= {key.name for key in keys()}


def test_another_place_is_another_calibration(toy: Toy) -> None:
    (item,) = toy.plan(toy.folder, [1], ["base"])
    places = [HERE, Place(True, 1, 2), Place(False, 2, 2), Place(False, 1, 1)]
    assert len({key(item, where) for where in places}) == 4


def test_only_shapes_of_trials_to_run_are_measured_and_once(toy: Toy, tmp_path: Path) -> None:
    planned = toy.plan(tmp_path, [1, 2])
    base, other = planned[:2]
    assert lacking(planned, Root(tmp_path), HERE, fresh=False) == [base, other]
    remember(base, tmp_path, seconds(1.0))
    assert lacking(planned, Root(tmp_path), HERE, fresh=False) == [other]
    assert lacking(planned, Root(tmp_path), HERE, fresh=True) == [base, other]
    for item in planned:
        finish(item, 1.0, 1.0)
    assert lacking(planned, Root(tmp_path), HERE, fresh=True) == []


@pytest.mark.parametrize("content", [b"", b"{}", b'{"time": "now"}', b"\xff"])
def test_a_calibration_that_cannot_be_read_is_none(
    toy: Toy, tmp_path: Path, content: bytes
) -> None:
    (item,) = toy.plan(tmp_path, [1], ["base"])
    write_bytes(calibrating.folder(Root(tmp_path)) / f"{key(item, HERE)}.json", content)
    assert recall(item, Root(tmp_path), HERE) is None


@pytest.mark.parametrize(
    ("slots", "at_once", "devices", "beside"),
    [(2, None, 1, 2), (4, None, 1, 4), (4, 3, 1, 3), (4, None, 2, 2), (9, None, 1, 4)],
)
def test_as_many_are_measured_at_once_as_will_run(
    toy: Toy, tmp_path: Path, slots: int, at_once: int | None, devices: int, beside: int
) -> None:
    planned = toy.plan(tmp_path, [1, 2], [], [f"train.devices={devices}"])  # four trials
    found = place(planned, [Slot(None, 3)] * slots, at_once)
    assert found == Place(False, 3, beside)


# How trials follow each other


def test_a_schedule_by_hand() -> None:
    # Two slots: 4 and 3 begin; 2 takes over at 3, and 1 at 4.
    assert schedule([4, 3, 2, 1], [1, 1, 1, 1], 2, 2) == [4, 3, 5, 5]
    # One that takes both waits for both, and holds up whoever comes after it.
    assert schedule([4, 3, 2, 1], [1, 1, 2, 1], 2, 2) == [4, 3, 6, 7]
    assert schedule([4, 3, 2], [1, 1, 1], 3, 1) == [4, 7, 9]
    assert schedule([], [], 2, 2) == []


def in_small_steps(
    lasts: Sequence[int], takes: Sequence[int], slots: int, at_once: int
) -> list[float]:
    """The sweep's own rule, second by second."""
    waiting, running, ends = list(range(len(lasts))), dict[int, int](), [0.0] * len(lasts)
    for now in itertools.count():
        for trial in [trial for trial, end in running.items() if end == now]:
            ends[trial] = now
            del running[trial]
        while waiting:
            room = slots - sum(takes[trial] for trial in running)
            if room < takes[waiting[0]] or len(running) >= at_once:
                break
            first = waiting.pop(0)
            running[first] = now + lasts[first]
        if not running:
            return ends
    raise AssertionError


@pytest.mark.parametrize("seed", range(20))
def test_a_schedule_is_that_of_the_sweep(seed: int) -> None:
    generator = random.Random(seed)
    lasts = [generator.randint(1, 9) for _ in range(8)]
    takes = [generator.randint(1, 2) for _ in lasts]
    slots, at_once = generator.randint(2, 4), generator.randint(1, 4)
    assert schedule(lasts, takes, slots, at_once) == in_small_steps(lasts, takes, slots, at_once)


# The whole, and the error


def test_the_whole_is_the_sum_of_its_trials(toy: Toy, tmp_path: Path) -> None:
    planned = toy.plan(tmp_path, [1, 2])  # base, A, base, A: 16 updates each
    remember(planned[0], tmp_path, seconds(2.0))
    remember(planned[1], tmp_path, seconds(1.0))
    found = look_ahead(planned, Root(tmp_path), TWO, None)
    assert found.trial_s == Span(48.0, 96.0, 144.0)
    ends = {one.item.trial.title: one.ends_s for one in found.trials}
    assert ends["tiny/base seed 1"] == Span(16.0, 32.0, 48.0)
    longest_first = planning.order(planned)
    expected = schedule(
        [32.0 if item.trial.arm == "base" else 16.0 for item in longest_first], [1] * 4, 2, 2
    )
    assert found.wall_s.likely == max(expected)
    assert found.memory_bytes == 2 * NOTHING.memory_bytes
    assert found.kept_bytes == sum(one.forecast.kept_bytes for one in found.trials if one.forecast)
    assert (found.unknown, found.comparison) == ([], None)


def test_what_was_not_measured_is_in_no_sum(toy: Toy, tmp_path: Path) -> None:
    planned = toy.plan(tmp_path, [1])
    remember(planned[0], tmp_path, seconds(2.0))
    found = look_ahead(planned, Root(tmp_path), TWO, None)
    assert [one.item for one in found.unknown] == [planned[1]]
    assert found.wall_s == Span(16.0, 32.0, 48.0)


def test_finished_trials_are_held_against_their_forecast(toy: Toy, tmp_path: Path) -> None:
    planned = toy.plan(tmp_path, [1, 2])
    for item in planned[:2]:
        remember(item, tmp_path, seconds(2.0))
    finish(planned[0], 40.0, 30.0)
    finish(planned[1], 24.0, 20.0)
    found = look_ahead(planned, Root(tmp_path), TWO, None)
    assert found.comparison is not None
    assert found.comparison[:2] == (2, Span(32.0, 64.0, 96.0))
    assert found.comparison.error == pytest.approx(64 / 64 - 1)
    assert found.trial_s == Span(32.0, 64.0, 96.0)  # the other two
    assert [one.ends_s is None for one in found.trials] == [True, True, False, False]


def test_what_was_measured_after_a_trial_began_was_no_forecast(toy: Toy, tmp_path: Path) -> None:
    (item,) = toy.plan(tmp_path, [1], ["base"])
    remember(item, tmp_path, seconds(2.0), measured_at=time.time() + 60)
    finish(item, 40.0, 30.0)
    other = toy.plan(tmp_path, [2], ["base"])
    assert look_ahead([item, *other], Root(tmp_path), TWO, None).comparison is None


def test_a_trial_with_other_threads_was_not_forecast(toy: Toy, tmp_path: Path) -> None:
    planned = toy.plan(tmp_path, [1, 2], ["base"])
    remember(planned[0], tmp_path, seconds(2.0))
    finish(planned[0], 40.0, 30.0)
    planned[0].record.write_json(
        "result.json", {"scores": {"cost.total_seconds": 1.0}, "threads": 2}
    )
    assert look_ahead(planned, Root(tmp_path), TWO, None).comparison is None


def test_a_damaged_record_is_left_out(toy: Toy, tmp_path: Path) -> None:
    planned = toy.plan(tmp_path, [1, 2], ["base"])
    remember(planned[0], tmp_path, seconds(2.0))
    finish(planned[0], 40.0, 30.0)
    planned[0].record.result_file.write_text("{")
    found = look_ahead(planned, Root(tmp_path), TWO, None)
    assert found.comparison is None
    assert len(found.to_run) == 2


def test_memory_of_a_gpu_is_measured_where_there_was_one(toy: Toy, tmp_path: Path) -> None:
    (item,) = toy.plan(tmp_path, [1], ["base"])
    planned = [item, *toy.plan(tmp_path, [2], ["base"])]
    counted, _ = look_ahead(planned, Root(tmp_path), TWO, None).trials
    assert counted.gpu_bytes == planning.sharing.memory(item)
    remember(item, tmp_path, seconds(1.0).model_copy(update={"gpu_bytes": 12345}))
    measured, _ = look_ahead(planned, Root(tmp_path), TWO, None).trials
    assert measured.gpu_bytes == 12345

"""Trials share a GPU as far as its memory goes."""

from pathlib import Path

import pytest

from experiments import sharing
from experiments.sharing import GIB, MARGIN, OWN_BYTES, share
from experiments.sweep import NOMINAL_LENGTH
from lit_transformer.model import cost
from tests.toy import Toy, write_toy


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return write_toy(tmp_path / "toy")


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial's tensors take as many GiB as its seed says."""
    monkeypatch.setattr(sharing, "memory", lambda item: item.trial.seed * GIB)


def test_memory_is_that_of_one_pass(toy: Toy, tmp_path: Path) -> None:
    (item,) = toy.plan(tmp_path, [1], ["base"], ["train.tokens_per_batch=640"])
    model = item.trial.config.model
    expected = cost.training_memory(
        model, 60, NOMINAL_LENGTH, NOMINAL_LENGTH, 640, "float32", "adam"
    )
    assert sharing.memory(item) == expected
    (item,) = toy.plan(tmp_path, [1], ["base"], ["train.micro_tokens=640"])
    assert sharing.memory(item) < expected  # tokens_per_batch is 64
    (item,) = toy.plan(tmp_path, [1], ["base"], ["train.tokens_per_batch=1280", "train.devices=2"])
    assert sharing.memory(item) == expected


@pytest.mark.parametrize(
    ("gib", "most", "expected"),
    [(10, 9, 1), (11.9, 9, 1), (12, 9, 2), (15.9, 9, 2), (16, 9, 3), (80, 9, 4), (80, 2, 2)],
)
@pytest.mark.usefixtures("sizes")
def test_whichever_trials_meet_they_fit(
    toy: Toy, tmp_path: Path, gib: float, most: int, expected: int
) -> None:
    # 4, 3, 2 and 1 GiB of tensors: 7, 5.5, 4 and 2.5 with margin and what each process takes.
    assert (OWN_BYTES, MARGIN) == (GIB, 1.5)
    planned = toy.plan(tmp_path, [4, 3, 2, 1], ["base"])
    free = {"0": 90 * GIB, "1": int(gib * GIB) + GIB // 2}
    found = share(planned, free, most)
    assert found.trials_per_gpu == expected
    trials = "1 trial" if expected == 1 else f"{expected} trials"
    assert found.told[0].startswith(f"{trials} a GPU: the largest takes about 7.0 GiB")
    assert len(found.told) == 1


@pytest.mark.usefixtures("sizes")
def test_a_trial_larger_than_a_gpu_is_named_and_still_has_its_turn(
    toy: Toy, tmp_path: Path
) -> None:
    found = share(toy.plan(tmp_path, [1, 5], ["base"]), {"0": 4 * GIB}, 9)
    assert found.trials_per_gpu == 1
    assert found.told[1:] == [
        "tiny/base seed 5 needs about 5.0 GiB and 4.0 GiB are free: it will probably end "
        "out_of_memory; lower train.micro_tokens"
    ]

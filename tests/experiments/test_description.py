"""What MLflow is told is what the directory says now."""

from pathlib import Path

import pytest

from experiments import description
from lit_transformer.config import RunConfig, TrainConfig
from lit_transformer.config_io import dump, load
from lit_transformer.record import write_bytes
from tests.experiments.directories import identity, make_trial


def test_a_configuration_is_read_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(description, "load", lambda path: read.append(path) or load(path))
    record = make_trial(tmp_path, identity(), {})

    def seed() -> int:
        trial = description.read(identity(), record.path)
        assert trial is not None
        assert trial.config is not None
        return trial.config.train.seed

    assert [seed() for _ in range(3)] == [1, 1, 1]
    assert read == [record.config]
    write_bytes(record.config, dump(RunConfig(train=TrainConfig(seed=7))).encode())
    assert seed() == 7
    record.config.unlink()
    trial = description.read(identity(), record.path)
    assert trial is not None
    assert trial.config is None

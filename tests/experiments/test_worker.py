"""What becomes of a trial is written down, whatever it was."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from experiments import worker
from experiments.worker import Job
from lit_transformer import training
from lit_transformer.callbacks import DivergedError, InterruptedTrialError, PrunedTrialError
from lit_transformer.config_io import ConfigError
from lit_transformer.data.cache import CorpusError
from lit_transformer.record import Record
from lit_transformer.training import Result

RESULT = Result(
    scores={"valid.perplexity": float("inf"), "valid.bleu": 1.5},
    signatures={"bleu": "version:2"},
    parameters={"total": 7},
    vocabulary_size=60,
    vocabulary_sha256="0",
    steps=16,
    averaged_steps=[16],
    skipped_pairs=0,
    cut_sources={"valid": 0},
    device="cpu",
    devices=1,
    threads=1,
)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        purpose="training",
        digest="d",
        config="train: {steps: 3}",
        directory=tmp_path / "d",
        about={},
        passes={},
        cache=tmp_path / "cache",
        devices=1,
        gpus=(),
        threads=1,
        parent=None,
    )


@pytest.fixture
def outcome(job: Job, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, str]]:
    """(kind, reason) of a training that raises an error, or of one that ends well."""

    def train(error: BaseException | None, asked: bool = False) -> tuple[str, str]:
        def trained(*_: object, **__: object) -> Result:
            if error is not None:
                raise error
            return RESULT

        monkeypatch.setattr(training, "train", trained)
        stop = worker._Stop()
        stop.asked = asked
        return worker._train(job, Record(job.directory), stop, None)

    return train


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (InterruptedTrialError("after update 3"), "killed", "after update 3"),
        (PrunedTrialError("after update 3"), "pruned", "after update 3"),
        (DivergedError("loss is nan"), "diverged", "loss is nan"),
        (ConfigError("no bfloat16"), "bad_configuration", "no bfloat16"),
        (torch.OutOfMemoryError("full\nof it"), "out_of_memory", "OutOfMemoryError: full"),
        (MemoryError(), "out_of_memory", "MemoryError: "),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 64 TB"),
            "out_of_memory",
            "RuntimeError: DefaultCPUAllocator: can't allocate memory: 64 TB",
        ),
        (CorpusError("gone"), "failed", "CorpusError: gone"),
        (RuntimeError("first\nsecond"), "failed", "RuntimeError: first"),
        (SystemExit(3), "failed", "SystemExit: 3"),
    ],
)
def test_every_end_has_a_kind_and_a_reason(
    error: BaseException, kind: str, reason: str, outcome: Callable[..., tuple[str, str]], job: Job
) -> None:
    assert outcome(error) == (kind, reason)
    assert Record(job.directory).result() is None


def test_what_a_stop_breaks_is_no_failure(outcome: Callable[..., tuple[str, str]]) -> None:
    assert outcome(RuntimeError("halfway"), True) == ("killed", "RuntimeError: halfway")


def test_an_infinite_score_is_a_result(outcome: Callable[..., tuple[str, str]], job: Job) -> None:
    assert outcome(None) == ("finished", "")
    record = Record(job.directory)
    assert '"valid.perplexity": "inf"' in record.result_file.read_text()
    result = record.result()
    assert result is not None
    assert result["scores"] == {"valid.perplexity": float("inf"), "valid.bleu": 1.5}


@pytest.mark.skipif(sys.platform != "linux", reason="trials are tied on Linux alone")
def test_a_server_without_its_tie_trains_nothing(job: Job) -> None:
    """Trials forked from it would outlive a sweep that is killed."""
    tied = Job(**{**vars(job), "parent": os.getppid()})
    kind, reason = worker._train(tied, Record(job.directory), worker._Stop(), None)
    assert kind == "failed"
    assert "experiments.preload cannot be imported" in reason

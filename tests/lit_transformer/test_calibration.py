"""A calibration measures what a trial of the same configuration does."""

import itertools

import pytest
import torch

from lit_transformer import calibration
from lit_transformer.calibration import measure
from lit_transformer.config_io import Given, build
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.forecast import forecast
from lit_transformer.peers import ALONE
from lit_transformer.record import Record, read_lines
from tests.lit_transformer.conftest import TINY

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch):
    monkeypatch.setattr(calibration, "ROUND_S", 0.02)


@pytest.fixture
def measured(trained, tmp_path):
    return measure(
        trained.config, tmp_path / "m", trained.cache, device=CPU, threads=1, peers=ALONE
    )


def test_files_are_as_large_as_the_trial_s(measured, trained):
    pieces, record = measured.pieces, Record(trained.directory)
    assert pieces.weights_bytes == record.weights.stat().st_size
    outputs = sum(path.stat().st_size for path in record.hypotheses.iterdir())
    texts = pieces.text_bytes - record.vocabulary.stat().st_size
    assert 0.3 * outputs < texts < 3 * outputs  # the references', where the trial has its own
    assert measured.device == trained.result.device


def test_every_piece_takes_time(measured):
    pieces = measured.pieces
    assert len(pieces.update_s) == calibration.ROUNDS
    searches = (pieces.point_search, pieces.scoring_search)
    spent = [
        *pieces.update_s,
        *(pieces.point_s, pieces.checkpoint_s, pieces.weights_s, pieces.reading_s),
        *(pieces.scoring_s, pieces.heads_s),
        *(search.steps_s + search.rows_s for search in searches),
    ]
    assert min(spent) > 0
    assert pieces.core_share > 0
    assert pieces.memory_bytes > 50 * 2**20  # torch alone is more
    assert pieces.gpu_bytes == 0


def test_no_point_checkpoint_or_end_of_the_trial_is_met(trained, tmp_path):
    record = Record(tmp_path / "m")
    measure(trained.config, record.path, trained.cache, device=CPU, threads=1, peers=ALONE)
    lines = list(read_lines(record.metrics))
    assert all("valid.loss" not in line["values"] for line in lines)
    steps = [line["step"] for line in lines]
    assert steps == list(range(2, 2 * len(steps) + 1, 2))  # the journal's own, as train.log_every
    assert len(steps) >= 2
    assert [path.name for path in record.checkpoints.glob("*.ckpt")] == ["step-000000000.ckpt"]


def test_an_update_is_of_the_epoch_s_mean_size(trained):
    """Against the loader's own updates of its first epoch."""
    data = TranslationData(trained.config, trained.cache)
    data.prepare_data()
    data.setup("fit")
    loader, sizes = data.train_dataloader(), []
    pairs = len(data.parts["train"])
    for update in itertools.islice(loader, 1000):
        sizes.append(update.source_tokens + update.target_tokens)
        pairs -= sum(int((b.source.packing.place_N == 0).sum()) for b in update.micro)
        if pairs == 0:
            break
    assert calibration._mean_tokens(data) == pytest.approx(sum(sizes) / len(sizes))


def test_rounds_are_scaled_to_one_size():
    clock = calibration._Clock(ALONE)
    clock.rounds = [calibration._Round(2.0, 1.0, 100), calibration._Round(6.0, 5.0, 300)]
    assert clock.updates(50) == (1.0, 1.0)
    assert clock.core_share(threads=2) == (1 + 5) / (2 * 8)


@pytest.mark.slow
@pytest.mark.parametrize("constraint", ["none", "trees"])
def test_parsing_is_measured_too(tmp_path, cache, constraint):
    changes = {
        **{key: value for key, value in TINY.items() if not key.startswith("data.")},
        "data.corpus": "grammar_trees",
        "data.vocabulary_size": 600,
        "data.max_tokens": 100,
        "data.train_sentences": 300,
        "train.tokens_per_batch": 200,
        "train.valid_sentences": 2,
        "decode.batch_sentences": 2,
        "decode.extra_length": 60,
        "decode.constraint": constraint,
    }
    config = build({key: Given(value, "a test") for key, value in changes.items()})
    found = measure(config, tmp_path / "m", cache, device=CPU, threads=1, peers=ALONE)
    assert forecast(config, found.pieces).total_s.likely > 0

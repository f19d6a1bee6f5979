"""Heads of a trained toy: what they look at, sentence by sentence, and the loss without each."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from lit_transformer import attention_maps, checkpoints, heads, removing
from lit_transformer.attention_maps import PARTS
from lit_transformer.config_io import ConfigError
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.evaluation import cross_entropy
from lit_transformer.heads import Heads
from lit_transformer.model.looking import attentions, look
from lit_transformer.module import TransformerModule
from lit_transformer.record import Record
from lit_transformer.removing import measure, measure_trial
from lit_transformer.training import unseen
from tests.lit_transformer.conftest import Trained


@pytest.fixture(scope="module")
def data(trained: Trained) -> TranslationData:
    found = TranslationData(trained.config, trained.cache)
    found.prepare_data()
    found.setup("fit")
    return found


@pytest.fixture
def module(trained: Trained, data: TranslationData) -> TransformerModule:
    made = TransformerModule(trained.config, len(data.vocab), data.vocab.pad)
    made.model.load_state_dict(checkpoints.load_weights(Record(trained.directory).weights))
    return made.eval()


@pytest.fixture
def found(module: TransformerModule, data: TranslationData) -> Heads:
    made = measure(module, data, 1000, unseen)
    assert made is not None
    return made


def loss_without(
    module: TransformerModule, data: TranslationData, gone: list[tuple[int, int, int]]
) -> float:
    """Of a copy whose columns of W^O are zeros for these heads: part, layer, head."""
    copy = TransformerModule(data.config, len(data.vocab), data.vocab.pad)
    copy.load_state_dict(module.state_dict())
    for part, layer, head in gone:
        attention = attentions(copy.model)[part][layer]
        width = data.config.model.value_width
        attention.output.weight.data[:, head * width : (head + 1) * width] = 0
    return cross_entropy(copy.eval(), data, "valid")


def test_a_head_s_importance_is_the_loss_with_its_part_of_the_output_matrix_zero(
    module: TransformerModule, data: TranslationData, found: Heads
) -> None:
    whole = cross_entropy(module, data, "valid")
    assert found.loss == pytest.approx(whole, abs=1e-5)
    for part, head in product(range(3), range(data.config.model.heads)):
        expected = loss_without(module, data, [(part, 0, head)]) - whole
        importance = found.parts[PARTS[part]].importance_LH[0, head]
        assert importance == pytest.approx(expected, abs=1e-5)


def test_more_and_more_heads_go_the_least_important_first(
    module: TransformerModule, data: TranslationData, found: Heads
) -> None:
    order = heads.by_importance(found.parts)
    assert [point.heads for point in found.removed] == [*range(7)]
    for count in (2, 6):
        gone = [(PARTS.index(part), layer, head) for part, layer, head in order[:count]]
        expected = loss_without(module, data, gone)
        assert found.removed[count].loss == pytest.approx(expected, abs=1e-5)


def test_entropy_and_distance_are_means_over_the_tokens_of_all_sentences(
    module: TransformerModule, data: TranslationData, found: Heads
) -> None:
    """Sentence by sentence, without padding, weighted by the tokens that look."""
    pairs = data.parts["valid"]
    sums = {part: np.zeros((3, 1, data.config.model.heads)) for part in PARTS}
    for n in range(len(pairs)):
        target = pairs.target(n).tolist()
        maps = look(module.model, pairs.source(n).tolist(), [data.vocab.bos, *target[:-1]])
        for part, weights in zip(PARTS, maps, strict=True):
            rows = weights.shape[2]
            measures = (
                attention_maps.entropy(weights.numpy()),
                attention_maps.distance(weights.numpy()),
                np.ones((1, data.config.model.heads)),
            )
            sums[part] += rows * np.stack(measures)
    for part in PARTS:
        entropy_LH, distance_LH, _ = sums[part] / sums[part][2]
        np.testing.assert_allclose(found.parts[part].entropy_LH, entropy_LH, atol=1e-5)
        np.testing.assert_allclose(found.parts[part].distance_LH, distance_LH, atol=1e-5)
    assert found.source_tokens == int(pairs.source_lengths.sum())
    assert found.target_tokens == int(pairs.target_lengths.sum())
    assert found.sentences == len(pairs)


def test_the_model_is_as_it_was(module: TransformerModule, data: TranslationData) -> None:
    before = {name: value.clone() for name, value in module.state_dict().items()}
    measure(module, data, 3, unseen)
    after = module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(one._forward_pre_hooks for one in module.modules())


def test_progress_counts_every_pass(module: TransformerModule, data: TranslationData) -> None:
    told: list[tuple[int, int]] = []
    measure(module, data, 2, lambda phase, done, total: told.append((done, total)))
    assert told == [(n, 13) for n in range(1, 14)]  # whole, without each of 6, without 1 to 6


def test_a_model_of_nans_has_no_numbers(module: TransformerModule, data: TranslationData) -> None:
    torch.nn.init.constant_(module.model.embedding.weight, torch.nan)
    assert measure(module, data, 2, unseen) is None


def test_a_trial_measures_its_last_model_at_its_end(trained: Trained, found: Heads) -> None:
    kept = heads.read(Record(trained.directory))
    assert kept is not None
    assert heads.as_object(kept) == heads.as_object(found)


def test_a_finished_trial_is_measured_from_its_weights(trained: Trained, tmp_path: Path) -> None:
    record = Record(tmp_path / "copy")
    record.path.mkdir()
    names = ("config.yaml", "model.safetensors", "model.safetensors.sha256", "vocabulary.json")
    for name in names:
        (record.path / name).write_bytes((trained.directory / name).read_bytes())
    made = measure_trial(record.path, trained.cache, 1000, unseen)
    original = heads.read(Record(trained.directory))
    assert original is not None
    assert heads.as_object(made) == heads.as_object(original)
    assert record.heads.read_bytes() == Record(trained.directory).heads.read_bytes()
    record.write_json("vocabulary.json", {"sha256": "another"})
    with pytest.raises(ConfigError, match="is not the one this trial was trained with"):
        measure_trial(record.path, trained.cache, 2, unseen)
    record.weights.unlink()
    with pytest.raises(ConfigError, match="only a finished trial with train"):
        measure_trial(record.path, trained.cache, 2, unseen)


@pytest.mark.parametrize("sentences", [1, 5])
def test_only_the_first_sentences_count(
    module: TransformerModule, data: TranslationData, sentences: int
) -> None:
    made = removing.measure(module, data, sentences, unseen)
    assert made is not None
    assert made.sentences == sentences
    assert made.target_tokens == int(data.parts["valid"].target_lengths[:sentences].sum())

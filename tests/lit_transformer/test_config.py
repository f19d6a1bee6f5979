"""The schema: the paper's values as defaults, rules between keys, nothing that can be changed."""

import pytest
from pydantic import ValidationError

from lit_transformer.config import (
    NUMERICS,
    DataConfig,
    DecodeConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
)
from lit_transformer.config_io import flatten, keys

# Sections 3, 5 and 6.1 of the paper where they name a value. Digests count differences from these:
# a default that changes raises NUMERICS.
DEFAULTS_OF_NUMERICS_2 = {
    "model.layers": 6,
    "model.d_model": 512,
    "model.d_ff": 2048,
    "model.heads": 8,
    "model.d_k": None,
    "model.d_v": None,
    "model.attention": "scaled",
    "model.positions": "sinusoidal",
    "model.max_positions": 512,
    "model.window": None,
    "model.encoder_mixing": "attention",
    "model.decoder_mixing": "attention",
    "model.kernel": 3,
    "model.norm": "post",
    "model.tied_embeddings": "all",
    "model.dropout": 0.1,
    "model.attention_dropout": 0.0,
    "model.relu_dropout": 0.0,
    "optim.optimizer": "adam",
    "optim.schedule": "inverse_sqrt",
    "optim.warmup_steps": 4000,
    "optim.peak_steps": None,
    "optim.rate_factor": 1.0,
    "optim.beta1": 0.9,
    "optim.beta2": 0.98,
    "optim.eps": 1e-9,
    "optim.clip_norm": None,
    "optim.label_smoothing": 0.1,
    "optim.momentum": 0.9,
    "optim.weight_decay": 0.0,
    "optim.smoothed_over": "vocabulary",
    "data.corpus": "wmt14",
    "data.source_language": "en",
    "data.target_language": "de",
    "data.files": None,
    "data.trees": None,
    "data.tags": "normalised",
    "data.closing": "labelled",
    "data.examples": "sentences",
    "data.words": "omitted",
    "data.train_sentences": None,
    "data.tokenizer": "bpe",
    "data.vocabulary_size": 37_000,
    "data.max_tokens": 256,
    "data.train_longest": None,
    "train.steps": 100_000,
    "train.tokens_per_batch": 25_000,
    "train.average_last": 5,
    "train.average_every": 1_500,
    "train.seed": 1,
    "train.precision": "float32",
    "decode.beam": 4,
    "decode.alpha": 0.6,
    "decode.constraint": "none",
    "decode.length_penalty": "gnmt",
    "decode.extra_length": 50,
}


def test_a_changed_default_needs_another_numerics():
    assert NUMERICS == 2
    defaults = flatten(RunConfig())
    assert {name: defaults[name] for name in DEFAULTS_OF_NUMERICS_2} == DEFAULTS_OF_NUMERICS_2


def test_every_key_that_identifies_a_trial_has_its_default_above():
    groups = {"data.files", "data.trees"}  # of one corpus each
    identity = {key.name for key in keys() if key.identity}
    identity -= {name for name in identity if name.rpartition(".")[0].startswith((*groups,))}
    assert identity == set(DEFAULTS_OF_NUMERICS_2) - groups


def test_nothing_is_written_to_a_configuration():
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().model.heads = 4


@pytest.mark.parametrize(
    ("given", "widths"),
    [
        ({}, (64, 64)),
        ({"heads": 32}, (16, 16)),
        ({"d_k": 16}, (16, 64)),
        ({"heads": 7, "d_k": 3, "d_v": 5}, (3, 5)),
    ],
)
def test_widths_of_a_head_follow_from_heads_unless_given(given, widths):
    model = ModelConfig(**given)
    assert (model.key_width, model.value_width) == widths


@pytest.mark.parametrize("given", [{}, {"d_k": 64}, {"d_v": 64}])
def test_heads_divide_the_width_where_a_width_is_derived(given):
    rule = r"model\.heads=7: model\.d_model=512 is not a multiple of 7; set model\.d_k and"
    with pytest.raises(ValidationError, match=rule):
        ModelConfig(heads=7, **given)


def test_sinusoids_need_an_even_width():
    with pytest.raises(ValidationError, match=r"d_model=9: .*even d_model or model\.positions=lea"):
        ModelConfig(d_model=9, heads=3)
    ModelConfig(d_model=9, heads=3, positions="learned")


def test_rotary_positions_turn_pairs_of_channels():
    with pytest.raises(
        ValidationError, match=r"rotary: .* a head has d_k=5; set an even model\.d_k"
    ):
        ModelConfig(positions="rotary", heads=3, d_k=5, d_v=5)
    ModelConfig(positions="rotary", heads=3, d_k=6, d_v=5)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_two_directions_share_an_even_width(kind):
    odd = {"d_model": 9, "heads": 3, "positions": "none"}
    with pytest.raises(
        ValidationError, match=rf"encoder_mixing={kind}: .*use an even model\.d_mod"
    ):
        ModelConfig(**odd, encoder_mixing=kind)
    ModelConfig(**odd, decoder_mixing=kind)


def test_a_kernel_that_sees_both_sides_has_a_middle():
    with pytest.raises(ValidationError, match=r"model\.kernel=4: .*use an odd model\.kernel"):
        ModelConfig(encoder_mixing="convolution", kernel=4)
    ModelConfig(decoder_mixing="convolution", kernel=4)
    ModelConfig(kernel=4)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"window": 8}, r"model\.window=8: no stack has self-attention"),
        *(({"positions": p}, rf"model\.positions={p}: .*use sinusoidal, learned or none")
          for p in ("rotary", "alibi", "relative")),
    ],
)  # fmt: skip
def test_what_acts_in_self_attention_needs_a_stack_that_has_it(given, rule):
    with pytest.raises(ValidationError, match=rule):
        ModelConfig(**given, encoder_mixing="lstm", decoder_mixing="convolution")
    ModelConfig(**given, encoder_mixing="lstm")


def test_learned_positions_reach_the_longest_output():
    learned = ModelConfig(positions="learned", max_positions=306)
    RunConfig(model=learned)  # 256 + 50
    with pytest.raises(ValidationError, match=r"max_positions=306: .* = 307 tokens; raise it"):
        RunConfig(model=learned, decode=DecodeConfig(extra_length=51))


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_without_warm_up_a_schedule_needs_its_height(schedule):
    rule = rf"schedule={schedule}: .*optim\.warmup_steps=0; set optim\.peak_steps, for example 4000"
    with pytest.raises(ValidationError, match=rule):
        OptimConfig(schedule=schedule, warmup_steps=0)
    OptimConfig(schedule=schedule, warmup_steps=0, peak_steps=4000)
    OptimConfig(warmup_steps=0)


def test_adamw_without_decay_is_adam():
    with pytest.raises(ValidationError, match=r"adamw: with optim\.weight_decay=0 it is adam"):
        OptimConfig(optimizer="adamw")
    OptimConfig(optimizer="adamw", weight_decay=0.01)


@pytest.mark.parametrize("key", ["tokens_per_batch", "micro_tokens"])
def test_the_longest_sentence_fits_a_batch(key):
    RunConfig(train=TrainConfig(**{key: 256}))
    with pytest.raises(ValidationError, match=rf"train\.{key}=255: .*lower data\.max_tokens"):
        RunConfig(train=TrainConfig(**{key: 255}))


def test_training_is_on_no_longer_pairs_than_there_are():
    with pytest.raises(
        ValidationError, match=r"train_longest=9: no pair is longer than data\.max_t"
    ):
        DataConfig(max_tokens=8, train_longest=9)
    assert DataConfig(max_tokens=8).longest_trained == 8
    assert DataConfig(max_tokens=8, train_longest=5).longest_trained == 5

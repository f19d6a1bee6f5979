"""A made-up language and its mirror image in files, the smallest model, and a trial of it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from lit_transformer.config import RunConfig
from lit_transformer.config_io import Given, build
from lit_transformer.training import Result, train

WORDS = ["ada", "bo", "cyd", "dov", "eli", "fay", "gus", "hal", "ivo", "jo", "kim", "lou"]
SIZES = {"train": 200, "valid": 12, "test": 9}

TINY = {
    "model.layers": 1,
    "model.d_model": 16,
    "model.d_ff": 32,
    "model.heads": 2,
    "model.dropout": 0.3,
    "optim.warmup_steps": 10,
    "data.corpus": "files",
    "data.vocabulary_size": 64,
    "data.max_tokens": 40,
    "train.steps": 12,
    "train.tokens_per_batch": 120,
    "train.average_last": 3,
    "train.average_every": 2,
    "train.valid_every": 4,
    "train.valid_sentences": 5,
    "train.log_every": 2,
    "train.checkpoint_every": 3,
    "decode.beam": 2,
    "decode.alpha": 3.0,  # so that a model that has hardly learnt says anything
    "decode.extra_length": 5,
    "decode.batch_sentences": 4,
}

Tiny = Callable[[dict[str, object]], RunConfig]
"""The tiny configuration with some keys changed."""


class Trained(NamedTuple):
    """A trial trained to its end."""

    config: RunConfig
    directory: Path
    cache: Path
    result: Result


def write_part(folder: Path, part: str, seed: int) -> None:
    """`SIZES[part]` sentences of four to seven words; the target has the words in reverse order."""
    generator = random.Random(seed)
    drawn = [generator.choices(WORDS, k=generator.randint(4, 7)) for _ in range(SIZES[part])]
    source = "".join(" ".join(words) + "\n" for words in drawn)
    target = "".join(" ".join(words[::-1]) + "\n" for words in drawn)
    (folder / f"{part}.source").write_text(source)
    (folder / f"{part}.target").write_text(target)


@pytest.fixture(scope="session")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the corpus."""
    folder = tmp_path_factory.mktemp("corpus")
    for seed, part in enumerate(SIZES):
        write_part(folder, part, seed)
    return folder


@pytest.fixture(scope="session")
def tiny(mirrored: Path) -> Tiny:
    files = {
        f"data.files.{part}.{side}": str(mirrored / f"{part}.{side}")
        for part in SIZES
        for side in ("source", "target")
    }

    def configure(changes: dict[str, object]) -> RunConfig:
        given = {**TINY, **files, **changes}
        return build({key: Given(value, "a test") for key, value in given.items()})

    return configure


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every test finds the vocabulary and the tokenized parts."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def trained(tiny: Tiny, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One trial without interruption, for every test that looks at the outcome."""
    config, directory = tiny({}), tmp_path_factory.mktemp("trained") / "trial"
    result = train(
        config,
        directory,
        cache,
        device=torch.device("cpu"),
        threads=1,
        should_stop=lambda: False,
    )
    return Trained(config, directory, cache, result)

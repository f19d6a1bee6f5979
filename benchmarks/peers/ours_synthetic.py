# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""The bare loop of ours_bare.py on a workload that has ids alone and no text: for scaling.py."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import ours
import ours_bare
import pairs
from numpy.typing import NDArray

from lit_transformer.data.batching import Update, UpdateLoader


class IdPairs:
    """A workload's part, as the project's loader wants one."""

    def __init__(self, part: pairs.Part) -> None:
        self.part = part
        self.source_lengths = part.source.lengths.astype(np.int32)
        self.target_lengths = part.target.lengths.astype(np.int32)

    def source(self, index: int) -> NDArray[np.int32]:
        return self.part.source[index]

    def target(self, index: int) -> NDArray[np.int32]:
        return self.part.target[index]


class Training(ours_bare.Training):
    """One optimizer update a step."""

    def loader(self, workload: Path) -> Iterator[Update]:
        train = self.config.train
        loader = UpdateLoader(
            IdPairs(pairs.read(workload, "train")),
            steps=ours.ENDLESS,
            tokens=train.tokens_per_batch,
            micro_tokens=None,
            seed=train.seed,
            bos=pairs.meta(workload)["bos"],
        )
        return iter(loader)

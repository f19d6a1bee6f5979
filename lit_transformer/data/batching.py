"""Batches by tokens with little padding, from a loader that knows its own position.

The order of an epoch is a pure function of (lengths, tokens_per_batch, seed, epoch): the pairs are
shuffled, sorted by length with the shuffle deciding between equals, cut where either side would
pass the budget, and the pieces shuffled again. A loader that is asked to start at a position
therefore hands out the same batches as one that got there by itself.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_transformer.model.packing import Sentences, pack

# N tokens of a batch

POOL_PAIRS = 500_000
"""Pairs sorted together; a larger corpus is sorted in shuffled pools of this size."""

Lengths = NDArray[np.int32]
Indices = NDArray[np.int64]


class Pairs(Protocol):
    """What batching needs of a tokenized part: ids with the end mark, and their counts."""

    @property
    def source_lengths(self) -> Lengths: ...
    @property
    def target_lengths(self) -> Lengths: ...
    def source(self, index: int) -> NDArray[np.int32]: ...
    def target(self, index: int) -> NDArray[np.int32]: ...


class Batch(NamedTuple):
    """One forward pass. A target begins with the start mark; what is wanted of it ends with the
    end mark."""

    source: Sentences
    target: Sentences
    wanted_N: Tensor
    """The token that follows each token of the target."""


class Update(NamedTuple):
    """What one optimizer update sees of one device: one batch, or several whose gradients are
    added; none where there are fewer sentences than devices."""

    micro: list[Batch]
    source_tokens: int
    """Of all devices, as are those of the target."""
    target_tokens: int


def epoch_order(
    source_lengths: Lengths, target_lengths: Lengths, tokens: int, seed: int, epoch: int
) -> list[Indices]:
    """The batches of one epoch as arrays of pair indices; each pair occurs once."""
    generator = np.random.default_rng([seed, epoch])
    shuffled = generator.permutation(len(source_lengths))
    batches: list[Indices] = []
    for start in range(0, len(shuffled), POOL_PAIRS):
        pool = shuffled[start : start + POOL_PAIRS]
        by_length = np.lexsort((source_lengths[pool], target_lengths[pool]))
        batches += cut(pool[by_length], source_lengths, target_lengths, tokens)
    return [batches[place] for place in generator.permutation(len(batches))]


def cut(
    order: Indices, source_lengths: Lengths, target_lengths: Lengths, tokens: int
) -> list[Indices]:
    """Consecutive pieces of `order` with at most `tokens` real tokens on each side."""
    ends_source = np.cumsum(source_lengths[order], dtype=np.int64)
    ends_target = np.cumsum(target_lengths[order], dtype=np.int64)
    pieces: list[Indices] = []
    start = 0
    while start < len(order):
        before_source = ends_source[start - 1] if start else 0
        before_target = ends_target[start - 1] if start else 0
        end = min(
            int(np.searchsorted(ends_source, before_source + tokens, side="right")),
            int(np.searchsorted(ends_target, before_target + tokens, side="right")),
        )
        if end == start:
            raise ValueError(f"pair {int(order[start])} alone has more than {tokens} tokens")
        pieces.append(order[start:end])
        start = end
    return pieces


def share(indices: Indices, tokens: Lengths, rank: int, devices: int) -> Indices:
    """A rank's consecutive part of a batch: the pairs whose middle lies in its part of all tokens.

    `tokens` are those of each pair, both sides.
    """
    ends = np.cumsum(tokens, dtype=np.int64)
    middles = 2 * ends - tokens  # in half tokens
    chosen: Indices = indices[middles * devices // (2 * ends[-1]) == rank]
    return chosen


def make_batch(pairs: Pairs, indices: Indices, bos: int) -> Batch:
    """The pairs at `indices`; the decoder reads the target shifted right (figure 1)."""
    sources = [pairs.source(int(index)) for index in indices]
    targets = [pairs.target(int(index)) for index in indices]
    wanted = np.concatenate(targets, dtype=np.int64)
    packing = pack([len(target) for target in targets])
    shifted = np.roll(wanted, 1)
    shifted[packing.place_N.numpy() == 0] = bos
    source = Sentences(
        torch.from_numpy(np.concatenate(sources, dtype=np.int64)),
        pack([len(source) for source in sources]),
    )
    return Batch(source, Sentences(torch.from_numpy(shifted), packing), torch.from_numpy(wanted))


class UpdateLoader:
    """Hands out updates 1 to `steps`, over as many epochs as that takes.

    Its state counts updates handed out, and is stored in checkpoints by the trainer, which calls
    `state_dict` and `load_state_dict`.
    """

    def __init__(
        self,
        pairs: Pairs,
        *,
        steps: int,
        tokens: int,
        micro_tokens: int | None,
        seed: int,
        bos: int,
        rank: int = 0,
        devices: int = 1,
    ) -> None:
        self.pairs = pairs
        self.rank, self.devices = rank, devices
        self.steps, self.tokens, self.micro_tokens = steps, tokens, micro_tokens
        self.seed, self.bos = seed, bos
        self._step = self._epoch = self._batch = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Update]:
        lengths = self.pairs.source_lengths, self.pairs.target_lengths
        while self._step < self.steps:
            order = epoch_order(*lengths, self.tokens, self.seed, self._epoch)
            while self._batch < len(order) and self._step < self.steps:
                update = self._update(order[self._batch])
                self._step, self._batch = self._step + 1, self._batch + 1
                yield update
            if self._batch == len(order):
                self._epoch, self._batch = self._epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        return {"step": self._step, "epoch": self._epoch, "batch": self._batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._step, self._epoch, self._batch = state["step"], state["epoch"], state["batch"]

    def _update(self, indices: Indices) -> Update:
        source_lengths, target_lengths = self.pairs.source_lengths, self.pairs.target_lengths
        tokens = source_lengths[indices] + target_lengths[indices]
        own = share(indices, tokens, self.rank, self.devices)
        pieces = [own] if len(own) else []
        if self.micro_tokens is not None and self.micro_tokens < self.tokens:
            pieces = cut(own, source_lengths, target_lengths, self.micro_tokens)
        return Update(
            [make_batch(self.pairs, piece, self.bos) for piece in pieces],
            int(source_lengths[indices].sum()),
            int(target_lengths[indices].sum()),
        )

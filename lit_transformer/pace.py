"""What a search takes, whatever the model has learnt: measured where no output ends by itself.

What an untrained model says has no length that means anything. So a search is let go to its limit;
what a step of it takes, and a sentence in a step, follows from two searches of different size, and
the references say how many of each a trial will have.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from lit_transformer import evaluation
from lit_transformer.config import DecodeConfig
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.data.translation import TokenizedPart
from lit_transformer.decoding import NEVER, batch_size, in_batches, search
from lit_transformer.forecast import Searches
from lit_transformer.model.cache import Cache
from lit_transformer.model.stepping import Stepper
from lit_transformer.module import TransformerModule

SHARE = 4
"""The smaller of the two searches has so many times fewer sentences."""


@final
class _Endless:
    """A model whose outputs never end, and which counts what it does."""

    def __init__(self, model: Stepper, eos: int | None, beam: int) -> None:
        self.model, self.eos, self.beam = model, eos, beam
        self.rows: list[int] = []
        """Hypotheses of each step; two threads append to it."""

    def encode(self, source_BS: Tensor) -> Tensor:
        return self.model.encode(source_BS)

    def start_cache(
        self, memory_BSD: Tensor, source_is_pad_BS: Tensor, max_length: int, beams: int
    ) -> Cache:
        return self.model.start_cache(memory_BSD, source_is_pad_BS, max_length, beams)

    def step(self, token_R: Tensor, cache: Cache) -> Tensor:
        self.rows.append(len(token_R) // self.beam)
        return self.model.step(token_R, cache)

    def project(self, states: Tensor) -> Tensor:
        logits = self.model.project(states)
        if self.eos is not None:
            logits[:, self.eos] = NEVER
        return logits


class Work(NamedTuple):
    """Of a search: steps of its batches, and sentences summed over the steps."""

    steps: int
    rows: int


class Pace(NamedTuple):
    """Seconds of a search: for a step of a batch, and more for each sentence that is in it."""

    step_s: float
    row_s: float

    def of(
        self,
        data: TranslationData,
        parts: Sequence[str],
        beam: int,
        sentences: int | None,
        device: torch.device,
    ) -> Searches:
        """A search for the first sentences of each of these parts (None: all)."""
        decode = data.config.decode.model_copy(update={"beam": beam})
        works = [reference_work(data.parts[part], sentences, decode, device) for part in parts]
        return Searches(
            steps_s=self.step_s * sum(work.steps for work in works),
            rows_s=self.row_s * sum(work.rows for work in works),
        )


def reference_work(
    pairs: TokenizedPart, sentences: int | None, decode: DecodeConfig, device: torch.device
) -> Work:
    """Of a search whose outputs are as long as the references, or as the limit."""
    sources, targets = pairs.source_lengths[:sentences], pairs.target_lengths[:sentences]
    lengths = np.minimum(targets, sources + decode.extra_length)
    batches = in_batches(sources.tolist(), decode, device)
    return Work(sum(int(lengths[batch].max()) for batch in batches), int(lengths.sum()))


def solve(small: Work, small_s: float, large: Work, large_s: float) -> Pace:
    """The pace at which two searches take as long as they did; noise may leave but one price."""
    determinant = small.steps * large.rows - large.steps * small.rows
    if determinant:
        step_s = (small_s * large.rows - large_s * small.rows) / determinant
        row_s = (small.steps * large_s - large.steps * small_s) / determinant
        if step_s >= 0 and row_s >= 0:
            return Pace(step_s, row_s)
        if row_s < 0:
            return Pace(large_s / large.steps, 0.0)
    return Pace(0.0, large_s / large.rows)


def search_pace(
    module: TransformerModule, data: TranslationData, beam: int, sentences: int
) -> Pace:
    """Of searches with this beam, in batches as so many sentences have them."""
    if not sentences:
        return Pace(0.0, 0.0)
    decode = data.config.decode.model_copy(update={"beam": beam})
    size = batch_size(sentences, decode, module.device)
    _search(module, data, decode, max(1, size // SHARE))  # the first one is slow
    large = _search(module, data, decode, size)
    small = _search(module, data, decode, max(1, size // SHARE))
    return solve(*small, *large)


def _search(
    module: TransformerModule, data: TranslationData, decode: DecodeConfig, size: int
) -> tuple[Work, float]:
    """Search two batches of so many sentences, of middle length, for each peer."""
    pairs = data.parts["valid"]
    order = np.argsort(-pairs.source_lengths, kind="stable")
    count = min(len(order), 2 * size * module.peers.count)
    first = (len(order) - count) // 2
    places = order[first : first + count].tolist()
    longer = pairs.target_lengths[places].mean() - pairs.source_lengths[places].mean()
    decode = decode.model_copy(
        update={"extra_length": max(0, min(decode.extra_length, round(float(longer))))}
    )
    module.eval()
    constraint = evaluation.constraint(data, "valid", places, module.device)
    model = _Endless(
        Stepper(module.model), data.vocab.eos if constraint is None else None, decode.beam
    )
    began_s = time.perf_counter()
    search(
        model,
        [pairs.source(place).tolist() for place in places],
        decode,
        pad=data.vocab.pad,
        bos=data.vocab.bos,
        eos=data.vocab.eos,
        device=module.device,
        progress=None,
        constraint=constraint,
        peers=module.peers,
    )
    seconds = time.perf_counter() - began_s
    counts = module.peers.gather((len(model.rows), sum(model.rows)))
    return Work(sum(steps for steps, _ in counts), sum(rows for _, rows in counts)), seconds

"""Measures the pieces of a trial, in a process like a trial's and through the same code.

Training is a trial's own, with its trainer, its journal and its batches, and is left after some
updates. Outputs that are scored are half right, since those of an untrained model would take a
scorer longer than any other.
"""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, final

import numpy as np
import pytorch_lightning as pl
import torch

from lit_transformer import checkpoints, evaluation, removing, training
from lit_transformer.callbacks import Journal
from lit_transformer.config import RunConfig
from lit_transformer.data.batching import Update, epoch_order
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.decoding import Hypothesis
from lit_transformer.environment import device_name
from lit_transformer.forecast import MODELS, Measured, Pieces
from lit_transformer.module import TransformerModule
from lit_transformer.pace import search_pace
from lit_transformer.peers import Peers
from lit_transformer.record import Record

T = TypeVar("T")

ROUNDS = 4
"""Into which the measured updates fall."""
ROUND_S = 1.5
"""Least time of a round, which has one update at least."""
WARM_UP = 2
"""Updates before the first round."""
ENDLESS = 10**9
"""Updates of a training that is left before its end."""


def measure(
    config: RunConfig,
    directory: Path,
    cache: Path,
    *,
    device: torch.device,
    threads: int,
    peers: Peers,
) -> Measured:
    """Every piece of a trial of this configuration; the directory may go afterwards."""
    clock = _Clock(peers)
    training.set_up(config, device, threads, peers)
    record, data = Record(directory), TranslationData(_endless(config), cache)
    data.prepare_data()
    data.setup("fit")
    module = _train(record, data, device, clock).to(device)
    weights_s, reading_s = _weights(module, record, peers)
    point = search_pace(module, data, 1, config.train.valid_sentences)
    scoring = search_pace(module, data, config.decode.beam, len(data.parts["valid"]))
    loss_s, _ = timed(lambda: evaluation.cross_entropy(module, data, "valid"))
    halves = {part: _halves(data, part) for part in data.evaluated}
    shown = halves["valid"][: config.train.valid_sentences]
    measure_s, _ = timed(lambda: evaluation.measure(data, "valid", shown) if shown else 0.0)
    scores_s, text_bytes = _scores(data, halves)
    heads_s, _ = timed(lambda: _heads(module, data))
    update_s = clock.updates(_mean_tokens(data))
    return Measured(
        device=device_name(device),
        pieces=Pieces(
            start_s=max(0.0, clock.warm_s - WARM_UP * sum(update_s) / len(update_s)),
            update_s=update_s,
            point_s=loss_s + measure_s,
            point_search=point.of(data, ["valid"], 1, config.train.valid_sentences, device),
            checkpoint_s=clock.checkpoint_s,
            weights_s=weights_s,
            reading_s=reading_s,
            scoring_s=scores_s
            + loss_s * _targets(data, data.evaluated) / _targets(data, ["valid"]),
            scoring_search=scoring.of(data, data.evaluated, config.decode.beam, None, device),
            heads_s=heads_s,
            memory_bytes=sum(peers.gather(_memory())),
            gpu_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
            checkpoint_bytes=_checkpoint(record).stat().st_size,
            weights_bytes=record.weights.stat().st_size,
            core_share=clock.core_share(threads),
            text_bytes=MODELS * text_bytes + data.vocab.path.stat().st_size,
        ),
    )


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds of some work whose outcome is on this side of a GPU, and the outcome."""
    began_s = time.perf_counter()
    outcome = work()
    return time.perf_counter() - began_s, outcome


class _EnoughError(Exception):
    """Everything is measured that training has to tell."""


class _Round(NamedTuple):
    seconds: float
    cpu_seconds: float
    """Of all threads."""
    tokens: int
    """Of both sides."""


@final
class _Clock(pl.Callback):
    """Looks at the time after each update, before the journal does, and ends training.

    Peers end together: when one has had enough time for a round, all have.
    """

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.rounds: list[_Round] = []
        self.began_s = self.round_s = time.perf_counter()
        self.warm_s = self.checkpoint_s = 0.0
        self.round_cpu_s = 0.0
        self.tokens = 0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Update,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step
        self.tokens += batch.source_tokens + batch.target_tokens
        if step < WARM_UP:
            return
        if step == WARM_UP:
            float(outputs["loss"])  # a GPU has then done all it was told
            self.warm_s = time.perf_counter() - self.began_s
        elif not self.peers.any(time.perf_counter() - self.round_s >= ROUND_S):
            return
        else:
            float(outputs["loss"])
            seconds = time.perf_counter() - self.round_s
            self.rounds.append(_Round(seconds, time.process_time() - self.round_cpu_s, self.tokens))
        if len(self.rounds) == ROUNDS:
            self._end(trainer)
        self.round_s, self.round_cpu_s = time.perf_counter(), time.process_time()
        self.tokens = 0

    def updates(self, tokens: float) -> tuple[float, ...]:
        """Seconds of an update of so many tokens, by each round."""
        return tuple(one.seconds * tokens / one.tokens for one in self.rounds)

    def core_share(self, threads: int) -> float:
        seconds = sum(one.seconds for one in self.rounds)
        return sum(one.cpu_seconds for one in self.rounds) / (seconds * threads)

    def _end(self, trainer: pl.Trainer) -> None:
        file = _checkpoint(Record(Path(trainer.default_root_dir)))
        save = self.peers.once
        self.checkpoint_s, _ = timed(lambda: save(lambda: trainer.save_checkpoint(file, False)))
        raise _EnoughError


def _checkpoint(record: Record) -> Path:
    return checkpoints.step_file(record.checkpoints, 0, ".ckpt")


def _endless(config: RunConfig) -> RunConfig:
    """The same, but that no point of validation, checkpoint or end comes while it is measured."""
    never = dict.fromkeys(("steps", "valid_every", "checkpoint_every"), ENDLESS)
    return config.model_copy(update={"train": config.train.model_copy(update=never)})


def _train(
    record: Record, data: TranslationData, device: torch.device, clock: _Clock
) -> TransformerModule:
    """Train until the clock has enough."""
    module = training.build(data.config, data, clock.peers)
    journal = Journal(record, data, training.unseen, lambda: False, clock.peers)
    trainer = training.make_trainer(data.config, record, device, [clock, journal])
    try:
        trainer.fit(module, data.train_dataloader(clock.peers.rank))
    except _EnoughError:
        return module
    raise AssertionError("training ended before its clock")


def _mean_tokens(data: TranslationData) -> float:
    """Tokens of both sides in a mean update of the first epoch."""
    pairs, train = data.parts["train"], data.config.train
    lengths = pairs.source_lengths, pairs.target_lengths
    batches = epoch_order(*lengths, train.tokens_per_batch, train.seed, 0)
    return float(sum(int(side.sum(dtype=np.int64)) for side in lengths)) / len(batches)


def _targets(data: TranslationData, parts: list[str]) -> int:
    return sum(int(data.parts[part].target_lengths.sum()) for part in parts)


def _weights(module: TransformerModule, record: Record, peers: Peers) -> tuple[float, float]:
    """Seconds to write the weights, and to read them."""
    save = peers.once
    writing_s, _ = timed(
        lambda: save(lambda: checkpoints.save_weights(module.model, record.weights))
    )
    reading_s, _ = timed(lambda: checkpoints.load_weights(record.weights))
    return writing_s, reading_s


def _halves(data: TranslationData, part: str) -> list[Hypothesis]:
    """Outputs of a part that are half right: each begins as its reference, and ends as the next."""
    pairs = data.parts[part]
    targets = [pairs.target(index)[:-1].tolist() for index in range(len(pairs))]
    following = [*targets[1:], targets[0]]
    return [
        Hypothesis([*own[: len(own) // 2], *other[len(other) // 2 :]], 0.0, 0.0, False)
        for own, other in zip(targets, following, strict=True)
    ]


def _scores(data: TranslationData, found: dict[str, list[Hypothesis]]) -> tuple[float, int]:
    """Seconds to score outputs of every part, and their bytes as text."""
    seconds, made = timed(lambda: [evaluation.scored(data, *part) for part in found.items()])
    return seconds, sum(len(text.encode()) + 1 for one in made for text in one.texts)


def _heads(module: TransformerModule, data: TranslationData) -> None:
    sentences = data.config.train.head_sentences
    if sentences:
        removing.measure(module, data, sentences, training.unseen)


def _memory() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts KiB

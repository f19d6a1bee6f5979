"""What happens between two updates: curves, validation, checkpoints, and an orderly stop."""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, final

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_transformer import checkpoints, scoring
from lit_transformer.averaging import steps_to_average
from lit_transformer.data.batching import Update
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.evaluation import Progress, cross_entropy, measure, translate
from lit_transformer.module import TransformerModule
from lit_transformer.peers import Peers
from lit_transformer.record import MetricsLog, Record
from lit_transformer.usage import Usage

logger = logging.getLogger(__name__)


class DivergedError(Exception):
    """The loss is no longer a finite number, or training has made the model worse than it began."""


class InterruptedTrialError(Exception):
    """Somebody asked the trial to stop; its checkpoint is written."""


class PrunedTrialError(Exception):
    """The trial's search has given it up; its checkpoint is written."""


@final
class Journal(pl.Callback):
    """Keeps a trial's record while it trains, in one fixed order after each update.

    Its state (tokens, seconds, every peer's random generators) is part of every checkpoint, so that
    a resumed run continues as if nothing had happened. The leading peer alone writes.
    """

    def __init__(
        self,
        record: Record,
        data: TranslationData,
        progress: Progress,
        should_stop: Callable[[], bool],
        peers: Peers,
    ) -> None:
        self.record, self.data, self.peers = record, data, peers
        self._on_sigterm = signal.getsignal(signal.SIGTERM)
        self.progress, self.should_stop = progress, should_stop
        self.curves = MetricsLog(record) if peers.leads else None
        train = data.config.train
        self._averaged_at = set(
            steps_to_average(train.steps, train.average_every, train.average_last)
        )
        self.source_tokens = self.target_tokens = 0
        self.train_seconds = 0.0
        self._random: list[dict[str, Any]] | None = None
        self._mark = 0.0
        self._marked_tokens = 0
        self._started_s = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {
            "source_tokens": self.source_tokens,
            "target_tokens": self.target_tokens,
            "train_seconds": self.train_seconds,
            "random": self._random,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.source_tokens = state_dict["source_tokens"]
        self.target_tokens = state_dict["target_tokens"]
        self.train_seconds = state_dict["train_seconds"]
        self._random = state_dict["random"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning's own handler would end training without a checkpoint where the signal comes
        # just after `should_stop` was asked.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_sigterm)
        if self._random is not None:
            self._restore(self._random)
        self._mark, self._marked_tokens = self.train_seconds, self.target_tokens
        self._usage = Usage(pl_module.device)
        self.progress("training", trainer.global_step, self.data.config.train.steps)
        self._started_s = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Update,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, TransformerModule)
        train, step = self.data.config.train, trainer.global_step
        last = step == train.steps
        self.source_tokens += batch.source_tokens
        self.target_tokens += batch.target_tokens
        saves = last or step % train.checkpoint_every == 0
        logs = last or step % train.log_every == 0
        validates = last or step % train.valid_every == 0
        if logs or saves or validates or step in self._averaged_at:
            # No file holds it. Asking also waits for a GPU, whose updates end later than the calls.
            self._refuse_non_finite(step, "train.loss", outputs["loss"])
        self.train_seconds += time.perf_counter() - self._started_s
        if logs:
            self._log(pl_module, step, outputs)
            self.progress("training", step, train.steps)
        if validates:
            self._validate(pl_module, step)
        if step in self._averaged_at and self.peers.leads:
            file = checkpoints.step_file(self.record.checkpoints, step, ".safetensors")
            checkpoints.save_weights(pl_module.model, file)
        # It may have been asked while validating, or of another peer.
        pruned = self.peers.leads and self.record.prune_file.exists()
        stops = self.peers.any(pruned or self.should_stop()) and not last
        if stops:
            self._refuse_non_finite(step, "train.loss", outputs["loss"])
        if saves or stops:
            self._random = self.peers.gather(checkpoints.random_state())
            self.peers.once(lambda: self._save(trainer))
        if stops and self.peers.any(pruned):
            raise PrunedTrialError(f"after update {step}; its checkpoint is written")
        if stops:
            raise InterruptedTrialError(
                f"asked to stop after update {step}; its checkpoint is written"
            )
        self._started_s = time.perf_counter()  # making the next batch is part of its update

    def _save(self, trainer: pl.Trainer) -> None:
        file = checkpoints.step_file(self.record.checkpoints, trainer.global_step, ".ckpt")
        trainer.save_checkpoint(file, False)  # optimizer and positions as well
        if self.data.config.train.keep != "checkpoints":
            checkpoints.drop_old(self.record.checkpoints, checkpoints.KEPT)

    def _restore(self, random: list[dict[str, Any]]) -> None:
        if len(random) != self.peers.count and self.peers.leads:
            logger.warning(
                "resumed with train.devices=%d what was trained with %d: from here on the bits are "
                "not those of an undisturbed run",
                self.peers.count,
                len(random),
            )
        if self.peers.rank < len(random):
            checkpoints.restore_random_state(random[self.peers.rank])

    def _note(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to the curves."""
        if self.curves is not None:
            self.curves.add(step, values)

    def _refuse_non_finite(self, step: int, name: str, loss: Tensor | float) -> None:
        value = float(loss)
        if not math.isfinite(value):
            self._note(step, {name: value})
            raise DivergedError(f"{name} is {value} at update {step}")

    def _refuse_ruined(self, module: TransformerModule, loss: float) -> None:
        """A loss above a uniform guess's, and no better than that of the weights it began with: a
        short training may have had no time to get below the first."""
        config, vocab = self.data.config, self.data.vocab
        guess = math.log(len(vocab))
        if loss <= guess:
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.train.seed)
            untrained = TransformerModule(config, len(vocab), vocab.pad, self.peers)
        before = cross_entropy(untrained.to(module.device), self.data, "valid")
        if loss >= before:
            raise DivergedError(
                f"valid.loss is {loss:.2f} after the last update; a uniform guess has "
                f"{guess:.2f}, and the model before training had {before:.2f}"
            )

    def _log(self, module: TransformerModule, step: int, outputs: dict[str, Tensor]) -> None:
        seconds = self.train_seconds - self._mark
        tokens = self.target_tokens - self._marked_tokens
        self._mark, self._marked_tokens = self.train_seconds, self.target_tokens
        self._note(
            step,
            {
                "train.loss": float(outputs["loss"]),
                "train.perplexity": scoring.perplexity(float(outputs["nll"])),
                "train.learning_rate": module.rate(step),
                "train.gradient_norm": float(outputs["gradient_norm"]),
                "train.target_tokens_per_second": tokens / max(seconds, 1e-9),
                **self._usage.look(),
            },
        )

    def _validate(self, module: TransformerModule, step: int) -> None:
        loss = cross_entropy(module, self.data, "valid")
        self._refuse_non_finite(step, "valid.loss", loss)
        values = {
            "valid.loss": loss,
            "valid.perplexity": scoring.perplexity(loss),
            "cost.target_tokens": float(self.target_tokens),
            "cost.train_seconds": self.train_seconds,
        }
        sentences = self.data.config.train.valid_sentences
        if sentences:
            found = translate(module, self.data, "valid", 1, sentences, None)
            name = scoring.MEASURES[self.data.config.data.task]
            values[f"valid.curve_{name}"] = self.peers.once(
                lambda: measure(self.data, "valid", found)
            )
        self._note(step, values)
        if step == self.data.config.train.steps:
            self._refuse_ruined(module, loss)
        module.train()


def on_cpu_without_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 would be emulated: a hundred times slower."""
    able = torch.cpu.get_capabilities()
    return device.type == "cpu" and not (able.get("avx512_bf16") or able.get("amx_bf16"))

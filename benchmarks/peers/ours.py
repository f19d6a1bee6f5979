# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""This project, whole: what `training.train` does with a configuration, with its record and log.

Run by the python that runs the benchmark. A step is what lies between the beginnings of two
updates: forward, backward, Adam, the trainer, its callbacks, the next batch. Logging is as often as
the defaults say.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pairs
import torch
import workload as work

from lit_transformer.config import ModelConfig, OptimConfig, RunConfig, TrainConfig
from lit_transformer.data.batching import Update
from lit_transformer.module import TransformerModule
from lit_transformer.training import train

ENDLESS = 10**9


def run_config(workload: Path, model: dict[str, Any]) -> RunConfig:
    """The project's configuration of what every contender trains."""
    inner = model["dropout"] if model["dropout_places"] == "torch" else 0.0
    return RunConfig(
        model=ModelConfig(
            **{key: model[key] for key in ("layers", "d_model", "d_ff", "heads", "dropout")},
            attention_dropout=inner,
            relu_dropout=inner,
        ),
        optim=OptimConfig(label_smoothing=model["label_smoothing"]),
        data=work.data_config(pairs.meta(workload)),
        train=TrainConfig(steps=ENDLESS, tokens_per_batch=model["batch_tokens"]),
    )


def counts(update: Update) -> dict[str, int]:
    """Sentences are laid end to end, so a slot is a token."""
    return {
        "pairs": sum(len(batch.target.packing.token_BT) for batch in update.micro),
        "tokens": update.target_tokens,
        "source_tokens": update.source_tokens,
        "slots": sum(len(batch.wanted_N) for batch in update.micro),
    }


class Training:
    """One optimizer update between two calls of `between`."""

    def __init__(self, workload: Path, model: dict[str, Any], threads: int) -> None:
        self.config = run_config(workload, model)
        self.beside, self.threads = workload.parent, threads
        self.update: Update
        self.outputs: dict[str, torch.Tensor]

    def run(self, between: Callable[[], None]) -> None:
        directory = self.beside / "ours"
        shutil.rmtree(directory, ignore_errors=True)
        self._listen(between)
        train(
            self.config,
            directory,
            self.beside / "cache",
            device=torch.device("cpu"),
            threads=self.threads,
            should_stop=lambda: False,
        )

    def updated(self) -> dict[str, float]:
        return {**counts(self.update), "loss": float(self.outputs["loss"])}

    def _listen(self, between: Callable[[], None]) -> None:
        """Stop before each update, and keep what it saw and said."""
        whole = TransformerModule.training_step

        def heard(module: TransformerModule, update: Update, batch_idx: int) -> Any:
            between()
            self.outputs = whole(module, update, batch_idx)
            self.update = update
            return self.outputs

        TransformerModule.training_step = heard  # type: ignore[method-assign]

# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""This project's model and loss in a bare loop: no trainer, no record, no switches.

The batches and the allocator's settings are those of ours.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ours
import pairs
import torch

from lit_transformer.allocator import keep_freed_memory
from lit_transformer.data.batching import Update
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.model.transformer import Transformer
from lit_transformer.objective import smoothed_loss


class Training:
    """One optimizer update a step."""

    def __init__(self, workload: Path, model: dict[str, Any], threads: int) -> None:
        keep_freed_memory()
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        self.config = ours.run_config(workload, model)
        self.updates = self.loader(workload)
        meta = pairs.meta(workload)
        self.net = Transformer(self.config.model, meta["vocabulary_size"], meta["pad"])
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9, fused=True
        )

    def loader(self, workload: Path) -> Iterator[Update]:
        data = TranslationData(self.config, workload.parent / "cache")
        data.prepare_data()
        data.setup("fit")
        return iter(data.train_dataloader())

    def step(self) -> dict[str, float]:
        update = next(self.updates)
        (batch,) = update.micro
        self.optimizer.zero_grad(set_to_none=True)
        loss, _ = smoothed_loss(
            self.net(batch.source, batch.target),
            self.net.embedding.weight,
            batch.wanted_N,
            self.config.optim.label_smoothing,
        )
        (loss / update.target_tokens).backward()
        self.optimizer.step()
        return {**ours.counts(update), "loss": loss.item() / update.target_tokens}

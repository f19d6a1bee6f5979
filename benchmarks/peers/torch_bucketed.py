# /// script
# requires-python = ">=3.11"
# dependencies = ["torch==2.13.0", "numpy==2.4.6"]
#
# [tool.benchmarks]
# environment = "torch"
# ///
"""torch.nn.Transformer as a careful user trains it: batches of like length, one shared embedding.

`dropout_places`: "paper" sets the module's dropout of attention weights and inside its feed-forward
layers to 0; "torch" leaves them. What cannot be made equal: nn.Transformer ends each post-norm
stack with one more LayerNorm.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pairs
import torch
from torch import Tensor, nn
from torch.nn import functional


class Translator(nn.Module):
    """nn.Transformer between tied embeddings with sinusoids."""

    def __init__(self, model: dict[str, Any], vocabulary_size: int, pad: int, longest: int) -> None:
        super().__init__()
        width = model["d_model"]
        self.pad, self.scale = pad, width**0.5
        self.embedding = nn.Embedding(vocabulary_size, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.drop = nn.Dropout(model["dropout"])
        self.register_buffer("positions", sinusoids(longest, width))
        self.stacks = nn.Transformer(
            width,
            model["heads"],
            model["layers"],
            model["layers"],
            model["d_ff"],
            model["dropout"],
            batch_first=True,
        )
        if model["dropout_places"] == "paper":
            only_the_papers_dropouts(self.stacks)

    def embed(self, ids: Tensor) -> Tensor:
        return self.drop(self.embedding(ids) * self.scale + self.positions[: ids.size(1)])

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits. Padding is to the right of all tokens, so the causal mask hides the target's."""
        is_pad = source == self.pad
        causal = nn.Transformer.generate_square_subsequent_mask(target.size(1), dtype=torch.bool)
        states = self.stacks(
            self.embed(source),
            self.embed(target),
            tgt_mask=causal,
            src_key_padding_mask=is_pad,
            memory_key_padding_mask=is_pad,
            tgt_is_causal=True,
        )
        return functional.linear(states, self.embedding.weight)


def sinusoids(rows: int, width: int) -> Tensor:
    rates = 10_000 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(rows)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


def only_the_papers_dropouts(stacks: nn.Transformer) -> None:
    for layer in (*stacks.encoder.layers, *stacks.decoder.layers):
        layer.dropout.p = 0.0
        for attention in (layer.self_attn, getattr(layer, "multihead_attn", None)):
            if attention is not None:
                attention.dropout = 0.0


class Training:
    """One optimizer update a step."""

    def __init__(self, workload: Path, model: dict[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        self.meta = pairs.meta(workload)
        self.part = pairs.read(workload, "train")
        self.model = model
        longest = int(max(side.lengths.max() for side in self.part))
        self.net = Translator(model, self.meta["vocabulary_size"], self.meta["pad"], longest)
        self.optimizer = self.adam()
        self.batches = self.order()

    def order(self) -> Iterator[pairs.Indices]:
        return pairs.bucketed(self.part, self.model["batch_tokens"], seed=1)

    def adam(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            self.net.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9, fused=True
        )

    def step(self) -> dict[str, float]:
        indices = next(self.batches)
        source, target, labels = self.tensors(indices)
        self.optimizer.zero_grad()
        logits = self.net(source, target)
        loss = functional.cross_entropy(
            logits.flatten(0, 1),
            labels.flatten(),
            ignore_index=self.meta["pad"],
            label_smoothing=self.model["label_smoothing"],
        )
        loss.backward()
        self.optimizer.step()
        return {**pairs.counts(self.part, indices), "loss": loss.item()}

    def tensors(self, indices: pairs.Indices) -> tuple[Tensor, Tensor, Tensor]:
        pad, bos = self.meta["pad"], self.meta["bos"]
        source, target = self.part
        return (
            torch.from_numpy(pairs.padded(source, indices, pad, None)),
            torch.from_numpy(pairs.padded(target, indices, pad, bos)),
            torch.from_numpy(pairs.padded(target, indices, pad, None)),
        )

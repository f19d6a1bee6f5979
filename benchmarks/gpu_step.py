"""A training step on one GPU: the paper's base at 25,000 + 25,000 tokens in bfloat16.

    python benchmarks/gpu_step.py --rounds 50 --json gpu_step.json

Sentences are made up, with lengths as WMT14's are; a vocabulary of 37,000. The step is the
project's own: model, loss and Adam under autocast, the batch made and moved in time. Beside it
stands the device's measured matrix rate in the same rounds. With --device cpu and small numbers it
runs anywhere, to try the script.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import turns
from lightning_fabric.utilities import move_data_to_device
from numpy.typing import NDArray

from lit_transformer.config import ModelConfig
from lit_transformer.data.batching import Update, UpdateLoader
from lit_transformer.model import cost
from lit_transformer.model.transformer import Transformer
from lit_transformer.objective import smoothed_loss

VOCABULARY_SIZE, PAD, BOS = 37_000, 0, 2
TYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
SQUARE = 8192
"""Side of the matrices of the probe on a GPU."""
WARM_UP = 10


class MadeUpPairs:
    """Random ids; lengths are log-normal, those of a pair alike."""

    def __init__(self, count: int) -> None:
        generator = np.random.default_rng(0)
        source = np.exp(generator.normal(3.2, 0.6, count))
        target = source * np.exp(generator.normal(0.0, 0.18, count))
        self.source_lengths, self.target_lengths = (
            np.clip(lengths, 2, 200).astype(np.int32) for lengths in (source, target)
        )
        self.ids = generator.integers(4, VOCABULARY_SIZE, 1 << 20, dtype=np.int32)

    def source(self, index: int) -> NDArray[np.int32]:
        return self._row(index, int(self.source_lengths[index]))

    def target(self, index: int) -> NDArray[np.int32]:
        return self._row(index + 1, int(self.target_lengths[index]))

    def _row(self, index: int, length: int) -> NDArray[np.int32]:
        start = index * 37 % (len(self.ids) - 256)
        return self.ids[start : start + length]


class Training:
    """One update a step."""

    def __init__(self, device: torch.device, precision: str, tokens: int, layers: int) -> None:
        torch.manual_seed(1)
        self.device, self.type = device, TYPES[precision]
        self.config = ModelConfig(layers=layers)
        pairs = MadeUpPairs(max(200_000, tokens))
        self.updates: Iterator[Update] = iter(
            UpdateLoader(pairs, steps=10**9, tokens=tokens, micro_tokens=None, seed=1, bos=BOS)
        )
        self.net = Transformer(self.config, VOCABULARY_SIZE, PAD).to(device)
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9, fused=True
        )

    def step(self) -> Update:
        update: Update = move_data_to_device(next(self.updates), self.device)
        (batch,) = update.micro
        self.optimizer.zero_grad(set_to_none=True)
        reduced = self.type != torch.float32
        with torch.autocast(self.device.type, dtype=self.type, enabled=reduced):
            states = self.net(batch.source, batch.target)
            loss, _ = smoothed_loss(states, self.net.embedding.weight, batch.wanted_N, 0.1)
        (loss / update.target_tokens).backward()
        self.optimizer.step()
        return update

    def operations(self, update: Update) -> float:
        """Of one update, from its own mean lengths."""
        pairs = len(update.micro[0].target.packing.token_BT)
        return cost.training_flops(
            self.config,
            VOCABULARY_SIZE,
            update.source_tokens / pairs,
            update.target_tokens / pairs,
            update.target_tokens,
        )


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device, kind: torch.dtype, side: int) -> float:
    """Operations a second of a square product, the best of ten."""
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    best = 0.0
    for _ in range(10):
        wait(device)
        began = time.perf_counter()
        a @ b
        wait(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - began))
    return best


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    device = torch.device(arguments.device)
    training = Training(device, arguments.precision, arguments.tokens, arguments.layers)
    for _ in range(min(WARM_UP, arguments.rounds)):
        training.step()
    rounds = []
    for _ in range(arguments.rounds):
        probed = matrix_rate(device, TYPES[arguments.precision], arguments.side)
        wait(device)
        began = time.perf_counter()
        updates = [training.step() for _ in range(arguments.steps)]
        wait(device)
        seconds = time.perf_counter() - began
        done = sum(training.operations(update) for update in updates)
        rounds.append(
            {
                "matrix_rate": probed,
                "seconds_a_step": seconds / len(updates),
                "target_tokens_per_second": sum(u.target_tokens for u in updates) / seconds,
                "share": done / seconds / probed,
            }
        )
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return {
        "machine": turns.machine(),
        "settings": {key: value for key, value in vars(arguments).items() if key != "json"},
        "peak_bytes": peak,
        "rounds": rounds,
    }


def show(found: dict[str, Any]) -> str:
    def median(key: str) -> float:
        return statistics.median(one[key] for one in found["rounds"])

    return (
        f"{found['machine']['gpu'] or found['machine']['cpu']}, torch {found['machine']['torch']}\n"
        f"{median('seconds_a_step') * 1e3:.1f} ms a step, "
        f"{median('target_tokens_per_second'):,.0f} target tokens a second, "
        f"{median('share'):.0%} of the measured {median('matrix_rate') / 1e12:,.1f} TFLOP/s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=[*TYPES], default="bfloat16")
    parser.add_argument("--tokens", type=int, default=25_000)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=10, help="updates in a round")
    parser.add_argument("--side", type=int, default=SQUARE, help="of the probe's matrices")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = measure(arguments)
    print(show(found))
    if arguments.json:
        turns.write_json(arguments.json, found)


if __name__ == "__main__":
    main()

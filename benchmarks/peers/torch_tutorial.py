# /// script
# requires-python = ">=3.11"
# dependencies = ["torch==2.13.0", "numpy==2.4.6"]
#
# [tool.benchmarks]
# environment = "torch"
# ///
"""torch.nn.Transformer in the loop of PyTorch's own translation tutorial: random batches.

As many sentences a batch as give the workload's target tokens on average; torch's own Adam as it
comes. The model, and what cannot be made equal, are those of torch_bucketed.py.
"""

from collections.abc import Iterator

import pairs
import torch
import torch_bucketed


class Training(torch_bucketed.Training):
    """One optimizer update a step."""

    def order(self) -> Iterator[pairs.Indices]:
        sentences = round(self.model["batch_tokens"] / float(self.part.target.lengths.mean()))
        return pairs.unsorted(self.part, sentences, seed=1)

    def adam(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.net.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9)

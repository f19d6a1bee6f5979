"""Dropout (section 5.4), with cheap random numbers where the CPU has to make them."""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 1 << 16
"""A CPU draws 64 random bits at a time, the numbers of four elements: three times as fast as
torch's own dropout. The rate is rounded to one in this many, and the scale matches exactly."""


def dropout(x: Tensor, rate: float) -> Tensor:
    """Zeroes each element with probability `rate` and divides the others by 1 - rate."""
    if x.device.type != "cpu":
        return functional.dropout(x, rate)
    dropped = min(round(rate * LEVELS), LEVELS - 1)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    level = words.view(torch.int16)[: x.numel()].view(x.shape)
    keep = level >= dropped - LEVELS // 2
    # A byte each is what the backward pass keeps, and a product by bytes is quicker than by bools.
    return (x * keep.view(torch.int8)).mul_(LEVELS / (LEVELS - dropped))


@final
class Dropout(nn.Module):
    """Dropout in training; nothing in evaluation or at rate 0."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.rate) if self.training and self.rate else x

"""Products with weights that stay as they are, as a search has them, in the processor's layout."""

# R rows, C any channels

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

ROWS = 256
"""A typical number of rows, for which weights are laid out; others work as well."""


def lays_out(weight: Tensor) -> bool:
    """Whether oneDNN takes this weight in a layout of its own.

    On x86 that is 1.1 to 2 times as fast as a plain product, most of all for few rows.
    """
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    )


@final
class Product:
    """x W^T + b, and what follows it at once."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight.detach()
        self.bias = None if bias is None else bias.detach()
        self.laid_out: Tensor | None = None
        if lays_out(weight):
            self.laid_out = torch.ops.mkldnn._reorder_linear_weight(self.weight, ROWS)

    def __call__(self, x_RC: Tensor) -> Tensor:
        if self.laid_out is None:
            return functional.linear(x_RC, self.weight, self.bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise.default(
            x_RC, self.laid_out, self.bias, "none", [], ""
        )
        return out

    def relu(self, x_RC: Tensor) -> Tensor:
        """max(0, x W^T + b)."""
        if self.laid_out is None:
            return self(x_RC).relu_()
        out: Tensor = torch.ops.mkldnn._linear_pointwise.default(
            x_RC, self.laid_out, self.bias, "relu", [], ""
        )
        return out

    def plus(self, x_RC: Tensor, other: Tensor) -> Tensor:
        """x W^T + b + other."""
        if self.laid_out is None:
            return self(x_RC).add_(other)
        out: Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            x_RC, other, self.laid_out, self.bias, "add"
        )
        return out

"""Convolution in the place of self-attention (Table 1, "Convolutional")."""

# N tokens of all sentences without padding, G rows with gaps between sentences, R rows of a search,
# D d_model, J kernel - 1

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_transformer.model.packing import Rectangles


@final
class Convolution(nn.Module):
    """`kernel` neighbouring tokens to two vectors, one of which gates the other: the gated linear
    unit of Gehring et al. (2017), which the paper has in its Table 2.

    The last token of the kernel is its own where it is causal, else the middle one. What lies
    before and after a sentence counts as zeros.
    """

    def __init__(self, d_model: int, kernel: int, causal: bool) -> None:
        super().__init__()
        assert causal or kernel % 2, "there is a middle"
        self.gap = kernel - 1 if causal else kernel // 2
        self.convolve = nn.Conv1d(d_model, 2 * d_model, kernel, padding=self.gap)
        nn.init.xavier_uniform_(self.convolve.weight)
        assert self.convolve.bias is not None
        nn.init.zeros_(self.convolve.bias)

    def forward(self, x_ND: Tensor, tokens: Rectangles) -> Tensor:
        layout = tokens.apart(self.gap)
        x_GD = layout.put(x_ND).index_fill(0, layout.empty, 0)
        both_1CG = self.convolve(x_GD.T[None])[:, :, : len(x_GD)]
        return functional.glu(layout.take(both_1CG[0].T), dim=1)

    def begin(self, x_RD: Tensor) -> tuple[Tensor, ...]:
        """Before the first token of rows like these -> the inputs before it, (R, J, D)."""
        return (x_RD.new_zeros(len(x_RD), self.gap, x_RD.size(1)),)

    def step(self, x_RD: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One more token of each row, of a causal kernel -> what `forward` gives for it."""
        seen = torch.cat((state[0], x_RD[:, None]), dim=1)
        weight = self.convolve.weight.detach().permute(0, 2, 1).flatten(1)
        both = functional.linear(seen.flatten(1), weight, self.convolve.bias)
        return functional.glu(both, dim=1), (seen[:, 1:],)

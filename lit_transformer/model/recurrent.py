"""Recurrence in the place of self-attention: an LSTM or a GRU (Table 1, "Recurrent")."""

# N tokens of all sentences without padding, T tokens of the longest, B sentences, R rows of a
# search, D d_model, C channels of one direction

from typing import Literal, assert_never, final

import torch
from torch import Tensor, nn

from lit_transformer.model.packing import Rectangles

RecurrentKind = Literal["lstm", "gru"]
State = tuple[Tensor, ...]
"""What is carried from token to token, each (R, D): hidden vectors, and an LSTM's cells."""


def one_direction(kind: RecurrentKind, d_model: int, width: int) -> nn.LSTM | nn.GRU:
    """Torch's own, with torch's own first weights."""
    match kind:
        case "lstm":
            return nn.LSTM(d_model, width)
        case "gru":
            return nn.GRU(d_model, width)
        case _ as never:
            assert_never(never)


@final
class Recurrence(nn.Module):
    """One pass to the right of width d_model where it is causal; else one to the right and one to
    the left, each of half that width, so that a token knows both of its sides as in self-attention.

    A sentence begins with a state of zeros, whatever lies before it.
    """

    def __init__(self, d_model: int, kind: RecurrentKind, causal: bool) -> None:
        super().__init__()
        width = d_model if causal else d_model // 2
        self.right = one_direction(kind, d_model, width)
        self.left = None if causal else one_direction(kind, d_model, width)

    def forward(self, x_ND: Tensor, tokens: Rectangles) -> Tensor:
        right_NC = _pass(self.right, x_ND, tokens, backwards=False)
        if self.left is None:
            return right_NC
        return torch.cat((right_NC, _pass(self.left, x_ND, tokens, backwards=True)), dim=1)

    def begin(self, x_RD: Tensor) -> State:
        """Before the first token of rows like these."""
        states = 2 if isinstance(self.right, nn.LSTM) else 1
        return tuple(torch.zeros_like(x_RD) for _ in range(states))

    def step(self, x_RD: Tensor, state: State) -> tuple[Tensor, State]:
        """One more token of each row, of a causal pass -> what `forward` gives for it."""
        assert self.left is None
        weights = [weight.detach() for weight in self.right.all_weights[0]]
        if isinstance(self.right, nn.LSTM):
            hidden_RD, cell_RD = torch.lstm_cell(x_RD, state, *weights)
            return hidden_RD, (hidden_RD, cell_RD)
        hidden_RD = torch.gru_cell(x_RD, state[0], *weights)
        return hidden_RD, (hidden_RD,)


def _pass(direction: nn.LSTM | nn.GRU, x_ND: Tensor, tokens: Rectangles, backwards: bool) -> Tensor:
    """In one direction -> (N, C).

    Sentences stand in a rectangle with their padding at the end, where no token comes after it;
    torch's kernels are about twice as fast so as with its PackedSequence.
    """
    layout = tokens.by_time(backwards)
    x_TBD = layout.put(x_ND).view(tokens.longest, tokens.sentences, -1)
    out_TBC, _ = direction(x_TBD)
    return layout.take(out_TBC.flatten(0, 1))

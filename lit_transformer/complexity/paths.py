"""How far apart two tokens are in a stack of layers, found by what depends on what."""

# B sentences, T tokens, D d_model

from typing import NamedTuple

import torch
from torch import Tensor

from lit_transformer.complexity.cells import LayerType, Terms
from lit_transformer.complexity.layers import Built, build
from lit_transformer.complexity.measuring import SEED
from lit_transformer.model.recurrent import Recurrence

CPU = torch.device("cpu")
HEAD_WIDTH = 8
"""Of layers whose dependences are looked at; who depends on whom is not a matter of width."""


class Path(NamedTuple):
    """Of one layer type at one length; None: no stack of these layers connects all tokens."""

    layer: LayerType
    length: int
    layers: int | None
    """The fewest layers in which every output depends on every input, as far as order lets it."""
    states: int
    """Between tokens of the sequence, how often a later output depends on what is carried on from
    an earlier token alone: steps that wait for each other."""

    @property
    def longest(self) -> int | None:
        """Steps of the longest of the shortest paths between two tokens."""
        return None if self.layers is None else max(self.layers, self.states)

    @property
    def sequential(self) -> int:
        """Operations that wait for each other in one layer."""
        return 1 + self.states


def trace(layer: LayerType, length: int, terms: Terms) -> Path:
    """By gradients in float64: exactly zero where nothing depends."""
    torch.manual_seed(SEED)
    terms = terms._replace(head_width=HEAD_WIDTH)
    width = 2 * HEAD_WIDTH
    built = build(layer, length, width, terms, length, CPU)
    built.module.double()
    module, states = built.module, 0
    is_recurrent = isinstance(module, Recurrence)
    if isinstance(module, Recurrence):
        states = _carried(module, length, width)
    return Path(layer, length, _fewest(built, length, width, causal=is_recurrent), states)


def depends(built: Built, length: int, width: int, layers: int) -> Tensor:
    """Which output (row) of a stack of this layer depends on which input -> booleans (T, T).

    Sentence i of as many is asked for its output i.
    """
    x_ND = torch.randn(length, width, dtype=torch.float64).repeat(length, 1).requires_grad_()
    out_ND = x_ND
    for _ in range(layers):
        out_ND = built.apply(out_ND)
    own_TD = out_ND.view(length, length, width).diagonal().T
    (grad_ND,) = torch.autograd.grad((own_TD * torch.randn_like(own_TD)).sum(), x_ND)
    return grad_ND.view(length, length, width).ne(0).any(dim=2)


def _fewest(built: Built, length: int, width: int, causal: bool) -> int | None:
    """By the powers of one layer's dependences, and checked in stacks of that and of one less."""
    one_TT = depends(built, length, width, 1)
    wanted_TT = torch.ones(length, length, dtype=torch.bool)
    wanted_TT = wanted_TT.tril() if causal else wanted_TT
    reached_TT, layers = one_TT, 1
    while not torch.equal(reached_TT, wanted_TT):
        further_TT = reached_TT.double() @ one_TT.double() > 0
        if torch.equal(further_TT, reached_TT):
            return None
        reached_TT, layers = further_TT, layers + 1
    assert torch.equal(depends(built, length, width, layers), wanted_TT)
    assert layers == 1 or not torch.equal(depends(built, length, width, layers - 1), wanted_TT)
    return layers


def _carried(recurrence: Recurrence, length: int, width: int) -> int:
    """Places between tokens where, with the carried state cut, the last output no longer depends on
    the first input."""
    x_TD = torch.randn(length, width, dtype=torch.float64, requires_grad=True)
    return sum(not _first_reaches_last(recurrence, x_TD, place) for place in range(1, length))


def _first_reaches_last(recurrence: Recurrence, x_TD: Tensor, cut: int) -> bool:
    state = recurrence.begin(x_TD[:1])
    out_1D = x_TD[:1]
    for place in range(len(x_TD)):
        if place == cut:
            state = tuple(part.detach() for part in state)
        out_1D, state = recurrence.step(x_TD[place : place + 1], state)
    (grad_TD,) = torch.autograd.grad(out_1D.sum(), x_TD)
    return bool(grad_TD[0].any())

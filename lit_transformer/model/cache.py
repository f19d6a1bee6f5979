"""What a search keeps between steps: of the source, and of the tokens found so far."""

# B sentences, N beams of each, R = B * N rows, sentence by sentence, S source length, H heads,
# K d_k, V d_v, L tokens so far, as far back as a window reaches,
# P = L * N places: what every beam of a sentence has read, token by token

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from lit_transformer.model.attention import KeysValues


@final
class Past:
    """Keys and values of the tokens found so far, in one layer.

    Each row writes where it stands, and nothing moves when beams change places: all beams of a
    sentence are compared with all its keys, and a mask tells a beam its own past. With a window
    there is room for twice what it holds: when the room is full, that moves to the front.
    """

    def __init__(self, room: int, window: int | None) -> None:
        self.room = room if window is None else min(room, 2 * (window + 1))
        self.window = window
        self.length = 0
        """Tokens in the stores."""
        self.stores: list[Tensor] = []
        """Keys (B, H, room, N, K) and values (B, H, room, N, V)."""

    def append(self, new: Sequence[Tensor]) -> KeysValues:
        """Adds a token, (B, H, N, K) and (B, H, N, V) -> all, (B, H, P, K) and (B, H, P, V)."""
        if not self.stores:
            self.stores = [x.new_empty(*x.shape[:2], self.room, *x.shape[2:]) for x in new]
        if self.window is not None and self.length == self.room:
            for store in self.stores:
                store[:, :, : self.window] = store[:, :, self.room - self.window :]
            self.length = self.window
        for store, x in zip(self.stores, new, strict=True):
            store[:, :, self.length] = x
        self.length += 1
        first = 0 if self.window is None else max(0, self.length - 1 - self.window)
        seen = (store[:, :, first : self.length].flatten(2, 3) for store in self.stores)
        return KeysValues(*seen)


@final
class Carried:
    """What a recurrence or a convolution carries from token to token, in one layer."""

    def __init__(self) -> None:
        self.state: tuple[Tensor, ...] = ()
        """Each (R, ...); nothing before the first token."""


@final
class Cache:
    """What a search keeps between steps."""

    def __init__(
        self,
        memories: list[KeysValues],
        hidden: Tensor | None,
        pasts: list[Past | Carried],
        beams: int,
        window: int | None,
    ) -> None:
        self.memories = memories
        self.hidden = hidden
        self.pasts = pasts
        self.beams = beams
        self.window = window
        self.length = 0
        """Tokens taken so far; the place of the next one."""
        k_BHSK = memories[0].k_BHSK
        self.own_RP = k_BHSK.new_empty(len(k_BHSK) * beams, 0)
        """0 where a place is in a row's own past, minus infinity where not."""
        self.self_NN = k_BHSK.new_full((beams, beams), -math.inf).fill_diagonal_(0)

    def grow(self) -> Tensor | None:
        """Every row gets one more token -> its own past; None: nobody else's is to be hidden."""
        self.length += 1
        if self.beams == 1 or not any(isinstance(past, Past) for past in self.pasts):
            return None
        count = len(self.own_RP) // self.beams
        past_RP = self.own_RP
        if self.window is not None:
            past_RP = past_RP[:, -self.window * self.beams :]
        self.own_RP = torch.cat((past_RP, self.self_NN.repeat(count, 1)), dim=1)
        return self.own_RP.view(count, 1, self.beams, -1)

    def reorder(self, rows_R: Tensor) -> None:
        """Row r continues what row `rows_R[r]` was; both belong to the same sentence."""
        self.own_RP = self.own_RP.index_select(0, rows_R)
        for past in self.pasts:
            if isinstance(past, Carried):
                past.state = tuple(part.index_select(0, rows_R) for part in past.state)

    def keep(self, sentences: Sequence[int]) -> None:
        """Only these sentences stay, with all their rows, in this order.

        Only those are copied that change their place.
        """
        count = len(sentences)
        moves = [(place, old) for place, old in enumerate(sentences) if place != old]
        to, old = self.own_RP.new_tensor(moves, dtype=torch.long).view(-1, 2).unbind(1)

        def kept(x: Tensor, first: Tensor) -> Tensor:
            """`first` is the part of `x` that holds anything."""
            if moves:
                first.index_copy_(0, to, first.index_select(0, old))
            return x[:count]

        self.memories = [KeysValues(*(kept(x, x) for x in memory)) for memory in self.memories]

        def kept_rows(x: Tensor) -> Tensor:
            sentences = torch.unflatten(x, 0, (-1, self.beams))
            return kept(sentences, sentences).flatten(0, 1)

        for past in self.pasts:
            match past:
                case Past():
                    past.stores = [kept(store, store[:, :, : past.length]) for store in past.stores]
                case Carried():
                    past.state = tuple(kept_rows(part) for part in past.state)
        if self.hidden is not None:
            self.hidden = kept(self.hidden, self.hidden)
        self.own_RP = kept_rows(self.own_RP)

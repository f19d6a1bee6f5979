"""Sentences laid end to end without padding, and the layouts that mixing them needs.

Linear layers, norms, dropout and the loss see N tokens and no padding. Only queries, keys and
values stand in rectangles, since a batched matrix product does; they are copied there head by
head, which a rectangle of padded tokens would cost as well. A recurrence has its tokens by time, a
convolution has sentences apart.
"""

# B sentences, T tokens of the longest, N tokens in all, H heads, C channels of a head,
# R rows of a layout,
# U units of a token: the pieces of its channels that are copied together, W numbers in each

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class Packing(NamedTuple):
    """Where the sentences' tokens stand. A slot is a cell of the (B, T) rectangle, row by row."""

    slot_N: Tensor
    """Each token's slot."""
    place_N: Tensor
    """Each token's place in its sentence, from 0."""
    token_BT: Tensor
    """Each slot's token; a padding slot names the first token of all, as good as any."""
    padding_P: Tensor
    """The slots without a token."""


class Ends(NamedTuple):
    """Where sentences end that lie end to end."""

    after_B1: Tensor
    """Tokens before each sentence, and at last of all, int32."""
    longest: int
    """Tokens of the longest one."""


class Sentences(NamedTuple):
    """Token ids end to end."""

    ids_N: Tensor
    packing: Packing


def pack(lengths: Sequence[int] | NDArray[np.integer[Any]]) -> Packing:
    """Of sentences with so many tokens each, at least one."""
    lengths_B = np.asarray(lengths, np.int64)
    assert lengths_B.min() > 0, "a sentence has at least its end mark"
    longest = int(lengths_B.max())
    is_token_BT = np.arange(longest) < lengths_B[:, None]
    slot_N = np.flatnonzero(is_token_BT)
    token_BT = np.zeros(is_token_BT.shape, np.int64)
    token_BT[is_token_BT] = np.arange(len(slot_N))
    return Packing(
        torch.from_numpy(slot_N),
        torch.from_numpy(slot_N % longest),
        torch.from_numpy(token_BT),
        torch.from_numpy(np.flatnonzero(~is_token_BT)),
    )


def from_rectangle(ids_BT: Tensor, pad: int) -> Sentences:
    """Of rows that are filled up on the right with `pad`."""
    is_token_BT = ids_BT != pad
    packing = pack(is_token_BT.sum(dim=1).cpu().numpy())
    return Sentences(ids_BT[is_token_BT], Packing(*(x.to(ids_BT.device) for x in packing)))


def to_rectangle(x_ND: Tensor, packing: Packing) -> Tensor:
    """-> (B, T, D), zeros at padding."""
    x_BTD = x_ND.index_select(0, packing.token_BT.flatten())
    return x_BTD.index_fill(0, packing.padding_P, 0).view(*packing.token_BT.shape, -1)


class _Tables(NamedTuple):
    """For one way of dividing a token's channels: where each unit goes, and whence it comes."""

    unit: int
    sizes: list[int]
    """Units in the rectangles of each part."""
    there: Tensor
    """The unit of the tokens, N * U, for each unit of the rectangles, part by part."""
    back: Tensor
    """The unit of the rectangles for each unit of the tokens."""
    padding: Tensor
    """Units of the first part's rectangle at padding."""


class Layout(NamedTuple):
    """A place for each token among R rows, of which some are empty."""

    there_R: Tensor
    """The token of each row; an empty one names the first token of all."""
    back_N: Tensor
    """The row of each token."""
    empty: Tensor
    """The rows without a token."""

    def put(self, x_ND: Tensor) -> Tensor:
        """-> (R, D); empty rows hold what nobody may read."""
        out_RD: Tensor = _Rows.apply(  # type: ignore[no-untyped-call]
            x_ND, self.there_R, self.back_N, None
        )
        return out_RD

    def take(self, x_RD: Tensor) -> Tensor:
        """-> (N, D)."""
        out_ND: Tensor = _Rows.apply(  # type: ignore[no-untyped-call]
            x_RD, self.back_N, self.there_R, self.empty
        )
        return out_ND


def _layout(back_N: Tensor, empty: Tensor) -> Layout:
    token_N = torch.arange(len(back_N), device=back_N.device)
    there_R = back_N.new_zeros(len(back_N) + len(empty)).index_copy_(0, back_N, token_N)
    return Layout(there_R, back_N, empty)


@final
class Rectangles:
    """Copies tokens' channels into the shapes that mix them, and back.

    The tables for it are made once per batch and serve every layer.
    """

    def __init__(self, packing: Packing) -> None:
        self.packing = packing
        self.sentences, self.longest = packing.token_BT.shape
        self._token_cells = packing.slot_N // self.longest, packing.place_N
        self._padding_cells = (
            packing.padding_P // self.longest,
            packing.padding_P % self.longest,
        )
        self._tables: dict[tuple[int, ...], _Tables] = {}
        self._by_time: dict[bool, Layout] = {}
        self._apart: dict[int, Layout] = {}
        self._ends: Ends | None = None

    def ends(self) -> Ends:
        if self._ends is None:
            after_B = self._lengths().cumsum(0)
            self._ends = Ends(functional.pad(after_B, (1, 0)).int(), self.longest)
        return self._ends

    def bias(self) -> Tensor | None:
        """What hides padding as keys, to be added to scores -> (B, 1, 1, T); None: no padding."""
        padding_P = self.packing.padding_P
        if not len(padding_P):
            return None
        bias = torch.zeros(self.sentences * self.longest, device=padding_P.device)
        return bias.index_fill_(0, padding_P, -math.inf).view(self.sentences, 1, 1, self.longest)

    def spread(self, x_NC: Tensor, heads: int, widths: Sequence[int]) -> list[Tensor]:
        """Tokens' channels, one part after the other and in each head by head -> (B, H, T, width)
        of each part."""
        tables = self._tables_of(heads, widths)
        out: Tensor = _Rows.apply(  # type: ignore[no-untyped-call]
            x_NC.view(-1, tables.unit), tables.there, tables.back, None
        )
        shape = (self.sentences, heads, self.longest)
        parts = torch.split(out, tables.sizes)
        return [part.view(*shape, width) for part, width in zip(parts, widths, strict=True)]

    def gather(self, x_BHTC: Tensor) -> Tensor:
        """-> (N, H * C)."""
        heads, width = x_BHTC.size(1), x_BHTC.size(3)
        tables = self._tables_of(heads, [width])
        out: Tensor = _Rows.apply(  # type: ignore[no-untyped-call]
            x_BHTC.reshape(-1, width), tables.back, tables.there, tables.padding
        )
        return out.view(-1, heads * width)

    def by_time(self, backwards: bool) -> Layout:
        """All sentences' first tokens, then all their second ones -> rows (T, B); `backwards`:
        their last tokens, then those before."""
        if backwards not in self._by_time:
            sentence_N, place_N = self._token_cells
            if backwards:
                place_N = self._lengths()[sentence_N] - 1 - place_N
            sentence_P, place_P = self._padding_cells
            self._by_time[backwards] = _layout(
                place_N * self.sentences + sentence_N, place_P * self.sentences + sentence_P
            )
        return self._by_time[backwards]

    def apart(self, gap: int) -> Layout:
        """Sentences end to end with so many empty rows between two."""
        if gap not in self._apart:
            sentence_N, _ = self._token_cells
            device = sentence_N.device
            ends_B = self._lengths().cumsum(0)[:-1]
            before_B = gap * torch.arange(len(ends_B), device=device)
            empty = (ends_B + before_B)[:, None] + torch.arange(gap, device=device)
            back_N = torch.arange(len(sentence_N), device=device) + gap * sentence_N
            self._apart[gap] = _layout(back_N, empty.flatten())
        return self._apart[gap]

    def _lengths(self) -> Tensor:
        """Tokens of each sentence -> (B,)."""
        is_token = self.packing.slot_N.new_zeros(self.sentences * self.longest)
        is_token.index_fill_(0, self.packing.slot_N, 1)
        return is_token.view(self.sentences, self.longest).sum(dim=1)

    def _tables_of(self, heads: int, widths: Sequence[int]) -> _Tables:
        key = (heads, *widths)
        if key not in self._tables:
            self._tables[key] = self._make_tables(heads, widths)
        return self._tables[key]

    def _make_tables(self, heads: int, widths: Sequence[int]) -> _Tables:
        unit = math.gcd(*widths)
        pieces = [width // unit for width in widths]
        own = [heads * piece for piece in pieces]  # units of a token, by part
        sizes = [self.sentences * self.longest * count for count in own]
        there, back = [], []
        for piece, first, first_row in zip(
            pieces, accumulate(own, initial=0), accumulate(sizes, initial=0), strict=False
        ):
            unit_HP = torch.arange(heads * piece, device=self.packing.slot_N.device).view(heads, -1)
            token_B1T1 = self.packing.token_BT[:, None, :, None]
            there.append((token_B1T1 * sum(own) + first + unit_HP[:, None, :]).flatten())
            back.append(first_row + self._units_at(self._token_cells, heads, piece))
        return _Tables(
            unit,
            sizes,
            torch.cat(there),
            torch.cat(back, dim=1).flatten(),
            self._units_at(self._padding_cells, heads, pieces[0]).flatten(),
        )

    def _units_at(self, cells: tuple[Tensor, Tensor], heads: int, piece: int) -> Tensor:
        """Units of a part's rectangle in these cells, sentence and place -> (cells, H * piece)."""
        sentence_N, place_N = cells
        head_H, unit_P = (torch.arange(count, device=sentence_N.device) for count in (heads, piece))
        row_NH = (sentence_N[:, None] * heads + head_H) * self.longest + place_N[:, None]
        return (row_NH[:, :, None] * piece + unit_P).flatten(1)


@final
class _Rows(torch.autograd.Function):
    """Copies rows. Each row of the input has one copy that counts, so gradients are copied too,
    where index_select alone would have to add them."""

    @staticmethod
    def forward(
        ctx: Any, x_RW: Tensor, there: Tensor, back: Tensor, unread: Tensor | None
    ) -> Tensor:
        """`there`: the row for each row of the result; `back`: for each row of the input, the copy
        that counts; `unread`: rows of the input that have none."""
        ctx.save_for_backward(back, unread)
        return x_RW.index_select(0, there)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        back, unread = ctx.saved_tensors
        grad_RW = grad.contiguous().index_select(0, back)
        if unread is not None and len(unread):
            grad_RW.index_fill_(0, unread, 0)
        return grad_RW, None, None, None

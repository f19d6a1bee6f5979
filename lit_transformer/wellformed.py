"""What may follow in a search for trees: only what can still become one over exactly the words."""

# R rows of the decoder, T tokens so far, V vocabulary

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from lit_transformer.data.trees import Linear
from lit_transformer.data.vocab import Vocab

OTHER, OPEN, WORD, CLOSE = range(4)
"""Kinds of symbols."""


@final
class TreesOnly:
    """Tells, for open hypotheses, which symbols may come next.

    A bracket opens while words are left, and closes over at least one of them under its own label;
    the outermost closes behind the last word, and then comes the end mark. A bracket that would
    leave too little room to write the rest is not opened.
    """

    def __init__(
        self, vocab: Vocab, form: Linear, words: Sequence[int], device: torch.device
    ) -> None:
        """`words`: how many each source has."""
        symbols = vocab.decode_symbols(range(len(vocab)))
        places = {symbol: place for place, symbol in enumerate(symbols) if symbol}
        self.kind_V = torch.tensor([_kind(symbol) for symbol in symbols], device=device)
        closing = [
            places.get(form.closing(symbol[1:]), vocab.unk) if _kind(symbol) == OPEN else vocab.unk
            for symbol in symbols
        ]
        self.closing_V = torch.tensor(closing, device=device)
        """The symbol that closes what a symbol opens."""
        self.eos = vocab.eos
        self.words_of_source = torch.tensor(words, device=device)

    def __call__(self, ids_RT: Tensor, source_R: Tensor, room_R: Tensor) -> Tensor:
        """Whether each token may follow (R, V).

        `source_R`: place of the row's source; `room_R`: tokens that the output may still have.
        """
        kind_RT = self.kind_V[ids_RT]
        is_open_RT = kind_RT == OPEN
        depth_RT = (is_open_RT.int() - (kind_RT == CLOSE).int()).cumsum(dim=1)
        left_R = self.words_of_source[source_R] - (kind_RT == WORD).sum(dim=1)
        length = ids_RT.shape[1]
        if length:
            depth_R, last_R = depth_RT[:, -1], kind_RT[:, -1]
        else:
            depth_R = last_R = torch.zeros_like(left_R)
        needed_R = left_R + depth_R + 1  # a symbol for each word and bracket, and the end mark
        has_words_R = left_R > 0
        inside_R = depth_R > 0
        may_open_R = has_words_R & (inside_R | (length == 0)) & (room_R >= needed_R + 2)
        may_close_R = inside_R & (last_R != OPEN) & ((depth_R > 1) | ~has_words_R)
        allowed_RV = may_open_R[:, None] & (self.kind_V == OPEN)
        allowed_RV |= (inside_R & has_words_R)[:, None] & (self.kind_V == WORD)
        if length:
            innermost_R = self._innermost(ids_RT, is_open_RT & (depth_RT == depth_R[:, None]))
            closing_R1 = self.closing_V[innermost_R][:, None]
            allowed_RV.scatter_(1, closing_R1, may_close_R[:, None])
            allowed_RV[:, self.eos] = ~inside_R
        return allowed_RV

    def _innermost(self, ids_RT: Tensor, opens_RT: Tensor) -> Tensor:
        """The last of each row's marked tokens (R,)."""
        place_T = torch.arange(ids_RT.shape[1], device=ids_RT.device)
        last_R = torch.where(opens_RT, place_T, 0).amax(dim=1)
        return ids_RT.gather(1, last_R[:, None]).squeeze(1)


def _kind(symbol: str) -> int:
    if not symbol:
        return OTHER
    return OPEN if symbol[0] == "(" else CLOSE if symbol[0] == ")" else WORD

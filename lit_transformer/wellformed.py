"""What may follow in a search for trees: only what can still become one over exactly the words."""

# R rows of the decoder, T tokens so far, V vocabulary, S sources, W words, P pieces

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import final

import torch
from torch import Tensor

from lit_transformer.data.trees import Linear
from lit_transformer.data.vocab import Vocab
from lit_transformer.decoding import NEVER

OTHER, OPEN, WORD, CLOSE, END = range(5)
"""Kinds of tokens: of no tree, of a tree's symbols, the end mark."""


@final
class TreesOnly:
    """Tells, for open hypotheses, which symbols may come next.

    A bracket opens while words are left, and closes over at least one of them under its own label;
    the outermost closes behind the last word, and then comes the end mark. A bracket that would
    leave too little room to write the rest is not opened.

    Where the form copies words, the pieces of a word, these and no others, come before its symbol,
    with nothing between them. The one that is next has the probability of all pieces together: that
    a word comes is the model's to say, which one is not.
    """

    def __init__(
        self, vocab: Vocab, form: Linear, sources: Sequence[str], device: torch.device
    ) -> None:
        """`sources`: words between spaces."""
        symbols = vocab.decode_symbols(range(len(vocab)))
        places = {symbol: place for place, symbol in enumerate(symbols) if symbol}
        self.kind_V = torch.tensor([_kind(symbol) for symbol in symbols], device=device)
        closing = [
            places.get(form.closing(symbol[1:]), vocab.unk) if _kind(symbol) == OPEN else vocab.unk
            for symbol in symbols
        ]
        self.closing_V = torch.tensor(closing, device=device)
        """The symbol that closes what a symbol opens."""
        self.kind_V[vocab.eos] = END
        self.eos = vocab.eos
        self._copies_words = form.copies_words
        words = [len(source.split()) for source in sources]
        copies = vocab.encode_words(sources) if form.copies_words else [[[]] * n for n in words]
        self.words_of_source = torch.tensor(words, device=device)
        self.pieces_SP = _table([list(chain(*one)) for one in copies], device)
        """The pieces of each source's words, one after the other."""
        self.starts_SW = _table(
            [list(accumulate(map(len, one), initial=0)) for one in copies], device
        )
        """How many of them come before each word; behind the last word all of them."""

    def __call__(
        self, log_prob_RV: Tensor, ids_RT: Tensor, source_R: Tensor, room_R: Tensor
    ) -> None:
        """As decoding.Constraint."""
        may_follow_RV = self.may_follow(ids_RT, source_R, room_R)
        if self._copies_words:
            is_piece_V = self.kind_V == OTHER
            pieces_R1 = log_prob_RV.masked_fill(~is_piece_V, NEVER).logsumexp(dim=1, keepdim=True)
            log_prob_RV.copy_(torch.where(is_piece_V, pieces_R1, log_prob_RV))
        log_prob_RV.masked_fill_(~may_follow_RV, NEVER)

    def may_follow(self, ids_RT: Tensor, source_R: Tensor, room_R: Tensor) -> Tensor:
        """Whether each token may (R, V).

        `source_R`: place of the row's source; `room_R`: tokens that the output may still have.
        """
        kind_RT = self.kind_V[ids_RT]
        is_open_RT = kind_RT == OPEN
        depth_RT = (is_open_RT.int() - (kind_RT == CLOSE).int()).cumsum(dim=1)
        words_R = (kind_RT == WORD).sum(dim=1)
        left_R = self.words_of_source[source_R] - words_R
        pieces_R = (kind_RT == OTHER).sum(dim=1)
        is_between_R = pieces_R == self._starts(source_R, words_R)
        is_copied_R = pieces_R == self._starts(source_R, words_R + 1)
        length = ids_RT.shape[1]
        if length:
            depth_R, last_R = depth_RT[:, -1], kind_RT[:, -1]
        else:
            depth_R = last_R = torch.zeros_like(left_R)
        to_copy_R = self.starts_SW[source_R, -1] - pieces_R
        # A symbol for each word and bracket, the words' pieces, and the end mark.
        needed_R = left_R + depth_R + to_copy_R + 1
        has_words_R = left_R > 0
        inside_R = depth_R > 0
        in_reach_R = inside_R & has_words_R
        may_open_R = (
            is_between_R & has_words_R & (inside_R | (length == 0)) & (room_R >= needed_R + 2)
        )
        may_close_R = is_between_R & inside_R & (last_R != OPEN) & ((depth_R > 1) | ~has_words_R)
        allowed_RV = may_open_R[:, None] & (self.kind_V == OPEN)
        allowed_RV |= (in_reach_R & is_copied_R)[:, None] & (self.kind_V == WORD)
        piece_R1 = self._piece(source_R, pieces_R)[:, None]
        may_copy_R1 = (in_reach_R & ~is_copied_R)[:, None]
        allowed_RV.scatter_(1, piece_R1, allowed_RV.gather(1, piece_R1) | may_copy_R1)
        if length:
            innermost_R = self._innermost(ids_RT, is_open_RT & (depth_RT == depth_R[:, None]))
            closing_R1 = self.closing_V[innermost_R][:, None]
            allowed_RV.scatter_(1, closing_R1, may_close_R[:, None])
            allowed_RV[:, self.eos] = ~inside_R
        return allowed_RV

    def _starts(self, source_R: Tensor, word_R: Tensor) -> Tensor:
        return self.starts_SW[source_R, word_R.clamp(max=self.starts_SW.shape[1] - 1)]

    def _piece(self, source_R: Tensor, place_R: Tensor) -> Tensor:
        return self.pieces_SP[source_R, place_R.clamp(max=self.pieces_SP.shape[1] - 1)]

    def _innermost(self, ids_RT: Tensor, opens_RT: Tensor) -> Tensor:
        """The last of each row's marked tokens (R,)."""
        place_T = torch.arange(ids_RT.shape[1], device=ids_RT.device)
        last_R = torch.where(opens_RT, place_T, 0).amax(dim=1)
        return ids_RT.gather(1, last_R[:, None]).squeeze(1)


def _table(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """A row each, of at least one number; a shorter one repeats its last."""
    width = max([1, *map(len, rows)])
    filled = [[*row, *[row[-1] if row else 0] * (width - len(row))] for row in rows]
    return torch.tensor(filled, device=device)


def _kind(symbol: str) -> int:
    if not symbol:
        return OTHER
    return OPEN if symbol[0] == "(" else CLOSE if symbol[0] == ")" else WORD

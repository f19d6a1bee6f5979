"""A constrained search writes a tree over exactly the words, whatever the model would like."""

import random

import pytest
import torch

from lit_transformer.config import DecodeConfig, ModelConfig
from lit_transformer.data.trees import Linear
from lit_transformer.decoding import search
from lit_transformer.model.stepping import Stepper
from lit_transformer.model.transformer import Transformer
from lit_transformer.wellformed import TreesOnly

CPU = torch.device("cpu")


class Words:
    """A vocabulary of marks, pieces of text, and the symbols of two labels."""

    pad, unk, bos, eos = 0, 1, 2, 3

    def __init__(self, form):
        labels = ("S", "NP")
        closing = dict.fromkeys(form.closing(label) for label in labels)
        self.symbols = ["", "", "", "", "", "", *(f"({label}" for label in labels), "XX", *closing]

    def __len__(self):
        return len(self.symbols)

    def decode_symbols(self, ids):
        return [self.symbols[int(i)] for i in ids]


@pytest.fixture(params=[True, False], ids=["labelled", "plain"])
def form(request):
    return Linear(keeps_tags=False, labels_closing=request.param)


def shortest(form, symbols, words):
    """The fewest tokens that make a tree of what is written so far, the end mark with them; None
    where none do: a machine with a stack, apart from the code that is tested."""
    stack, left, ended = [], words, False
    for symbol in symbols:
        if ended or not (symbol.startswith("(") or stack):
            return None
        if symbol.startswith("("):
            stack.append([symbol[1:], 0])
        elif symbol.startswith(")"):
            label, held = stack.pop()
            if symbol != form.closing(label) or not held:
                return None
            if stack:
                stack[-1][1] += 1
            else:
                ended = True
        else:
            if not left:
                return None
            left -= 1
            stack[-1][1] += 1
    if ended:
        return 1 if not left else None
    innermost_is_empty = bool(stack) and not stack[-1][1]
    if not left and (innermost_is_empty or not stack):
        return None
    return left + len(stack) + 1 + (not stack) * 2


@pytest.mark.parametrize("seed", range(60))
def test_a_symbol_may_follow_where_a_tree_can_still_be_written(form, seed):
    chance, words = random.Random(seed), Words(form)
    count = chance.randint(1, 4)
    allowed = TreesOnly(words, form, [9, count], CPU)
    room, ids = chance.randint(count + 3, count + 12), []
    while not ids or ids[-1] != Words.eos:
        row = torch.tensor([ids], dtype=torch.long)
        (may,) = allowed(row, torch.tensor([1]), torch.tensor([room - len(ids)])).tolist()
        for token in range(len(words)):
            symbols = words.decode_symbols([*ids, token])
            if token == Words.eos:
                expected = bool(ids) and shortest(form, symbols[:-1], count) == 1
            elif not symbols[-1]:
                expected = False
            else:
                needed = shortest(form, symbols, count)
                expected = needed is not None and len(ids) + 1 + needed <= room
            assert may[token] == expected, (symbols, room)
        ids.append(chance.choice([token for token, can in enumerate(may) if can]))
    assert form.tree(words.decode_symbols(ids[:-1]), ["w"] * count).words == ["w"] * count


@pytest.mark.parametrize("beam", [1, 3])
def test_a_search_ends_in_trees_over_exactly_the_words(form, beam):
    torch.manual_seed(beam)
    words, counts = Words(form), [1, 2, 3, 5, 8]
    cfg = ModelConfig(layers=1, d_model=16, d_ff=16, heads=2, max_positions=64)
    model = Stepper(Transformer(cfg, len(words), Words.pad).eval())
    sources = [[4] * count + [Words.eos] for count in counts]
    decode = DecodeConfig(beam=beam, alpha=0.3, extra_length=12, batch_sentences=2)
    free, bound = (
        search(
            *(model, sources, decode),
            **{"pad": Words.pad, "bos": Words.bos, "eos": Words.eos},
            **{"device": CPU, "progress": None, "allowed": allowed},
        )
        for allowed in (None, TreesOnly(words, form, counts, CPU))
    )
    for found, count in zip(bound, counts, strict=True):
        tree = form.tree(words.decode_symbols(found.ids), ["w"] * count)
        assert len(tree.words) == count
        assert not found.truncated
    assert any(a.ids != b.ids for a, b in zip(free, bound, strict=True))

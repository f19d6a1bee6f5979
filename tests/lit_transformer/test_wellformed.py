"""A constrained search writes a tree over exactly the words, whatever the model would like."""

import random
from itertools import product

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
    text = ("a", "b")

    def __init__(self, form):
        labels = ("S", "NP")
        closing = dict.fromkeys(form.closing(label) for label in labels)
        symbols = [*(f"({label}" for label in labels), "XX", *closing]
        self.tokens = ["<pad>", "<unk>", "<s>", "</s>", *self.text, *symbols]

    def __len__(self):
        return len(self.tokens)

    def decode_symbols(self, ids):
        found = [self.tokens[int(i)] for i in ids]
        return ["" if token[0] == "<" or token in self.text else token for token in found]

    def encode_words(self, texts):
        """A letter is a piece; a word of a dash has none."""
        return [
            [
                [self.tokens.index(letter) for letter in word if letter != "-"]
                for word in one.split()
            ]
            for one in texts
        ]


@pytest.fixture(
    params=product((True, False), repeat=2),
    ids=["labelled-copied", "labelled", "plain-copied", "plain"],
)
def form(request):
    labelled, copied = request.param
    return Linear(keeps_tags=False, labels_closing=labelled, copies_words=copied)


def shortest(form, tokens, words):
    """The fewest tokens that make a tree of what is written so far, the end mark with them; None
    where none do: a machine with a stack, apart from the code that is tested."""
    stack, ended = [], False
    left = [word.replace("-", "") if form.copies_words else "" for word in words]
    copied = ""  # of the next word
    for token in tokens:
        if ended or token[0] == "<" or not (token[0] == "(" or stack):
            return None
        if token in Words.text:
            copied += token
            if not left or not left[0].startswith(copied):
                return None
        elif token == "XX":
            if not left or copied != left.pop(0):
                return None
            copied = ""
            stack[-1][1] += 1
        elif copied:
            return None
        elif token[0] == "(":
            stack.append([token[1:], 0])
        else:
            label, held = stack.pop()
            if token != form.closing(label) or not held:
                return None
            if stack:
                stack[-1][1] += 1
            else:
                ended = True
    if ended:
        return 1 if not left else None
    innermost_is_empty = bool(stack) and not stack[-1][1]
    if not left and (innermost_is_empty or not stack):
        return None
    return len("".join(left)) - len(copied) + len(left) + len(stack) + 1 + (not stack) * 2


@pytest.mark.parametrize("seed", range(60))
def test_a_token_may_follow_where_a_tree_can_still_be_written(form, seed):
    chance, vocab = random.Random(seed), Words(form)
    words = [chance.choice(("a", "b", "ab", "bba", "-")) for _ in range(chance.randint(1, 4))]
    trees_only = TreesOnly(vocab, form, ["a b ab a b a - a bb", " ".join(words)], CPU)
    room = chance.randint(3, 12) + sum(map(len, words)) + len(words)
    ids = []
    while not ids or ids[-1] != vocab.eos:
        row = torch.tensor([ids], dtype=torch.long)
        (may,) = trees_only.may_follow(
            row, torch.tensor([1]), torch.tensor([room - len(ids)])
        ).tolist()
        for token in range(len(vocab)):
            tokens = [vocab.tokens[place] for place in (*ids, token)]
            if token == vocab.eos:
                expected = bool(ids) and shortest(form, tokens[:-1], words) == 1
            else:
                needed = shortest(form, tokens, words)
                expected = needed is not None and len(ids) + 1 + needed <= room
            assert may[token] == expected, (tokens, words, room)
        ids.append(chance.choice([token for token, can in enumerate(may) if can]))
    assert form.tree(vocab.decode_symbols(ids[:-1]), words).words == words
    pieces = [vocab.tokens[place] for place in ids if vocab.tokens[place] in vocab.text]
    assert "".join(pieces) == ("".join(words).replace("-", "") if form.copies_words else "")


@pytest.mark.parametrize("beam", [1, 3])
def test_a_search_ends_in_trees_over_exactly_the_words(form, beam):
    torch.manual_seed(beam)
    vocab, counts = Words(form), [1, 2, 3, 5, 8]
    texts = [" ".join(["ab"] * count) for count in counts]
    cfg = ModelConfig(layers=1, d_model=16, d_ff=16, heads=2, max_positions=64)
    model = Stepper(Transformer(cfg, len(vocab), Words.pad).eval())
    sources = [[4, 5] * count + [Words.eos] for count in counts]
    decode = DecodeConfig(beam=beam, alpha=0.3, extra_length=20, batch_sentences=2)
    free, bound = (
        search(
            *(model, sources, decode),
            **{"pad": Words.pad, "bos": Words.bos, "eos": Words.eos},
            **{"device": CPU, "progress": None, "constraint": constraint},
        )
        for constraint in (None, TreesOnly(vocab, form, texts, CPU))
    )
    for found, text in zip(bound, texts, strict=True):
        tree = form.tree(vocab.decode_symbols(found.ids), text.split())
        assert tree.words == text.split()
        assert not found.truncated
    assert any(a.ids != b.ids for a, b in zip(free, bound, strict=True))


def test_the_next_piece_has_the_probability_of_all_of_them_and_others_keep_theirs():
    form = Linear(keeps_tags=False, labels_closing=True, copies_words=True)
    vocab = Words(form)
    trees_only = TreesOnly(vocab, form, ["b a"], CPU)
    ids = [vocab.tokens.index(token) for token in ("(S", "b", "XX")]
    before = torch.randn(1, len(vocab)).log_softmax(dim=1)
    after = before.clone()
    trees_only(after, torch.tensor([ids]), torch.tensor([0]), torch.tensor([20]))
    probability = dict(zip(vocab.tokens, before.exp()[0].tolist(), strict=True))
    pieces = sum(probability[token] for token in ("<pad>", "<unk>", "<s>", *vocab.text))
    expected = {"a": pieces, "(S": probability["(S"], "(NP": probability["(NP"]}
    found = dict(zip(vocab.tokens, after.exp()[0].tolist(), strict=True))
    assert {token: value for token, value in found.items() if value} == pytest.approx(expected)

"""The search against exhaustive search, a plain beam search and a plain greedy loop."""

import functools
import itertools
import math
from typing import get_args

import pytest
import torch

from lit_transformer import decoding
from lit_transformer.config import (
    AttentionKind,
    DecodeConfig,
    LengthPenalty,
    ModelConfig,
    PositionKind,
)
from lit_transformer.decoding import (
    Hypothesis,
    largest,
    largest_sums,
    penalty,
    search,
    without_holes,
)
from lit_transformer.model.packing import from_rectangle
from lit_transformer.model.stepping import Stepper
from lit_transformer.model.transformer import Transformer

PAD, UNK, BOS, EOS = range(4)
CPU = torch.device("cpu")
PENALTIES = get_args(LengthPenalty)


class Prefixes:
    """A cache that remembers what each row has read, coded as one number."""

    def __init__(self, code_R, beams):
        self.code_R, self.beams = code_R, beams

    def reorder(self, rows_R):
        self.code_R = self.code_R[rows_R]

    def keep(self, sentences):
        self.code_R = self.code_R.view(-1, self.beams)[sentences].flatten()


@functools.cache
def drawn(code, vocabulary):
    return 2 * torch.randn(vocabulary, generator=torch.Generator().manual_seed(code))


class Chance:
    """A model whose next token depends by chance on the source and on all that was read.

    A row that the search has confused with another gets other probabilities.
    """

    def __init__(self, vocabulary, eos_bonus):
        self.vocabulary, self.eos_bonus = vocabulary, eos_bonus
        self.projected = 0

    def encode(self, source_BS):
        code = sum((i + 1) * (ids + 1) * (ids != PAD) for i, ids in enumerate(source_BS.T))
        return code[:, None]

    def start_cache(self, memory_BSD, is_pad_BS, max_length, beams):
        return Prefixes(memory_BSD[:, 0].repeat_interleave(beams), beams)

    def step(self, token_R, cache):
        cache.code_R = (cache.code_R * 1009 + token_R + 1) % (2**31 - 1)
        return cache.code_R[:, None]

    def project(self, states):
        self.projected += len(states)
        return torch.stack([self.logits(int(code)) for code in states[:, 0]])

    def logits(self, code):
        logits = drawn(code, self.vocabulary).clone()
        logits[EOS] += self.eos_bonus
        return logits

    def log_prob(self, source, prefix):
        """Log-probabilities of the token after `prefix`, computed apart from the search."""
        code = self.encode(torch.tensor([source]))[0]
        for token in [BOS, *prefix]:
            code = (code * 1009 + token + 1) % (2**31 - 1)
        return self.logits(int(code)).log_softmax(0).tolist()


class Table(Chance):
    """A model whose next token depends on the last one only: a table of bigram probabilities."""

    def __init__(self, probabilities):
        self.log_prob_VV = torch.tensor(probabilities).log()

    def step(self, token_R, cache):
        return token_R[:, None]

    def project(self, states):
        return self.log_prob_VV[states[:, 0]]


def find(model, sources, **decode):
    return search(
        model,
        sources,
        DecodeConfig(**decode),
        pad=PAD,
        bos=BOS,
        eos=EOS,
        device=CPU,
        progress=None,
    )


def divisor(kind, alpha, length):
    return {"gnmt": ((5 + length) / 6) ** alpha, "length": length**alpha}[kind]


def exhaustive(model, source, limit, kind, alpha):
    """The best of all outputs that end within `limit` tokens."""
    best = (-math.inf, [])
    words = [token for token in range(model.vocabulary) if token not in (PAD, BOS, EOS)]
    for length in range(limit):
        for ids in itertools.product(words, repeat=length):
            steps = [
                model.log_prob(source, ids[:place])[token]
                for place, token in enumerate((*ids, EOS))
            ]
            best = max(best, (sum(steps) / divisor(kind, alpha, length + 1), list(ids)))
    return best


def plain_beam(model, source, beam, limit, kind, alpha):
    """Beam search over lists, to the limit, for one sentence -> score, ids, truncated."""
    live, ended = [(0.0, [])], []
    for length in range(1, limit + 1):
        grown = [
            (total + log_prob, [*ids, token])
            for total, ids in live
            for token, log_prob in enumerate(model.log_prob(source, ids))
            if token not in (PAD, BOS)
        ]
        grown = sorted(grown, reverse=True)[: 2 * beam]
        ended += [
            (total / divisor(kind, alpha, length), ids[:-1])
            for total, ids in grown
            if ids[-1] == EOS
        ]
        live = [(total, ids) for total, ids in grown if ids[-1] != EOS][:beam]
    if ended:
        return *max(ended), False
    return live[0][0] / divisor(kind, alpha, limit), live[0][1], True


SOURCES = [[4, EOS], [EOS], [4, 5, 4, EOS], [5, 5, EOS], [1, EOS], [5, 1, EOS], [4, 4, 5, 5, EOS]]


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("eos_bonus", [-3.0, 0.0])
def test_a_beam_that_holds_everything_is_exhaustive_search(kind, alpha, eos_bonus):
    model = Chance(6, eos_bonus)  # three words and the end mark
    sources = [[4, EOS], [5, 1, EOS]]
    found = find(model, sources, beam=4**4, alpha=alpha, length_penalty=kind, extra_length=2)
    for source, got in zip(sources, found, strict=True):
        score, ids = exhaustive(model, source, len(source) + 2, kind, alpha)
        assert got.ids == ids
        assert got.score == pytest.approx(score, rel=1e-5)


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("beam", [2, 3, 4])
@pytest.mark.parametrize("eos_bonus", [-8.0, 0.0, 2.0])
def test_search_equals_a_plain_one_that_never_stops_early(kind, alpha, beam, eos_bonus):
    model = Chance(12, eos_bonus)
    decode = {"beam": beam, "alpha": alpha, "length_penalty": kind, "extra_length": 6}
    found = find(model, SOURCES, **decode, batch_sentences=3)
    for source, got in zip(SOURCES, found, strict=True):
        score, ids, truncated = plain_beam(model, source, beam, len(source) + 6, kind, alpha)
        assert (got.ids, got.truncated) == (ids, truncated)
        assert got.score == pytest.approx(score, rel=1e-5)


@pytest.mark.parametrize("eos_bonus", [-3.0, 1.0])
def test_beam_1_is_greedy(eos_bonus):
    model = Chance(12, eos_bonus)
    for source, got in zip(SOURCES, find(model, SOURCES, beam=1, extra_length=5), strict=True):
        ids, total = [], 0.0
        while len(ids) < len(source) + 5 and EOS not in ids:
            log_prob = model.log_prob(source, ids)
            token = max((t for t in range(12) if t not in (PAD, BOS)), key=log_prob.__getitem__)
            ids, total = [*ids, token], total + log_prob[token]
        assert got.truncated == (EOS not in ids)
        assert got.ids == [token for token in ids if token != EOS]
        assert got.log_probability == pytest.approx(total, rel=1e-5)
        assert got.score == pytest.approx(total / ((5 + len(ids)) / 6) ** 0.6, rel=1e-5)


@pytest.mark.parametrize("beam", [1, 4])
def test_results_are_in_input_order_and_independent_of_the_batch(beam):
    model = Chance(20, 0.0)
    apart = [find(model, [source], beam=beam)[0] for source in SOURCES]
    for batch_sentences in (1, 2, 64):
        assert find(model, SOURCES, beam=beam, batch_sentences=batch_sentences) == apart
    assert find(model, SOURCES[::-1], beam=beam) == apart[::-1]


def test_early_stopping_saves_steps():
    model = Chance(6, 6.0)
    find(model, [[4, EOS]] * 2, beam=2, extra_length=50)
    assert model.projected < 2 * 2 * 10  # sentences, beam, steps of 52


@pytest.mark.parametrize(
    ("kind", "alpha", "length", "expected"),
    [
        ("gnmt", 0.6, 1, 1.0),
        ("gnmt", 1.0, 7, 2.0),
        ("gnmt", 0.5, 19, 2.0),
        ("gnmt", 0.6, 13, 3**0.6),
        ("gnmt", 0.0, 40, 1.0),
        ("length", 1.0, 7, 7.0),
        ("length", 0.5, 9, 3.0),
        ("length", 0.0, 9, 1.0),
    ],
)
def test_length_penalty_by_hand(kind, alpha, length, expected):
    decode = DecodeConfig(alpha=alpha, length_penalty=kind)
    assert penalty(length, decode) == pytest.approx(expected)


def test_length_counts_the_end_mark():
    # Word 4 surely, then its end with 1/2; word 5 goes on for ever.
    rows = [[0, 0, 0, 0, 1, 0], [0, 0, 0, 0.5, 0, 0.5], [0, 0, 0, 0, 0, 1]]
    table = Table([rows[0]] * 4 + rows[1:])
    [got] = find(table, [[4, EOS]], beam=2, alpha=1.0, extra_length=5)
    assert got.ids == [4]
    assert got.log_probability == pytest.approx(math.log(0.5))
    assert got.score == pytest.approx(math.log(0.5) / ((5 + 2) / 6))


@pytest.mark.parametrize("beam", [1, 3])
def test_an_output_without_end_is_cut_at_the_limit_and_says_so(beam):
    model = Chance(12, -50.0)
    found = find(model, [[4, 5, EOS], [EOS]], beam=beam, extra_length=4)
    assert [(len(got.ids), got.truncated) for got in found] == [(7, True), (5, True)]
    assert found[1].score == pytest.approx(found[1].log_probability / ((5 + 5) / 6) ** 0.6)


def test_pads_and_begin_marks_are_never_produced_but_keep_their_probability():
    likely_pad = [0.6, 0, 0.2, 0.15, 0.05]
    for beam in (1, 2):
        [got] = find(Table([likely_pad] * 5), [[4, EOS]], beam=beam, alpha=0.0)
        assert got == Hypothesis(
            [], pytest.approx(math.log(0.15)), pytest.approx(math.log(0.15)), False
        )


def test_no_sources_no_hypotheses():
    assert find(Chance(6, 0.0), []) == []


def test_a_beam_may_be_wider_than_the_vocabulary():
    model = Chance(5, 0.0)
    for source, got in zip(SOURCES, find(model, SOURCES, beam=9, extra_length=3), strict=True):
        score, ids, _ = plain_beam(model, source, 9, len(source) + 3, "gnmt", 0.6)
        assert (got.ids, got.score) == (ids, pytest.approx(score, rel=1e-5))


def test_equal_probabilities_go_to_the_lower_token():
    even = [[0.0, 0.0, 0.0, 0.0, 0.25, 0.25, 0.25, 0.25]] * 8
    for beam in (1, 2, 3):
        [got] = find(Table(even), [[EOS]], beam=beam, extra_length=2)
        assert got.ids == [4, 4, 4]


def test_largest_puts_equal_values_in_order_of_index():
    values = torch.randint(5, (50, 40), generator=torch.Generator().manual_seed(0)).float()
    value, index = largest(values, 6)
    for row, got, places in zip(values.tolist(), value.tolist(), index.tolist(), strict=True):
        assert places == sorted(range(40), key=lambda i, row=row: (-row[i], i))[:6]
        assert got == [row[i] for i in places]


@pytest.mark.parametrize("vocabulary", [3, 64, 70, 128, 200])
@pytest.mark.parametrize(("beams", "count"), [(1, 1), (2, 4), (4, 8)])
def test_largest_sums_are_those_of_a_whole_sort(vocabulary, beams, count):
    """Among few values, so that many are equal, within a block of tokens and across blocks."""
    generator = torch.Generator().manual_seed(0)
    log_prob = torch.randint(5, (30 * beams, vocabulary), generator=generator).float()
    log_prob[torch.rand(log_prob.shape, generator=generator) < 0.5] = -math.inf
    before = torch.randint(3, (30, beams), generator=generator).float()
    before[:10, 1:] = -math.inf
    value, index = largest_sums(log_prob.clone(), before, count)
    sums = (log_prob.view(30, beams, -1) + before[:, :, None]).flatten(1)
    ordered = sums.sort(dim=1, descending=True, stable=True)
    finite = ordered.values[:, :count].isfinite()
    assert torch.equal(value, ordered.values[:, :count])
    assert torch.equal(index[finite], ordered.indices[:, :count][finite])


def test_the_last_sentences_take_the_places_of_those_that_are_done():
    assert without_holes([False, True, False, True, False, False]) == [0, 5, 2, 4]
    assert without_holes([True, True]) == []
    assert without_holes([False, False, True]) == [0, 1]


def test_progress_counts_sentences_done():
    told = []
    decode = DecodeConfig(batch_sentences=3)
    model = Chance(12, 0.0)
    search(model, SOURCES, decode, pad=PAD, bos=BOS, eos=EOS, device=CPU, progress=told.append)
    assert told == [3, 6, 7]


@pytest.fixture
def _two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize("beam", [1, 4])
def test_batches_side_by_side_are_batches_one_after_another(beam, monkeypatch):
    model, decode = Rolled(), {"beam": beam, "batch_sentences": 2, **FAR}
    together = find(model, LONGER, **decode)
    monkeypatch.setattr(decoding, "SIDE_BY_SIDE", 1)
    # Fewer threads may add in another order.
    for got, expected in zip(together, find(model, LONGER, **decode), strict=True):
        assert (got.ids, got.truncated) == (expected.ids, expected.truncated)
        assert got.score == pytest.approx(expected.score, rel=1e-5)


@pytest.mark.parametrize(
    ("sentences", "beam", "expected"),
    [
        (1000, 4, 64),
        (1000, 1, 256),
        (1000, 8, 32),
        (1000, 300, 1),
        (200, 1, 100),
        (5, 4, 3),
        (0, 4, 1),
    ],
)
def test_a_batch_has_so_many_hypotheses_and_leaves_some_to_the_other(sentences, beam, expected):
    decode = DecodeConfig(beam=beam, batch_sentences=64)
    assert decoding.batch_size(sentences, decode, CPU) == expected


@pytest.mark.usefixtures("_two_threads")
def test_after_an_error_no_further_batch_is_begun():
    model, begun = Chance(12, 0.0), []

    def encode(source_BS):
        begun.append(len(source_BS))
        raise RuntimeError("no memory")

    model.encode = encode
    with pytest.raises(RuntimeError, match="no memory"):
        find(model, SOURCES * 20, batch_sentences=1)
    assert len(begun) < len(SOURCES) * 20


class Rolled:
    """A real model, its vocabulary turned: else a random one repeats the token that it reads."""

    def __init__(self, **model):
        torch.manual_seed(3)
        sizes = {"layers": 2, "d_model": 16, "d_ff": 32, "heads": 2, "max_positions": 32}
        self.transformer = Transformer(ModelConfig(**sizes, **model), vocab_size=13, pad=PAD).eval()
        self.stepper = Stepper(self.transformer)
        self.encode = self.stepper.encode
        self.start_cache = self.stepper.start_cache
        self.step = self.stepper.step

    def project(self, states):
        return self.stepper.project(states).roll(9, dims=-1)

    @torch.inference_mode()
    def log_prob(self, source, prefix):
        """Log-probabilities of the token after `prefix`, by one pass over the whole of it."""
        pairs = [from_rectangle(torch.tensor([ids]), PAD) for ids in (source, [BOS, *prefix])]
        states = self.transformer(*pairs)
        return self.project(states)[-1].log_softmax(dim=-1).tolist()


LONGER = [[4, 7, 9, EOS], [12, EOS], [5, 6, 7, 8, 9, 10, EOS], [11, 11, 4, EOS], [8, 5, EOS]]
FAR = {"alpha": 3.0, "extra_length": 6}  # long outputs win, so that the search has far to go


@pytest.mark.parametrize("attention", get_args(AttentionKind))
@pytest.mark.parametrize("positions", get_args(PositionKind))
@pytest.mark.parametrize("beam", [1, 4])
def test_the_search_s_score_is_the_model_s(attention, positions, beam):
    model = Rolled(attention=attention, positions=positions)
    for source, got in zip(LONGER, find(model, LONGER, beam=beam, **FAR), strict=True):
        ids = got.ids if got.truncated else [*got.ids, EOS]
        forced = sum(model.log_prob(source, ids[:i])[token] for i, token in enumerate(ids))
        assert got.log_probability == pytest.approx(forced, abs=1e-4)


def test_a_real_model_s_search_equals_a_plain_one_without_cache():
    model = Rolled()
    found = find(model, LONGER, beam=4, **FAR)
    assert len({tuple(got.ids) for got in found}) > 2
    assert max(len(got.ids) for got in found) > 4
    for source, got in zip(LONGER, found, strict=True):
        score, ids, truncated = plain_beam(model, source, 4, len(source) + 6, "gnmt", 3.0)
        assert (got.ids, got.truncated) == (ids, truncated)
        assert got.score == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("beam", [1, 4])
def test_a_batch_of_one_equals_a_batch_of_many(beam):
    model = Rolled()
    together = find(model, LONGER, beam=beam, **FAR)
    for source, got in zip(LONGER, together, strict=True):
        [alone] = find(model, [source], beam=beam, **FAR)
        assert (alone.ids, alone.truncated) == (got.ids, got.truncated)
        assert alone.score == pytest.approx(got.score, abs=1e-4)

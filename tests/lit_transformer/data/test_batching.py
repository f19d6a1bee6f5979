"""Batches within the budget, in an order that seed and epoch alone decide."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_transformer.data import batching
from lit_transformer.data.batching import UpdateLoader, cut, epoch_order, make_batch, share

BOS, EOS = 2, 3


class MadeUpPairs:
    """Pairs of given lengths. Each token of a pair is its index + 10; the last is the end mark."""

    def __init__(self, source_lengths, target_lengths):
        self.source_lengths = np.asarray(source_lengths, np.int32)
        self.target_lengths = np.asarray(target_lengths, np.int32)

    def source(self, index):
        return self._row(index, self.source_lengths[index])

    def target(self, index):
        return self._row(index, self.target_lengths[index])

    def _row(self, index, length):
        return np.array([index + 10] * (length - 1) + [EOS], np.int32)


def realistic(count):
    """Lengths as in a corpus of sentences: skewed, and the two sides of a pair alike."""
    generator = np.random.default_rng(0)
    source = np.clip(generator.lognormal(3.1, 0.55, count), 2, 200)
    target = np.clip(source * generator.normal(1.05, 0.15, count), 2, 200)
    return source.astype(np.int32), target.astype(np.int32)


PAIRS = MadeUpPairs(*realistic(500))


def loader(pairs=PAIRS, **changes):
    knobs = {"steps": 20, "tokens": 800, "micro_tokens": None, "seed": 1, "bos": BOS}
    return UpdateLoader(pairs, **{**knobs, **changes})


def order(tokens=800, seed=1, epoch=0):
    return epoch_order(PAIRS.source_lengths, PAIRS.target_lengths, tokens, seed, epoch)


def as_lists(updates):
    return [
        [
            [batch.source.ids_N.tolist(), batch.target.ids_N.tolist(), batch.wanted_N.tolist()]
            for batch in update.micro
        ]
        for update in updates
    ]


@pytest.mark.parametrize("devices", [2, 3, 8])
def test_devices_share_out_every_update_evenly(devices):
    tokens = PAIRS.source_lengths + PAIRS.target_lengths
    for batch in order():
        shares = [share(batch, tokens[batch], rank, devices) for rank in range(devices)]
        assert np.concatenate(shares).tolist() == batch.tolist()
        sums = [tokens[own].sum() for own in shares]
        assert max(sums) - min(sums) <= 2 * tokens[batch].max()


def test_devices_see_the_same_updates_and_their_counts_are_of_all():
    whole = list(loader(micro_tokens=200))
    parts = [list(loader(micro_tokens=200, rank=rank, devices=2)) for rank in range(2)]
    for update, *others in zip(whole, *parts, strict=True):
        wanted = [torch.cat([batch.wanted_N for batch in one.micro]) for one in (update, *others)]
        assert torch.equal(torch.cat(wanted[1:]), wanted[0])
        for other in others:
            assert other[1:] == update[1:]


def test_a_device_without_a_sentence_has_no_batch():
    pairs = MadeUpPairs([5], [5])
    micro = [next(iter(loader(pairs, rank=rank, devices=3))).micro for rank in range(3)]
    assert [len(batches) for batches in micro] == [0, 1, 0]


LENGTHS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=60)


@settings(max_examples=50, deadline=None)
@given(LENGTHS, st.integers(30, 90), st.integers(0, 3), st.integers(0, 3))
def test_each_pair_occurs_once_and_both_sides_keep_the_budget(lengths, tokens, seed, epoch):
    source, target = np.array(lengths, np.int32).T
    batches = epoch_order(source, target, tokens, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch)
        assert source[batch].sum() <= tokens
        assert target[batch].sum() <= tokens


def test_pieces_by_hand():
    source, target = np.array([[3, 2, 1, 4, 1], [1, 1, 5, 1, 1]], np.int32)
    pieces = cut(np.arange(5), source, target, 5)
    # 3 + 2 fill the source; 5 fills the target alone; 4 + 1 fill the source.
    assert [piece.tolist() for piece in pieces] == [[0, 1], [2], [3, 4]]
    pieces = cut(np.array([4, 2, 0]), source, target, 6)
    assert [piece.tolist() for piece in pieces] == [[4, 2], [0]]


def test_a_pair_over_the_budget_is_named():
    with pytest.raises(ValueError, match="pair 1 alone has more than 5 tokens"):
        cut(np.arange(2), np.array([2, 2], np.int32), np.array([2, 6], np.int32), 5)


def test_the_order_is_a_function_of_seed_and_epoch():
    def content(batches):
        return [batch.tolist() for batch in batches]

    np.random.seed(5)  # another generator's state is no input
    first = content(order())
    np.random.seed(6)
    assert content(order()) == first
    for other in (order(seed=2), order(epoch=1), order(seed=0, epoch=2)):
        assert content(other) != first
        assert sorted(map(sorted, content(other))) != sorted(map(sorted, first))


def test_batches_of_an_epoch_are_not_in_the_order_of_their_length():
    means = np.array([PAIRS.target_lengths[batch].mean() for batch in order()])
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.5


def test_a_large_corpus_is_sorted_in_pools(monkeypatch):
    monkeypatch.setattr(batching, "POOL_PAIRS", 120)
    batches = order()
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    assert max(PAIRS.target_lengths[batch].sum() for batch in batches) <= 800


@pytest.mark.parametrize(("tokens", "pairs"), [(2_048, 20_000), (25_000, 300_000)])
def test_little_is_padding(tokens, pairs):
    """Where a corpus has dozens of batches for each target length, as the shipped ones have."""
    source, target = realistic(pairs)
    batches = epoch_order(source, target, tokens, 1, 0)
    for lengths, limit in ((target, 0.02), (source, 0.25)):
        places = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
        assert 1 - lengths.sum() / places < limit
    # The budget is used up, but for what no further pair fits into and the pool's last batch.
    used = sorted(max(source[batch].sum(), target[batch].sum()) for batch in batches)
    assert np.mean(used[1:]) > 0.95 * tokens


def test_the_decoder_reads_the_target_shifted_right():
    pairs = MadeUpPairs([2, 1], [3, 1])
    batch = make_batch(pairs, np.array([0, 1]), BOS)
    assert batch.source.ids_N.tolist() == [10, EOS, EOS]
    assert batch.source.packing.place_N.tolist() == [0, 1, 0]
    assert batch.target.ids_N.tolist() == [BOS, 10, 10, BOS]
    assert batch.target.packing.place_N.tolist() == [0, 1, 2, 0]
    assert batch.wanted_N.tolist() == [10, 10, EOS, EOS]


@pytest.mark.parametrize("micro_tokens", [250, 400, 800, 5_000, None])
def test_micro_batches_are_parts_of_the_update(micro_tokens):
    whole = list(loader())
    parts = list(loader(micro_tokens=micro_tokens))
    limit = min(micro_tokens or 800, 800)
    for update, one in zip(parts, whole, strict=True):
        assert (update.source_tokens, update.target_tokens) == one[1:]
        assert pairs_in(update) == pairs_in(one)
        for batch in update.micro:
            assert len(batch.source.ids_N) <= limit
            assert len(batch.wanted_N) <= limit
    split = [len(update.micro) for update in parts]
    assert (max(split) > 1) is (limit < 800)


def pairs_in(update):
    return [
        int(first)
        for batch in update.micro
        for first in batch.source.ids_N[batch.source.packing.place_N == 0]
    ]


def test_a_batch_holds_tokens_and_no_padding():
    for update in loader():
        (batch,) = update.micro
        assert update.source_tokens == len(batch.source.ids_N)
        assert update.target_tokens == len(batch.target.ids_N) == len(batch.wanted_N)


def test_epochs_follow_each_other():
    epoch = len(order())
    steps = 2 * epoch + 3
    updates = list(loader(steps=steps))
    assert len(updates) == len(loader(steps=steps)) == steps
    expected = [*order(epoch=0), *order(epoch=1), *order(epoch=2)[:3]]
    assert [pairs_in(update) for update in updates] == [(b + 10).tolist() for b in expected]


@pytest.mark.parametrize("done", [0, 1, 7, len(order()) - 1, len(order()), len(order()) + 1, 60])
def test_a_loader_that_resumes_hands_out_the_rest(done):
    steps = 60
    interrupted = loader(steps=steps, micro_tokens=400)
    begun = list(islice(interrupted, done))
    state = interrupted.state_dict()
    assert state["step"] == done
    resumed = loader(steps=steps, micro_tokens=400)
    resumed.load_state_dict(state)
    whole = as_lists(loader(steps=steps, micro_tokens=400))
    assert as_lists([*begun, *resumed]) == whole


def test_a_finished_loader_hands_out_nothing_more():
    finished = loader(steps=3)
    assert len(list(finished)) == 3
    assert list(finished) == []

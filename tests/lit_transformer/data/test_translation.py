"""Tokenized parts equal what the vocabulary says, sentence by sentence, and obey the limit."""

import multiprocessing

import numpy as np
import pytest

from lit_transformer.data import translation, vocab
from lit_transformer.data.corpora import CorpusError, prepare
from lit_transformer.data.translation import tokenize


@pytest.fixture
def prepared(tmp_path):
    """prepared(data) -> its corpus and vocabulary."""

    def run(data):
        corpus = prepare(data, tmp_path)
        return corpus, vocab.train(corpus, data, tmp_path / "cache")

    return run


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
@pytest.mark.parametrize("name", ["train", "valid"])
def test_ids_are_the_vocabularys_with_the_end_mark(
    write_corpus, prepared, tmp_path, monkeypatch, chunk, name
):
    monkeypatch.setattr(translation, "CHUNK_PAIRS", chunk)
    data = write_corpus()
    corpus, made = prepared(data)
    part = tokenize(corpus, made, data, name, tmp_path / "cache")
    pairs = list(corpus.parts[name].pairs())
    assert len(part) == len(pairs)
    for i, (source, target) in enumerate(pairs):
        assert part.source(i).tolist() == [*made.encode([source])[0], made.eos]
        assert part.target(i).tolist() == [*made.encode([target])[0], made.eos]
        assert part.source_lengths[i] == len(part.source(i))
        assert part.target_lengths[i] == len(part.target(i))
    assert (part.skipped, part.cut, part.empty) == (0, 0, 0)


def test_arrays_are_int32_and_cannot_be_written(write_corpus, prepared, tmp_path):
    data = write_corpus()
    part = tokenize(*prepared(data), data, "train", tmp_path / "cache")
    assert part.source(0).dtype == part.target(0).dtype == np.int32
    assert part.source_lengths.dtype == part.target_lengths.dtype == np.int32
    with pytest.raises(ValueError, match="read-only"):
        part.source(0)[0] = 5
    for index in (-1, len(part)):
        with pytest.raises(IndexError):
            part.source(index)


def test_training_pairs_over_the_limit_are_left_out_and_counted(write_corpus, prepared, tmp_path):
    long, short = "a " * 20, "a a a"
    pairs = [(short, short), (long, short), (short, long), ("", short), (short, short)]
    # "▁a" and "a" are all there is: fewer pieces than a configuration may ask for.
    data = write_corpus(train=pairs).model_copy(update={"vocabulary_size": 7})
    corpus, made = prepared(data)
    limit = len(made.encode([short])[0]) + 1
    data = data.model_copy(update={"max_tokens": limit})
    part = tokenize(corpus, made, data, "train", tmp_path / "cache")
    assert (len(part), part.skipped, part.cut, part.empty) == (2, 2, 0, 1)
    assert part.source_lengths.tolist() == [limit, limit]  # exactly the limit is within it
    shorter = data.model_copy(update={"max_tokens": limit - 1})
    with pytest.raises(CorpusError, match=rf"more than data\.max_tokens={limit - 1} tokens; raise"):
        tokenize(corpus, made, shorter, "train", tmp_path / "cache")


def test_train_longest_leaves_out_of_training_alone(write_corpus, prepared, tmp_path):
    data = write_corpus()
    corpus, made = prepared(data)
    both = {
        name: np.array(translation.lengths(corpus, made, data, name)) for name in ("train", "valid")
    }
    limit = 10
    short = data.model_copy(update={"train_longest": limit})
    train = tokenize(corpus, made, short, "train", tmp_path / "cache")
    kept = both["train"][both["train"].max(1) <= limit]
    assert np.array_equal(np.stack([train.source_lengths, train.target_lengths], 1), kept)
    assert train.skipped == len(both["train"]) - len(kept) > 0
    valid = tokenize(corpus, made, short, "valid", tmp_path / "cache")
    assert np.array_equal(np.stack([valid.source_lengths, valid.target_lengths], 1), both["valid"])
    assert (both["valid"].max(1) > limit).any()
    too_short = data.model_copy(update={"train_longest": 1})
    with pytest.raises(CorpusError, match=r"more than data\.train_longest=1 tokens; raise data\.t"):
        tokenize(corpus, made, too_short, "train", tmp_path / "cache")


def test_evaluation_sources_are_cut_and_targets_kept(write_corpus, prepared, tmp_path):
    data = write_corpus(max_tokens=4)
    corpus, made = prepared(data)
    part = tokenize(corpus, made, data, "valid", tmp_path / "cache")
    pairs = list(corpus.parts["valid"].pairs())
    whole = [made.encode([source])[0] for source, _ in pairs]
    assert len(part) == len(pairs)
    assert part.cut == sum(len(ids) + 1 > 4 for ids in whole) > 0
    for i, (ids, (_, target)) in enumerate(zip(whole, pairs, strict=True)):
        assert part.source(i).tolist() == [*ids[:3], made.eos]
        assert part.target(i).tolist() == [*made.encode([target])[0], made.eos]


def test_empty_sentences_of_evaluation_are_an_end_mark(write_corpus, prepared, tmp_path):
    data = write_corpus()
    _, made = prepared(data)
    (tmp_path / "valid.source").write_text("\nthe dog\n")
    (tmp_path / "valid.target").write_text("god eht\n\n")
    part = tokenize(prepare(data, tmp_path), made, data, "valid", tmp_path / "cache")
    assert part.source(0).tolist() == part.target(1).tolist() == [made.eos]
    assert (len(part), part.empty) == (2, 0)


def test_it_is_tokenized_once(write_corpus, prepared, tmp_path, monkeypatch):
    data = write_corpus()
    corpus, made = prepared(data)
    first = tokenize(corpus, made, data, "train", tmp_path / "cache")
    monkeypatch.setattr(vocab.Vocab, "encode", None)
    again = tokenize(corpus, made, data, "train", tmp_path / "cache")
    assert np.array_equal(first.source_lengths, again.source_lengths)


def test_other_text_limit_or_vocabulary_is_tokenized_anew(write_corpus, prepared, tmp_path):
    data = write_corpus()
    changes = [{}, {"train_sentences": 9}, {"max_tokens": 9}, {"vocabulary_size": 50}]
    for change in changes:
        changed = data.model_copy(update=change)
        tokenize(*prepared(changed), changed, "train", tmp_path / "parts")
    assert len([p for p in (tmp_path / "parts").iterdir() if p.is_dir()]) == len(changes)


@pytest.mark.parametrize("name", ["source.tokens", "target.offsets"])
def test_a_torn_cache_is_not_trusted(write_corpus, prepared, tmp_path, name):
    data = write_corpus()
    corpus, made = prepared(data)
    part = tokenize(corpus, made, data, "train", tmp_path / "parts")
    last, tokens = len(part) - 1, int(part.target_lengths.sum())
    ids = part.source(last).tolist()  # before the file under the map is damaged
    (path,) = (tmp_path / "parts").glob(f"*/{name}")
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    again = tokenize(corpus, made, data, "train", tmp_path / "parts")
    assert again.source(last).tolist() == ids
    assert again.target_lengths.sum() == tokens


def tokenize_in_process(data, folder, queue):
    corpus = prepare(data, folder)
    made = vocab.train(corpus, data, folder / "cache")
    part = tokenize(corpus, made, data, "train", folder / "cache")
    queue.put(int(part.source_lengths.sum()))


def test_processes_that_want_it_at_once_read_the_same(write_corpus, tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    arguments = (write_corpus(), tmp_path, queue)
    processes = [context.Process(target=tokenize_in_process, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    sums = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert len(set(sums)) == 1
    assert not list((tmp_path / "cache").glob("*.partial"))

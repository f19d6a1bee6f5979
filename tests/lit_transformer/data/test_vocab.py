"""The joint vocabulary: fixed marks, equal bytes for equal text, clear limits."""

import multiprocessing
import random
import re
from typing import get_args

import pytest

from lit_transformer.config import TokenizerKind
from lit_transformer.config_io import ConfigError
from lit_transformer.data import vocab
from lit_transformer.data.corpora import CorpusError, prepare

KINDS = get_args(TokenizerKind)


@pytest.fixture
def train(tmp_path):
    """train(data, cache name) -> the vocabulary of its corpus."""

    def run(data, cache="cache"):
        return vocab.train(prepare(data, tmp_path), data, tmp_path / cache)

    return run


def many_words(count):
    """Sentences of invented words, enough to make ties between pieces likely."""
    generator = random.Random(0)
    words = ["".join(generator.choices("abcdefghij", k=5)) for _ in range(200)]
    return [
        (" ".join(generator.choices(words, k=8)), " ".join(generator.choices(words, k=8)))
        for _ in range(count)
    ]


def checksum_in_process(data, folder, sample, queue):
    vocab.SAMPLE_PAIRS = sample
    queue.put(vocab.train(prepare(data, folder), data, folder / "shared").checksum)


@pytest.mark.parametrize("kind", KINDS)
def test_text_survives_a_round_trip_on_both_sides(write_corpus, train, kind):
    size = 40 if kind == "unigram" else 60
    made = train(write_corpus(tokenizer=kind, vocabulary_size=size))
    texts = ["the dog sees the cat", "tac eht sees god eht", ""]
    encoded = made.encode(texts)
    assert made.decode(encoded) == texts
    assert encoded[2] == []
    assert len(made) == size
    assert all(made.eos < i < len(made) for ids in encoded for i in ids)


def test_marks_have_fixed_ids_and_cannot_be_written_as_text(write_corpus, train):
    made = train(write_corpus())
    assert (made.pad, made.unk, made.bos, made.eos) == (0, 1, 2, 3)
    ids = made.encode(["<s> </s> <pad> <unk>"])[0]
    assert not {made.pad, made.bos, made.eos} & set(ids)
    plain = made.encode(["the dog"])[0]
    assert made.decode([[made.bos, *plain, made.eos, made.pad]]) == ["the dog"]


def test_both_languages_are_in_one_vocabulary(write_corpus, train):
    made = train(write_corpus(train=[("aaa bbb", "xxx yyy")] * 9, vocabulary_size=16))
    assert made.unk not in made.encode(["aaa bbb xxx yyy"])[0]
    assert made.unk in made.encode(["q"])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_equal_text_gives_equal_bytes(write_corpus, train, kind):
    data = write_corpus(train=many_words(300), tokenizer=kind, vocabulary_size=150)
    first, second = train(data, "one"), train(data, "two")
    assert first.path != second.path
    assert first.checksum == second.checksum
    assert first.path.read_bytes() == second.path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sample", [vocab.SAMPLE_PAIRS, 50])
def test_processes_that_want_it_at_once_share_equal_bytes(
    write_corpus, train, tmp_path, kind, sample, monkeypatch
):
    monkeypatch.setattr(vocab, "SAMPLE_PAIRS", sample)
    data = write_corpus(train=many_words(300), tokenizer=kind, vocabulary_size=100)
    context = multiprocessing.get_context("spawn")  # other addresses, thus other hash tables
    queue = context.Queue()
    arguments = (data, tmp_path, sample, queue)
    processes = [context.Process(target=checksum_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    checksums = {queue.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert checksums == {train(data, "alone").checksum}
    assert len([p for p in (tmp_path / "shared").iterdir() if p.is_dir()]) == 1


def test_it_is_trained_once_for_equal_text_and_settings(write_corpus, train, monkeypatch):
    data = write_corpus()
    first = train(data)
    monkeypatch.setattr(vocab.sentencepiece, "SentencePieceTrainer", None)
    assert train(data).path == first.path
    assert train(data.model_copy(update={"max_tokens": 9})).path == first.path


def test_other_text_or_settings_give_another_vocabulary(write_corpus, train):
    data = write_corpus()
    changes = [{}, {"vocabulary_size": 50}, {"train_sentences": 100}]
    changes.append({"tokenizer": "unigram", "vocabulary_size": 40})
    paths = [train(data.model_copy(update=change)).path for change in changes]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_too_large_for_the_text_names_the_largest(write_corpus, train, kind):
    data = write_corpus(tokenizer=kind, vocabulary_size=5_000)
    with pytest.raises(ConfigError, match=r"data\.vocabulary_size=5000: .* at most \d+") as caught:
        train(data)
    largest = int(re.search(r"at most (\d+)", str(caught.value))[1])
    assert len(train(data.model_copy(update={"vocabulary_size": largest}))) == largest


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_too_small_for_the_characters_names_the_smallest(write_corpus, train, kind):
    data = write_corpus(tokenizer=kind, vocabulary_size=16)
    with pytest.raises(ConfigError, match=r"data\.vocabulary_size=16: .* is (\d+);") as caught:
        train(data)
    smallest = int(re.search(r"vocabulary is (\d+);", str(caught.value))[1])
    assert len(train(data.model_copy(update={"vocabulary_size": smallest}))) == smallest


def test_a_bad_line_keeps_its_own_message(write_corpus, train, tmp_path):
    data = write_corpus()
    with (tmp_path / "train.source").open("ab") as file:
        file.write(b"\xff\n")
    with pytest.raises(CorpusError, match=r"train\.source:201: .*not UTF-8"):
        train(data)


def test_a_very_long_sentence_is_not_left_out(write_corpus, train):
    odd = "ω " * 5_000
    made = train(write_corpus(train=[("a b c", "d e f"), (odd, "g")], vocabulary_size=16))
    assert made.unk not in made.encode(["ω"])[0]


def test_training_is_quiet(write_corpus, train, capfd):
    train(write_corpus())
    assert capfd.readouterr() == ("", "")


def test_what_is_no_vocabulary_is_refused(tmp_path):
    for content in (b"junk", b""):
        (tmp_path / "m").write_bytes(content)
        with pytest.raises(CorpusError, match=r"not a sentencepiece model|the ids"):
            vocab.load(tmp_path / "m")
    with pytest.raises(CorpusError, match="nowhere: No such file"):
        vocab.load(tmp_path / "nowhere")

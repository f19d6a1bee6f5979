"""Corpora of trees: where they come from, what is written of them, and what is refused."""

import gzip
import hashlib
import io
import re
import zipfile

import pytest

from lit_transformer.config import DataConfig, TreesConfig
from lit_transformer.data import corpora, fetching, translation, treebank, vocab
from lit_transformer.data.cache import CorpusError
from lit_transformer.data.trees import with_tags

TREE = (
    "( (S (NP-SBJ (DT the) (NN {noun})) (VP (VBZ is) (NP (-NONE- *)) (ADJP (JJ {word}))) (. .)))\n"
)
NOUNS, ADJECTIVES = ("dog", "cat", "tree", "man"), ("old", "big", "red", "wet", "odd")


def penn(nouns):
    return "\n".join(TREE.format(noun=noun, word=word) for noun in nouns for word in ADJECTIVES)


@pytest.fixture
def wsj(tmp_path):
    """The sections 02, 03 and 22 of a made-up treebank."""
    for section, nouns in (("02", NOUNS[:2]), ("03", NOUNS[2:]), ("22", NOUNS[:1])):
        folder = tmp_path / "wsj" / section
        folder.mkdir(parents=True)
        (folder / f"wsj_{section}01.mrg").write_text(penn(nouns))
    return tmp_path / "wsj"


def of(wsj, **changes):
    trees = TreesConfig(train="02-03", valid="22")
    given = {"corpus": "treebank", "folder": str(wsj), "trees": trees, "vocabulary_size": 60}
    return DataConfig(**{**given, **changes})


def test_sections_are_sentences_and_symbols_and_trees(wsj, tmp_path):
    data = of(wsj)
    corpora.check(data)
    corpus = corpora.prepare(data, tmp_path / "cache")
    assert {part: len(found) for part, found in corpus.parts.items()} == {"train": 20, "valid": 5}
    assert corpus.parts["valid"].sources()[0] == "the dog is old ."
    symbols = "(S (NP XX XX )NP (VP XX (ADJP XX )ADJP )VP XX )S"
    assert corpus.parts["valid"].targets()[0] == symbols
    assert set(corpus.symbols) == set(symbols.split())
    trees = treebank.load(corpus.trees["valid"])
    assert str(trees[0]) == "(S (NP (DT the) (NN dog)) (VP (VBZ is) (ADJP (JJ old))) (. .))"


def test_symbols_come_back_from_the_joint_vocabulary(wsj, tmp_path):
    data, cache = of(wsj, tags="kept", closing="plain"), tmp_path / "cache"
    corpus = corpora.prepare(data, cache)
    words = vocab.train(corpus, data, cache)
    part = translation.tokenize(corpus, words, data, "valid", cache)
    form = treebank.linear(data)
    for index, tree in enumerate(treebank.load(corpus.trees["valid"])):
        symbols = words.decode_symbols(part.target(index)[:-1])
        assert symbols == form.symbols(tree)
        assert form.tree(symbols, tree.words) == tree
        assert words.decode([part.source(index)]) == [" ".join(tree.words)]
    assert words.decode_symbols([vocab.Vocab.eos, words.encode(["dog"])[0][0]]) == ["", ""]
    assert words.encode_symbols(["(S (NEW"])[0][1] == vocab.Vocab.unk


def test_copied_words_stand_before_their_symbols(wsj, tmp_path):
    (wsj / "22" / "wsj_2201.mrg").write_text("( (S (NP (NN dogs)) (VP (VBZ is) (NX (NN Zoë)))))\n")
    data, cache = of(wsj, tags="kept", words="copied"), tmp_path / "cache"
    corpus = corpora.prepare(data, cache)
    assert corpus.parts["valid"].targets() == ["(S (NP NN )NP (VP VBZ (NX NN )NX )VP )S"]
    words = vocab.train(corpus, data, cache)
    target = translation.tokenize(corpus, words, data, "valid", cache).target(0)
    pieces = words.pieces(target[:-1])
    dogs, is_, zoe = (words.pieces(one) for one in words.encode_words(["dogs is Zoë"])[0])
    assert "".join(dogs) == "▁dogs"
    assert len(dogs) > 1
    unknown = words.pieces([words.unk])  # of a label that training does not have
    assert pieces == [
        *("(S", "(NP", *dogs, "NN", ")NP"),
        *("(VP", *is_, "VBZ", *unknown, *zoe, "NN", *unknown, ")VP", ")S"),
    ]
    symbols = words.decode_symbols(target[:-1])
    assert [symbol for symbol in symbols if symbol] == [
        *("(S", "(NP", "NN", ")NP", "(VP", "VBZ", "NN", ")VP", ")S")
    ]
    assert treebank.linear(data).tree(symbols, ["x", "y", "z"]).words == ["x", "y", "z"]


def test_constituents_are_pairs_too_each_once_and_scores_are_of_sentences(wsj, tmp_path):
    nested = "( (S (NP (NP (DT the) (NN dog)) (PP (IN of) (NP (NNP Anna)))) (VP (VP (VBZ is)))))\n"
    (wsj / "02" / "wsj_0201.mrg").write_text(nested)
    (wsj / "03" / "wsj_0301.mrg").write_text(nested + "( (NP (NN dog)))\n")
    corpus = corpora.prepare(of(wsj, examples="constituents"), tmp_path / "cache")
    assert list(corpus.parts["train"].pairs()) == [
        (
            "the dog of Anna is",
            "(S (NP (NP XX XX )NP (PP XX (NP XX )NP )PP )NP (VP (VP XX )VP )VP )S",
        ),
        ("the dog of Anna", "(NP (NP XX XX )NP (PP XX (NP XX )NP )PP )NP"),
        ("the dog", "(NP XX XX )NP"),
        ("of Anna", "(PP XX (NP XX )NP )PP"),
        ("dog", "(NP XX )NP"),  # a whole one, though of one word
    ]
    assert corpus.parts["valid"].counts == (5, 0)


def test_an_only_child_is_no_pair_beside_its_parent(wsj, tmp_path):
    (wsj / "02" / "wsj_0201.mrg").write_text(
        "( (S (NP (DT the) (NN dog)) (VP (VP (VBZ is) (RB so)))))\n"
    )
    (wsj / "03" / "wsj_0301.mrg").unlink()
    data = of(wsj, examples="constituents", trees=TreesConfig(train="02", valid="22"))
    corpus = corpora.prepare(data, tmp_path / "cache")
    assert ("is so", "(VP (VP XX XX )VP )VP") in corpus.parts["train"].pairs()
    assert ("is so", "(VP XX XX )VP") not in corpus.parts["train"].pairs()


def test_the_digest_counts_the_trees_themselves(wsj):
    before = corpora.checksums(of(wsj))
    assert set(before) == {"train", "valid"}
    for section, part in (("03", "train"), ("22", "valid")):  # one of two files, and the only one
        (wsj / section / f"wsj_{section}01.mrg").write_text(penn(NOUNS[1:2]))
        after = corpora.checksums(of(wsj))
        assert {name for name in before if before[name] != after[name]} == {part}
        before = after


def test_files_and_patterns_may_be_packed(wsj, tmp_path):
    packed = tmp_path / "dev.mrg.gz"
    packed.write_bytes(gzip.compress(penn(NOUNS[:1]).encode()))
    trees = TreesConfig(train=str(wsj / "0*" / "*.mrg"), valid=str(packed), test=str(packed))
    corpus = corpora.prepare(of(None, folder=None, trees=trees), tmp_path / "cache")
    assert {part: len(found) for part, found in corpus.parts.items()} == {
        **{"train": 20, "valid": 5, "test": 5}
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"trees": TreesConfig(train="02-04", valid="22")},
            "data.trees.train=02-04: .*04 holds no",
        ),
        (
            {"trees": TreesConfig(train="no.mrg", valid="22")},
            "data.trees.train=no.mrg: no such file",
        ),
        ({"folder": None}, "data.trees.train=02-03: sections need data.folder"),
    ],
)
def test_what_is_not_there_is_refused(wsj, changes, message):
    with pytest.raises(CorpusError, match=f"^{message}"):
        corpora.check(of(wsj, **changes))


def test_a_malformed_file_is_refused_before_training_by_line(wsj):
    path = wsj / "03" / "wsj_0301.mrg"
    path.write_text("\n( (S (NP (NN a)) (VP (VB b)))\n")
    with pytest.raises(CorpusError, match=rf"^{re.escape(str(path))}:2: the tree that begins here"):
        corpora.check(of(wsj))


# The sample


@pytest.fixture
def sample(server, monkeypatch):
    """A server with a made-up treebank.zip, whose trees are the declared ones."""
    packed, texts = io.BytesIO(), {}
    with zipfile.ZipFile(packed, "w") as file:
        for part, numbers in treebank.WSJ_FILES.items():
            texts[part] = ""
            for number in numbers:
                text = "\n" + TREE.format(noun=f"n{number}", word=part)
                file.writestr(f"treebank/combined/wsj_{number:04}.mrg", text)
                texts[part] += text
    server.put(treebank.WSJ_ZIP, packed.getvalue())
    sums = {part: _of_trees(text) for part, text in texts.items()}
    monkeypatch.setattr(treebank, "WSJ_SHA256", sums)
    monkeypatch.setattr(fetching, "RETRIES", 0)
    monkeypatch.setenv(treebank.WSJ_VARIABLE, server.url)
    return server


def _of_trees(text):
    trees = treebank.read(text, treebank.Path("x"))
    return hashlib.sha256("".join(f"{tree}\n" for tree in trees).encode()).hexdigest()


def test_the_sample_is_fetched_once_and_checked(sample, tmp_path):
    data = DataConfig(corpus="wsj_sample")
    corpora.check(data)
    corpus = corpora.prepare(data, tmp_path)
    assert {part: len(found) for part, found in corpus.parts.items()} == {"train": 149, "valid": 20}
    asked = len(sample.asked)
    corpora.prepare(DataConfig(corpus="wsj_sample", tags="kept"), tmp_path)
    assert len(sample.asked) == asked


def test_another_sample_is_refused(sample, tmp_path, monkeypatch):
    monkeypatch.setattr(treebank, "WSJ_SHA256", {"train": "0", "valid": "0"})
    with pytest.raises(CorpusError, match="its trees of train are not those of the sample"):
        corpora.prepare(DataConfig(corpus="wsj_sample"), tmp_path)


def test_the_copy_of_the_sample_is_the_sample(shared_data, tmp_path):
    data = DataConfig(corpus="wsj_sample", folder=str(shared_data / "wsj-sample"))
    corpora.check(data)
    corpus = corpora.prepare(data, tmp_path)
    assert {part: len(found) for part, found in corpus.parts.items()} == {
        **{"train": 3_253, "valid": 248}
    }
    form = treebank.linear(data)
    trees = treebank.load(corpus.trees["valid"])
    for tree, symbols in zip(trees, corpus.parts["valid"].targets(), strict=True):
        back = form.tree(symbols.split(), tree.words)
        assert with_tags(back, [leaf.label for leaf in tree.leaves()]) == tree


# The built-in trees


def test_generated_trees_are_those_of_the_sentences_and_evaluation_is_unseen(tmp_path, monkeypatch):
    few = {"train": (40, 1), "valid": (8, 2), "test": (8, 3)}
    draws = {part: treebank.Draw(*draw) for part, draw in few.items()}
    monkeypatch.setattr(treebank, "GRAMMAR_PARTS", draws)
    corpus = corpora.prepare(DataConfig(corpus="grammar_trees"), tmp_path)
    sources = {part: found.sources() for part, found in corpus.parts.items()}
    assert {part: len(found) for part, found in sources.items()} == {
        part: draw.trees for part, draw in draws.items()
    }
    evaluated = sources["valid"] + sources["test"]
    assert len(set(evaluated)) == 16
    assert not set(evaluated) & set(sources["train"])
    for part, found in sources.items():
        trees = treebank.load(corpus.trees[part])
        assert [" ".join(tree.words) for tree in trees] == found

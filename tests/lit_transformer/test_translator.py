"""A finished trial's directory is all that a translation needs."""

import shutil

import numpy as np
import pytest
import torch

from lit_transformer import attention_maps
from lit_transformer.record import Record
from lit_transformer.translator import Translator


@pytest.fixture
def directory(trained, tmp_path):
    """The trial's directory in another place, without cache."""
    return shutil.copytree(trained.directory, tmp_path / "elsewhere")


def translator(directory, averaged=False):
    device = torch.device("cpu")
    return Translator(directory, task="translation", averaged=averaged, device=device)


def test_a_translator_parses_nothing(directory):
    with pytest.raises(ValueError, match="is of translation; use `ablate translate`"):
        Translator(directory, task="parsing", averaged=False, device=torch.device("cpu"))


@pytest.mark.parametrize(("averaged", "name"), [(False, "valid.txt"), (True, "valid.averaged.txt")])
def test_translations_are_those_of_the_trial(directory, mirrored, averaged, name):
    sources = (mirrored / "valid.source").read_text().splitlines()
    found = translator(directory, averaged).translate(sources)
    expected = (Record(directory).hypotheses / name).read_text().splitlines()
    assert [" ".join(text.split()) for text in found] == expected


def test_maps_of_a_translation_are_those_of_the_trial(directory, mirrored):
    sources = (mirrored / "valid.source").read_text().splitlines()[:3]
    made = translator(directory)
    outputs = made.outputs(["", *sources])
    mine = made.maps(outputs, made.texts(outputs))
    theirs = attention_maps.read(Record(directory))
    assert [one.number for one in mine] == [2, 3, 4]  # none of a line without words
    for one, other in zip(mine, theirs, strict=True):
        assert one[1:4] == other[1:4]
        for a, b in zip(one.maps, other.maps, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3)


def test_sentences_do_not_see_each_other(directory):
    made = translator(directory)
    sources = ["ada bo cyd dov", "", "lou kim jo ivo hal", "unknown ω"]
    together = made.translate(sources)
    assert together == [made.translate([source])[0] for source in sources]
    assert made.translate(sources[::-1]) == together[::-1]
    assert made.translate([]) == []


def test_a_long_sentence_is_cut_to_the_limit(directory):
    made = translator(directory)
    limit = made.config.data.max_tokens
    long = "ada " * 2 * limit
    assert made.translate([long]) == made.translate([long + "lou"])


@pytest.mark.parametrize("averaged", [False, True])
def test_weights_that_were_not_kept_are_named_with_the_remedy(directory, averaged):
    record = Record(directory)
    path = record.averaged if averaged else record.weights
    path.unlink()
    with pytest.raises(ValueError, match=rf"{path.name}: not there; .*train\.keep=model"):
        translator(directory, averaged)


def test_damaged_weights_are_refused(directory):
    path = Record(directory).weights
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"model\.safetensors: does not match its checksum"):
        translator(directory)

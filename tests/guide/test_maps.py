"""A guide's attention maps are the report's, and its drawing of a model is `ablate explain`'s."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

import ablate
from guide import architecture, maps, pictures
from guide.reports import RESULTS, GuideError
from guide.words import EN, KO
from lit_transformer.attention_maps import Maps, Part, Sentence
from lit_transformer.attention_page import draw, environment

ROWS = ("▁a", "</s>")
SENTENCE = "Sentence 3 of the valid part, as it was written by the last weights of seed 2."


@pytest.fixture
def sentence() -> Sentence:
    """Two layers of two heads, of which the last of the first layer looks at one token alone."""
    cross = np.full((2, 2, 2, 3), 1 / 3)
    cross[0, 1] = [[0, 1, 0], [0, 0, 1]]
    own = np.full((2, 2, 3, 3), 1 / 3), np.full((2, 2, 2, 2), 1 / 2)
    return Sentence(3, ("▁<x", "▁y", "</s>"), ("<s>", "▁a"), ROWS, "a", Maps(*own, cross))


@pytest.fixture
def page(sentence: Sentence, tmp_path: Path) -> Path:
    """The part of a report's page that has maps."""
    text = (
        "{% from 'attention.html.j2' import maps %}<p>" + SENTENCE + "</p>"
        "{% for one in drawings %}<summary>{{ one.title }}: so many</summary>{{ maps(one) }}"
        "{% endfor %}"
    )
    drawings = [draw("base", sentence), draw("A: 1", sentence)]
    file = tmp_path / "report.html"
    file.write_text(environment().from_string(text).render(drawings=drawings), "utf-8")
    return file


@pytest.mark.parametrize("part", get_args(Part))
def test_maps_are_read_as_they_were_drawn(page: Path, sentence: Sentence, part: Part) -> None:
    found = maps.read(page, "A: 1", part)
    assert found is not None
    assert (found.sentence, found.seed, found.layers, found.heads) == (3, 2, 2, 2)
    weights = sentence.maps.parts()[part]
    ours = [[found.of(layer, head) for head in range(2)] for layer in range(2)]
    np.testing.assert_allclose(ours, weights, atol=1 / 63)


def test_words_and_the_sharpest_head_are_the_page_s(page: Path) -> None:
    found = maps.read(page, "base", "cross")
    assert found is not None
    assert (found.rows, found.columns) == (["·a", "</s>"], ["·<x", "·y", "</s>"])
    assert found.sharpest == (0, 1)


def test_what_a_page_lacks_is_named(page: Path) -> None:
    with pytest.raises(GuideError, match=r"no maps of B1 \(Encoder\); there are base \(Encoder\)"):
        maps.read(page, "B1", "encoder")


def test_a_page_without_maps_has_none(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>nothing</p>")
    assert maps.read(tmp_path / "report.html", "base", "cross") is None


def test_the_committed_report_has_base_s_maps_in_both_languages() -> None:
    found = maps.read(RESULTS / "positions-grammar" / "report.html", "base", "cross")
    assert found is not None
    sums = [sum(row) for layer in range(found.layers) for row in found.of(layer, 0)]
    np.testing.assert_allclose(sums, 1, atol=len(found.columns) / 126)
    layer, head = found.sharpest
    for words in (EN, KO):
        drawn = pictures.attention(found, "base", "cross", words)
        assert words.one_head.format(layer=layer + 1, head=head + 1) in drawn
        assert drawn.count("<svg role") == 2
        assert "&lt;/s&gt;" in drawn


def test_the_architecture_is_drawn_as_explain_draws_it(tmp_path: Path) -> None:
    file = tmp_path / "base.svg"
    done = CliRunner().invoke(ablate.app, ["explain", "table3/base", "--out", str(file)])
    assert done.exit_code == 0, done.output
    assert architecture.drawing("table3/base", "wmt14-en-de") == file.read_text("utf-8")

"""The drawing of every choice: nothing out of place, nothing left out, numbers of the model."""

import re
from itertools import product
from typing import get_args
from xml.etree import ElementTree

import pytest

from lit_transformer.architecture import Sizes, amount, boxes
from lit_transformer.config import (
    AttentionKind,
    EmbeddingTie,
    MixingKind,
    ModelConfig,
    NormPlace,
    PositionKind,
)
from lit_transformer.diagram import draw, page
from lit_transformer.model.cost import parameters

SIZES = Sizes(37_000, 28, 31)
SVG = "{http://www.w3.org/2000/svg}"
WIDEST = 0.62
"""Of a letter, in its height: more than the mean in any common typeface."""

choices = pytest.mark.parametrize(
    ("attention", "positions", "norm", "window"),
    [*product(get_args(AttentionKind), get_args(PositionKind), get_args(NormPlace), (None, 12))],
)


def model(**update: object) -> ModelConfig:
    return ModelConfig(**{"layers": 3, "heads": 16, "d_k": 1024, "d_v": 1024, **update})  # type: ignore[arg-type]


def drawn(cfg: ModelConfig) -> ElementTree.Element:
    return ElementTree.fromstring(draw("a title", "about it", cfg, SIZES))


def words(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


@choices
def test_boxes_do_not_overlap_and_all_is_inside(
    attention: AttentionKind, positions: PositionKind, norm: NormPlace, window: int | None
) -> None:
    svg = drawn(model(attention=attention, positions=positions, norm=norm, window=window))
    left, top, width, height = map(float, svg.attrib["viewBox"].split())
    rects = [
        [float(one.attrib[name]) for name in ("x", "y", "width", "height")]
        for one in svg.iter(f"{SVG}rect")
        if one.get("class") == "box"
    ]
    for x, y, w, h in rects:
        assert left <= x
        assert x + w <= left + width
        assert top <= y
        assert y + h <= top + height
    for one, other in product(rects, rects):
        if one is not other:
            apart = one[1] + one[3] <= other[1] or other[1] + other[3] <= one[1]
            assert apart or one[0] + one[2] <= other[0] or other[0] + other[2] <= one[0]
    for text in svg.iter(f"{SVG}text"):
        if text.get("class") != "title" and text.get("text-anchor") is None:
            reach = 12 * WIDEST * len(text.text or "") * (text.get("class") != "number")
            assert float(text.attrib["x"]) + reach <= left + width


@choices
def test_every_tensor_and_count_of_the_model_is_told(
    attention: AttentionKind, positions: PositionKind, norm: NormPlace, window: int | None
) -> None:
    cfg = model(attention=attention, positions=positions, norm=norm, window=window)
    told, found = words(drawn(cfg)), boxes(cfg, SIZES)
    own = [box for box in found if box.part.kind not in ("norm", "positions")]
    assert not [tensor for box in own for tensor in box.tensors if tensor not in told]
    assert f"{parameters(cfg, 37_000).total:,} parameters" in " ".join(told)
    norms = sum(box.part.kind == "norm" for box in found)
    assert sum("ayer norm" in one for one in told) == norms
    assert any("12 to each side" in one for one in told) == (window is not None)
    text = page("a title", "about it", cfg, SIZES)
    assert all(tensor in text for box in found for tensor in box.tensors)


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ("sinusoidal", "sinusoidal"),
        ("concatenated", "concatenated"),
        ("learned", "learned, 512 × 512"),
        ("rotary", "positions: rotary"),
        ("alibi", "positions: alibi"),
        ("relative", "positions: relative, 32 × 16 of all layers"),
    ],
)
def test_both_stacks_say_how_places_are_told(positions: PositionKind, expected: str) -> None:
    assert words(drawn(model(positions=positions))).count(expected) == 2


@pytest.mark.parametrize(("encoder", "decoder"), [*product(get_args(MixingKind), repeat=2)])
def test_what_mixes_is_told(encoder: MixingKind, decoder: MixingKind) -> None:
    svg = draw("t", "a", ModelConfig(encoder_mixing=encoder, decoder_mixing=decoder), SIZES)
    names = {"lstm": "LSTM", "gru": "GRU", "convolution": "Convolution"}
    for kind, name in names.items():
        assert svg.count(f">{name}<") == (encoder, decoder).count(kind)
    for fill in re.findall(r"var\((--\w+)\)", svg):
        assert f"{fill}:" in svg


@pytest.mark.parametrize(
    ("tied", "expected"),
    [
        ("all", "the source embedding's matrix, transposed"),
        ("inputs", "its own matrix, transposed"),
        ("decoder", "the target embedding's matrix, transposed"),
        ("none", "its own matrix, transposed"),
    ],
)
def test_the_projection_says_whose_matrix_it_has(tied: EmbeddingTie, expected: str) -> None:
    cfg = ModelConfig(tied_embeddings=tied)
    told = words(drawn(cfg))
    assert expected in told
    assert told.count("weight 37,000 × 512") == 1 + sum(cfg.own_matrices)


def test_nobody_tells_places_where_there_are_none() -> None:
    svg = draw("a title", "about it", model(positions="none"), SIZES)
    assert not re.search("positions|sinusoidal", svg)
    assert "circle" not in svg  # of a sum


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1 k"),
        (60.3e6, "60.3 M"),
        (999_600, "1 M"),
        (3.55e9, "3.55 G"),
    ],
)
def test_amounts_have_three_digits(number: float, expected: str) -> None:
    assert amount(number) == expected


def test_words_of_others_are_words() -> None:
    hostile = "</text><script>alert(1)</script>\x1b[31m" + "very long " * 40
    svg = ElementTree.fromstring(draw(hostile, hostile, ModelConfig(), SIZES))
    assert not list(svg.iter(f"{SVG}script"))
    assert "\x1b" not in draw(hostile, hostile, ModelConfig(), SIZES)
    assert "<script>alert" not in page(hostile, hostile, ModelConfig(), SIZES)


def test_equal_models_are_equal_bytes() -> None:
    assert draw("t", "a", ModelConfig(), SIZES) == draw("t", "a", ModelConfig(), SIZES)

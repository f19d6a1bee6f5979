"""A sentence's maps as a search's output and a model make them."""

from typing import Any, cast

import pytest
import torch

from lit_transformer.attention_maps import LeftOut, Sentence
from lit_transformer.config import ModelConfig
from lit_transformer.data.vocab import Vocab
from lit_transformer.decoding import Hypothesis
from lit_transformer.model.looking import look
from lit_transformer.model.transformer import Transformer
from lit_transformer.observing import observe

SOURCE = [5, 6, 3]


class Named:
    """A vocabulary whose pieces are their ids."""

    bos, eos = Vocab.bos, Vocab.eos

    def pieces(self, ids: list[int]) -> list[str]:
        return [str(i) for i in ids]


def build() -> Transformer:
    torch.manual_seed(0)
    return Transformer(ModelConfig(layers=1, d_model=16, d_ff=16, heads=2), 20, Vocab.pad).eval()


def observed(model: Transformer, ids: list[int], truncated: bool) -> Sentence | LeftOut:
    hypothesis = Hypothesis(ids, 0.0, 0.0, truncated)
    return observe(model, cast(Any, Named()), 7, SOURCE, hypothesis, "a text")


@pytest.mark.parametrize(
    ("ids", "truncated", "read", "written"),
    [
        ([8, 9], False, "289", "893"),
        ([8, 9], True, "28", "89"),  # it wrote no end mark
        ([], False, "2", "3"),
    ],
)
def test_each_row_is_of_what_the_decoder_wrote_after_reading(
    ids: list[int], truncated: bool, read: str, written: str
) -> None:
    model = build()
    found = observed(model, ids, truncated)
    assert isinstance(found, Sentence)
    assert (found.number, found.text, "".join(found.source)) == (7, "a text", "563")
    assert ("".join(found.read), "".join(found.written)) == (read, written)
    for mine, theirs in zip(found.maps, look(model, SOURCE, [*map(int, read)]), strict=True):
        assert (mine == theirs.numpy()).all()


def test_a_long_output_has_no_maps() -> None:
    found = observed(build(), [8] * 100, False)
    assert found == LeftOut(7, "101 tokens on a side, and maps are made up to 100")
    assert isinstance(observed(build(), [8] * 99, False), Sentence)


def test_a_model_of_nans_has_no_maps() -> None:
    model = build()
    torch.nn.init.constant_(model.embedding.weight, torch.nan)
    assert observed(model, [8], False) == LeftOut(7, "the model's weights give no numbers")

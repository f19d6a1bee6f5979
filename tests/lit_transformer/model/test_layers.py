from typing import get_args

import pytest
import torch
from torch.nn import functional

from lit_transformer.config import ModelConfig, NormPlace
from lit_transformer.model.attention import SelfAttention
from lit_transformer.model.layers import FeedForward, Residual
from lit_transformer.model.packing import Rectangles, pack
from lit_transformer.model.sight import Sight

CFG = ModelConfig(layers=1, d_model=8, d_ff=12, heads=2, dropout=0.0)
ALMOST_ALL = 1 - 1e-9


def with_(**update: object) -> ModelConfig:
    return CFG.model_copy(update=update)


def test_the_feed_forward_layer_is_equation_2() -> None:
    module = FeedForward(CFG)
    torch.nn.init.normal_(module.inner.bias)
    torch.nn.init.normal_(module.outer.bias)
    x = torch.randn(2, 3, 8)
    w1, b1, w2, b2 = module.parameters()
    expected = torch.maximum(torch.zeros(()), x @ w1.T + b1) @ w2.T + b2
    torch.testing.assert_close(module(x), expected)


def test_post_norm_is_section_5_4() -> None:
    x = torch.randn(2, 3, 8)
    expected = functional.layer_norm(x + x.sin(), (8,))
    torch.testing.assert_close(Residual(with_(norm="post"))(x, torch.sin), expected)


def test_pre_norm_leaves_the_sum_bare() -> None:
    x = torch.randn(2, 3, 8)
    expected = x + functional.layer_norm(x, (8,)).sin()
    torch.testing.assert_close(Residual(with_(norm="pre"))(x, torch.sin), expected)


@pytest.mark.parametrize("norm", get_args(NormPlace))
def test_dropout_takes_the_sublayers_output(norm: NormPlace) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8)
    out = Residual(with_(norm=norm, dropout=ALMOST_ALL))(x, torch.sin)
    torch.testing.assert_close(out, functional.layer_norm(x, (8,)) if norm == "post" else x)


def test_relu_dropout_takes_the_inner_activations() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8)
    assert not FeedForward(with_(relu_dropout=ALMOST_ALL))(x).any()
    assert FeedForward(with_(dropout=ALMOST_ALL, attention_dropout=ALMOST_ALL))(x).any()


def test_attention_dropout_takes_the_weights() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 8)
    tokens = Rectangles(pack([3, 3]))
    assert not SelfAttention(with_(attention_dropout=ALMOST_ALL))(
        x, Sight(None, None), tokens
    ).any()
    assert SelfAttention(with_(dropout=ALMOST_ALL, relu_dropout=ALMOST_ALL))(
        x, Sight(None, None), tokens
    ).any()

"""What a model costs, counted from its configuration alone: parameters, operations, memory.

An operation is one floating-point multiplication or addition. Counted are matrix products and
comparisons of queries with keys; norms, softmax, dropout and the optimizer are small beside them.
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, assert_never

from lit_transformer.config import MixingKind, ModelConfig, OptimizerKind, Precision, Shape
from lit_transformer.model.window import divide

TRAINING_PASSES = 3
"""Operations of a training step, in forward passes: the backward pass has two matrix products for
each of the forward pass."""


class Parameters(NamedTuple):
    """Numbers of trainable parameters; the paper's Table 3 prints the total."""

    embedding: int
    """Embeddings and the output's projection; what is tied (section 3.4) is counted once."""
    positions: int
    """What is learned to tell places, for the source and for the target."""
    non_embedding: int

    @property
    def total(self) -> int:
        return self.embedding + self.positions + self.non_embedding


def parameters(model: ModelConfig, vocab_size: int) -> Parameters:
    """Exact."""
    norm = 2 * model.d_model
    attention = _attention_weights(model) + _additive_weights(model)
    feed_forward = 2 * model.d_model * model.d_ff + model.d_ff + model.d_model
    encoder, decoder = (_mixing_weights(model, sides) for sides in (2, 1))
    encoder_layer = encoder + feed_forward + 2 * norm
    decoder_layer = decoder + attention + feed_forward + 3 * norm
    last_norms = 2 * norm if model.norm == "pre" else 0
    return Parameters(
        embedding=(1 + sum(model.own_matrices)) * vocab_size * model.d_model,
        positions=model.position_weights,
        non_embedding=model.layers * (encoder_layer + decoder_layer) + last_norms,
    )


def training_flops(
    model: ModelConfig,
    vocab_size: int,
    source_length: float,
    target_length: float,
    target_tokens: float,
) -> float:
    """Operations to train on pairs of these mean lengths, until `target_tokens` have been seen.

    Forward and backward, in tokens with their end marks, padding left out. A query is compared with
    the keys that it may see, in the decoder those up to its own; a sum over sentences of squared
    lengths is taken to be that of equal lengths. A convolution has its whole kernel at every token.
    What is compared and then hidden (later keys, the far ends of a window's blocks) is not counted.
    """
    feed_forward = 4 * model.d_model * model.d_ff
    keys_values = 2 * model.d_model * model.heads * (model.key_width + model.value_width)
    queries_output = 2 * _attention_weights(model) - keys_values
    encoder = source_length * (feed_forward + _mixing_flops(model, source_length, sides=2))
    decoder = source_length * keys_values + target_length * (
        feed_forward
        + queries_output
        + _mixing_flops(model, target_length, sides=1)
        + _flops_of_a_look(model) * source_length
    )
    output = target_length * 2 * model.d_model * vocab_size
    pairs = target_tokens / target_length
    return TRAINING_PASSES * pairs * (model.layers * (encoder + decoder) + output)


def training_memory(
    model: ModelConfig,
    vocab_size: int,
    source_length: float,
    target_length: float,
    target_tokens: float,
    precision: Precision,
    optimizer: OptimizerKind,
) -> float:
    """Bytes at the peak of a pass over pairs of these mean lengths: an estimate.

    Weights, gradients and what the optimizer keeps in float32, and what the forward pass keeps for
    the backward pass. Left out: the framework itself, work space, fragmentation. Padding counts as
    tokens do.
    """
    queries, values = model.heads * model.key_width, model.heads * model.value_width
    encoder = source_length * (
        _mixing_kept(model, source_length, sides=2) + 6 * model.d_model + model.d_ff
    )
    decoder = source_length * (queries + values) + target_length * (
        _mixing_kept(model, target_length, sides=1)
        + queries
        + values
        + 9 * model.d_model
        + model.d_ff
        + _numbers_of_a_look(model) * source_length
    )
    pairs = target_tokens / target_length
    kept = pairs * model.layers * (encoder + decoder)
    numbers = 2 + _numbers_kept(optimizer)
    return 4 * numbers * parameters(model, vocab_size).total + _bytes_kept(precision) * kept


def _mixing(model: ModelConfig, sides: int) -> MixingKind:
    """Of the encoder, whose tokens see both sides, or of the decoder."""
    return model.encoder_mixing if sides == 2 else model.decoder_mixing


def _mixing_weights(model: ModelConfig, sides: int) -> int:
    """Trained numbers of what mixes one layer's sequence."""
    match _mixing(model, sides):
        case "attention":
            return _attention_weights(model) + _additive_weights(model)
        case "lstm":
            return _recurrent_weights(model, 4, sides) + 8 * model.d_model
        case "gru":
            return _recurrent_weights(model, 3, sides) + 6 * model.d_model
        case "convolution":
            return 2 * model.d_model * (model.kernel * model.d_model + 1)
        case _ as never:
            assert_never(never)


def _mixing_flops(model: ModelConfig, length: float, sides: int) -> float:
    """Forward, of one token in a sentence of this length."""
    match _mixing(model, sides):
        case "attention":
            seen = _keys_seen(model, length, sides)
            return 2 * _attention_weights(model) + _flops_of_a_look(model) * seen
        case "lstm":
            return 2 * _recurrent_weights(model, 4, sides)
        case "gru":
            return 2 * _recurrent_weights(model, 3, sides)
        case "convolution":
            return 4 * model.kernel * model.d_model**2
        case _ as never:
            assert_never(never)


def _mixing_kept(model: ModelConfig, length: float, sides: int) -> float:
    """Numbers that the forward pass keeps for one token in a sentence of this length.

    For a recurrence as torch's kernels on a CPU were measured to do.
    """
    match _mixing(model, sides):
        case "attention":
            projected = 2 * model.heads * (model.key_width + model.value_width)
            return projected + _numbers_of_a_look(model) * _keys_compared(model, length, sides)
        case "lstm":
            return 8 * (1 + sides) * model.d_model
        case "gru":
            return (6 + sides) * model.d_model
        case "convolution":
            return 2 * model.d_model
        case _ as never:
            assert_never(never)


def _recurrent_weights(model: ModelConfig, gates: int, sides: int) -> int:
    """Matrices of so many gates, for the input and the state; to both sides, of half the width."""
    width = model.d_model // sides
    return sides * gates * width * (model.d_model + width)


def _keys_seen(model: ModelConfig, length: float, sides: int) -> float:
    """By a query of self-attention, on average over a sentence's; itself is one."""
    if model.window is None or model.window >= length - 1:
        return length if sides == 2 else (length + 1) / 2
    # On each side, the first token lacks `window` neighbours, the next one fewer.
    lacking = model.window * (model.window + 1) / 2
    return 1 + sides * (model.window - lacking / length)


def _keys_compared(model: ModelConfig, length: float, sides: int) -> float:
    """With a query of self-attention, seen or hidden."""
    blocks = divide(model.window, math.ceil(length), causal=sides == 1)
    return length if blocks is None else blocks.keys


def _attention_weights(model: ModelConfig) -> int:
    """W^Q, W^K, W^V of every head and W^O of one attention."""
    return 2 * model.d_model * model.heads * (model.key_width + model.value_width)


def _additive_weights(model: ModelConfig) -> int:
    return model.heads * model.key_width if model.attention == "additive" else 0


def _flops_of_a_look(model: ModelConfig) -> int:
    """One query, in all heads, at one key: the comparison, and its share of the mixed values."""
    match model.attention:
        case "scaled" | "unscaled":
            comparison = 2 * model.key_width
        case "additive":
            comparison = 4 * model.key_width  # q + k, tanh, and the product with v
        case _ as never:
            assert_never(never)
    return model.heads * (comparison + 2 * model.value_width)


def _numbers_of_a_look(model: ModelConfig) -> int:
    """Kept of one query at one key, in all heads."""
    return model.heads * (1 + model.key_width) if model.attention == "additive" else model.heads


def _numbers_kept(optimizer: OptimizerKind) -> int:
    """For each weight, by the optimizer."""
    match optimizer:
        case "adam" | "adamw":
            return 2  # means of gradients and of their squares
        case "sgd":
            return 1  # its last step
        case "adafactor":
            return 0  # a number a row and a column
        case _ as never:
            assert_never(never)


def _bytes_kept(precision: Precision) -> float:
    match precision:
        case "float32":
            return 4
        case "bfloat16":
            return 3  # norms and sums stay float32
        case _ as never:
            assert_never(never)


Stack = Literal["source", "encoder", "target", "decoder", "output"]
Kind = Literal[
    "embedding",
    "positions",
    "self_attention",
    "recurrence",
    "convolution",
    "cross_attention",
    "feed_forward",
    "norm",
    "project",
]


class Part(NamedTuple):
    """A part of the model, in every layer that has it."""

    stack: Stack
    kind: Kind
    copies: int
    """How many layers have one."""
    place: str
    """Before the names of its tensors in the model; {layer} is the layer's number, from 0."""
    tensors: Mapping[str, Shape]
    """Trained, of one copy."""
    operations: float
    """Of a forward pass over one pair, in all copies."""

    @property
    def parameters(self) -> int:
        """In all copies."""
        return self.copies * sum(math.prod(shape) for shape in self.tensors.values())


def parts(
    model: ModelConfig, vocab_size: int, source_length: float, target_length: float
) -> list[Part]:
    """All of them, as data passes through: their parameters are those of `parameters`, and their
    operations a third of those of `training_flops`, on pairs of these lengths."""
    width, deep = model.d_model, model.layers
    table, source, target = {"weight": (vocab_size, width)}, source_length, target_length
    own_target, own_output = model.own_matrices
    target_matrix = "own_target" if own_target else "embedding"

    def sublayers(stack: Stack, own: float, *looks: Part) -> list[Part]:
        """Each with its norm."""
        inner = 2 * own * 2 * width * model.d_ff
        shapes = {
            **{"inner.weight": (model.d_ff, width), "inner.bias": (model.d_ff,)},
            **{"outer.weight": (width, model.d_ff), "outer.bias": (width,)},
        }
        place = f"{stack}.{{layer}}"
        last = Part(stack, "feed_forward", deep, f"{place}.feed_forward", shapes, deep * inner)
        found: list[Part] = []
        for number, part in enumerate((*looks, last)):
            found += [part, _norm(model, stack, deep, f"{place}.residuals.{number}.norm")]
        return found + ([_norm(model, stack, 1, f"{stack}_norm")] if model.norm == "pre" else [])

    return [
        Part("source", "embedding", 1, "embedding", table, 0),
        Part("source", "positions", 1, "source_positions", _places(model, sides=2), 0),
        *sublayers("encoder", source, _mixed(model, "encoder", source, sides=2)),
        Part("target", "embedding", 1, target_matrix, table if own_target else {}, 0),
        Part("target", "positions", 1, "target_positions", _places(model, sides=1), 0),
        *sublayers(
            "decoder",
            target,
            _mixed(model, "decoder", target, sides=1),
            _cross_attention(model, source, target),
        ),
        Part(
            *("output", "project", 1, "own_output" if own_output else target_matrix),
            table if own_output else {},
            target * 2 * width * vocab_size,
        ),
    ]


def _places(model: ModelConfig, sides: int) -> dict[str, Shape]:
    return model.position_tensors(_mixing(model, sides))


def _norm(model: ModelConfig, stack: Stack, copies: int, place: str) -> Part:
    shapes = {"weight": (model.d_model,), "bias": (model.d_model,)}
    return Part(stack, "norm", copies, place, shapes, 0)


def _mixed(model: ModelConfig, stack: Stack, length: float, sides: int) -> Part:
    """What mixes the sequence in a stack."""
    operations = model.layers * length * _mixing_flops(model, length, sides)
    place = f"{stack}.{{layer}}.rival"
    match _mixing(model, sides):
        case "attention":
            place = f"{stack}.{{layer}}.self_attention"
            shapes = _self_attention_tensors(model)
            return Part(stack, "self_attention", model.layers, place, shapes, operations)
        case "lstm":
            shapes = _recurrent_tensors(model, 4, sides)
            return Part(stack, "recurrence", model.layers, place, shapes, operations)
        case "gru":
            shapes = _recurrent_tensors(model, 3, sides)
            return Part(stack, "recurrence", model.layers, place, shapes, operations)
        case "convolution":
            both = 2 * model.d_model
            shapes = {
                "convolve.weight": (both, model.d_model, model.kernel),
                "convolve.bias": (both,),
            }
            return Part(stack, "convolution", model.layers, place, shapes, operations)
        case _ as never:
            assert_never(never)


def _recurrent_tensors(model: ModelConfig, gates: int, sides: int) -> dict[str, Shape]:
    width = model.d_model // sides
    shapes: dict[str, Shape] = {
        "weight_ih_l0": (gates * width, model.d_model),
        "weight_hh_l0": (gates * width, width),
        "bias_ih_l0": (gates * width,),
        "bias_hh_l0": (gates * width,),
    }
    passes = ("right", "left")[:sides]
    return {f"{way}.{name}": shape for way in passes for name, shape in shapes.items()}


def _self_attention_tensors(model: ModelConfig) -> dict[str, Shape]:
    queries, values = model.heads * model.key_width, model.heads * model.value_width
    return {
        "queries_keys_values.weight": (2 * queries + values, model.d_model),
        **_joining_tensors(model),
    }


def _cross_attention(model: ModelConfig, source: float, target: float) -> Part:
    queries, values = model.heads * model.key_width, model.heads * model.value_width
    shapes = {
        "queries.weight": (queries, model.d_model),
        "keys_values.weight": (queries + values, model.d_model),
        **_joining_tensors(model),
    }
    weights = source * (queries + values) + target * (queries + values)
    each = 2 * model.d_model * weights + target * source * _flops_of_a_look(model)
    place = "decoder.{layer}.cross_attention"
    return Part("decoder", "cross_attention", model.layers, place, shapes, model.layers * each)


def _joining_tensors(model: ModelConfig) -> dict[str, Shape]:
    """What every attention has behind its projections."""
    shapes: dict[str, Shape] = {
        "attention.output.weight": (model.d_model, model.heads * model.value_width)
    }
    if model.attention == "additive":
        shapes["attention.additive_HK"] = (model.heads, model.key_width)
    return shapes

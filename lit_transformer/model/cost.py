"""What a model costs, counted from its configuration alone: parameters, operations, memory.

An operation is one floating-point multiplication or addition. Counted are matrix products and
comparisons of queries with keys; norms, softmax, dropout and the optimizer are small beside them.
"""

from typing import NamedTuple, assert_never

from lit_transformer.config import MixingKind, ModelConfig, OptimizerKind, Precision

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
        embedding=model.embedding_matrices * vocab_size * model.d_model,
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
            return projected + _numbers_of_a_look(model) * length
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

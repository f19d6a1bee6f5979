"""What Table 1 is measured of: layer types by length and width, and what each should take."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, assert_never, get_args

from lit_transformer.config_io import ConfigError
from lit_transformer.model.window import divide

LayerType = Literal[
    "self-attention",
    "self-attention-restricted",
    "self-attention-unprojected",
    "self-attention-restricted-unprojected",
    "recurrent-lstm",
    "recurrent-gru",
    "convolutional",
    "feed-forward",
]
"""Unprojected: queries, keys and values are the input itself, which is what Table 1 counts."""
INNER = 4
"""d_ff over d_model, as in the paper's base model."""
MOST = 1 << 20
"""The longest sequence and widest layer that can be asked for."""
PASSES = 3
"""Operations of a forward and a backward pass, in forward passes."""


class Terms(NamedTuple):
    """What all cells of a table share."""

    window: int
    """Tokens to each side that restricted self-attention sees (r)."""
    kernel: int
    """Tokens that a convolution sees (k), an odd number."""
    head_width: int
    """d_k and d_v; a layer has as many heads as its width has room for."""
    sentences: int
    """Sequences of the same length at once."""


class Cell(NamedTuple):
    """One layer of one size, on sequences of one length."""

    layer: LayerType
    length: int
    width: int


class Asked(NamedTuple):
    """What is to be measured, and how."""

    layers: Sequence[LayerType]
    lengths: Sequence[int]
    """Rising, as all that follow."""
    widths: Sequence[int]
    path_lengths: Sequence[int]
    terms: Terms
    repeats: int
    most_s: float
    """Seconds that one pass with its backward pass may take."""

    @property
    def rows(self) -> list[tuple[LayerType, int]]:
        """Each is walked from short to long, so that a cell foretells the next."""
        return [(layer, width) for layer in self.layers for width in self.widths]


def ask(
    layers: str,
    lengths: str,
    widths: str,
    path_lengths: str,
    terms: Terms,
    repeats: int,
    most_s: float,
) -> Asked:
    """From lists with commas between their words; ConfigError names the option."""
    if terms.kernel % 2 == 0:
        raise ConfigError(
            f"--kernel {terms.kernel}: an odd number, so that there is a middle token"
        )
    asked = Asked(
        _layers(layers),
        _numbers("--lengths", lengths),
        _numbers("--widths", widths),
        _numbers("--path-lengths", path_lengths),
        terms,
        repeats,
        most_s,
    )
    for width in asked.widths:
        if width % terms.head_width:
            raise ConfigError(
                f"--widths {widths}: {width} is not a multiple of --head-width {terms.head_width}"
            )
    return asked


def operations(cell: Cell, terms: Terms) -> int:
    """Multiplications and additions of a forward pass, what is compared and then hidden included.

    Of matrix products alone, exactly.
    """
    tokens = terms.sentences * cell.length
    squares = tokens * cell.width**2
    match cell.layer:
        case "self-attention" | "self-attention-restricted":
            return 8 * squares + _looks(cell, terms)
        case "self-attention-unprojected" | "self-attention-restricted-unprojected":
            return _looks(cell, terms)
        case "recurrent-lstm":
            return 2 * 4 * 2 * squares
        case "recurrent-gru":
            return 2 * 3 * 2 * squares
        case "convolutional":
            return 2 * 2 * terms.kernel * squares  # each vector has a gate
        case "feed-forward":
            return 4 * INNER * squares
        case _ as never:
            assert_never(never)


def memory(cell: Cell, terms: Terms, fused: bool) -> int:
    """Bytes that a forward and a backward pass take at their peak, beside weights, input and their
    gradients: an estimate from above, in float32. `fused`: attention keeps no weights."""
    vectors = terms.sentences * cell.length * cell.width
    match cell.layer:
        case "self-attention" | "self-attention-restricted":
            numbers = 16 * vectors + _weights(cell, terms, fused)
        case "self-attention-unprojected" | "self-attention-restricted-unprojected":
            numbers = 12 * vectors + _weights(cell, terms, fused)
        case "recurrent-lstm":
            numbers = 30 * vectors + 24 * cell.width**2
        case "recurrent-gru":
            numbers = 16 * vectors + 24 * cell.width**2
        case "convolutional":
            numbers = (12 + 2 * terms.kernel) * vectors + 4 * terms.kernel * cell.width**2
        case "feed-forward":
            numbers = (4 + 3 * INNER) * vectors
        case _ as never:
            assert_never(never)
    return 4 * (numbers + 8 * cell.width**2)


def _layers(text: str) -> list[LayerType]:
    known = get_args(LayerType)
    words = [word.strip() for word in text.split(",") if word.strip()] or [*known]
    for word in words:
        if word not in known:
            raise ConfigError(f"--layers {word}: not a layer type; they are {', '.join(known)}")
    return [layer for layer in known if layer in words]


def _numbers(option: str, text: str) -> list[int]:
    words = [word.strip().replace("_", "") for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() and 0 < int(word) <= MOST for word in words):
        raise ConfigError(f"{option} {text}: whole numbers from 1 to {MOST:,}, as 16,64,256")
    return sorted({int(word) for word in words})


def is_restricted(layer: LayerType) -> bool:
    return layer in ("self-attention-restricted", "self-attention-restricted-unprojected")


def _compared(cell: Cell, terms: Terms) -> int:
    """Pairs of a query and a key, in each head."""
    window = terms.window if is_restricted(cell.layer) else None
    blocks = divide(window, cell.length, causal=False)
    pairs = cell.length**2 if blocks is None else blocks.number * blocks.size * blocks.keys
    return terms.sentences * pairs


def _looks(cell: Cell, terms: Terms) -> int:
    """Comparisons and mixed values of all heads, 2 * width operations a pair each."""
    return 4 * cell.width * _compared(cell, terms)


def _weights(cell: Cell, terms: Terms, fused: bool) -> int:
    """Attention weights, their gradients and those of the scores; what hides keys, once."""
    if fused:
        return _compared(cell, terms) if is_restricted(cell.layer) else 0
    copies = 3 * cell.width // terms.head_width + 2 * is_restricted(cell.layer)
    return copies * _compared(cell, terms)

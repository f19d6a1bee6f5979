"""A configuration's model in words: what stands in each box of a drawing like the paper's Figure 1.
Free of torch.
"""

from typing import NamedTuple, assert_never

from lit_transformer.config import POSITIONS_OF_ATTENTION, ModelConfig
from lit_transformer.model import cost
from lit_transformer.model.cost import Part


class Sizes(NamedTuple):
    """What a configuration's model meets."""

    vocabulary: int
    source: int
    """Tokens of a source sentence, with its end mark."""
    target: int


class Box(NamedTuple):
    """One part of the drawing."""

    part: Part
    title: str
    lines: tuple[str, ...]
    """What it is set to, and the shapes of what passes through."""
    tensors: tuple[str, ...]
    """Name and shape of what is trained."""

    @property
    def parameters(self) -> int:
        """Of one copy."""
        return self.part.parameters // self.part.copies

    @property
    def operations(self) -> float:
        """Of one copy."""
        return self.part.operations / self.part.copies


def boxes(model: ModelConfig, sizes: Sizes) -> list[Box]:
    """As data passes through."""
    found = cost.parts(model, *sizes)
    return [_box(part, model, sizes) for part in found]


def shape(numbers: tuple[int, ...]) -> str:
    return " × ".join(f"{number:,}" for number in numbers)


def amount(number: float) -> str:
    """Three digits and a unit's letter: 1.05 M."""
    for letter, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


def _box(part: Part, model: ModelConfig, sizes: Sizes) -> Box:
    title, lines = _words(part, model, sizes)
    tensors = tuple(f"{name} {shape(numbers)}" for name, numbers in part.tensors.items())
    return Box(part, title, lines, tensors)


def _words(part: Part, model: ModelConfig, sizes: Sizes) -> tuple[str, tuple[str, ...]]:
    encodes = part.stack in ("source", "encoder")
    length = sizes.source if encodes else sizes.target
    match part.kind:
        case "embedding":
            shared = "" if part.tensors else "the source's matrix, "
            return "Embedding", (
                f"{shared}times √d_model = {model.d_model**0.5:.4g}",
                f"states {shape((length, model.d_model))}",
            )
        case "positions":
            return f"Positions: {_positions(model)}", ()
        case "self_attention":
            masked = "" if encodes else "Masked "
            return f"{masked}multi-head attention".capitalize(), (
                *_heads(model),
                f"weights {shape((model.heads, length, length))}, {_seen(model, encodes)}",
                *_positions_in_attention(model),
            )
        case "recurrence":
            ways = "to both sides" if encodes else "to the right"
            kind = model.encoder_mixing if encodes else model.decoder_mixing
            return kind.upper(), (f"{ways}, states {shape((length, model.d_model))}",)
        case "convolution":
            return "Convolution", (
                f"kernel {model.kernel}, {'centred' if encodes else 'back'}, gated",
                f"states {shape((length, model.d_model))}",
            )
        case "cross_attention":
            return "Multi-head attention", (
                *_heads(model),
                f"weights {shape((model.heads, sizes.target, sizes.source))}, all of the source",
            )
        case "feed_forward":
            return "Feed-forward", (f"ReLU, inner states {shape((length, model.d_ff))}",)
        case "norm":
            return "Layer norm", ()
        case "project":
            return "Linear", (
                f"logits {shape((sizes.target, sizes.vocabulary))}",
                f"{_output(model)} matrix, transposed",
            )
        case _ as never:
            assert_never(never)


def _output(model: ModelConfig) -> str:
    own_target, own_output = model.own_matrices
    if own_output:
        return "its own"
    return "the target embedding's" if own_target else "the source embedding's"


def _heads(model: ModelConfig) -> tuple[str, str]:
    heads = f"{model.heads} head{'s' if model.heads > 1 else ''}"
    widths = f"{heads}, d_k {model.key_width}, d_v {model.value_width}"
    return widths, f"{model.attention} comparison of queries with keys"


def _seen(model: ModelConfig, encodes: bool) -> str:
    if model.window is None:
        return "all of the source" if encodes else "back to the start"
    return f"{model.window} to each side" if encodes else f"{model.window} back"


def adds_positions(model: ModelConfig) -> bool:
    """Whether they are added to embeddings; else they act in self-attention, or there are none."""
    return model.positions != "none" and model.positions not in POSITIONS_OF_ATTENTION


def _positions(model: ModelConfig) -> str:
    """Their kind, and what is trained of them in one stack."""
    tensors = [shape(numbers) for numbers in model.position_tensors("attention").values()]
    return ", ".join([model.positions, *tensors])


def _positions_in_attention(model: ModelConfig) -> tuple[str, ...]:
    if model.positions not in POSITIONS_OF_ATTENTION:
        return ()
    shared = " of all layers" if model.position_tensors("attention") else ""
    return (f"positions: {_positions(model)}{shared}",)

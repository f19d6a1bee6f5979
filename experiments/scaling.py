"""A setting's scale: the paper's sizes times its factors."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from experiments.files import Scale
from lit_transformer.config import RunConfig
from lit_transformer.config_io import ConfigError, Given, Scalar, flatten

Factors = Literal["width", "depth", "steps", "warmup", "rate", "batch", "vocabulary"]
SCALED: Mapping[str, Factors] = {
    "model.d_model": "width",
    "model.d_ff": "width",
    "model.d_k": "width",
    "model.d_v": "width",
    "model.layers": "depth",
    "train.steps": "steps",
    "train.average_every": "steps",
    "train.valid_every": "steps",
    "train.checkpoint_every": "steps",
    "train.log_every": "steps",
    "optim.warmup_steps": "warmup",
    "optim.peak_steps": "warmup",
    "optim.rate_factor": "rate",
    "train.tokens_per_batch": "batch",
    "data.vocabulary_size": "vocabulary",
}
"""The keys that a setting's scale multiplies, and by which of its factors."""
ROUNDED = frozenset(("warmup", "batch", "vocabulary"))
"""Factors whose products are rounded to whole numbers, where one more or less is as good; what is
more than 0 stays so."""


class Layer(NamedTuple):
    """Values of one kind of file, and whether they are in the paper's sizes."""

    given: Mapping[str, Given]
    scales: bool


def resolve(layers: Sequence[Layer], scale: Scale) -> dict[str, Given]:
    """Dotted keys over config.py's defaults: later layers win, then winners are scaled.

    ConfigError where a size that wins is not whole after scaling.
    """
    defaults = flatten(RunConfig())
    base = {
        key: Given(defaults[key], "the paper's base")
        for key, factor in SCALED.items()
        if getattr(scale, factor) != 1 and defaults[key] is not None
    }
    winners: dict[str, tuple[Given, bool]] = {}
    for layer in (Layer(base, scales=True), *layers):
        for key, entry in layer.given.items():
            winners.pop(key, None)  # later layers stand last, so a group given whole wins as well
            winners[key] = (entry, layer.scales)
    return {
        key: scaled(key, entry, scale) if scales else entry
        for key, (entry, scales) in winners.items()
    }


def scaled(key: str, entry: Given, scale: Scale) -> Given:
    """The entry times its factor, if its key has one.

    Null stays null, so a derived d_k stays derived; text is left for `build` to refuse.
    """
    name = SCALED.get(key)
    value = entry.value
    kinds = int | float if name == "rate" else int
    if name is None or not isinstance(value, kinds) or isinstance(value, bool):
        return entry
    factor: Fraction = getattr(scale, name)
    if factor == 1:
        return entry
    origin = f"{entry.origin} ({value} times scale.{name}={factor})"
    if name == "rate":
        if not math.isfinite(value):
            return entry  # `build` refuses it
        return Given(float(Fraction(str(value)) * factor), origin)  # as decimals are
    product = value * factor
    if name in ROUNDED:
        return Given(max(round(product), min(value, 1)), origin)
    if product.denominator != 1:
        raise ConfigError(
            f"{origin}: {key}={product} is not a whole number; change the value or the factor, "
            f"or give {key} literally with --set, a value of the base also in the setting's set"
        )
    return Given(int(product), origin)


def unscaled(key: str, value: Scalar, scale: Scale) -> Scalar:
    """What a row would name for a setting's value to come of it, as near as numbers allow."""
    name = SCALED.get(key)
    if name is None or not isinstance(value, int | float) or isinstance(value, bool):
        return value
    found = Fraction(str(value)) / getattr(scale, name)
    return int(found) if isinstance(value, int) and found.denominator == 1 else float(found)

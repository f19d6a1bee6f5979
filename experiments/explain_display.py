"""A configuration's architecture as a person sees it in a terminal, and as a script reads it."""

from experiments.display import Columns
from experiments.study import Trial
from experiments.sweep import NOMINAL_LENGTH
from lit_transformer import diagram
from lit_transformer.architecture import Sizes, amount, boxes
from lit_transformer.config import RunConfig
from lit_transformer.config_io import as_yaml, differences
from lit_transformer.model import cost

JSON_FORMAT = 1
"""Raised when a key of the JSON object is renamed or removed."""


def sizes_of(trial: Trial, length: int | None) -> Sizes:
    """`length`: tokens of a sentence on each side; None: those of a usual one."""
    tokens = length or round(NOMINAL_LENGTH)
    return Sizes(trial.config.data.vocabulary_size, tokens, tokens)


def table(trial: Trial, sizes: Sizes) -> Columns:
    """A line a tensor; a part's counts stand in its first."""
    columns = Columns(
        {
            **dict.fromkeys(("stack", "part", "copies", "tensor of one"), "left"),
            **dict.fromkeys(("parameters", "operations"), "right"),
        }
    )
    for box in boxes(trial.config.model, sizes):
        part = box.part
        first, *rest = box.tensors or ("",)
        counts = f"{part.parameters:,}", amount(part.operations) if part.operations else ""
        columns.add_row(part.stack, box.title, str(part.copies), first, *counts)
        for tensor in rest:
            columns.add_row("", "", "", tensor, "", "")
    return columns


def lines(trial: Trial, sizes: Sizes) -> list[str]:
    """The whole model."""
    model = trial.config.model
    counted = cost.parameters(model, sizes.vocabulary)
    operations = sum(part.operations for part in cost.parts(model, *sizes))
    return [
        f"{counted.total:,} parameters: embeddings {counted.embedding:,}, positions "
        f"{counted.positions:,}, the rest {counted.non_embedding:,}",
        f"{amount(operations)} operations forward over a pair of {sizes.source} and "
        f"{sizes.target} tokens; a training step takes {cost.TRAINING_PASSES} times as many",
    ]


def drawing(trial: Trial, title: str, sizes: Sizes) -> str:
    """As SVG."""
    return diagram.draw(title, about(trial), trial.config.model, sizes)


def page(trial: Trial, title: str, sizes: Sizes) -> str:
    """The drawing with all tensors, as HTML."""
    return diagram.page(title, about(trial), trial.config.model, sizes)


def about(trial: Trial) -> str:
    """What stands below a drawing's title: what of the model is not the paper's base."""
    changed = differences(RunConfig(), trial.config)
    words = [
        f"{key.removeprefix('model.')} {as_yaml(ours)}"
        for key, (_, ours) in changed.items()
        if key.startswith("model.")
    ]
    return f"digest {trial.digest}; {', '.join(words) or 'as in the paper'}"


def as_object(trial: Trial, title: str, sizes: Sizes) -> dict[str, object]:
    """The same as one JSON object."""
    model = trial.config.model
    counted = cost.parameters(model, sizes.vocabulary)
    found = cost.parts(model, *sizes)
    return {
        "format": JSON_FORMAT,
        "title": title,
        "digest": trial.digest,
        "vocabulary": sizes.vocabulary,
        "source_tokens": sizes.source,
        "target_tokens": sizes.target,
        "parameters": {**counted._asdict(), "total": counted.total},
        "operations": sum(part.operations for part in found),
        "parts": [
            {
                "stack": part.stack,
                "kind": part.kind,
                "copies": part.copies,
                "place": part.place,
                "tensors": {name: list(shape) for name, shape in part.tensors.items()},
                "parameters": part.parameters,
                "operations": part.operations,
            }
            for part in found
        ],
    }

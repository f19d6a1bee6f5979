"""What a person sees of a run's heads."""

from experiments.display import Columns
from lit_transformer.heads import Heads, by_importance

GROWTHS = (0.01, 0.03, 0.1, 0.3)
"""Nats per token by less than which the loss may grow."""


def table(found: Heads) -> Columns:
    """A line a head, the most important first."""
    numbers = ("layer", "head", "entropy", "distance", "loss without")
    columns = Columns({"part": "left", **dict.fromkeys(numbers, "right")})
    for part, layer, head in reversed(by_importance(found.parts)):
        entropy, distance, importance = (
            float(values_LH[layer, head]) for values_LH in found.parts[part]
        )
        columns.add_row(
            part,
            str(layer + 1),
            str(head + 1),
            f"{entropy:.2f}",
            f"{distance:.1f}",
            f"{importance:+.4f}",
        )
    return columns


def lines(found: Heads) -> list[str]:
    """What the table is of, and what can go together."""
    spared = ", ".join(f"{found.removable(growth)} at {growth:g}" for growth in GROWTHS)
    return [
        f"loss {found.loss:.4f} nats per token on the first {found.sentences} sentences of the "
        f"valid part ({found.target_tokens:,} tokens); entropy in nats, distance in tokens",
        f"of {found.total} heads, removed together, while the loss grows by less than: {spared}",
    ]

"""What a terminal shows of heads."""

import io

import numpy as np
from rich.console import Console

from experiments import head_display
from lit_transformer.heads import Heads, Numbers, Removal


def test_the_most_important_head_comes_first_and_counts_from_one() -> None:
    numbers = Numbers(np.array([[0.5, 1.25]]), np.array([[2.0, 3.5]]), np.array([[-0.01, 0.2]]))
    removed = [Removal(0, 2.0), Removal(1, 1.99), Removal(2, 2.25)]
    found = Heads(50, 600, 700, {"cross": numbers}, removed)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(head_display.table(found))
    _, first, second = console.export_text().splitlines()
    assert first.split() == ["cross", "1", "2", "1.25", "3.5", "+0.2000"]
    assert second.split() == ["cross", "1", "1", "0.50", "2.0", "-0.0100"]
    measured, together = head_display.lines(found)
    assert measured.startswith("loss 2.0000 nats per token on the first 50 sentences")
    assert together.endswith("1 at 0.01, 1 at 0.03, 1 at 0.1, 2 at 0.3")

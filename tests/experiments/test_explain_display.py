"""An architecture in a terminal and for a script."""

import io
import json

import pytest
from rich.console import Console

from experiments import explain_display
from experiments.study import Trial, expand, load_setting, load_study
from lit_transformer.architecture import Sizes
from lit_transformer.config_io import parse_set
from lit_transformer.model import cost
from tests.toy import documented


def trial(arm: str, *sets: str) -> Trial:
    given = dict(parse_set(text) for text in sets)
    return expand(load_study("table3"), load_setting("grammar"), [1], [arm], given)[0]


SIZES = Sizes(2_400, 28, 28)


@pytest.mark.parametrize("arm", ["base", "A4", "E", "big"])
def test_the_object_has_the_keys_of_its_page_and_adds_up(arm: str) -> None:
    one = trial(arm)
    told = json.loads(json.dumps(explain_display.as_object(one, "a title", SIZES)))
    whole, each = documented("ablate explain")
    assert {*told} == whole
    assert all({*part} == each for part in told["parts"])
    total = cost.parameters(one.config.model, 2_400).total
    assert sum(part["parameters"] for part in told["parts"]) == told["parameters"]["total"] == total
    operations = cost.training_flops(one.config.model, 2_400, 28, 28, 28) / 3
    assert told["operations"] == pytest.approx(operations)


def test_the_table_has_a_line_a_tensor() -> None:
    one = trial("E")
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(explain_display.table(one, SIZES))
    told = console.export_text()
    assert "source   Positions: learned, 512 × 64" in told
    assert told.count("queries_keys_values.weight 192 × 64") == 2
    first, second = explain_display.lines(one, SIZES)
    assert "positions 65,536" in first
    assert "a training step takes 3 times as many" in second


def test_what_is_not_the_paper_s_stands_below_the_title() -> None:
    one = trial("A1", "model.norm=pre")
    about = explain_display.about(one)
    assert about == (
        f"digest {one.digest}; layers 3, d_model 64, d_ff 256, heads 1, d_k 64, d_v 64, norm pre"
    )

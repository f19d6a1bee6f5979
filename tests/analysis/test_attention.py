"""Which attention maps a report shows."""

import pytest

from analysis import attention
from analysis.attention import choose
from tests.lit_transformer.sentences import sentence


def test_the_first_sentence_that_any_arm_has_is_shown_of_all() -> None:
    shown = choose({"base": [sentence(2)], "A1": [sentence(2), sentence(3)], "E": []}, 1)
    assert shown is not None
    assert (shown.number, shown.seed) == (2, 1)
    assert [drawing.title for drawing in shown.drawings] == ["base", "A1"]
    assert (shown.crowded, shown.absent) == ([], ["E"])


def test_an_arm_with_a_name_that_steers_a_terminal_is_there() -> None:
    shown = choose({"\t\x1b[31m": [sentence()]}, 1)
    assert shown is not None
    assert ([d.title for d in shown.drawings], shown.absent) == (["\\t\\x1b[31m"], [])


def test_nobody_s_maps_are_nothing() -> None:
    assert choose({"base": [], "A1": []}, 1) is None


def test_arms_beyond_the_room_are_named_and_the_table_s_first_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = attention.draw("base", sentence()).cells
    monkeypatch.setattr(attention, "ROOM", room)
    shown = choose({"base": [sentence()], "A1": [sentence()]}, 1)
    assert shown is not None
    assert ([d.title for d in shown.drawings], shown.crowded) == (["base"], ["A1"])

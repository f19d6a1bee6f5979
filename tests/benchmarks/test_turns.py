"""A fake peer in a process of its own; PEP 723 blocks; medians of same-round ratios."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import turns
from turns import Answer, Contender, ContenderError

PEERS = sorted(turns.PEERS.glob("*.py"))

BLOCK = """\
# /// script
# requires-python = ">=3.11"
# dependencies = ["torch==2.13.0", "six==1.17.0"]
#
# [tool.benchmarks]
# stand-ins = ["fasttext"]
# ///
"""

FAKE = (
    BLOCK
    + """
print("a peer may print while it is loaded")


class Training:
    def __init__(self, workload, threads):
        self.folder, self.threads, self.steps = workload, threads, 0

    def step(self):
        print("and while it works")
        self.steps += 1
        return {"steps": self.steps, "folder": type(self.folder).__name__}

    def fail(self):
        raise ValueError("on purpose")

    def grow(self, mebibytes):
        return len(bytearray(b"x") * (mebibytes * 2**20))


class Toolkit:
    def __init__(self):
        self.updates = 0

    def run(self, between):
        for number in range(1, 4):
            between()
            self.updates = number

    def updated(self):
        return self.updates
"""
)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Contender]:
    file = tmp_path / "fake.py"
    file.write_text(FAKE)
    contender = Contender(file, Path(sys.executable), threads=1)
    yield contender
    contender.close()


def test_a_block_is_read_as_pep_723_says() -> None:
    block = turns.script_block(f"#!/usr/bin/env python\n{BLOCK}\n# dependencies = []\n")
    assert block == {
        "requires-python": ">=3.11",
        "dependencies": ["torch==2.13.0", "six==1.17.0"],
        "tool": {"benchmarks": {"stand-ins": ["fasttext"]}},
    }


def test_a_file_without_a_block_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bare.py"
    file.write_text('"""No block."""\n')
    with pytest.raises(ValueError, match="PEP 723"):
        turns.read_peer(file)


@pytest.mark.parametrize("file", PEERS, ids=lambda file: file.stem)
def test_each_peer_pins_what_it_needs(file: Path) -> None:
    peer = turns.read_peer(file)
    needs = peer.dependencies + peer.without_dependencies
    assert all("==" in need for need in needs)
    assert peer.name.startswith("ours") == (not needs)
    assert "Training" in file.read_text() or "Decoding" in file.read_text()


def test_peers_that_share_an_environment_want_the_same_in_it() -> None:
    wanted: dict[str, tuple[list[str], ...]] = {}
    for peer in map(turns.read_peer, PEERS):
        needs = peer.dependencies, peer.without_dependencies, peer.stand_ins
        assert wanted.setdefault(peer.environment, needs) == needs


def test_this_python_runs_the_project_itself() -> None:
    peer = turns.read_peer(turns.PEERS / "ours.py")
    assert turns.python_of(peer) == Path(sys.executable)


def test_a_contender_answers_and_keeps_its_state(fake: Contender) -> None:
    made = fake.call("Training", workload="somewhere", threads=1)
    assert made.result is None
    answers = [fake.call("step") for _ in range(3)]
    assert [answer.result["steps"] for answer in answers] == [1, 2, 3]
    assert answers[0].result["folder"] == "PosixPath"
    assert all(0 < answer.seconds < 60 for answer in answers)
    assert "python" in fake.versions


def test_a_toolkit_in_its_own_loop_goes_on_by_one_update_at_a_time(fake: Contender) -> None:
    fake.call("Toolkit")
    assert [fake.call("step").result for _ in range(2)] == [1, 2]
    with pytest.raises(ContenderError, match="loop ended"):
        fake.call("step")


def test_peak_memory_is_the_contenders_own(fake: Contender) -> None:
    """This process holds torch; the fake peer holds next to nothing until it grows."""
    before = fake.call("Training", workload="somewhere", threads=1).peak_mib
    assert before < 100
    after = fake.call("grow", mebibytes=200).peak_mib
    assert 190 < after - before < 260


def test_a_failure_of_a_contender_is_shown(fake: Contender) -> None:
    fake.call("Training", workload="somewhere", threads=1)
    with pytest.raises(ContenderError, match="ValueError: on purpose"):
        fake.call("fail")


def test_a_contender_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import no_such_library\n")
    with pytest.raises(ContenderError, match=r"(?s)broken.*no_such_library"):
        Contender(file, Path(sys.executable), threads=1)


class Named:
    """As much of a contender as taking turns needs."""

    def __init__(self, name: str) -> None:
        self.name = name


def test_turns_change_their_order_and_each_round_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def turn(contender: Contender, number: int) -> Answer:
        taken.append((number, contender.name))
        return Answer(None, 1.0, 0.0)

    monkeypatch.setattr(turns, "REST_S", 0.0)
    contenders = [Named(name) for name in "abc"]
    answers, probed = turns.take_turns(contenders, 12, turn, lambda: float(len(taken)))
    orders = ["".join(name for at, name in taken if at == number) for number in range(12)]
    assert {"".join(sorted(order)) for order in orders} == {"abc"}
    before = {order[place : place + 2] for order in orders for place in range(2)}
    assert before == {"ab", "ac", "ba", "bc", "ca", "cb"}
    assert [len(answers[name]) for name in "abc"] == [12, 12, 12]
    assert probed == [3.0 * number for number in range(12)]


def test_ratios_are_of_the_same_round() -> None:
    """A machine that slows down fourfold moves both sides, and no ratio."""
    found = turns.ratios([8.0, 4.0, 2.0, 6.0], [4.0, 4.0, 1.0, 2.0])
    assert found == (1.75, 2.0, 2.25)  # of 1, 2, 2, 3


def test_a_table_is_markdown() -> None:
    assert turns.table(["", "tokens/s"], [["ours", "1,886"], ["a peer", "456"]]).splitlines() == [
        "|        | tokens/s |",
        "| ------ | -------: |",
        "| ours   |    1,886 |",
        "| a peer |      456 |",
    ]


def test_the_probe_reads_a_plausible_rate() -> None:
    assert 1e6 < turns.matrix_peak([(64, 64, 64)], threads=1) < 1e15

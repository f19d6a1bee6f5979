"""The processes of one trial on several devices: one a device, and the worker that watches them.

A rank is forked from the worker, so that it has the worker's imports and holds the trial's claim;
it is tied to the worker and ends with it. Linux only, as are the ties.
"""

import os
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing import connection, get_context
from multiprocessing.context import ForkProcess
from typing import NamedTuple

from experiments.ties import tie_to_parent
from lit_transformer.record import Kind

POLL_S = 0.1
"""Longest time until a stop that the worker is asked for reaches its ranks."""
GRACE_S = 5.0
"""Time that the others have to end once one has failed, or has finished the trial."""

End = tuple[Kind, str]
"""How a rank ended, and why."""


class Seat(NamedTuple):
    """A rank's place among those of its trial."""

    rank: int
    devices: int
    meeting: socket.socket
    """Where they meet: a port of this host's own that listens."""


class _Rank(NamedTuple):
    process: ForkProcess
    told: connection.Connection
    """Brings its End, and closes when the process is no more."""


def watch(devices: int, work: Callable[[Seat], End], should_stop: Callable[[], bool]) -> End:
    """Do the work in one process a device -> how it ended. None of them is left.

    SIGTERM is passed on where `should_stop` says so. Call it from the main thread of a process that
    has no others.
    """
    ranks: list[_Rank] = []
    ends: dict[int, End] = {}
    with socket.create_server(("127.0.0.1", 0)) as meeting:
        try:
            for rank in range(devices):
                ranks.append(_start(Seat(rank, devices, meeting), work))
            _wait(ranks, ends, should_stop)
        finally:
            for started in ranks:
                started.process.kill()
            for started in ranks:
                started.process.join()
    if ends.get(0) == ("finished", ""):
        return ends[0]
    # What the end of one breaks in the others is a failure there, so any other end is the cause.
    failed = [end for end in ends.values() if end[0] != "finished"]
    return min(failed, key=lambda end: end[0] == "failed")


def _start(seat: Seat, work: Callable[[Seat], End]) -> _Rank:
    told, tells = connection.Pipe(duplex=False)
    process = get_context("fork").Process(target=_be, args=(seat, work, tells, os.getpid()))
    process.start()
    tells.close()  # the rank alone has it: it closes with the rank
    return _Rank(process, told)


def _be(seat: Seat, work: Callable[[Seat], End], tells: connection.Connection, parent: int) -> None:
    tie_to_parent(parent)
    tells.send(work(seat))


def _wait(ranks: list[_Rank], ends: dict[int, End], should_stop: Callable[[], bool]) -> None:
    """Until all have ended, or too long after one has; `ends` is in the order in which they end."""
    alive = {rank.told: number for number, rank in enumerate(ranks)}
    asked, deadline = False, None
    while alive and (deadline is None or time.monotonic() < deadline):
        if should_stop() and not asked:
            asked = True
            for rank in ranks:
                rank.process.terminate()
        for told in connection.wait(list(alive), POLL_S):
            assert isinstance(told, connection.Connection)
            number = alive[told]
            try:
                ends[number] = told.recv()
            except EOFError:
                del alive[told]
                ends.setdefault(number, _silent(number, ranks[number].process))
        if deadline is None and (0 in ends or any(end[0] != "finished" for end in ends.values())):
            deadline = time.monotonic() + GRACE_S


def _silent(number: int, process: ForkProcess) -> End:
    """The end of a rank that said nothing."""
    process.join()
    assert process.exitcode is not None
    if process.exitcode < 0:
        return "killed", f"rank {number} was ended by {signal.Signals(-process.exitcode).name}"
    return "failed", f"rank {number} exited with status {process.exitcode} without a word"

"""What three processes say to each other, and what a process alone says to itself."""

import multiprocessing
import sys

import pytest
import torch
from torch import nn

from experiments import ranks
from lit_transformer import peers
from lit_transformer.peers import ALONE


def talk(group):
    """For every peer: what each call gives."""
    count = group.count
    items = list(range(7))
    assert group.collect([10 * item for item in group.share(items)]) == [10 * i for i in items]
    assert group.collect(list(group.share(["one"]))) == ["one"]  # fewer than there are peers
    assert group.gather(group.rank) == list(range(count))
    assert group.once(lambda: group.rank) == 0
    assert [group.any(group.rank == rank) for rank in range(count + 1)] == [True] * count + [False]
    assert group.sum(torch.tensor([1.0, group.rank])).tolist() == [count, sum(range(count))]


def add_gradients(group):
    """Each peer reaches the parameters in an order of its own, and one reaches none."""
    a, b, c = (nn.Parameter(torch.full((3,), float(value))) for value in (1, 2, 3))
    with group.summing([a, b, c]):
        if group.rank == 0:
            (a * 2 + b * 5).sum().backward()
        elif group.rank == 1:
            (b * 7 + a * 11).sum().backward()
    sums = [parameter.grad.tolist() for parameter in (a, b, c)]
    assert sums == [[13.0] * 3, [12.0] * 3, [0.0] * 3]


def work(seat):
    group = peers.join(*seat, torch.device("cpu"))
    talk(group)
    add_gradients(group)
    group.gather(None)  # none has failed
    return "finished", ""


def watch(tells):
    tells.send(ranks.watch(3, work, lambda: False))


@pytest.mark.skipif(sys.platform != "linux", reason="ranks are tied on Linux alone")
def test_three_peers_agree():
    told, tells = multiprocessing.Pipe(duplex=False)
    # A server is the runner's to start: it imports what ties its trials to it.
    process = multiprocessing.get_context("spawn").Process(target=watch, args=(tells,))
    process.start()
    tells.close()
    assert told.recv() == ("finished", "")
    process.join()


def test_a_process_alone_is_all_of_them():
    talk(ALONE)
    parameter = nn.Parameter(torch.ones(2))
    with ALONE.summing([parameter]):
        (parameter * 3).sum().backward()
    assert parameter.grad.tolist() == [3.0, 3.0]

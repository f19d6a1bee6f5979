"""The processes that train one trial together, one on each device.

What goes between them is of two kinds: tensors, over NCCL between GPUs and over gloo between CPUs;
and plain values, always over gloo, which makes no GPU wait. Every call is made by all peers, in the
same order. For a process alone they cost nothing.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from socket import socket
from typing import TypeVar, final

import torch
from torch import Tensor, distributed, nn

T = TypeVar("T")


@final
class Peers:
    """All of them, as the one of this rank sees them; ranks count from 0."""

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes the trial's record."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """The items that are this one's to work on: every count-th."""
        return items[self.rank :: self.count]

    def collect(self, made: list[T]) -> list[T]:
        """What each peer has made of its `share`, one for one -> of all items, in their order."""
        parts = self.gather(made)
        total = sum(map(len, parts))
        return [parts[index % self.count][index // self.count] for index in range(total)]

    def gather(self, own: T) -> list[T]:
        """The value of every peer, by rank."""
        if self.count == 1:
            return [own]
        values: list[T | None] = [None] * self.count
        distributed.all_gather_object(values, own)
        return values  # type: ignore[return-value]

    def once(self, work: Callable[[], T]) -> T:
        """Done by the leading one, while the others wait -> its outcome, for all."""
        if self.count == 1:
            return work()
        outcome = [work() if self.leads else None]
        distributed.broadcast_object_list(outcome, src=0)
        return outcome[0]  # type: ignore[return-value]

    def any(self, own: bool) -> bool:
        """Whether it is so for one of them."""
        if self.count == 1:
            return own
        votes = torch.tensor(int(own))
        distributed.all_reduce(votes)
        return bool(votes)

    def sum(self, own: Tensor) -> Tensor:
        """Of every peer's tensor; `own` is overwritten."""
        if self.count > 1:
            distributed.all_reduce(own)
        return own

    @contextmanager
    def summing(self, parameters: Iterable[nn.Parameter]) -> Iterator[None]:
        """Sum gradients over the peers, while the backward pass in this block still goes on.

        Each is sent when it and those of all later parameters are there: in one fixed order, and by
        itself, so that the sum has the same bits however a backward pass goes. A parameter without
        a gradient counts as one of zeros.
        """
        if self.count == 1:
            yield
            return
        waiting, made = list(parameters), set[nn.Parameter]()
        sent: list[distributed.Work | None] = []

        def send() -> None:
            sent.append(distributed.all_reduce(waiting.pop().grad, async_op=True))

        def on_gradient(parameter: nn.Parameter) -> None:
            made.add(parameter)
            while waiting and waiting[-1] in made:
                send()

        hooks = [
            parameter.register_post_accumulate_grad_hook(on_gradient)  # type: ignore[no-untyped-call]
            for parameter in waiting
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        while waiting:
            if waiting[-1].grad is None:
                waiting[-1].grad = torch.zeros_like(waiting[-1])
            send()
        for work in sent:
            assert work is not None
            work.wait()


ALONE = Peers(0, 1)


def join(rank: int, count: int, meeting: socket, device: torch.device) -> Peers:
    """Wait for the others of a group. `meeting` is a socket that listens, the same for all."""
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = "lo"  # for this host only
    if device.type == "cuda":
        torch.cuda.set_device(device)
    host, port = meeting.getsockname()
    listens = meeting.detach() if rank == 0 else None
    store = distributed.TCPStore(  # type: ignore[attr-defined]
        host, port, count, rank == 0, master_listen_fd=listens
    )
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        store=store,
        rank=rank,
        world_size=count,
    )
    return Peers(rank, count)

"""How many trials share a GPU, by the memory that they are expected to take."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.sweep import NOMINAL_LENGTH, Planned
from lit_transformer.model import cost

GIB = 2**30
OWN_BYTES = 1 * GIB
"""What a process takes of a GPU beside its tensors: CUDA's context, libraries, work space."""
MARGIN = 1.5
"""Times what `cost.training_memory` counts: fragmentation, decoding, batches of longer pairs."""


class Share(NamedTuple):
    """Trials on each GPU at once, and what a person is told of it."""

    trials_per_gpu: int
    told: list[str]


def share(planned: Sequence[Planned], free: Mapping[str, int], most: int) -> Share:
    """As many trials as the fullest GPU has room for; at least 1, at most `most`.

    `free`: bytes of each GPU that nobody has taken. The trials that are counted are the largest
    ones, since any of them may meet. A trial that alone is larger than a GPU is named.
    """
    room = min(free.values())
    needs = sorted((_need(item) for item in planned), reverse=True)
    count, taken = 0, 0.0
    for need in needs[:most]:
        taken += need
        if taken > room:
            break
        count += 1
    count = max(count, 1)
    trials = "1 trial" if count == 1 else f"{count} trials"
    told = [
        f"{trials} a GPU: the largest takes about {needs[0] / GIB:.1f} GiB, margin included, of "
        f"{room / GIB:.1f} GiB free"
    ]
    return Share(count, told + _too_large(planned, room))


def _too_large(planned: Sequence[Planned], room: int) -> list[str]:
    """Trials whose tensors alone are expected not to fit, without any margin."""
    return [
        f"{item.trial.title} needs about {memory(item) / GIB:.1f} GiB and {room / GIB:.1f} GiB are "
        "free: it will probably end out_of_memory; lower train.micro_tokens"
        for item in planned
        if memory(item) > room
    ]


def _need(item: Planned) -> float:
    return OWN_BYTES + MARGIN * memory(item)


def memory(item: Planned) -> float:
    """Bytes that a trial's tensors take of each of its devices at the peak of a pass, by
    `cost.training_memory`."""
    config = item.trial.config
    train = config.train
    share = math.ceil(train.tokens_per_batch / train.devices)
    return cost.training_memory(
        config.model,
        config.data.vocabulary_size,
        NOMINAL_LENGTH,
        NOMINAL_LENGTH,
        min(train.micro_tokens or share, share),
        train.precision,
        config.optim.optimizer,
    )

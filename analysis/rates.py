"""Training cost as the paper's Table 2 has it: time x devices x a rate that a device sustains.

The rate is an assumption, never a measurement: the paper's for its four GPUs, and for every other
device what the user states. Where nobody states one, there is no such cost.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from analysis import published
from analysis.counting import Run
from lit_transformer.config_io import ConfigError

SECONDS = "cost.train_seconds"
DEVICE_SECONDS, RATED = "cost.device_seconds", "cost.rated_flops"
"""Metrics that no trial writes: they depend on what a device is taken to sustain."""


class Rate(NamedTuple):
    """What one device is taken to sustain."""

    device: str
    """Words of its name."""
    tflops: float
    """10^12 operations a second."""
    source: str


def known(stated: Sequence[Rate]) -> tuple[Rate, ...]:
    """The stated rates, then the paper's: the first that names a device holds."""
    figures = published.load().rates.items()
    papers = (Rate(name, float(figure.value), figure.place) for name, figure in figures)
    return (*stated, *papers)


def parse(texts: Iterable[str]) -> list[Rate]:
    """`H100=67`: words of a device's name, and 10^12 operations a second."""
    return [_parse(text) for text in texts]


def of(device_name: str, rates: Iterable[Rate]) -> Rate | None:
    """The first rate whose words stand in the device's name, whole, in either case."""
    return next((rate for rate in rates if _names(rate.device, device_name)), None)


def priced(run: Run, rates: Sequence[Rate]) -> Run:
    """The run with its device time, and its cost by the device's rate, where they are known."""
    seconds, rate = run.scores.get(SECONDS), of(run.device_name, rates)
    if seconds is None or run.devices is None:
        return run
    costs = {DEVICE_SECONDS: seconds * run.devices}
    if rate is not None:
        costs[RATED] = seconds * run.devices * rate.tflops * 1e12
    return run._replace(scores={**run.scores, **costs})


def _parse(text: str) -> Rate:
    name, _, number = text.rpartition("=")
    try:
        tflops = float(number)
    except ValueError:
        tflops = math.nan
    if not name.strip() or not 0 < tflops < math.inf:
        raise ConfigError(
            f"--rate {text}: write words of a device's name and 10^12 operations a second that it "
            "sustains, as H100=67"
        )
    return Rate(name.strip(), tflops, "stated with --rate")


def _names(words: str, device_name: str) -> bool:
    whole = rf"(?<![A-Za-z0-9]){re.escape(words)}(?![A-Za-z0-9])"
    return re.search(whole, device_name, re.IGNORECASE) is not None

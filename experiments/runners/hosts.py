"""The hosts of a cluster: what each must see before it gets a trial, and what it has room for."""

import importlib.util
import os
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from experiments import checkout
from lit_transformer.config import DataConfig
from lit_transformer.config_io import ConfigError
from lit_transformer.data import corpora
from lit_transformer.data.cache import CorpusError
from lit_transformer.record import Record, RecordError, read_own, write_bytes

ADDRESS = "RAY_ADDRESS"
CONNECT_S = 5.0
"""Longest wait for the head of a cluster to take a connection."""
SAME = ("torch", "pytorch-lightning", "numpy", "sentencepiece", "sacrebleu")
"""Libraries whose version every host must share, since the numbers of one table depend on it."""


class Host(NamedTuple):
    """A host that Ray has trials run on."""

    node: str
    """Ray's name for it."""
    name: str
    """Its host name and address."""
    cpus: int
    gpus: int

    def room(self, threads: int, trials_per_gpu: int, on_gpus: bool) -> int:
        """Trials on one device each that fit."""
        by_cpus = self.cpus // threads
        return min(by_cpus, self.gpus * trials_per_gpu) if on_gpus else by_cpus


class Probe(NamedTuple):
    """What a host is asked to see before it gets a trial."""

    folder: Path
    """On the storage of the sweep, with a claim held by the sweep."""
    word: str
    """What the sweep has written there."""
    code: tuple[str, str]
    """Commit and changes of the sweep's own code."""
    versions: Mapping[str, str]
    data: Sequence[DataConfig]
    started_in: Path
    """The sweep's current folder, from which a corpus's relative paths start."""


def check() -> None:
    """ConfigError where Ray is not installed, or where RAY_ADDRESS names nobody who answers."""
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("--runner ray: Ray is not installed; pip install '.[cluster]'")
    address = os.environ.get(ADDRESS, "")
    if address in ("", "auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise ConfigError(
            f"{ADDRESS}={address}: HEAD:PORT is needed, as in 10.0.0.1:6379; unset it for a "
            "cluster of this host alone"
        )
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"{ADDRESS}={address}: nobody answers there ({error}); start its head with "
            f"`ray start --head --port={port}`, or unset {ADDRESS} for a cluster of this host alone"
        ) from None


def plan_threads(
    hosts: Sequence[Host],
    devices: Sequence[int],
    trials_per_gpu: int,
    at_once: int | None,
    on_gpus: bool,
) -> int:
    """Threads of each process, as many as leave room for the trials that can run at once.

    `devices`: how many each trial takes. ConfigError where no host has so many.
    """
    most = max(devices, default=1)
    largest = max(host.gpus if on_gpus else host.cpus for host in hosts)
    if most > largest:
        what = "GPUs" if on_gpus else "processors"
        raise ConfigError(
            f"train.devices={most}: the largest host of the cluster has {largest} {what}; lower "
            "train.devices, or add a larger host"
        )
    if on_gpus:
        shares = [host.cpus // (host.gpus * trials_per_gpu) for host in hosts if host.gpus]
        return max(1, min(shares))
    wanted = sum(sorted(devices, reverse=True)[:at_once])
    wanted = min(wanted, sum(host.cpus for host in hosts))
    return next(
        threads
        for threads in range(largest // most, 0, -1)
        if threads == 1 or sum(host.cpus // threads for host in hosts) >= wanted
    )


def probe_of(folder: Path, data: Sequence[DataConfig]) -> Probe:
    code = checkout.code()
    return Probe(
        folder, uuid.uuid4().hex, (code.commit, code.changes), _versions(), data, Path.cwd()
    )


def look(probe: Probe, name: str) -> str:
    """On a host of the cluster: why trials cannot run here; empty: they can.

    The host answers by a file of this name too, which the sweep must see.
    """
    code = checkout.code()
    if (code.commit, code.changes) != probe.code:
        return (
            f"its code is {_code(code.commit, code.changes)}, and the sweep's is "
            f"{_code(*probe.code)}; give every host the same"
        )
    mine = _versions()
    if other := [one for one in probe.versions if mine[one] != probe.versions[one]]:
        told = ", ".join(f"{one} {mine[one]} (the sweep's: {probe.versions[one]})" for one in other)
        return f"has {told}; give every host the same"
    enter(probe.started_in)
    try:
        for data in probe.data:
            corpora.check(data)
    except (ConfigError, CorpusError) as error:
        return str(error)
    try:
        if read_own(probe.folder / "word") != probe.word.encode():
            return unseen(probe.folder.parent)
        if not Record(probe.folder).is_claimed():
            return (
                f"{probe.folder.parent}: a lock that another host holds is not seen; mount it so "
                "that locks hold for all hosts (NFS 4 does, `local_lock` and `nolock` do not)"
            )
        write_bytes(probe.folder / name, probe.word.encode())
    except RecordError as error:
        return str(error)
    except OSError as error:
        return f"{probe.folder.parent}: {error.strerror}"
    return ""


def enter(folder: Path) -> None:
    """Work in this folder where the host has it; only relative paths need it."""
    with suppress(OSError):
        os.chdir(folder)


def _versions() -> dict[str, str]:
    return {"python": ".".join(map(str, sys.version_info[:2])), **{n: version(n) for n in SAME}}


def unseen(folder: Path) -> str:
    return f"does not see {folder}; put --root on storage that every host has at the same path"


def _code(commit: str, changes: str) -> str:
    named = f"commit {commit[:12]}" if commit else "of no commit"
    return f"{named} with changes {changes[:12]}" if changes else named

"""Contenders side by side: an environment for each, all alive at once, taking turns.

On a machine that is shared, speeds drift by more than contenders differ. What is compared is
therefore one round's measurements with each other: the result is the median of same-round ratios.
"""

import json
import os
import platform
import random
import re
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".bench"
PEERS = Path(__file__).parent / "peers"
SERVE = Path(__file__).parent / "serve.py"
REST_S = 0.5
"""Before each turn, for what the one before has left running: idle threads spin for a while."""
PROBES = 3
"""Times that each matrix product of the probe is timed; the fastest counts."""


class Peer(NamedTuple):
    """One contender's file, and what its PEP 723 block asks for."""

    name: str
    file: Path
    dependencies: list[str]
    without_dependencies: list[str]
    """Installed by themselves, where what they declare would break the rest."""
    stand_ins: list[str]
    """Modules that are imported but not needed: empty files."""
    environment: str
    """Folder of the environment; peers with equal blocks may share one."""


class Answer(NamedTuple):
    """What a contender returned, the seconds of the call itself, its peak memory so far."""

    result: Any
    seconds: float
    peak_mib: float


class Quartiles(NamedTuple):
    low: float
    median: float
    high: float


class ContenderError(Exception):
    """A contender failed; the message is its traceback."""


def read_peer(file: Path) -> Peer:
    """ValueError where the file has no PEP 723 block."""
    block = script_block(file.read_text("utf-8"))
    if block is None:
        raise ValueError(f"{file}: has no PEP 723 block (# /// script)")
    extra = block.get("tool", {}).get("benchmarks", {})
    return Peer(
        file.stem,
        file,
        block["dependencies"],
        extra.get("without-dependencies", []),
        extra.get("stand-ins", []),
        extra.get("environment", file.stem),
    )


def script_block(text: str) -> dict[str, Any] | None:
    """The TOML of `# /// script`, as PEP 723 reads it."""
    found = re.search(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$", text)
    if found is None:
        return None
    lines = found["content"].splitlines(keepends=True)
    return tomllib.loads("".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))


def python_of(peer: Peer) -> Path:
    """The interpreter to run it with: this one for the project itself, else its own environment's,
    which is made first where it is absent or the block has changed."""
    if peer.name.startswith("ours"):
        return Path(sys.executable)
    folder = ENVIRONMENTS / peer.environment
    python = folder / "bin" / "python"
    wanted = json.dumps([peer.dependencies, peer.without_dependencies, peer.stand_ins])
    stamp = folder / "installed.json"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {peer.name} into {folder}", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        _install(peer, python)
        stamp.write_text(wanted)
    return python


def _install(peer: Peer, python: Path) -> None:
    """torch first and alone, then held fast, so that nothing replaces it by another build."""
    first = [need for need in peer.dependencies if need.startswith("torch==")]
    rest = [need for need in peer.dependencies if need not in first]
    hold = python.parents[1] / "constraints.txt"
    hold.write_text("".join(f"{need}\n" for need in first))
    pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(hold)]
    for needs in (first, rest):
        if needs:
            subprocess.run([*pip, *needs], check=True)
    if peer.without_dependencies:
        subprocess.run([*pip, "--no-deps", *peer.without_dependencies], check=True)
    place = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", place], check=True, capture_output=True, text=True)
    for module in peer.stand_ins:
        (Path(site.stdout.strip()) / f"{module}.py").write_text("")


class Contender:
    """A peer's process, alive until `close`."""

    def __init__(self, file: Path, python: Path, threads: int) -> None:
        self.name = file.stem
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        if self.name.startswith("ours"):
            environment["PYTHONPATH"] = str(ROOT)
        self._process = subprocess.Popen(
            [python, SERVE, file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        try:
            hello = self._hear()
        except ContenderError:
            self.close()
            raise
        self.versions: dict[str, str] = hello["versions"]
        self.imported_mib: float = hello["peak_mib"]
        """Memory when the peer's file and its libraries were loaded, before any work."""

    def call(self, method: str, **arguments: Any) -> Answer:
        """Make an object (`Training`, `Decoding`) or call a method of the one made last."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"method": method, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        return Answer(**self._hear())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ContenderError(f"{self.name} ended with status {self._process.wait()}")
        content: dict[str, Any] = json.loads(line)
        if "error" in content:
            raise ContenderError(f"{self.name} failed:\n{content['error']}")
        return content


def start(names: Sequence[str], threads: int) -> list[Contender]:
    """One living contender for each name, a file of peers/; what is missing is installed first."""
    peers = [read_peer(PEERS / f"{name}.py") for name in names]
    pythons = [python_of(peer) for peer in peers]
    return [
        Contender(peer.file, python, threads) for peer, python in zip(peers, pythons, strict=True)
    ]


def take_turns(
    contenders: Sequence[Contender],
    rounds: int,
    turn: Callable[[Contender, int], Answer],
    probe: Callable[[], float],
) -> tuple[dict[str, list[Answer]], list[float]]:
    """Each contender's answers, and the probe's reading in each round.

    Every round has an order of its own, so that none always follows the same other: what one leaves
    behind, memory to be freed or threads that spin, falls on the next.
    """
    answers: dict[str, list[Answer]] = {contender.name: [] for contender in contenders}
    probed = []
    for number in range(rounds):
        probed.append(probe())
        said = []
        for contender in random.Random(number).sample(contenders, len(contenders)):
            time.sleep(REST_S)
            answers[contender.name].append(turn(contender, number))
            said.append(f"{contender.name} {answers[contender.name][-1].seconds:.2f} s")
        print(f"round {number + 1}/{rounds}: {', '.join(said)}", file=sys.stderr, flush=True)
    return answers, probed


def quartiles(values: Sequence[float]) -> Quartiles:
    return Quartiles(*(float(q) for q in np.percentile(values, (25, 50, 75))))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Quartiles:
    """Of measurements of the same rounds."""
    return quartiles([a / b for a, b in zip(ours, theirs, strict=True)])


def paces(rounds: Sequence[Mapping[str, float]], first: str) -> list[tuple[str, str, str]]:
    """A line for each of a round's names, which are numbers: the median of what it read, and of its
    same-round ratios to the first's."""
    return [
        (
            name,
            f"{quartiles([one[name] for one in rounds]).median:,.0f}",
            f"{ratios([one[name] for one in rounds], [one[first] for one in rounds]).median:.2f}",
        )
        for name in sorted(rounds[0], key=int)
    ]


def model_shapes(d_model: int, d_ff: int, vocabulary: int, rows: int) -> list[tuple[int, int, int]]:
    """Products (m, k) (k, n) of a model with `rows` tokens in a batch, and two squares."""
    return [
        (1024, 1024, 1024),
        (2048, 2048, 2048),
        (rows, d_model, d_model),
        (rows, d_model, d_ff),
        (rows, d_ff, d_model),
        (d_model, rows, d_ff),
        (256, d_model, vocabulary),
    ]


def matrix_peak(shapes: Sequence[tuple[int, int, int]], threads: int) -> float:
    """Operations a second of the fastest float32 matrix product that this machine does now."""
    torch.set_num_threads(threads)
    best = 0.0
    for m, k, n in shapes:
        a, b, out = torch.rand(m, k), torch.rand(k, n), torch.empty(m, n)
        for _ in range(1 + PROBES):
            began = time.perf_counter()
            torch.mm(a, b, out=out)
            best = max(best, 2 * m * k * n / (time.perf_counter() - began))
    return best


def machine() -> dict[str, Any]:
    """What the numbers belong to."""
    able = torch.cpu.get_capabilities()
    config = torch.__config__.show()
    wanted = ("MKL Version", "oneAPI Math", "MKL-DNN", "CPU capability", "OpenMP")
    facts = [line.strip(" -") for line in config.splitlines() if any(w in line for w in wanted)]
    blas = re.search(r"BLAS_INFO=(\w+)", config)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": str(able.get("cpu_name") or platform.processor()),
        "cores": os.cpu_count(),
        "instructions": [name for name in ("avx2", "avx512_f", "avx512_bf16") if able.get(name)],
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "blas": blas[1] if blas else None,
        "torch_config": facts,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text as Markdown: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        sized = zip(cells, widths, strict=True)
        padded = [c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(sized)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")

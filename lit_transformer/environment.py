"""What a trial is computed with: device, threads and versions of libraries."""

import json
import platform
import sys
from importlib.metadata import version
from typing import Any

import torch

LIBRARIES = ("torch", "pytorch-lightning", "sentencepiece", "sacrebleu", "numpy", "pandas")


def describe(device: torch.device, devices: int, threads: int) -> dict[str, Any]:
    """The content of environment.json; `threads` of each of the `devices` processes."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device_name(device),
        "devices": devices,
        "threads": threads,
        "versions": {name: version(name) for name in LIBRARIES},
    }


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or "cpu")


if __name__ == "__main__":  # in a process of its own, which keeps no GPU's memory
    here = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(json.dumps(describe(here, *map(int, sys.argv[1:]))))

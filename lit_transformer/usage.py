"""What a trial takes of its machine, under the names that MLflow's UI groups as system metrics."""

from typing import final

import psutil
import torch

MIB = 2**20


@final
class Usage:
    """Of this process and its device, since the last look."""

    def __init__(self, device: torch.device) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first look only starts the clock
        self._device = device

    def look(self) -> dict[str, float]:
        """Cores in use (100 is one), MiB of memory, MiB that tensors had at most on the GPU."""
        seen = {
            "system/cpu_utilization_percentage": self._process.cpu_percent(),
            "system/system_memory_usage_megabytes": self._process.memory_info().rss / MIB,
        }
        if self._device.type == "cuda":
            taken = torch.cuda.max_memory_allocated(self._device) / MIB
            seen["system/gpu_0_memory_usage_megabytes"] = taken
        return seen

"""In a process of its own, since it changes the process for good."""

import platform
import subprocess
import sys

import pytest

MEASURE = """
import resource, sys
import torch
from lit_transformer.allocator import keep_freed_memory

torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert keep_freed_memory()

def step():
    first, second = (torch.zeros(millions << 18) for millions in (40, 20))

for _ in range(8):
    step()
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(mode: str) -> int:
    """Of a step: the fewest of four, since now and then a kernel takes pages back by itself."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, mode], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return min(map(int, done.stdout.split()))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_memory_that_is_kept_is_not_touched_afresh() -> None:
    assert new_pages("keep") < new_pages("as before") / 10


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from lit_transformer import allocator

    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert not allocator.keep_freed_memory()

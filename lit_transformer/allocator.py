"""The C library's allocator, told to keep what is freed.

A training step asks for the same large blocks each time. glibc maps every one afresh and gives it
back at once, so that each step touches tens of thousands of new pages: a tenth of its time on a
CPU. Kept blocks serve the next step, and the peak does not rise.
"""

import ctypes

# Of malloc.h; the values are part of glibc's binary interface.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4

SETTINGS = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: (1 << 31) - 1, M_TOP_PAD: 1 << 26}
"""No block is mapped by itself, nothing is given back, and the heap grows by 64 MiB at a time."""


def keep_freed_memory() -> bool:
    """For the rest of this process -> whether its C library can; glibc alone can."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all([mallopt(key, value) == 1 for key, value in SETTINGS.items()])

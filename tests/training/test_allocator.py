import json
import os
import platform
import subprocess
import sys

import pytest

# Ten blocks of 8 MB are written and freed, round after round, as a step does with activations; printed: what ten rounds cost.
ROUNDS = """
import ctypes, json, resource, sys
from frugal.measure.memory import allocator, keep_freed_memory

if "keep" in sys.argv:
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
faults = []
for _ in range(20):
    blocks = [ctypes.c_void_p(libc.malloc(8_000_000)) for _ in range(10)]
    for block in blocks:
        libc.memset(block, 1, 8_000_000)
    for block in blocks:
        libc.free(block)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(json.dumps([allocator(), faults[-1] - faults[9]]))
"""


def page_faults(*arguments, **environment):
    """Name of the allocator, and pages that the system had to fill in ten rounds."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", ROUNDS, *arguments]
    done = subprocess.run(command, cwd="scripts", env=clean | environment, check=True, capture_output=True, text=True)
    return tuple(json.loads(done.stdout))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_freed_memory_is_used_again_and_a_users_own_setting_stands():
    assert page_faults()[1] > 10_000
    state, faults = page_faults("keep")
    assert state == "glibc, freed memory kept"
    assert faults < 1_000
    assert page_faults("keep", MALLOC_TRIM_THRESHOLD_="131072")[0] == "as the system sets it"

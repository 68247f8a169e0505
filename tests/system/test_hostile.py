# SPDX-License-Identifier: Apache-2.0
"""
A guest that tries whatever a guest can try (guests/ARCH/hostile.c), beside one that says every 10 ms that it is alive
and that nobody touched what is its own (marker.c). Under -icount both do the same in every run: a seed is all that it
takes to see a failure again (AXVM_SEED). AXVM_OPS makes it longer.
"""
import os
import re

import pytest

from support import write_vm

SEED = int(os.environ.get("AXVM_SEED", 1))
OPERATIONS = int(os.environ.get("AXVM_OPS", 100000))
BEATS = 400
LATE_US = 1_000  # of the neighbour: QEMU's CPUs take turns under -icount

# QEMU changes from one CPU to the next at the latest when one of its own timers is due: have one every 20 us.
TICKER = ["-netdev", "hubport,hubid=0,id=tick",
          "-object", "filter-buffer,id=ticker,netdev=tick,queue=rx,interval=20"]

MEMORY = [  # from the beginning of RAM on
    [0x00000000, "32M", 7, 0],
    [0x10000000, "1M", 5, 0],        # not writable
    [0x11000000, "1M", 1, 0],        # nor executable
    [0x20000000, "64M", 7, 0, True],  # populated on first touch
]


def test_a_hostile_guest_disturbs_nobody(start, tmp_path, arch):
    memory = [[arch.ram + at, *rest] for at, *rest in MEMORY]
    print(f"seed {SEED}, {OPERATIONS} operations")
    hostile = write_vm(tmp_path, "hostile", cpus=4, base={"phys_cpu_sets": [2, 4, 8, 2]},
                       kernel_path=arch.guest("hostile.bin"), cmdline=f"seed={SEED} ops={OPERATIONS}",
                       memory_regions=memory)
    marker = write_vm(tmp_path, "marker", base={"phys_cpu_sets": [1]}, kernel_path=arch.guest("marker.bin"),
                      cmdline=f"beats={BEATS}", memory="32M")
    run = start(hostile, marker, qemu_args=["-icount", "shift=0,sleep=off", *TICKER])
    run.expect_end()
    done = re.search(rf"hostile: seed {SEED}, (\d+) operations, (\d+) failed", run.log)
    assert done and int(done[1]) >= OPERATIONS and int(done[2]) == 0
    assert re.search(r"GUEST PASS: 0 failed", run.log)
    assert "axvm: vm hostile: powered off" in run.log and "axvm: vm marker: powered off" in run.log
    beats = re.findall(r"beat (\d+): without the CPU at most (\d+) us, interrupts at most (\d+) us late", run.log)
    assert int(beats[-1][0]) == BEATS
    assert max(max(int(gap), int(late)) for _, gap, late in beats) < LATE_US

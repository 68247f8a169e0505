# SPDX-License-Identifier: Apache-2.0
"""
A guest that tries whatever a guest can try (guests/ARCH/hostile.c), beside two that say every 10 ms that they are alive
and that nobody touched what is theirs (marker.c): one has a CPU of its own, the other shares one with a vCPU of the
hostile guest. Under -icount all do the same in every run: a seed is all that it takes to see a failure again
(AXVM_SEED). AXVM_OPS makes it longer; `make hostile` does so, with several seeds.
"""
import os
import re

import pytest

from support import ICOUNT, slice_us, write_vm

SEED = int(os.environ.get("AXVM_SEED", 1))
OPERATIONS = int(os.environ.get("AXVM_OPS", 100000))
LATE_US = 1_000  # beside what the scheduler says: QEMU's CPUs take turns under -icount, and the hypervisor's exits

MEMORY = [  # from the beginning of RAM on
    [0x00000000, "32M", 7, 0],
    [0x10000000, "1M", 5, 0],        # not writable
    [0x11000000, "1M", 1, 0],        # nor executable
    [0x20000000, "64M", 7, 0, True],  # populated on first touch
]


# By vCPU: its pCPU. Under -icount, QEMU gives what one CPU leaves of the time until its next timer to those behind it:
# the first has the marker, whose interrupts are to be in time.
MARKER, HOSTILE, SPINNER = [0x1], [0x2, 0x4, 0x8, 0x2], [0x8]
SHARING = 2  # vCPUs on the spinner's


def watch(run):
    """See it run, until the hostile guest has ended and the others have beaten for a while longer."""
    while not (end := run.expect(r"hostile: (\d+) %|axvm: vm hostile: ([^\r]*)\r"))[2]:
        print(f"seed {SEED}: {end[1]} %", end="\r", flush=True)
    assert end[2] == "powered off"
    last = max(int(beat) for beat in re.findall(r"(?:marker|spinner) (\d+): ", run.log))
    run.expect_all(rf"marker {last + 10}: .*\r", rf"spinner {last + 10}: .*\r")
    print("\n".join(line for line in run.lines() if "hostile: " in line and "%" not in line))


def beats_of(who, log):
    """(without the CPU, interrupts late, had the CPU): the most in us, the same, and in all in %."""
    beats = re.findall(rf"{who} \d+: without the CPU at most (\d+) us, interrupts at most (\d+) us late, "
                       r"had it for (\d+) %", log)
    away, late, had = zip(*[map(int, beat) for beat in beats])
    return max(away), max(late), had[-1]


def test_a_hostile_guest_disturbs_nobody(start, tmp_path, arch):
    memory = [[arch.ram + at, *rest] for at, *rest in MEMORY]
    print(f"seed {SEED}, {OPERATIONS} operations")
    hostile = write_vm(tmp_path, "hostile", cpus=4, base={"phys_cpu_sets": HOSTILE},
                       kernel_path=arch.guest("hostile.bin"), cmdline=f"seed={SEED} ops={OPERATIONS}",
                       memory_regions=memory)
    marker = write_vm(tmp_path, "marker", base={"phys_cpu_sets": MARKER}, kernel_path=arch.guest("marker.bin"),
                      memory="32M")
    spinner = write_vm(tmp_path, "spinner", base={"phys_cpu_sets": SPINNER}, kernel_path=arch.guest("marker.bin"),
                       cmdline="spin=1", memory="32M")
    run = start(hostile, marker, spinner, qemu_args=ICOUNT)
    watch(run)
    done = re.search(rf"hostile: seed {SEED}, (\d+) operations, (\d+) failed", run.log)
    assert done and int(done[1]) >= OPERATIONS and int(done[2]) == 0
    assert "FAIL" not in run.log
    away, late, _ = beats_of("marker", run.log)
    assert away < LATE_US and late < LATE_US
    away, _, had = beats_of("spinner", run.log)
    assert away < (SHARING - 1) * slice_us() + LATE_US
    assert had >= 100 // SHARING - 1

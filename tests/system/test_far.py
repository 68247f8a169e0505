# SPDX-License-Identifier: Apache-2.0
"""Guest-physical addresses that want G-stage tables of three, four and five levels."""
import pytest

from support import PASS, Shell

pytestmark = pytest.mark.only("riscv64")

MIB, RWX, ALLOC = 1 << 20, 7, 0


# The clock and lazy memory begin in the middle of what has so many bits, other memory is near the end. A guest's own
# tables hold addresses of 56 bits.
@pytest.mark.parametrize("bits", [40, 41, 49, 50, 56])
def test_all_widths_hold_memory_and_devices(start, tmp_path, arch, bits):
    middle, end = 1 << bits - 1, (1 << bits) - 8 * MIB
    devices = [["plic", 0x0c000000, 0x600000, 0, 1], ["uart", 0x10000000, 0x100, 10, 2],
               ["rtc", middle, 0x1000, 11, 0xf0]]
    regions = [[end, 4 * MIB, RWX, ALLOC], [middle + 2048 * MIB, 4 * MIB, RWX, ALLOC, True]]
    machine = start(arch.guest_vm(tmp_path, "far", memory_regions=regions, devices={"emu_devices": devices}))
    machine.expect_all(f"far: 4096 KiB at {end:#x}", f"far: 4096 KiB at {middle + 2048 * MIB:#x}", PASS)
    machine.expect_end()


# Linux looks at all that it hasn't below its memory, by steps of 2 MiB, before its console is there: so not higher up.
def test_linux_runs_far_away(start, tmp_path, arch):
    base = 1 << 49
    machine = start(arch.linux_vm(tmp_path, cpus=2, memory=None, memory_regions=[[base, 256 * MIB, RWX, ALLOC]]))
    shell = Shell(machine)
    assert shell.run("ls -d /proc/device-tree/memory@*") == f"/proc/device-tree/memory@{base:x}"
    assert shell.run("tr -d '\\0' < /proc/device-tree/cpus/cpu@0/mmu-type") == "riscv,sv57"
    assert "smpstress: 2 CPUs agree" in shell.run("smpstress 2")
    shell.start("poweroff -f")
    machine.expect_end()

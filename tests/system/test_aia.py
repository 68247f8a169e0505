# SPDX-License-Identifier: Apache-2.0
"""The Advanced Interrupt Architecture: as the guest has it, on machines that have it or not."""
import re

import pytest

from support import PASS, Shell, write_vm

pytestmark = pytest.mark.only("riscv64")

UART, RTC = ["uart", 0x10000000, 0x100, 10, 2], ["rtc", 0x00101000, 0x1000, 11, 0xf0]
APLIC = ["aplic", 0x0d000000, 0x8000, 0, 1]
IMSICS = [*APLIC, [0x28000000]]


@pytest.mark.parametrize("intc, says, machine", [
    (APLIC, r"APLIC", "virt,aia=aplic"),
    (IMSICS, r"IMSIC|APLIC-MSI", "virt"),  # interrupt files in software
    (IMSICS, r"IMSIC|APLIC-MSI", "virt,aia=aplic-imsic,aia-guests=3"),  # and of the machine, for who is alone
], ids=["aplic", "imsic", "imsic-guest-files"])
def test_linux_with_aia(start, tmp_path, arch, intc, says, machine):
    vm = arch.linux_vm(tmp_path, cpus=3, devices={"emu_devices": [intc, UART, RTC]})
    machine = start(vm, smp=2, qemu_args=["-M", machine])
    shell = Shell(machine)
    interrupts = shell.run("cat /proc/interrupts")
    assert re.search(rf"({says}).*ttyS0|({says}).*serial", interrupts), interrupts
    assert "smpstress: 3 CPUs agree" in shell.run("smpstress 2")
    shell.start("poweroff -f")
    machine.expect_end()


# In the mean of 500, in instructions, the guest's own included: a message to another vCPU, and back.
@pytest.mark.parametrize("machine, least, most", [
    ("virt,aia=aplic-imsic,aia-guests=1", 100, 300),  # by the machine's interrupt files: with no exit at all
    ("virt,aia=aplic-imsic", 1000, 5000),
], ids=["guest-files", "software"])
def test_messages_to_guest_interrupt_files_cost_no_exit(start, tmp_path, arch, machine, least, most):
    vm = write_vm(tmp_path, "bench", cpus=2, kernel_path=arch.guest("bench.bin"), memory="64M",
                  cmdline="rounds=500 only=imsic-peer", base={"phys_cpu_sets": [1, 2]},
                  devices={"emu_devices": [IMSICS, UART]})
    running = start(vm, smp=2, qemu_args=["-M", machine, "-icount", "shift=0,sleep=off"])
    hundredths = int(running.expect(r"bench imsic-peer (\d+)\r*\n")[1])
    running.expect(PASS)
    assert least <= hundredths / 100 <= most, running.log

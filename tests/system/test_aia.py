# SPDX-License-Identifier: Apache-2.0
"""The Advanced Interrupt Architecture: as the guest has it, on machines that have it or not."""
import re

import pytest

from support import Shell

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

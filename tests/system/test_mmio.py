# SPDX-License-Identifier: Apache-2.0
"""guests/aarch64/mmio.c: every kind of load and store does on an emulated device what it does on memory."""
import re

import pytest

from support import PASS, write_vm


# The default, the smallest, and one with all that QEMU knows: atomics, for example.
@pytest.mark.only("aarch64")
@pytest.mark.parametrize("cpu", ["cortex-a72", "cortex-a53", "max"])
def test_every_access_to_a_device_works(start, tmp_path, arch, cpu):
    vm = write_vm(tmp_path, "mmio", kernel_path=arch.guest("mmio.bin"), memory="32M")
    machine = start(vm, qemu_args=["-cpu", cpu])
    machine.expect(PASS)
    machine.expect_end()
    levels = re.findall(r"mmio: (\d+) instructions do at (\w+) on devices what they do on memory", machine.log)
    assert [name for _, name in levels] == ["EL1h", "EL1t", "EL0"]
    assert all(int(count) > 90 for count, _ in levels)

# SPDX-License-Identifier: Apache-2.0
"""guests/ARCH/mmio.c: every kind of load and store does on an emulated device what it does on memory."""
import re

import pytest

from support import PASS, by_arch, write_vm

LEVELS = {"aarch64": ["EL1h", "EL1t", "EL0"], "riscv64": ["S", "S-elsewhere", "U"]}


# The default, the smallest, and one with all that QEMU knows: atomics, for example.
@pytest.mark.parametrize("arch, cpu", by_arch({
    "aarch64": {cpu: [cpu] for cpu in ["cortex-a72", "cortex-a53", "max"]},
    "riscv64": {"default": ["rv64"], "vector": ["rv64,v=true"]},
}))
def test_every_access_to_a_device_works(start, tmp_path, arch, cpu):
    vm = write_vm(tmp_path, "mmio", kernel_path=arch.guest("mmio.bin"), memory="32M")
    machine = start(vm, qemu_args=["-cpu", cpu])
    machine.expect(PASS)
    machine.expect_end()
    levels = re.findall(r"mmio: (\d+) instructions do at (\S+) on devices what they do on memory", machine.log)
    assert [name for _, name in levels] == LEVELS[arch.name]
    assert all(int(count) > 90 for count, _ in levels)

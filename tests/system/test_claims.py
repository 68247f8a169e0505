# SPDX-License-Identifier: Apache-2.0
"""Host memory that a VM asks for by address and must not have: such a VM isn't started, and nobody else notices."""
import subprocess

import pytest

from support import PASS, guest_vm, qemu_command

MIB = 1 << 20
RW = 3
IDENTICAL, RESERVED = 1, 2

# Where QEMU's virt has what. The hypervisor is loaded to the first 2 MiB boundary behind the beginning of RAM.
GICD, GICR, ITS, UART, NOTHING = 0x8000000, 0x80a0000, 0x8080000, 0x9000000, 0x1000000
FLASH, VIRTIO = 0x0, 0xa000000
HYPERVISOR = 0x40200000

IN_USE = "is in use"
NO_MEMORY = "isn't all memory that a guest may have"


def hostile_vm(directory, at, size, kind):
    """Its own RAM and devices are elsewhere, so that only the host can find fault with the region."""
    regions = [[0x2_0000_0000, 32 * MIB, 7, 0], [at, size, RW, kind]]
    return guest_vm(directory, "smp", "hostile", memory=None, memory_regions=regions, devices={"emu_devices": []})


@pytest.mark.parametrize("kind", [IDENTICAL, RESERVED])
@pytest.mark.parametrize("at, size, why", [
    pytest.param(GICD, 0x10000, IN_USE, id="distributor"),
    pytest.param(GICR, 0x1000, IN_USE, id="redistributor"),
    pytest.param(ITS, 0x20000, NO_MEMORY, id="its"),
    pytest.param(UART, 0x1000, IN_USE, id="uart"),
    pytest.param(VIRTIO, 0x1000, NO_MEMORY, id="virtio"),
    pytest.param(FLASH, 0x1000, NO_MEMORY, id="flash"),
    pytest.param(NOTHING, 0x1000, NO_MEMORY, id="nothing"),
    pytest.param(HYPERVISOR, 0x1000, IN_USE, id="hypervisor"),
    pytest.param(0x40000000, 512 * MIB, IN_USE, id="all_of_ram"),
    pytest.param(0x80000000 - 0x1000, 0x2000, NO_MEMORY, id="end_of_ram"),
])
def test_what_the_host_needs_is_refused(start, tmp_path, at, size, why, kind):
    machine = start(hostile_vm(tmp_path, at, size, kind), guest_vm(tmp_path, "smp", "good"), smp=2)
    machine.expect_all(rf"host memory 0x{at:x}, 0x{size:x} bytes, {why}", r"vm hostile: it doesn't start", PASS)
    machine.expect_end()


def reserving_tree(directory):
    """The machine's device tree, with memory that firmware reserves and nobody may even map."""
    tree = directory / "machine.dtb"
    dump = qemu_command(directory, None)
    dump[dump.index("-M") + 1] += f",dumpdtb={tree}"
    subprocess.run(dump, check=True, capture_output=True)
    node = "/reserved-memory/secure@50000000"
    for words in (["-c", tree, "/reserved-memory", node],
                  ["-t", "x", tree, "/reserved-memory", "#address-cells", "2"],
                  ["-t", "x", tree, "/reserved-memory", "#size-cells", "2"],
                  [tree, "/reserved-memory", "ranges"],
                  [tree, node, "no-map"],
                  ["-t", "x", tree, node, "reg", "0", "50000000", "0", "100000"]):
        subprocess.run(["fdtput", *words], check=True)
    return tree


@pytest.mark.parametrize("kind", [IDENTICAL, RESERVED])
def test_what_firmware_keeps_is_refused(start, tmp_path, kind):
    machine = start(hostile_vm(tmp_path, 0x50000000, 0x100000, kind), guest_vm(tmp_path, "smp", "good"),
                    qemu_args=["-dtb", reserving_tree(tmp_path)])
    machine.expect_all(NO_MEMORY, r"vm hostile: it doesn't start", PASS)
    machine.expect_end()

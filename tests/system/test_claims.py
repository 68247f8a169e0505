# SPDX-License-Identifier: Apache-2.0
"""Host memory that a VM asks for by address and must not have: such a VM isn't started, and nobody else notices."""
import pytest

from support import PASS, by_arch, reserving_tree

MIB = 1 << 20
RW = 3
IDENTICAL, RESERVED = 1, 2

IN_USE = "is in use"
NO_MEMORY = "isn't all memory that a guest may have"


# Where QEMU's virt has what, in 1 GiB of RAM. The hypervisor is 2 MiB behind the beginning of RAM.
PLACES = {
    "aarch64": {
        "distributor": (0x8000000, 0x10000, IN_USE),
        "redistributor": (0x80a0000, 0x1000, IN_USE),
        "its": (0x8080000, 0x20000, NO_MEMORY),
        "uart": (0x9000000, 0x1000, IN_USE),
        "virtio": (0xa000000, 0x1000, NO_MEMORY),
        "flash": (0x0, 0x1000, NO_MEMORY),
        "nothing": (0x1000000, 0x1000, NO_MEMORY),
        "hypervisor": (0x40200000, 0x1000, IN_USE),
        "all_of_ram": (0x40000000, 512 * MIB, IN_USE),
        "end_of_ram": (0x80000000 - 0x1000, 0x2000, NO_MEMORY),
    },
    "riscv64": {
        "plic": (0xc000000, 0x600000, IN_USE),
        "clint": (0x2000000, 0x1000, NO_MEMORY),
        "uart": (0x10000000, 0x1000, IN_USE),
        "virtio": (0x10001000, 0x1000, NO_MEMORY),
        "flash": (0x20000000, 0x1000, NO_MEMORY),
        "nothing": (0x8000000, 0x1000, NO_MEMORY),
        "firmware": (0x80000000, 0x1000, NO_MEMORY),
        "hypervisor": (0x80200000, 0x1000, IN_USE),
        "end_of_ram": (0xc0000000 - 0x1000, 0x2000, NO_MEMORY),
    },
}


def hostile_vm(arch, directory, at, size, kind):
    """Its own RAM and devices are elsewhere, so that only the host can find fault with the region."""
    regions = [[0x2_0000_0000, 32 * MIB, 7, 0], [at, size, RW, kind]]
    return arch.guest_vm(directory, "smp", "hostile", memory=None, memory_regions=regions, devices={"emu_devices": []})


@pytest.mark.parametrize("kind", [IDENTICAL, RESERVED])
@pytest.mark.parametrize("arch, at, size, why", by_arch(PLACES))
def test_what_the_host_needs_is_refused(start, tmp_path, arch, at, size, why, kind):
    machine = start(hostile_vm(arch, tmp_path, at, size, kind), arch.guest_vm(tmp_path, "smp", "good"), smp=2)
    machine.expect_all(rf"host memory 0x{at:x}, 0x{size:x} bytes, {why}", r"vm hostile: it doesn't start", PASS)
    machine.expect_end()


@pytest.mark.parametrize("kind", [IDENTICAL, RESERVED])
def test_what_firmware_keeps_is_refused(start, tmp_path, arch, kind):
    secure = arch.ram + 256 * MIB
    tree = reserving_tree(arch, tmp_path, secure, 0x100000, no_map=True)
    machine = start(hostile_vm(arch, tmp_path, secure, 0x100000, kind), arch.guest_vm(tmp_path, "smp", "good"),
                    qemu_args=["-dtb", tree])
    machine.expect_all(NO_MEMORY, r"vm hostile: it doesn't start", PASS)
    machine.expect_end()

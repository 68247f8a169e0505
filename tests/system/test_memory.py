# SPDX-License-Identifier: Apache-2.0
"""Where a VM's memory comes from, and when."""
import pytest

from support import PASS, Shell, axvm, reserving_tree

MIB = 1 << 20
RWX = 7
ALLOC, IDENTICAL, RESERVED = 0, 1, 2


@pytest.mark.parametrize("keys", [
    pytest.param({"memory": "64M"}, id="eager"),
    pytest.param({"memory": "64M", "lazy": True}, id="lazy"),
    pytest.param({"memory": None, "memory_regions": [[64 * MIB, RWX, ALLOC]]}, id="eager_region"),
    pytest.param({"memory": None, "memory_regions": [[64 * MIB, RWX, ALLOC, True]]}, id="lazy_region"),
])
def test_allocated_memory_is_all_there(start, tmp_path, arch, keys):
    if "memory_regions" in keys:
        keys = {**keys, "memory_regions": [[arch.ram, *region] for region in keys["memory_regions"]]}
    machine = start(arch.guest_vm(tmp_path, "memory", **keys))
    machine.expect("memory: (\\d+) pages are as they should be")
    assert 16000 < int(machine.process.match[1]) < 64 * 256
    machine.expect(PASS)
    machine.expect_end()


def test_lazy_memory_boots_linux(start, tmp_path, arch):
    shell = Shell(start(arch.linux_vm(tmp_path, cpus=4, lazy=True)))
    assert "smpstress: 4 CPUs agree" in shell.run("smpstress 5")


def test_lazy_memory_may_be_more_than_the_machine_has(start, tmp_path, arch):
    shell = Shell(start(arch.linux_vm(tmp_path, memory="2G", lazy=True), memory="512M"))
    assert int(shell.run("awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo")) > 1900


def test_a_guest_sees_each_of_its_regions(start, tmp_path, arch):
    places = [arch.ram, arch.ram + 512 * MIB, arch.ram + 3072 * MIB]
    regions = [[places[0], 192 * MIB, RWX, ALLOC], [places[1], 64 * MIB, RWX, ALLOC, True],
               [places[2], 32 * MIB, RWX, ALLOC]]
    shell = Shell(start(arch.linux_vm(tmp_path, memory=None, memory_regions=regions)))
    lines = shell.run("grep 'System RAM' /proc/iomem").splitlines()
    assert len(lines) >= 3
    nodes = shell.run("ls -d /proc/device-tree/memory@*").split()
    assert sorted(nodes) == sorted(f"/proc/device-tree/memory@{at:x}" for at in places)


def test_identical_memory_is_the_machines_own(start, tmp_path, arch):
    at = arch.ram + 256 * MIB
    regions = [[at, 256 * MIB, RWX, IDENTICAL]]
    shell = Shell(start(arch.linux_vm(tmp_path, memory=None, memory_regions=regions)))
    assert f"{at:x}" in shell.run("ls -d /proc/device-tree/memory@*")
    shell.start("poweroff -f")
    shell.machine.expect_end()


# Memory that firmware keeps from the hypervisor, as the machine's device tree says, and that a VM is given by name.
def test_reserved_memory_is_the_machines_own(start, tmp_path, arch):
    at, size = arch.ram + 256 * MIB, 256 * MIB
    tree = reserving_tree(arch, tmp_path, at, size)
    vm = arch.linux_vm(tmp_path, memory=None, memory_regions=[[at, size, RWX, RESERVED]])
    shell = Shell(start(vm, qemu_args=["-dtb", tree]))
    assert f"{at:x}" in shell.run("ls -d /proc/device-tree/memory@*")


def test_more_eager_memory_than_the_machine_has_is_refused(tmp_path, arch):
    result = axvm("run", arch.linux_vm(tmp_path, memory="2G"), "--memory", "1G")
    assert result.returncode == 1
    assert "linux.toml:" in result.stderr

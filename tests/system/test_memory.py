# SPDX-License-Identifier: Apache-2.0
"""Where a VM's memory comes from, and when."""
import subprocess

import pytest

from support import PASS, Shell, axvm, guest_vm, linux_vm, qemu_command

RAM = 0x40000000
MIB = 1 << 20
RWX = 7
ALLOC, IDENTICAL, RESERVED = 0, 1, 2


@pytest.mark.parametrize("keys", [
    pytest.param({"memory": "64M"}, id="eager"),
    pytest.param({"memory": "64M", "lazy": True}, id="lazy"),
    pytest.param({"memory": None, "memory_regions": [[RAM, 64 * MIB, RWX, ALLOC]]}, id="eager_region"),
    pytest.param({"memory": None, "memory_regions": [[RAM, 64 * MIB, RWX, ALLOC, True]]}, id="lazy_region"),
])
def test_allocated_memory_is_all_there(start, tmp_path, keys):
    machine = start(guest_vm(tmp_path, "memory", **keys))
    machine.expect("memory: (\\d+) pages are as they should be")
    assert 16000 < int(machine.process.match[1]) < 64 * 256
    machine.expect(PASS)
    machine.expect_end()


def test_lazy_memory_boots_linux(start, tmp_path):
    shell = Shell(start(linux_vm(tmp_path, cpus=4, lazy=True)))
    assert "smpstress: 4 CPUs agree" in shell.run("smpstress 5")


def test_lazy_memory_may_be_more_than_the_machine_has(start, tmp_path):
    shell = Shell(start(linux_vm(tmp_path, memory="2G", lazy=True), memory="512M"))
    assert int(shell.run("awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo")) > 1900


def test_a_guest_sees_each_of_its_regions(start, tmp_path):
    regions = [[RAM, 192 * MIB, RWX, ALLOC], [0x60000000, 64 * MIB, RWX, ALLOC, True],
               [0x100000000, 32 * MIB, RWX, ALLOC]]
    shell = Shell(start(linux_vm(tmp_path, memory=None, memory_regions=regions)))
    lines = shell.run("grep 'System RAM' /proc/iomem").splitlines()
    assert len(lines) >= 3
    nodes = shell.run("ls -d /proc/device-tree/memory@*").split()
    assert sorted(nodes) == [f"/proc/device-tree/memory@{at}" for at in ("100000000", "40000000", "60000000")]


def test_identical_memory_is_the_machines_own(start, tmp_path):
    regions = [[0x50000000, 0x10000000, RWX, IDENTICAL]]
    shell = Shell(start(linux_vm(tmp_path, memory=None, memory_regions=regions)))
    assert "50000000" in shell.run("ls -d /proc/device-tree/memory@*")
    shell.start("poweroff -f")
    shell.machine.expect_end()


# Memory that firmware keeps from the hypervisor, as the machine's device tree says, and that a VM is given by name.
def test_reserved_memory_is_the_machines_own(start, tmp_path):
    tree = tmp_path / "machine.dtb"
    dump = qemu_command(tmp_path, None)
    dump[dump.index("-M") + 1] += f",dumpdtb={tree}"
    subprocess.run(dump, check=True, capture_output=True)
    node = "/reserved-memory/guest@50000000"
    for words in (["-c", tree, "/reserved-memory", node],
                  ["-t", "x", tree, "/reserved-memory", "#address-cells", "2"],
                  ["-t", "x", tree, "/reserved-memory", "#size-cells", "2"],
                  [tree, "/reserved-memory", "ranges"],
                  ["-t", "x", tree, node, "reg", "0", "50000000", "0", "10000000"]):
        subprocess.run(["fdtput", *words], check=True)

    regions = [[0x50000000, 0x10000000, RWX, RESERVED]]
    shell = Shell(start(linux_vm(tmp_path, memory=None, memory_regions=regions), qemu_args=["-dtb", tree]))
    assert "50000000" in shell.run("ls -d /proc/device-tree/memory@*")


def test_more_eager_memory_than_the_machine_has_is_refused(tmp_path):
    result = axvm("run", linux_vm(tmp_path, memory="2G"), "--memory", "1G")
    assert result.returncode == 1
    assert "linux.toml:" in result.stderr

# SPDX-License-Identifier: Apache-2.0
"""Harts that have more or less than QEMU's usual ones: vectors of several sizes, Svpbmt, no Sstc."""
import re
import subprocess

import pytest

from support import PASS, PROMPT, Shell, machine_tree

pytestmark = pytest.mark.only("riscv64")

EXACT_TIME = ["-icount", "shift=0,sleep=off"]  # one instruction is one nanosecond
SLICE_NS = 10_000_000


def harts(properties):
    return ["-cpu", f"rv64,{properties}"]


def isa(shell):
    """What Linux was told of its harts."""
    return shell.run("tr '\\0' '\\n' < /proc/device-tree/cpus/cpu@0/riscv,isa")


# ---- V ----


VECTORS = pytest.mark.parametrize("bits, properties", [
    (128, "v=true,vext_spec=v1.0"),
    (256, "v=true,vext_spec=v1.0,vlen=256"),
    (512, "v=true,vext_spec=v1.0,vlen=512"),
], ids=["vlen=128", "vlen=256", "vlen=512"])


# Two VMs of two vCPUs on one CPU; each starts its second one, whose registers must be new, several times.
@VECTORS
def test_vector_registers_are_a_vcpus_own(start, tmp_path, arch, bits, properties):
    vms = [arch.guest_vm(tmp_path, "vectors", name, cpus=2) for name in ("one", "two")]
    machine = start(*vms, smp=1, qemu_args=harts(properties))
    machine.expect_end()
    assert machine.log.count(f"vectors: of {bits} bits") == 2
    assert machine.log.count("GUEST PASS: 0 failed") == 2


@VECTORS
def test_vms_that_share_a_cpu_keep_their_vectors(start, tmp_path, arch, bits, properties):
    vms = [arch.guest_vm(tmp_path, "state", name) for name in ("one", "two", "three")]
    machine = start(*vms, smp=1, qemu_args=harts(properties))
    machine.expect_end()
    assert machine.log.count("GUEST PASS: 0 failed") == 3


def test_linux_has_vectors(start, tmp_path, arch):
    machine = start(arch.linux_vm(tmp_path, cpus=2), smp=1, qemu_args=harts("v=true,vext_spec=v1.0,vlen=256"))
    shell = Shell(machine)
    assert re.match("rv64imafdcv_", isa(shell))
    assert re.search(r"^isa\s*: rv64imafdcv_", shell.run("cat /proc/cpuinfo"), re.MULTILINE)
    assert shell.run("dmesg | grep -c 'deprecated .riscv,isa'") == "0"  # it takes the list
    assert "smpstress: 2 CPUs agree" in shell.run("smpstress 2")


# ---- How the machine describes them ----


def test_extensions_may_be_a_list(start, tmp_path, arch):
    tree = machine_tree(arch, tmp_path, *harts("v=true,vext_spec=v1.0"))
    names = ["i", "m", "a", "f", "d", "c", "v", "h", "zicsr", "zifencei", "zba", "sstc"]
    for hart in range(4):
        node = f"/cpus/cpu@{hart}"
        subprocess.run(["fdtput", "-d", tree, node, "riscv,isa"], check=True)
        subprocess.run(["fdtput", "-t", "s", tree, node, "riscv,isa-base", "rv64i"], check=True)
        subprocess.run(["fdtput", "-t", "s", tree, node, "riscv,isa-extensions", *names], check=True)
    shell = Shell(start(arch.linux_vm(tmp_path, cpus=2), qemu_args=["-dtb", tree, *harts("v=true,vext_spec=v1.0")]))
    assert isa(shell) == "rv64imafdcv_zicsr_zifencei_zba_sstc"
    assert shell.run("nproc") == "2"


# One that Linux, say, could use.
def test_says_that_the_hypervisor_extension_is_missing(start, tmp_path, arch):
    machine = start(arch.guest_vm(tmp_path, "smp"), qemu_args=harts("h=false"))
    machine.expect("axvm: error: this machine can't be used: .* no hart with the hypervisor extension")


# ---- Svpbmt ----


# Uncached RAM has a memory type in its page-table entries if that means something there; else the bits are reserved.
@pytest.mark.parametrize("svpbmt", ["true", "false"])
def test_uncached_memory(start, tmp_path, arch, svpbmt):
    rwx, uncached, alloc = 7, 32, 0
    region = [arch.ram, 32 << 20, rwx | uncached, alloc]
    machine = start(arch.guest_vm(tmp_path, "memory", memory=None, memory_regions=[region]),
                    qemu_args=harts(f"svpbmt={svpbmt}"))
    machine.expect(PASS)
    machine.expect_end()


# What is mapped as a device to a guest is its interrupt files, where each vCPU has its CPU for itself.
def test_linux_with_memory_types(start, tmp_path, arch):
    devices = [["aplic", 0x0d000000, 0x8000, 0, 1, [0x28000000]], ["uart", 0x10000000, 0x100, 10, 2]]
    machine = start(arch.linux_vm(tmp_path, cpus=2, devices={"emu_devices": devices}),
                    qemu_args=["-M", "virt,aia=aplic-imsic,aia-guests=1", *harts("svpbmt=true")])
    shell = Shell(machine)
    assert "_svpbmt" in isa(shell)
    assert "smpstress: 2 CPUs agree" in shell.run("smpstress 3")


# ---- Without Sstc: the guest sets its timer by SBI, and so does the host ----


NO_SSTC = harts("sstc=false")


@pytest.mark.parametrize("cpus, smp", [(2, 4), (2, 1)], ids=["cpus", "slices"])
def test_linux_without_sstc(start, tmp_path, arch, cpus, smp):
    machine = start(arch.linux_vm(tmp_path, cpus=cpus), smp=smp, qemu_args=NO_SSTC)
    shell = Shell(machine)
    assert "sstc" not in isa(shell)
    assert "smpstress: 2 CPUs agree" in shell.run("smpstress 3")
    interrupts = shell.run("cat /proc/interrupts")
    timer = re.search(r"^ *\d+:((?: +\d+)+) +RISC-V INTC +5 Edge +riscv-timer$", interrupts, re.M)
    assert len(timer[1].split()) == cpus and all(int(count) for count in timer[1].split())
    assert shell.run("for i in 1 2 3 4 5; do usleep 20000; done; echo awake") == "awake"
    shell.start("poweroff -f")
    machine.expect_end()


def timer_lates(machine):
    """How late the interrupts of the one timer that there is were, in nanoseconds."""
    names_and_lates = re.findall(r"(\w+) timer: .* at most (\d+) ns late spinning, (\d+) ns late in WFI", machine.log)
    assert {name for name, *_ in names_and_lates} == {"SBI"}
    return [int(late) for _, *lates in names_and_lates for late in lates]


@pytest.mark.parametrize("cpus", [1, 2])
def test_timer_without_sstc_fires_when_it_is_due(start, tmp_path, arch, cpus):
    machine = start(arch.guest_vm(tmp_path, "timer", cpus=cpus), qemu_args=NO_SSTC + EXACT_TIME)
    machine.expect(PASS)
    assert max(timer_lates(machine)) <= 2000, machine.log


def test_timer_without_sstc_on_a_shared_cpu_is_a_slice_late_at_most(start, tmp_path, arch):
    vms = [arch.guest_vm(tmp_path, "timer", name) for name in ("one", "two")]
    machine = start(*vms, smp=1, qemu_args=NO_SSTC + EXACT_TIME)
    machine.expect_end()
    assert len(timer_lates(machine)) == 4 and max(timer_lates(machine)) <= 1.01 * SLICE_NS, machine.log
    assert machine.log.count("GUEST PASS: 0 failed") == 2


@pytest.mark.parametrize("test", ["smp", "sbi", "hsm", "suspend", "legacy", "csrs", "state"])
def test_guests_without_sstc(start, tmp_path, arch, test):
    machine = start(arch.guest_vm(tmp_path, test, cpus=2), smp=2, qemu_args=NO_SSTC)
    machine.expect(PASS)
    machine.expect_end()


def test_slices_without_sstc(start, tmp_path, arch):
    machine = start(arch.linux_vm(tmp_path, "one", quiet=True), arch.guest_vm(tmp_path, "hang"),
                    arch.guest_vm(tmp_path, "doze"), smp=1, qemu_args=NO_SSTC)
    machine.expect_all(r"\[hang\] hang: ", r"\[doze\] doze: ", PROMPT)

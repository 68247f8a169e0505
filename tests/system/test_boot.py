# SPDX-License-Identifier: Apache-2.0
"""The hypervisor's own start: what it is given may be anything."""
import shlex
import subprocess

import pytest

from support import AXVM, PASS, Shell, axvm, by_arch


def pack(tmp_path, *files):
    bundle = tmp_path / "vms.bundle"
    axvm("pack", "-o", bundle, *files, check=True)
    return bundle


def test_dry_run_shows_commands_that_do_the_same(start, tmp_path, arch):
    shown = axvm("run", arch.guest_vm(tmp_path, "smp", cpus=2), "--smp", "2", "--memory", "256M", "--dry-run", "--",
                 "-name", "a machine")
    assert shown.returncode == 0
    pack_words, qemu_words = [shlex.split(line) for line in shown.stdout.splitlines()]
    assert pack_words[:2] == ["axvm", "pack"] and qemu_words[0] == arch.qemu
    assert qemu_words[-2:] == ["-name", "a machine"]
    subprocess.run([AXVM, *pack_words[1:]], check=True, cwd=tmp_path)
    assert (tmp_path / "axvm.bundle").exists()
    bundle = qemu_words.index("axvm.bundle")
    machine = start.command(qemu_words[:bundle] + [tmp_path / "axvm.bundle"] + qemu_words[bundle + 1:])
    machine.expect(PASS)
    machine.expect_end()


def test_says_what_machine_it_found(start, tmp_path, arch):
    machine = start(arch.guest_vm(tmp_path, arch.calls), smp=3, memory="512M")
    machine.expect(rf"axvm: .* on {arch.board}: 3 pCPUs, \d+ MiB, 1 VM\b")
    machine.expect_end()


@pytest.mark.parametrize("make", [
    pytest.param(lambda good: None, id="none"),
    pytest.param(lambda good: b"\0" * 4096, id="zeroes"),
    pytest.param(lambda good: b"\xff" * 4096, id="ones"),
    pytest.param(lambda good: b"\x7fELF" * 4096, id="not_a_bundle"),
    pytest.param(lambda good: good[:3], id="three_bytes"),
    pytest.param(lambda good: good[:100], id="cut_in_the_head"),
    pytest.param(lambda good: good[:-8192], id="cut_in_an_image"),
    pytest.param(lambda good: good[:60] + bytes([good[60] ^ 1]) + good[61:], id="damaged_head"),
])
def test_says_that_the_bundle_is_bad_and_stops(start, tmp_path, arch, make):
    data = make(pack(tmp_path, arch.guest_vm(tmp_path, arch.calls)).read_bytes())
    bad = None
    if data is not None:
        bad = tmp_path / "bad.bundle"
        bad.write_bytes(data)
    machine = start.command(arch.qemu_command(tmp_path, bad))
    machine.expect("axvm: error: .*bundle")
    assert "0 VMs" in machine.expect_end()
    assert "test guest" not in machine.log


# A flat kernel doesn't tell what it is for; the bundle does.
@pytest.mark.parametrize("arch, other", by_arch({"aarch64": {"riscv64": ["riscv64"]},
                                                 "riscv64": {"aarch64": ["aarch64"]}}))
def test_says_that_the_bundle_is_for_another_architecture_and_stops(start, tmp_path, arch, other):
    (tmp_path / "flat.img").write_bytes(bytes(4096))
    (tmp_path / "vm.toml").write_text('[base]\nname = "flat"\n[kernel]\nkernel_path = "flat.img"\nmemory = "16M"\n')
    axvm("pack", "--arch", other, "-o", tmp_path / "vms.bundle", tmp_path / "vm.toml", check=True)
    machine = start.command(arch.qemu_command(tmp_path, tmp_path / "vms.bundle"))
    machine.expect(f"axvm: error: .*bundle.* {other}.* {arch.name}")
    assert "0 VMs" in machine.expect_end()


# The command line would refuse it; so the image is damaged in the bundle.
def test_a_vm_with_a_bad_image_doesnt_keep_a_good_one_from_running(start, tmp_path, arch):
    bundle = pack(tmp_path, arch.guest_vm(tmp_path, arch.calls, "bad", kernel_path=arch.guest("test.elf")),
                  arch.guest_vm(tmp_path, arch.calls, "good"))
    data = bytearray(bundle.read_bytes())
    elf = data.index(b"\x7fELF")
    data[elf + 54:elf + 58] = b"\xff" * 4  # e_phentsize and e_phnum
    bundle.write_bytes(data)
    machine = start.command(arch.qemu_command(tmp_path, bundle))
    machine.expect_all("axvm: error: .*bad", PASS, "axvm: vm good: powered off")
    machine.expect_end()


def test_a_vm_for_cpus_that_arent_there_doesnt_keep_a_good_one_from_running(start, tmp_path, arch):
    bundle = pack(tmp_path, arch.guest_vm(tmp_path, arch.calls, "bad", base={"phys_cpu_sets": [0x100]}),
                  arch.guest_vm(tmp_path, arch.calls, "good"))
    machine = start.command(arch.qemu_command(tmp_path, bundle))
    machine.expect_all("axvm: error: .*bad.*phys_cpu_sets", PASS)
    machine.expect_end()


def test_one_cpu_is_enough(start, tmp_path, arch):
    shell = Shell(start(arch.linux_vm(tmp_path), smp=1, memory="384M"))
    shell.start("poweroff -f")
    shell.machine.expect_end()


@pytest.mark.parametrize("arch, cpu", by_arch({
    "aarch64": {cpu: [cpu] for cpu in ["cortex-a53", "cortex-a57", "cortex-a76", "neoverse-n1", "max"]},
    "riscv64": {"vector": ["rv64,v=true"], "no_sstc": ["rv64,sstc=false"], "svpbmt": ["rv64,svpbmt=true,svinval=true"]},
}))
def test_runs_on_cpus_of_all_kinds(start, tmp_path, arch, cpu):
    machine = start(arch.guest_vm(tmp_path, "smp", cpus=2), qemu_args=["-cpu", cpu])
    machine.expect(PASS)
    machine.expect_end()


@pytest.mark.parametrize("arch, cpu", by_arch({
    "aarch64": {"newest": ["max"]},
    "riscv64": {"vector": ["rv64,v=true"], "no_sstc": ["rv64,sstc=false"]},
}))
def test_linux_on_other_cpus(start, tmp_path, arch, cpu):
    shell = Shell(start(arch.linux_vm(tmp_path, cpus=2), qemu_args=["-cpu", cpu]))
    assert "agree" in shell.run("smpstress 3")

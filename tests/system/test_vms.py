# SPDX-License-Identifier: Apache-2.0
"""Several VMs on one machine: each with its console, none disturbed by what happens to another."""
import re

import pytest

from support import ICOUNT, NEXT_VM, PASS, PROMPT, Monitor, Shell, slice_us, write_vm

# How QEMU's monitor shows what a CPU runs, and what that is in the hypervisor: exception level, virtualization mode.
LEVELS = {"aarch64": (r"PSTATE=\S+ \S+ (?:NS )?EL(\d)", "2"), "riscv64": (r"\n V +=  +(\d)", "0")}

SLICE_US = 10_000  # the scheduler's: what a vCPU waits at most for each other of its pCPU
PART_US = 1_000    # the most that the hypervisor does at once


def quiet_vm(arch, directory, name="linux", **keys):
    """Linux that doesn't talk while it boots."""
    return arch.linux_vm(directory, name, quiet=True, **keys)


# ---- Consoles ----


def test_two_linuxes_side_by_side_and_the_focus_moves(start, tmp_path, arch):
    machine = start(quiet_vm(arch, tmp_path, "one", cpus=2), quiet_vm(arch, tmp_path, "two", cpus=1))
    machine.expect_all(PROMPT, r"\[two\] axvm guest: 1 CPUs")
    machine.type("\r")
    assert Shell(machine).run("nproc") == "2"
    machine.type(NEXT_VM)
    machine.expect("axvm: the console is two's now")
    two = Shell(machine)
    assert two.run("nproc") == "1"
    two.run("echo two > /tmp/name")
    machine.type(NEXT_VM)
    machine.expect("axvm: the console is one's now")
    one = Shell(machine)
    assert one.run("ls /tmp") == ""
    assert one.run("nproc") == "2"


def test_output_without_focus_comes_as_labelled_lines(start, tmp_path, arch):
    machine = start(arch.guest_vm(tmp_path, "hang", "one"), arch.guest_vm(tmp_path, "faults", "two"))
    machine.expect_all(r"\nhang: ", r"\n\[two\] test guest: faults, 1 CPUs", r"\n\[two\] " + PASS)


# The VM that has the focus may be interrupted in the middle of a line, or at its end; it is then painted again below.
def test_lines_of_different_vms_never_mix(start, tmp_path, arch):
    machine = start(*[arch.guest_vm(tmp_path, "chatter", name) for name in ("one", "two", "three")])
    machine.expect_end()
    chatter = [f"chatter {i:03} abcdefghijklmnopqrstuvwxyz" for i in range(300)]
    whole = {*chatter, f"test guest: chatter, 1 CPUs, 32 MiB at {arch.ram:#x}", "GUEST PASS: 0 failed"}
    said = {"one": [], "two": [], "three": []}
    focus = "one"
    lines = machine.lines()
    lines = lines[next(i for i, line in enumerate(lines) if line.startswith("axvm: ")):]  # firmware speaks before that
    for line in lines:
        if line.startswith("axvm: "):
            moved = re.fullmatch(r"axvm: the console is (\w+)'s now", line)
            focus = moved[1] if moved else focus
            continue
        label = re.match(r"\[(\w+)\] ", line)
        text = line[label.end():] if label else line
        assert text in whole or (not label and any(complete.startswith(text) for complete in whole)), line
        if text in whole and text not in said[label[1] if label else focus]:
            said[label[1] if label else focus].append(text)
    for name, texts in said.items():
        assert [text for text in texts if text in chatter] == chatter, name


def test_a_busy_neighbour_doesnt_garble_a_prompt(start, tmp_path, arch):
    machine = start(quiet_vm(arch, tmp_path, "one"), quiet_vm(arch, tmp_path, "two"))
    machine.expect_all(r"\[two\] axvm guest: ", PROMPT)
    machine.type(NEXT_VM)
    Shell(machine).start("while true; do echo tick tock; usleep 50000; done")
    machine.expect("\ntick tock")
    machine.type(NEXT_VM)
    machine.expect("axvm: the console is one's now")
    machine.expect(r"\[two\] tick tock")
    machine.type("echo $((6 * 7)) is the answer\r")
    machine.expect(r"\n42 is the answer\r*\n")
    machine.expect(r"\[two\] tick tock")


# ---- Independence ----


def test_one_powers_off_while_the_other_goes_on(start, tmp_path, arch):
    machine = start(quiet_vm(arch, tmp_path, "one"), quiet_vm(arch, tmp_path, "two"))
    machine.expect_all(r"\[two\] axvm guest: ", PROMPT)
    machine.type("poweroff -f\r")
    machine.expect("axvm: vm one: powered off")
    machine.expect("axvm: the console is two's now")
    two = Shell(machine)
    assert two.run("echo $((6 * 7))") == "42"
    two.start("poweroff -f")
    machine.expect("axvm: vm two: powered off")
    machine.expect_end()


def test_one_reboots_while_the_other_goes_on(start, tmp_path, arch):
    machine = start(quiet_vm(arch, tmp_path, "one"), arch.guest_vm(tmp_path, "reset"))
    one = Shell(machine)
    for _ in range(3):
        machine.expect(r"\[reset\] reset: marked")
    assert one.run("echo $((6 * 7))") == "42"
    assert "[reset] FAIL" not in machine.log


def test_a_failing_vm_leaves_the_others_alone(start, tmp_path, arch):
    greedy = arch.guest_vm(tmp_path, "memory", "greedy", memory="1G", lazy=True)
    machine = start(quiet_vm(arch, tmp_path, "one", memory="192M"), greedy, memory="512M")
    machine.expect_all("axvm: .*greedy.*failed", PROMPT)
    machine.type("\r")
    one = Shell(machine)
    assert one.run("echo $((6 * 7))") == "42"
    one.start("poweroff -f")
    machine.expect_end()


@pytest.mark.parametrize("vice", ["storm", "hang"])
def test_a_guest_gone_wild_doesnt_stop_its_neighbour_on_the_same_cpu(start, tmp_path, arch, vice):
    machine = start(arch.guest_vm(tmp_path, vice), arch.guest_vm(tmp_path, "smp", cpus=2), smp=1)
    machine.expect_all(f"{vice}: ", r"\[smp\] " + PASS, "axvm: vm smp: powered off")


# What those that wait all the time, exit all the time, or never, leave to one that always wants the CPU: at least so
# many %. What they do is in guests/*/test.c.
@pytest.mark.parametrize("vices, least", [("doze", 98), ("nap", 49), ("storm", 49), ("hang", 49),
                                          ("doze nap hang", 32)])
def test_no_guest_takes_more_than_its_share_of_a_cpu(start, tmp_path, arch, vices, least):
    others = [arch.guest_vm(tmp_path, vice) for vice in vices.split()]
    machine = start(*others, arch.guest_vm(tmp_path, "share"), smp=1, qemu_args=ICOUNT)
    check_share(machine, len(others), least)


def test_a_vcpu_that_others_wake_takes_no_more_than_its_share(start, tmp_path, arch):
    machine = start(arch.guest_vm(tmp_path, "pester", cpus=2, base={"phys_cpu_sets": [2, 1]}),
                    arch.guest_vm(tmp_path, "share", base={"phys_cpu_sets": [2]}), smp=2, qemu_args=ICOUNT)
    check_share(machine, 1, 49)


def check_share(machine, others, least):
    """Of a CPU that as many others want: so many %, and never away for longer than their slices."""
    share = machine.expect(r"share: (\d+) % of the CPU, without it for at most (\d+) us")
    assert int(share[1]) >= least
    assert int(share[2]) < others * slice_us() + 500


def test_vms_that_share_a_cpu_dont_see_each_others_registers(start, tmp_path, arch):
    vms = [arch.guest_vm(tmp_path, "state", name) for name in ("one", "two", "three")]
    machine = start(*vms, smp=1)
    machine.expect_end()
    assert machine.log.count("GUEST PASS: 0 failed") == 3


def test_noise_doesnt_disturb_linux(start, tmp_path, arch):
    machine = start(quiet_vm(arch, tmp_path, "one", cpus=2), arch.guest_vm(tmp_path, "noise", cpus=2), smp=2)
    machine.expect_all(r"\[noise\] " + PASS, PROMPT)
    machine.type("\r")
    assert "agree" in Shell(machine).run("smpstress 2")


def test_a_wild_guest_doesnt_stop_linux(start, tmp_path, arch):
    machine = start(quiet_vm(arch, tmp_path, "one", cpus=2), arch.guest_vm(tmp_path, "storm"), smp=2)
    one = Shell(machine)
    assert "agree" in one.run("smpstress 3")


# ---- Shares of a CPU ----


def run_beside_marker(start, directory, arch, neighbour, beats=20):
    """
    Both on one CPU, in a time of instructions. The marker says how long it was kept from running, and from its
    interrupts; then nothing ends QEMU but the test.
    """
    marker = write_vm(directory, "marker", kernel_path=arch.guest("marker.bin"), cmdline=f"beats={beats}", memory="16M")
    machine = start(marker, neighbour, smp=1, qemu_args=["-icount", "shift=0,sleep=off"])
    machine.expect("axvm: vm marker: powered off")
    assert "GUEST PASS: 0 failed" in machine.log
    said = re.findall(r"marker (\d+): without the CPU at most (\d+) us, interrupts at most (\d+) us late", machine.log)
    assert int(said[-1][0]) == beats
    assert max(int(gap) for _, gap, _ in said) < SLICE_US + PART_US
    assert max(int(late) for _, _, late in said) < SLICE_US + PART_US
    return machine.log


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_a_vm_of_much_ram_that_resets_again_and_again_takes_turns(start, tmp_path, arch, lazy):
    log = run_beside_marker(start, tmp_path, arch, arch.guest_vm(tmp_path, "reset", memory="512M", lazy=lazy))
    assert log.count("reset: marked") > 2
    assert "FAIL" not in log


# ---- CPUs ----


def test_four_vcpus_on_two_cpus(start, tmp_path, arch):
    shell = Shell(start(quiet_vm(arch, tmp_path, cpus=4), smp=2))
    assert shell.run("nproc") == "4"
    assert "smpstress: 4 CPUs agree" in shell.run("smpstress 3")


def test_four_vcpus_on_two_cpus_spin_and_interrupt_each_other(start, tmp_path, arch):
    machine = start(arch.guest_vm(tmp_path, "smp", cpus=4), smp=2)
    machine.expect(PASS)
    machine.expect_end()


def test_two_vms_of_two_vcpus_on_one_cpu(start, tmp_path, arch):
    machine = start(quiet_vm(arch, tmp_path, "one", cpus=2), quiet_vm(arch, tmp_path, "two", cpus=2), smp=1)
    machine.expect_all(r"\[two\] axvm guest: 2 CPUs", PROMPT)
    machine.type("smpstress 2\r")
    machine.expect("smpstress 2\r")
    machine.type(NEXT_VM)
    Shell(machine).start("smpstress 2")
    machine.expect_all(r"\n\[one\] smpstress: 2 CPUs agree", r"\nsmpstress: 2 CPUs agree")


# From outside: which of the machine's CPUs are ever found in a guest, and which are not.
def test_vcpus_stay_on_the_cpus_they_are_pinned_to(start, tmp_path, arch):
    socket = tmp_path / "qmp"
    machine = start(arch.guest_vm(tmp_path, "hang", "one", base={"phys_cpu_sets": [0x8]}),
                    arch.guest_vm(tmp_path, "hang", "two", base={"phys_cpu_sets": [0x2]}),
                    qemu_args=["-qmp", f"unix:{socket},server=on,wait=off"])
    machine.expect_all(r"\nhang: ", r"\[two\] hang: ")
    monitor = Monitor(socket)
    shown, hypervisor = LEVELS[arch.name]
    seen = set()
    for _ in range(30):
        monitor.call("stop")
        registers = monitor.command("info registers -a")
        levels = re.findall(r"CPU#(\d+).*?" + shown, registers, re.DOTALL)
        monitor.call("cont")
        assert len(levels) == 4
        seen |= {int(cpu) for cpu, level in levels if level != hypervisor}
    assert seen == {1, 3}


def test_two_vcpus_pinned_to_one_cpu_take_turns(start, tmp_path, arch):
    machine = start(arch.guest_vm(tmp_path, "smp", cpus=2, base={"phys_cpu_sets": [0x4, 0x4]}))
    machine.expect(PASS)
    machine.expect_end()

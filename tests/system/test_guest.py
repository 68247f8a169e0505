# SPDX-License-Identifier: Apache-2.0
"""Our own test guest, guests/ARCH/test.c: each test looks at its machine from inside."""
import re

import pytest

from support import PASS, by_arch

# How much later than due a timer's interrupt may come, in the guest's time. Never earlier: the guest checks that.
# The virtual timer and Sstc's are the hardware's; the physical one and SBI's are emulated.
TIMER_LATE_NS = {
    "aarch64": {"virtual": 1000, "physical": 2000},
    "riscv64": {"Sstc": 1000, "SBI": 2000},
}
SLICE_NS = 10_000_000  # what another vCPU on the same CPU may have first


def run_guest(start, tmp_path, arch, test, **options):
    machine = start(arch.guest_vm(tmp_path, test, **options))
    machine.expect(PASS)
    machine.expect_end()
    return machine


@pytest.mark.parametrize("cpus", [2, 4])
def test_cpus_start_count_together_and_interrupt_each_other(start, tmp_path, arch, cpus):
    machine = run_guest(start, tmp_path, arch, "smp", cpus=cpus)
    assert f"smp: {cpus} CPUs counted to {cpus * 20000} and answered each other" in machine.log


def timers(machine):
    """(name, worst lateness spinning, worst lateness in WFI) of each timer."""
    return re.findall(r"(\w+) timer: .* at most (\d+) ns late spinning, (\d+) ns late in WFI", machine.log)


# One instruction is one nanosecond of the machine's time: what is measured doesn't depend on how busy this one is.
@pytest.mark.parametrize("cpus", [1, 2])
def test_timer_fires_when_it_is_due(start, tmp_path, arch, cpus):
    machine = start(arch.guest_vm(tmp_path, "timer", cpus=cpus), qemu_args=["-icount", "shift=0,sleep=off"])
    machine.expect(PASS)
    allowed = TIMER_LATE_NS[arch.name]
    assert [name for name, *_ in timers(machine)] == list(allowed)
    assert all(int(late) <= allowed[name] for name, *lates in timers(machine) for late in lates), machine.log


def test_timer_on_a_shared_cpu_is_a_slice_late_at_most(start, tmp_path, arch):
    machine = start(arch.guest_vm(tmp_path, "timer", "one"), arch.guest_vm(tmp_path, "timer", "two"), smp=1,
                    qemu_args=["-icount", "shift=0,sleep=off"])
    machine.expect_end()
    assert len(timers(machine)) == 4
    assert all(int(late) <= 1.01 * SLICE_NS for _, *lates in timers(machine) for late in lates), machine.log
    assert machine.log.count("GUEST PASS: 0 failed") == 2


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("arch, test", by_arch({
    "aarch64": {"psci": ["psci"]},
    "riscv64": {test: [test] for test in ["sbi", "hsm", "fences", "console", "legacy", "suspend"]},
}))
def test_calls_are_answered_as_specified(start, tmp_path, arch, test, cpus):
    run_guest(start, tmp_path, arch, test, cpus=cpus)


# With more than two harts, several start the same one at once.
@pytest.mark.only("riscv64")
@pytest.mark.parametrize("smp", [4, 2])
def test_of_harts_that_start_another_at_once_one_wins(start, tmp_path, arch, smp):
    machine = start(arch.guest_vm(tmp_path, "hsm", cpus=4), smp=smp)
    machine.expect("hsm: 4 harts start, stop and suspend")
    machine.expect(PASS)
    machine.expect_end()


# QEMU before 8.2 loses some: host/metal/riscv64/timer.c.
@pytest.mark.only("riscv64")
def test_alarms_come_whatever_their_cpu_does(start, tmp_path, arch):
    run_guest(start, tmp_path, arch, "alarms")


def test_faults_are_the_architectures_own(start, tmp_path, arch):
    run_guest(start, tmp_path, arch, "faults")


# QEMU 7.2 always leaves htinst 0: the hypervisor fetches what the guest did. Two vCPUs on one CPU: WFI traps, too.
@pytest.mark.only("riscv64")
def test_instructions_that_cannot_be_read_do_what_others_do(start, tmp_path, arch):
    machine = start(arch.guest_vm(tmp_path, "unreadable", cpus=2), smp=1)
    machine.expect(PASS)
    machine.expect_end()


@pytest.mark.only("aarch64")
def test_fetches_from_nothing_are_external_aborts(start, tmp_path, arch):
    run_guest(start, tmp_path, arch, "fetches")


@pytest.mark.only("aarch64")
def test_tables_that_are_not_there_are_external_aborts(start, tmp_path, arch):
    run_guest(start, tmp_path, arch, "walks")


@pytest.mark.only("aarch64")
@pytest.mark.parametrize("cpu", ["cortex-a53", "max"])
def test_aarch32_has_the_physical_timer(start, tmp_path, arch, cpu):
    machine = start(arch.guest_vm(tmp_path, "aarch32"), qemu_args=["-cpu", cpu])
    machine.expect(PASS)
    machine.expect_end()


@pytest.mark.only("aarch64")
def test_two_guests_on_one_cpu_debug_themselves(start, tmp_path, arch):
    machine = start(arch.guest_vm(tmp_path, "debug", "one"), arch.guest_vm(tmp_path, "debug", "two"), smp=1)
    machine.expect_end()
    assert machine.log.count("GUEST PASS: 0 failed") == 2


@pytest.mark.only("aarch64")
@pytest.mark.parametrize("mte", ["off", "on"])
def test_what_is_hidden_is_not_there(start, tmp_path, arch, mte):
    machine = start(arch.guest_vm(tmp_path, "hidden"), qemu_args=["-cpu", "max", "-M", f"mte={mte}"])
    machine.expect(PASS)
    machine.expect_end()


@pytest.mark.only("aarch64")
def test_cpus_are_started_once_each_time_whoever_asks(start, tmp_path, arch):
    run_guest(start, tmp_path, arch, "races", cpus=4)


@pytest.mark.parametrize("smp", [4, 2])
def test_all_cpus_end_the_vm_at_once(start, tmp_path, arch, smp):
    machine = start(arch.guest_vm(tmp_path, "off", cpus=4), smp=smp)
    machine.expect_end()
    assert machine.log.count("axvm: vm off: powered off") == 1
    assert "FAIL" not in machine.log


def test_registers_keep_their_values(start, tmp_path, arch):
    run_guest(start, tmp_path, arch, "state")


@pytest.mark.parametrize("arch, test, readable", by_arch({
    "aarch64": {"sysregs": ("sysregs", r"1\d\d")},
    "riscv64": {"csrs": ("csrs", r"\d+")},
}))
def test_every_system_register_may_be_tried(start, tmp_path, arch, test, readable):
    machine = run_guest(start, tmp_path, arch, test)
    assert re.search(rf"{test}: {readable} can be read, \d+ of them written", machine.log)


@pytest.mark.only("riscv64")
def test_what_is_firmwares_and_hypervisors_is_illegal(start, tmp_path, arch):
    run_guest(start, tmp_path, arch, "privileged")


@pytest.mark.only("riscv64")
@pytest.mark.parametrize("cpus", [1, 2])
def test_the_plic_interrupts_as_specified(start, tmp_path, arch, cpus):
    run_guest(start, tmp_path, arch, "plic", cpus=cpus)


# Four vCPUs on two pCPUs: those that wait are blocked by the hypervisor. On one pCPU, only one is ever resident.
@pytest.mark.only("aarch64")
@pytest.mark.parametrize("cpus, smp", [(2, 2), (4, 2), (2, 1)])
def test_interrupts_of_another_cpu_are_pending_and_active_exactly_as_read(start, tmp_path, arch, cpus, smp):
    machine = start(arch.guest_vm(tmp_path, "gic", cpus=cpus), smp=smp)
    machine.expect(PASS)
    machine.expect_end()


@pytest.mark.only("aarch64")
@pytest.mark.parametrize("cpus", [1, 2])
def test_the_cpu_interface_takes_interrupts_in_order(start, tmp_path, arch, cpus):
    machine = run_guest(start, tmp_path, arch, "interface", cpus=cpus)
    assert "interface: 20 rounds with 12 interrupts" in machine.log


@pytest.mark.only("aarch64")
def test_level_sensitive_interrupts_are_pending_while_their_cause_is_there(start, tmp_path, arch):
    machine = run_guest(start, tmp_path, arch, "levels")
    assert "levels: interrupts of 2 devices" in machine.log


# With fewer pCPUs than vCPUs, those that an interrupt is for may not be resident.
@pytest.mark.only("aarch64")
@pytest.mark.parametrize("smp", [4, 2])
@pytest.mark.parametrize("test", ["sgis", "routes"])
def test_interrupts_go_to_those_they_are_for(start, tmp_path, arch, test, smp):
    machine = start(arch.guest_vm(tmp_path, test, cpus=4), smp=smp)
    machine.expect(PASS)
    machine.expect_end()
    assert re.search(rf"{test}: .* 4 CPUs", machine.log)


@pytest.mark.parametrize("cpus", [1, 3])
def test_noise_on_devices_and_calls_does_no_harm(start, tmp_path, arch, cpus):
    run_guest(start, tmp_path, arch, "noise", cpus=cpus)


def test_memory_is_zero_at_first_and_all_there(start, tmp_path, arch):
    run_guest(start, tmp_path, arch, "memory", memory="64M")


# resets: all CPUs are running, and another than the first asks.
@pytest.mark.parametrize("test, cpus", [("reset", 2), ("resets", 4)])
def test_reset_wipes_memory_and_starts_again(start, tmp_path, arch, test, cpus):
    machine = start(arch.guest_vm(tmp_path, test, cpus=cpus))
    check_resets(machine, test)


@pytest.mark.only("riscv64")
def test_a_warm_reboot_is_a_cold_one(start, tmp_path, arch):
    check_resets(start(arch.guest_vm(tmp_path, "reset warm", "reset")), "reset")


def check_resets(machine, test):
    for _ in range(3):
        assert "FAIL" not in machine.expect(rf"(?s)test guest: {test},.*?asking for a reset\r*\n")[0]

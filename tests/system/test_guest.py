# SPDX-License-Identifier: Apache-2.0
"""Our own test guest, guests/aarch64/test.c: each test looks at its machine from inside."""
import re

import pytest

from support import PASS, guest_vm

# How much later than due a timer's interrupt may come, in the guest's time. Never earlier: the guest checks that.
# The virtual timer is the hardware's; the physical one is emulated.
TIMER_LATE_NS = {"virtual": 1000, "physical": 2000}
SLICE_NS = 10_000_000  # what another vCPU on the same CPU may have first


def run_guest(start, tmp_path, test, *, machine_options=None, **options):
    machine = start(guest_vm(tmp_path, test, **options), **(machine_options or {}))
    machine.expect(PASS)
    machine.expect_end()
    return machine


@pytest.mark.parametrize("cpus", [2, 4])
def test_cpus_start_count_together_and_interrupt_each_other(start, tmp_path, cpus):
    machine = run_guest(start, tmp_path, "smp", cpus=cpus)
    assert f"smp: {cpus} CPUs counted to {cpus * 20000} and answered each other" in machine.log


def timers(machine):
    """(name, worst lateness spinning, worst lateness in WFI) of each timer."""
    return re.findall(r"(\w+) timer: .* at most (\d+) ns late spinning, (\d+) ns late in WFI", machine.log)


# One instruction is one nanosecond of the machine's time: what is measured doesn't depend on how busy this one is.
@pytest.mark.parametrize("cpus", [1, 2])
def test_timer_fires_when_it_is_due(start, tmp_path, cpus):
    machine = start(guest_vm(tmp_path, "timer", cpus=cpus), qemu_args=["-icount", "shift=0,sleep=off"])
    machine.expect(PASS)
    assert [name for name, *_ in timers(machine)] == ["virtual", "physical"]
    assert all(int(late) <= TIMER_LATE_NS[name] for name, *lates in timers(machine) for late in lates), machine.log


def test_timer_on_a_shared_cpu_is_a_slice_late_at_most(start, tmp_path):
    machine = start(guest_vm(tmp_path, "timer", "one"), guest_vm(tmp_path, "timer", "two"), smp=1,
                    qemu_args=["-icount", "shift=0,sleep=off"])
    machine.expect_end()
    assert len(timers(machine)) == 4
    assert all(int(late) <= 1.01 * SLICE_NS for _, *lates in timers(machine) for late in lates), machine.log
    assert machine.log.count("GUEST PASS: 0 failed") == 2


@pytest.mark.parametrize("cpus", [1, 2])
def test_psci_answers_as_specified(start, tmp_path, cpus):
    run_guest(start, tmp_path, "psci", cpus=cpus)


def test_faults_are_the_architectures_own(start, tmp_path):
    run_guest(start, tmp_path, "faults")


def test_registers_keep_their_values(start, tmp_path):
    run_guest(start, tmp_path, "state")


def test_every_system_register_may_be_tried(start, tmp_path):
    machine = run_guest(start, tmp_path, "sysregs")
    assert re.search(r"sysregs: 1\d\d can be read, \d\d of them written", machine.log)


@pytest.mark.parametrize("cpus", [1, 3])
def test_noise_on_devices_and_calls_does_no_harm(start, tmp_path, cpus):
    run_guest(start, tmp_path, "noise", cpus=cpus)


def test_memory_is_zero_at_first_and_all_there(start, tmp_path):
    run_guest(start, tmp_path, "memory", memory="64M")


def test_reset_wipes_memory_and_starts_again(start, tmp_path):
    machine = start(guest_vm(tmp_path, "reset", cpus=2))
    for _ in range(3):
        assert "FAIL" not in machine.expect(r"(?s)test guest: reset.*?asking for a reset\r*\n")[0]

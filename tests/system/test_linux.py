# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel, unmodified, from its first message to power-off."""
import re
import time

import pytest

from support import Shell


# In /proc/interrupts: the timer's number and counts, and the UART; and the clock's driver.
TIMER = {
    "aarch64": r"^ *\d+:((?: +\d+)+) +GICv3 +27 Level +arch_timer$",
    "riscv64": r"^ *\d+:((?: +\d+)+) +RISC-V INTC +5 Edge +riscv-timer$",
}
UART = {"aarch64": r"GICv3 +33 Level +uart-pl011", "riscv64": r"SiFive PLIC +10 Edge +ttyS0"}
CLOCK = {"aarch64": "rtc-pl031", "riscv64": "goldfish_rtc"}


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_boots_to_a_shell(start, tmp_path, arch, cpus):
    machine = start(arch.linux_vm(tmp_path, cpus=cpus))
    shell = Shell(machine)
    assert f"axvm guest: {cpus} CPUs, " in machine.log
    assert shell.run("nproc") == str(cpus)
    assert re.fullmatch(rf"Linux \S+ .* {arch.name} GNU/Linux", shell.run("uname -a"))
    assert shell.run("echo $((6 * 7))") == "42"
    assert shell.run("seq 100 | grep 7 | wc -l") == "19"
    assert shell.run("dmesg | grep -ci 'Call trace'") == "0"

    interrupts = shell.run("cat /proc/interrupts")
    timer = re.search(TIMER[arch.name], interrupts, re.MULTILINE)
    assert timer, interrupts
    counts = [int(count) for count in timer[1].split()]
    assert len(counts) == cpus and all(counts), interrupts
    assert re.search(UART[arch.name], interrupts), interrupts


def test_sees_the_memory_it_was_given(start, tmp_path, arch):
    shell = Shell(start(arch.linux_vm(tmp_path, memory="192M")))
    total = int(shell.run("awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo"))
    assert 120 < total < 192  # the kernel's own share is not in it


def test_has_a_clock_that_is_right_and_goes(start, tmp_path, arch):
    since = time.time()
    shell = Shell(start(arch.linux_vm(tmp_path)))
    assert shell.run("cat /sys/class/rtc/rtc0/name").startswith(CLOCK[arch.name])
    now = "cat /sys/class/rtc/rtc0/since_epoch"
    assert shell.run(f"t=$({now}); while [ $({now}) -le $t ]; do :; done; echo later") == "later"
    assert since - 1 <= int(shell.run("date +%s")) <= time.time()


def test_cpus_compute_the_same_at_once(start, tmp_path, arch):
    shell = Shell(start(arch.linux_vm(tmp_path, cpus=4)))
    assert "smpstress: 4 CPUs agree: " in shell.run("smpstress 20")


def test_powers_off(start, tmp_path, arch):
    machine = start(arch.linux_vm(tmp_path, cpus=2))
    Shell(machine).start("poweroff -f")
    machine.expect("reboot: Power down")
    machine.expect("axvm: vm linux: powered off")
    machine.expect_end()


def test_reboots_into_fresh_memory(start, tmp_path, arch):
    machine = start(arch.linux_vm(tmp_path, cpus=4))
    machine.expect(arch.banner)
    shell = Shell(machine)
    shell.run("echo kept > /tmp/file")
    assert shell.run("cat /tmp/file") == "kept"
    shell.start("reboot -f")
    machine.expect(arch.banner)
    shell = Shell(machine)
    assert shell.run("ls /tmp") == ""
    assert shell.run("nproc") == "4"
    shell.start("poweroff -f")
    machine.expect_end()


def test_takes_cpus_offline_and_online_again(start, tmp_path, arch):
    shell = Shell(start(arch.linux_vm(tmp_path, cpus=4)))
    online = "/sys/devices/system/cpu/cpu{}/online"
    for _ in range(3):
        for cpu in (1, 3):
            shell.run(f"echo 0 > {online.format(cpu)}")
        assert shell.run("cat /sys/devices/system/cpu/online") == "0,2"
        assert shell.run("nproc") == "2"
        for cpu in (3, 1):
            shell.run(f"echo 1 > {online.format(cpu)}")
        assert shell.run("cat /sys/devices/system/cpu/online") == "0-3"
    assert "smpstress: 4 CPUs agree" in shell.run("smpstress 2")


def test_takes_all_that_is_typed(start, tmp_path, arch):
    shell = Shell(start(arch.linux_vm(tmp_path)))
    text = "".join(chr(ord("a") + i % 26) for i in range(180))
    assert shell.run(f"echo {text} | wc -c") == "181"


def test_goes_on_after_sleeping(start, tmp_path, arch):
    shell = Shell(start(arch.linux_vm(tmp_path, cpus=2)))
    assert shell.run("for i in 1 2 3 4 5; do usleep 20000; done; echo awake") == "awake"

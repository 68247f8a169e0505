# SPDX-License-Identifier: Apache-2.0
"""Debugging as docs/debugging.md says."""
import re
import shlex
import socket
import struct
import subprocess

import pytest

from support import PASS, TIMEOUT, axvm, run_command

EXIT = {"aarch64": "a64_exit_sync", "riscv64": "rv64_exit"}  # the function that exits of guests come to
UNDEFINED = {"aarch64": "unknown reason", "riscv64": "illegal instruction"}  # what the word 0 is as an instruction


class Debugged:
    """A machine that waits for gdb."""

    def __init__(self, start, *files):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        command = run_command(files, smp=1)
        self.machine = start.command(command[:2] + [f"--gdb={port}"] + command[2:])
        line = self.machine.expect(r"    (gdb-multiarch .*?)\r*\n")[1]
        self.words = shlex.split(line)

    def gdb(self, *commands):
        """What gdb says to the commands, after those that axvm has printed. The machine goes on when gdb ends."""
        words = [*self.words, "-nx", "-batch"]
        for command in commands:
            words += ["-ex", command]
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def debugged(start, tmp_path, arch):
    return Debugged(start, arch.guest_vm(tmp_path, arch.calls))


def test_gdb_stops_the_hypervisor_at_an_exit(debugged, arch):
    said = debugged.gdb(f"break {EXIT[arch.name]}", "continue", "print/x frame->pc", "backtrace")
    assert 0x80000 <= int(re.search(r"\$1 = (0x\w+)", said)[1], 16) - arch.ram < 0x400000, said
    assert re.search(rf"#0  {EXIT[arch.name]} \(frame=.*exit\.c", said), said
    assert re.search(r"#1  .* in \w+ \(\) at .*cpu_entry\.S", said), said
    debugged.machine.expect(PASS)


def first_word(arch, name):
    """Address and first instruction of a function of the test guest."""
    elf, program = arch.guest("test.elf"), arch.guest("test.bin").read_bytes()
    lines = subprocess.run([f"{arch.name}-linux-gnu-nm", elf], check=True, capture_output=True, text=True).stdout
    at, start = [int(re.search(rf"(?m)^(\w+) \w {symbol}$", lines)[1], 16) for symbol in (name, "__image_start")]
    return at, struct.unpack_from("<I", program, at - start)[0]


# On riscv64 the guest has the same addresses as the hypervisor: what is executed there tells them apart, for a symbol
# there is only one.
def test_gdb_stops_a_guest(debugged, arch):
    at, word = first_word(arch, "test_main")
    said = debugged.gdb(f"remove-symbol-file {arch.elf}", f"add-symbol-file {arch.guest('test.elf')}",
                        f"break *{at:#x} if *(unsigned int *) $pc == {word:#x}", "continue", "print machine.cpu_count",
                        "info symbol $pc")
    assert re.search(r"Breakpoint 1, (0x\w+ in )?test_main \(\)", said), said
    assert "$1 = 1" in said
    assert re.search(r"test_main( \+ \d+)? in section .text", said), said
    debugged.machine.expect(PASS)


def test_a_fault_of_the_hypervisor_says_where_it_was(debugged, arch):
    debugged.gdb(f"break {EXIT[arch.name]}", "continue", "set {unsigned int}$pc = 0")
    machine = debugged.machine
    machine.expect(f"error: pCPU 0: {UNDEFINED[arch.name]} in the hypervisor, which gives this pCPU up")
    at, caller = machine.expect(r"error: at image\+(0x\w+) from \+(0x\w+)").groups()
    addr2line = [f"{arch.name}-linux-gnu-addr2line", "-fip", "-e", arch.elf, at, caller]
    lines = subprocess.run(addr2line, check=True, capture_output=True, text=True).stdout.splitlines()
    assert f"{EXIT[arch.name]} at" in lines[0] and "cpu_entry.S" in lines[-1], lines


def test_gdbs_port_is_checked(tmp_path, arch):
    vm = arch.guest_vm(tmp_path, arch.calls)
    for port in "0", "65536", "-1", "x", "1K1":
        result = axvm("run", f"--gdb={port}", vm, "--dry-run")
        assert result.returncode == 2 and f"--gdb={port}: expected a TCP port" in result.stderr
    assert axvm("run", "--gdb", vm, "--dry-run").stdout.endswith(" -S -gdb tcp:127.0.0.1:1234\n")


def test_what_is_no_image_cant_be_debugged(tmp_path, arch):
    result = axvm("run", "--gdb", arch.guest_vm(tmp_path, arch.calls), "--image", tmp_path)
    assert result.returncode == 1 and "QEMU doesn't say where it loads" in result.stderr

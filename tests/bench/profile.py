#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Say in which of the hypervisor's functions the instructions of each bench operation are, in the mean of a round.

    profile.py [BUILD DIRECTORY [ARCHITECTURE]]

It goes by QEMU's trace of every instruction. What is inlined counts for the function that it is in; the image's
addresses are those of its symbols plus where its first instruction is. What firmware does isn't in it.
"""
import bisect
import collections
import os
import pathlib
import re
import struct
import subprocess

import machine

ROUNDS = 16

# Where the hypervisor is, from the beginning of RAM, at least. On riscv64 a guest is where QEMU puts the image, so the
# image goes elsewhere, as an ELF file may; then it is also known before where it is.
IMAGE_OFFSET = {"aarch64": 0x1000, "riscv64": 0x4000000}
MOVED = {"riscv64": 243}  # and its number for ELF

# QEMU changes from one CPU to the next at the latest when one of its own timers is due: have one every 20 us, so that
# one CPU that waits for another doesn't fill the trace.
TICKER = ["-netdev", "hubport,hubid=0,id=tick",
          "-object", "filter-buffer,id=ticker,netdev=tick,queue=rx,interval=20"]
TRACED = re.compile(rb"Trace (\d+): \S+ \[[0-9a-f]+/([0-9a-f]+)/")


def single_step(arch):
    """QEMU's options for a trace of every instruction."""
    version = subprocess.run([arch.qemu, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = map(int, re.search(r"version (\d+)\.(\d+)", version).groups())
    return ["-accel", "tcg,one-insn-per-tb=on"] if (major, minor) >= (8, 1) else ["-singlestep"]


def placed_image(build, directory):
    """The hypervisor's image as QEMU loads it to where it belongs; None: as it is."""
    if build.arch.name not in MOVED:
        return None
    data, at = build.image.read_bytes(), build.arch.ram + IMAGE_OFFSET[build.arch.name]
    path = pathlib.Path(directory) / "axvm.elf"
    header = struct.pack("<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 2, MOVED[build.arch.name], 1, at, 64, 0, 0,
                         64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 120, at, at, len(data), len(data), 8)
    path.write_bytes(header + segment + data)
    return path


def filters(build, guest):
    """QEMU's options to trace nothing but hypervisor and guest: firmware's own start is long."""
    if build.arch.name not in MOVED:
        return []
    image, program = build.arch.ram + IMAGE_OFFSET[build.arch.name], guest.by_name["__image_start"]
    return ["-dfilter", f"{image:#x}+{build.image.stat().st_size:#x},{program:#x}+{build.guest.stat().st_size:#x}"]


class Symbols:
    """Functions and labels of an ELF file by address."""

    def __init__(self, arch, elf):
        nm = [f"{arch.name}-linux-gnu-nm", "-n", elf]
        lines = subprocess.run(nm, capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in lines.splitlines()]
        rows = [(int(row[0], 16), row[1], row[2]) for row in rows if len(row) == 3 and not row[2].startswith("$")]
        code = [(address, name) for address, kind, name in rows if kind in "tTwW"]
        self.addresses, self.names = zip(*code)
        self.by_name = {name: address for address, _, name in rows}

    def find(self, address):
        return self.names[bisect.bisect_right(self.addresses, address) - 1]


class Profile:
    """Fed with the instructions of all CPUs in their order."""

    def __init__(self, arch, hypervisor, guest):
        self.arch = arch
        self.hypervisor = hypervisor
        self.size = hypervisor.by_name["image_rodata"]  # of its code, which is linked at 0
        self.begin, self.end = guest.by_name["bench_begin"], guest.by_name["bench_end"]
        self.base = None
        self.inside = set()  # CPUs that are in the hypervisor
        self.current = collections.Counter()  # of what is being measured: functions and their instructions, or None
        self.exits = 0
        self.operations = []  # the first is all until the guest's first instruction

    def instruction(self, cpu, pc):
        if self.base is None:
            self.base = self.image_base(pc)
        if self.base is None:
            return
        if self.base <= pc < self.base + self.size:
            self.in_hypervisor(cpu, pc)
        else:
            self.in_guest(cpu, pc)

    def image_base(self, pc):
        """QEMU's own first instructions are below it; the image's first is its begin."""
        return pc if pc & (self.arch.ram - 1) >= IMAGE_OFFSET[self.arch.name] else None

    def in_hypervisor(self, cpu, pc):
        if self.current is not None:
            self.current[self.hypervisor.find(pc - self.base)] += 1
            self.exits += cpu not in self.inside
        self.inside.add(cpu)

    def in_guest(self, cpu, pc):
        self.inside.discard(cpu)
        if pc == self.begin:
            self.current, self.exits = collections.Counter(), 0
        elif pc == self.end or not self.operations:
            self.operations.append((self.exits, self.current))
            self.current = None


def trace(build, directory, only="", **options):
    """Run the bench guest; (name, exits, functions) of each operation."""
    arch, guest = build.arch, Symbols(build.arch, build.guest_elf)
    profile = Profile(arch, Symbols(arch, build.elf), guest)
    reader, writer = os.pipe()
    image = placed_image(build, directory)
    command = machine.axvm_command(build, directory, cmdline=f"rounds={ROUNDS} {only}", image=image, qemu_args=[
        *single_step(arch), *TICKER, "-d", "exec,nochain", *filters(build, guest), "-D", f"/dev/fd/{writer}"],
        **options)
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, pass_fds=[writer])
    os.close(writer)
    with open(reader, "rb") as lines:
        for line in lines:
            match = TRACED.match(line)
            if match:
                profile.instruction(match[1], int(match[2], 16))
    output = process.communicate()[0]
    names = list(machine.counts(output))
    if len(names) != len(profile.operations):
        raise machine.Failed(f"the trace has {len(profile.operations)} operations, the guest {len(names)}:\n{output}")
    return [(name, *operation) for name, operation in zip(names, profile.operations)]


def entry(build, directory):
    """
    How many instructions the hypervisor executes before the guest's first, where the guest's own clock can't tell: on
    all CPUs, but without what firmware does for it.
    """
    (_, _, functions), = trace(build, directory, "only=-")
    return sum(functions.values())


def show(name, exits, functions, rounds):
    total = sum(functions.values())
    print(f"\n{name}: {total / rounds:,.1f} instructions in {exits / rounds:.2f} exits a round")
    for function, count in functions.most_common():
        if count * 1000 >= total:
            print(f"  {count / rounds:12,.1f}  {function}")


def profile_all(build, directory):
    operations = trace(build, directory)
    switch = trace(build, directory, f"only={build.arch.peer}", pcpus=(1, 1))[-1]
    for name, exits, functions in [*operations, ("vcpu-switch", *switch[1:])]:
        if functions:
            show(name, exits, functions, 1 if name == "entry" else ROUNDS)


if __name__ == "__main__":
    machine.main(profile_all)

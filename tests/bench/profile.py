#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Say in which of the hypervisor's functions the instructions of each bench operation are, in the mean of a round.

    profile.py [BUILD DIRECTORY]

It goes by QEMU's trace of every instruction. What is inlined counts for the function that it is in; the image's addresses are
those of its symbols plus where its first instruction is.
"""
import bisect
import collections
import os
import re
import subprocess

import machine

ROUNDS = 16
TRACED = re.compile(rb"Trace (\d+): \S+ \[[0-9a-f]+/([0-9a-f]+)/")


def single_step():
    """QEMU's options for a trace of every instruction."""
    version = subprocess.run([machine.QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = map(int, re.search(r"version (\d+)\.(\d+)", version).groups())
    return ["-accel", "tcg,one-insn-per-tb=on"] if (major, minor) >= (8, 1) else ["-singlestep"]


class Symbols:
    """Functions and labels of an ELF file by address."""

    def __init__(self, elf):
        lines = subprocess.run(["aarch64-linux-gnu-nm", "-n", elf], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in lines.splitlines()]
        rows = [(int(row[0], 16), row[1], row[2]) for row in rows if len(row) == 3 and not row[2].startswith("$")]
        code = [(address, name) for address, kind, name in rows if kind in "tTwW"]
        self.addresses, self.names = zip(*code)
        self.by_name = {name: address for address, _, name in rows}

    def find(self, address):
        return self.names[bisect.bisect_right(self.addresses, address) - 1]


class Profile:
    """Fed with the instructions of all CPUs in their order."""

    def __init__(self, hypervisor, guest):
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

    @staticmethod
    def image_base(pc):
        """QEMU's own first instructions are in the first page of RAM; the image's first is its begin."""
        return pc if pc & (machine.RAM_BASE - 1) >= 0x1000 else None

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
    profile = Profile(Symbols(build.elf), Symbols(build.guest_elf))
    reader, writer = os.pipe()
    command = machine.axvm_command(build, directory, cmdline=f"rounds={ROUNDS} {only}", qemu_args=[
        *single_step(), "-d", "exec,nochain", "-D", f"/dev/fd/{writer}"], **options)
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


def show(name, exits, functions, rounds):
    total = sum(functions.values())
    print(f"\n{name}: {total / rounds:,.1f} instructions in {exits / rounds:.2f} exits a round")
    for function, count in functions.most_common():
        if count * 1000 >= total:
            print(f"  {count / rounds:12,.1f}  {function}")


def profile_all(build, directory):
    operations = trace(build, directory)
    switch = trace(build, directory, "only=sgi-peer", pcpus=(1, 1))[-1]
    for name, exits, functions in [*operations, ("vcpu-switch", *switch[1:])]:
        if functions:
            show(name, exits, functions, 1 if name == "entry" else ROUNDS)


if __name__ == "__main__":
    machine.main(profile_all)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Measure what docs/specification.md has bars for, and fail when one is missed. A bar that is listed there as not met yet
may be missed by as much as it says, and no more.

    bench.py [BUILD DIRECTORY [ARCHITECTURE]]
"""
import re
import struct
import sys

import machine
import profile

ENTRY_BY_TRACE = ["riscv64"]  # a guest's time begins with the VM
SPECIFICATION = machine.ROOT / "docs/specification.md"


class Row:
    """One row of the specification's table: | `name` | operation | less | bar | best peer |"""

    def __init__(self, cells, allowed):
        self.name, self.operation, self.less, bar, self.peer = cells
        self.bar = None if bar == "-" else int(bar)
        self.allowed = allowed.get(self.name, self.bar)  # where the bar isn't met yet: what it may be until it is

    def missed(self, value):
        return self.bar is not None and value > self.allowed

    def verdict(self, value):
        if self.bar is None:
            return "no bar"
        over = value - self.bar
        if over <= 0:
            return "ok"
        by = f"by {over:,.0f} ({100 * over / self.bar:.0f} %)"
        return f"MISSED {by}" if self.missed(value) else f"not met yet, {by}"


def read_rows(arch):
    """
    The bars in the architecture's section, and from its table of those not met yet, | `name` | allowed | why |, how
    much each may be.
    """
    section = re.search(rf"(?ms)^## {arch.name}$(.*?)(?=^## |\Z)", SPECIFICATION.read_text())
    if not section:
        raise machine.Failed(f"{SPECIFICATION} has no section {arch.name}")
    lines = [line for line in section[1].splitlines() if line.startswith("| `")]
    tables = [[cell.strip().strip("`") for cell in line.strip().strip("|").split("|")] for line in lines]
    allowed = {cells[0]: int(cells[1]) for cells in tables if len(cells) == 3}
    return [Row(cells, allowed) for cells in tables if len(cells) == 5]


def run_twice(what, command, run=machine.run):
    """What it prints, which must say the same both times."""
    outputs = []
    for turn in "once", "twice":
        print(f"bench: {what}, {turn}", flush=True)
        outputs.append(run(command))
    first, second = map(machine.counts, outputs)
    if first != second:
        changed = [f"{name}: {first.get(name)}, then {second.get(name)}" for name in first | second
                   if first.get(name) != second.get(name)]
        raise machine.Failed(f"{what}: two runs count differently: {'; '.join(changed)}")
    return outputs[0]


def kept(output, who):
    """KiB, as the hypervisor says."""
    found = re.search(rf"{who}.*keeps (\d+) KiB", output)
    if not found:
        raise machine.Failed(f"the hypervisor doesn't say what {who} keeps:\n{output}")
    return int(found[1])


def text_size(elf):
    """Of a little-endian ELF64: the size of the section .text."""
    data = elf.read_bytes()
    offset, = struct.unpack_from("<Q", data, 0x28)
    entry, count, names = struct.unpack_from("<HHH", data, 0x3a)
    headers = [struct.unpack_from("<IIQQQQ", data, offset + i * entry) for i in range(count)]
    strings = headers[names][4]
    for name, _, _, _, _, size in headers:
        if data.startswith(b".text\0", strings + name):
            return size
    raise machine.Failed(f"{elf} has no .text")


def measure_aia(build, directory):
    """Under the hypervisor: with interrupt files of the machine's, and with those in software; and without it."""
    machine_args = ["-M", build.arch.aia_machine]
    bare = machine.counts(run_twice("the bare machine with AIA", machine.bare_command(build, qemu_args=machine_args)))
    values = machine.counts(run_twice("axvm, AIA, guest interrupt files", machine.axvm_command(
        build, directory, devices=build.arch.aia_devices, qemu_args=machine_args), run=machine.run_to_verdict))
    soft = machine.counts(run_twice("axvm, AIA, interrupt files in software", machine.axvm_command(
        build, directory, devices=build.arch.aia_devices)))
    for name in "imsic-self", "imsic-peer":
        values[f"{name}-soft"], bare[f"{name}-soft"] = soft[name], bare[name]
    return values, bare


def measure(build, directory):
    """Values by name: under the hypervisor, and on the bare machine."""
    peer = build.arch.peer
    bare = machine.counts(run_twice("the bare machine", machine.bare_command(build)))
    shared_output = run_twice("axvm, both vCPUs on one pCPU", machine.axvm_command(
        build, directory, pcpus=(1, 1), lazy=False, cmdline=f"only={peer}"))
    output = run_twice("axvm, a pCPU for each vCPU", machine.axvm_command(build, directory))
    values = machine.counts(output)
    if build.arch.name in ENTRY_BY_TRACE:
        print("bench: axvm, until the guest's first instruction", flush=True)
        values["entry"] = profile.entry(build, directory)
    values["vcpu-switch"] = machine.counts(shared_output)[peer]
    values["image-text"] = text_size(build.elf)
    values["machine-memory"] = kept(output, "pCPU")
    values["vm-memory"] = kept(shared_output, "running")
    bare["vcpu-switch"] = bare[peer]
    if build.arch.aia_machine:
        aia_values, aia_bare = measure_aia(build, directory)
        return aia_values | values, aia_bare | bare
    return values, bare


def subtract(row, values, bare):
    less = {"the empty loop": values["empty-loop"], "two readings": values.get("two-readings"),
            "the bare machine": bare.get(row.name), "-": 0}[row.less]
    return values[row.name] - less


def show(arch, rows, results):
    line = "{:<16} {:>10} {:>10}   {:<24} {}".format
    print("\n" + line(arch.name, "measured", "bar", "best peer", ""))
    for row, value in zip(rows, results):
        bar = "-" if row.bar is None else f"{row.bar:,}"
        print(line(row.name, f"{value:,.0f}", bar, row.peer, row.verdict(value)))


def bench(build, directory):
    rows = read_rows(build.arch)
    values, bare = measure(build, directory)
    results = [subtract(row, values, bare) for row in rows]
    show(build.arch, rows, results)
    missed = sum(row.missed(value) for row, value in zip(rows, results))
    unmet = sum(row.bar is not None and row.bar < value <= row.allowed for row, value in zip(rows, results))
    held = sum(row.bar is not None for row in rows) - missed - unmet
    print(f"\nbars of {build.arch.name}: {held} hold, {unmet} not met yet, {missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    machine.main(bench)

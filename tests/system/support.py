# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: VM files, the machine they run on, and the shell of a Linux guest."""
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import re
import shlex
import socket
import subprocess

import pexpect
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
AXVM = pathlib.Path(os.environ.get("AXVM", ROOT / "build/axvm"))
BUILD = AXVM.parent

TIMEOUT = int(os.environ.get("TIMEOUT", 180))  # seconds for anything that should happen at all: machines may be slow
NEXT_VM = "\x1d"  # Ctrl-]: the console's focus moves to the next VM

PASS = r"GUEST PASS: 0 failed(?=\r*\n)"
PROMPT = r"axvm:[^ ]*# "


# ---- VM files ----


def write_vm(directory, name, *, cpus=1, devices=None, base=None, **kernel):
    """A VM file in `directory`: `base` and `devices` are the keys of these sections, the rest are [kernel]'s."""
    sections = {
        "base": {"name": name, "cpu_num": cpus, **(base or {})},
        "kernel": kernel,
        "devices": devices or {},
    }
    path = pathlib.Path(directory) / f"{name}.toml"
    with path.open("w") as file:
        for section, keys in sections.items():
            file.write(f"[{section}]\n")
            for key, value in keys.items():
                value = str(value) if isinstance(value, pathlib.Path) else value
                file.write(f"{key} = {json.dumps(value)}\n")  # JSON's values are TOML's, for all that is used here
    return path


# ---- Architectures ----


@dataclasses.dataclass(frozen=True)
class Arch:
    """
    What many tests need to know of an architecture; a table in a test's own file has what only that one does. Tests
    that take `arch` run for each.
    """
    name: str
    ram: int  # where a VM has it, and QEMU's machine too
    console: str  # Linux's name of the UART
    banner: str  # of the first that Linux says
    board: str  # what the machine's device tree calls it
    calls: str  # our own guest's test of the calls that firmware answers: it takes no time

    @property
    def qemu(self):
        return f"qemu-system-{self.name}"

    @property
    def vmlinuz(self):
        return self._fetched("vmlinuz")

    def _fetched(self, name):
        return ROOT / "build/guests" / self.name / name  # the same for all compilers

    def guest(self, file):
        """A program of our own."""
        return BUILD / "guests" / self.name / file

    @property
    def elf(self):
        """The hypervisor, with its symbols."""
        return BUILD / "metal" / self.name / "axvm.elf"

    def linux_vm(self, directory, name="linux", *, memory="256M", quiet=False, **keys):
        """A VM that boots Debian's kernel to a shell; memory=None leaves RAM to memory_regions."""
        if memory is not None:
            keys["memory"] = memory
        cmdline = f"console={self.console}" + (" quiet" if quiet else "")
        return write_vm(directory, name, **{"kernel_path": self.vmlinuz, "ramdisk_path": self._fetched("initrd.img"),
                                            "cmdline": cmdline, **keys})

    def guest_vm(self, directory, test, name=None, *, memory="32M", **keys):
        """A VM that runs one test of our own test guest."""
        if memory is not None:
            keys["memory"] = memory
        return write_vm(directory, name or test, **{"kernel_path": self.guest("test.bin"), "cmdline": test, **keys})

    def qemu_command(self, directory, bundle):
        """What `axvm run` would start, with another bundle, or none: bundle=None."""
        shown = axvm("run", self.guest_vm(directory, "smp", "any"), "--dry-run", check=True)
        words = shlex.split(shown.stdout.splitlines()[-1])
        at = words.index("-initrd")
        return words[:at] + (["-initrd", bundle] if bundle else []) + words[at + 2:]


ARCHS = {arch.name: arch for arch in [
    Arch("aarch64", ram=0x40000000, console="ttyAMA0", banner=r"Booting Linux on physical CPU 0x0",
         board="linux,dummy-virt", calls="psci"),
    Arch("riscv64", ram=0x80000000, console="ttyS0", banner=r"Linux version \d",
         board="riscv-virtio,qemu", calls="sbi"),
]}

# Those to test: $AXVM_ARCHS, or all that there is a hypervisor image for.
CHOSEN = os.environ.get("AXVM_ARCHS", "").split() or [name for name in ARCHS if (BUILD / f"axvm-{name}.bin").exists()]


def by_arch(cases):
    """For pytest's parametrize, from {architecture: {id: (value, ...)}}: (arch, value, ...)."""
    return [pytest.param(ARCHS[name], *values, id=f"{name}-{case}")
            for name, rows in cases.items() for case, values in rows.items()]


def machine_tree(arch, directory, *qemu_args):
    """A file: the machine's device tree."""
    tree = directory / "machine.dtb"
    dump = [*arch.qemu_command(directory, None), *qemu_args]
    dump[dump.index("-M") + 1] += f",dumpdtb={tree}"
    subprocess.run(dump, check=True, capture_output=True)
    return tree


def reserving_tree(arch, directory, at, size, no_map=False):
    """The same, with memory that firmware reserves."""
    tree = machine_tree(arch, directory)
    node = f"/reserved-memory/guest@{at:x}"
    for words in (["-cp", tree, node],
                  ["-t", "x", tree, "/reserved-memory", "#address-cells", "2"],
                  ["-t", "x", tree, "/reserved-memory", "#size-cells", "2"],
                  [tree, "/reserved-memory", "ranges"],
                  *([[tree, node, "no-map"]] if no_map else []),
                  ["-t", "x", tree, node, "reg", "0", f"{at:x}", "0", f"{size:x}"]):
        subprocess.run(["fdtput", *words], check=True)
    return tree


# ---- Time ----

# QEMU's arguments that make time exact, and each run the same: an instruction takes a nanosecond. QEMU then changes
# from one CPU to the next at the latest when one of its own timers is due: have one every 20 us.
ICOUNT = ["-icount", "shift=0,sleep=off", "-rtc", "base=2001-02-03,clock=vm",
          "-netdev", "hubport,hubid=0,id=tick",
          "-object", "filter-buffer,id=ticker,netdev=tick,queue=rx,interval=20"]


def slice_us():
    """How long a ready vCPU waits at most for each other of its pCPU: scheduler.h."""
    text = (ROOT / "host/metal/scheduler.h").read_text()
    return 1_000_000 // int(re.search(r"#define SCHED_SLICES_PER_SECOND (\d+)U", text)[1])


# ---- The machine ----


def axvm(*args, **options):
    """Run the command line to its end."""
    return subprocess.run([AXVM, *args], capture_output=True, text=True, timeout=TIMEOUT, **options)


def run_command(files, smp=4, memory="1G", axvm_args=(), qemu_args=()):
    return [AXVM, "run", *files, "--smp", smp, "--memory", memory, *axvm_args, "--", *qemu_args]


class Machine:
    """QEMU with the hypervisor in it. All waiting is for conditions, and never forever."""

    def __init__(self, command):
        self._log = io.StringIO()
        words = [str(word) for word in command]
        self._log.write(f"$ {shlex.join(words)}\n")
        self.process = pexpect.spawn(words[0], words[1:], cwd=ROOT, timeout=TIMEOUT, encoding="utf-8",
                                     codec_errors="replace", echo=False, dimensions=(50, 250))
        self.process.logfile_read = self._log
        self.process.delaybeforesend = None

    @property
    def log(self):
        """All that appeared so far."""
        return self._log.getvalue()

    def lines(self):
        """The lines that appeared so far."""
        return [line.rstrip("\r") for line in self.log.split("\n")[1:]]

    def expect(self, *patterns):
        """Wait until one of the patterns appears; return the match."""
        __tracebackhide__ = True
        self._wait(list(patterns))
        return self.process.match

    def _wait(self, patterns):
        __tracebackhide__ = True
        try:
            return self.process.expect(patterns)
        except pexpect.EOF:
            reason = "QEMU ended"
        except pexpect.TIMEOUT:
            reason = f"{TIMEOUT} s passed"
        raise AssertionError(f"{reason}; waited for {' or '.join(map(repr, patterns))}")

    def expect_all(self, *patterns):
        """Wait until all of the patterns have appeared, in any order."""
        waiting = list(patterns)
        while waiting:
            del waiting[self._wait(waiting)]

    def expect_end(self):
        """Wait until the machine powers itself off; return its last words."""
        self._wait([pexpect.EOF])
        self.process.wait()
        assert self.process.exitstatus == 0, f"QEMU ended with {self.process.exitstatus}"
        return self.process.before

    def type(self, text):
        self.process.send(text)

    def end(self):
        """End QEMU, if it didn't end by itself."""
        with contextlib.suppress(pexpect.ExceptionPexpect):
            self.process.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=0)  # what was said last is in the log, too
        self.process.close(force=True)


def own_lines(lines):
    """Without those of other VMs and of the hypervisor. What these broke is painted again below them."""
    own, broken = [], False
    for line in lines:
        if re.match(r"\[\w+\] |axvm: ", line):
            broken = True
        elif broken and own and line.startswith(own[-1]):
            own[-1] = line
            broken = False
        else:
            own.append(line)
            broken = False
    return own


class Shell:
    """The shell of a Linux guest that has the console."""

    def __init__(self, machine):
        self.machine = machine
        self.count = 0
        machine.expect(PROMPT)
        self.run("dmesg -n 1")  # from now on the kernel speaks only to say farewell

    def run(self, command):
        """What the command prints. Lines of other VMs and of the hypervisor in between are left out."""
        self.count += 1
        number = f"$(({self.count}))"  # so that what is typed isn't taken for what is printed
        self.start(f"echo begin{number}; {command}; echo; echo end{number}")
        said = self.machine.expect(rf"(?s)\n(begin{self.count}\r*\n.*?\nend{self.count})\r*\n.*?{PROMPT}")[1]
        return "\n".join(own_lines(said.replace("\r", "").split("\n"))[1:-1]).strip()

    def start(self, command):
        """Type it, and don't wait."""
        self.machine.type(command + "\r")


class Monitor:
    """QEMU's own monitor, to look at the machine from outside; -qmp unix:PATH,server=on,wait=off."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw")
        self.file.readline()  # the greeting
        self.call("qmp_capabilities")

    def call(self, name, **arguments):
        self.file.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "event" not in answer:
                return answer["return"]

    def command(self, line):
        return self.call("human-monitor-command", **{"command-line": line})

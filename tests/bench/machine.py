# SPDX-License-Identifier: Apache-2.0
"""The machine that the bench guest runs on, with and without the hypervisor: where each instruction takes 1 ns."""
import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
ICOUNT = ["-icount", "shift=0,sleep=off"]
TIMEOUT = 600  # seconds



@dataclasses.dataclass(frozen=True)
class Arch:
    name: str
    bare: list  # the machine without the hypervisor, as QEMU's arguments
    ram: int  # where it begins
    peer: str  # the operation between two vCPUs
    aia_machine: str = ""  # riscv64's other interrupt controllers: the machine that has them, the VM's devices
    aia_devices: tuple = ()

    @property
    def qemu(self):
        return f"qemu-system-{self.name}"


ARCHS = {arch.name: arch for arch in [
    Arch("aarch64", ["-M", "virt,gic-version=3", "-cpu", "cortex-a72"], 0x40000000, "sgi-peer"),
    Arch("riscv64", ["-M", "virt", "-cpu", "rv64"], 0x80000000, "ipi-peer", "virt,aia=aplic-imsic,aia-guests=1",
         (("aplic", 0x0d000000, 0x8000, 0, 1, [0x28000000]), ("uart", 0x10000000, 0x100, 10, 2))),
]}


class Failed(Exception):
    pass


class Build:
    """What was built for an architecture, below one directory."""

    def __init__(self, directory, arch):
        self.arch = ARCHS[arch]
        self.axvm = directory / "axvm"
        self.image = directory / f"axvm-{arch}.bin"
        self.elf = directory / f"metal/{arch}/axvm.elf"
        self.guest = directory / f"guests/{arch}/bench.bin"
        self.guest_elf = directory / f"guests/{arch}/bench.elf"


def bare_command(build, cmdline="", qemu_args=()):
    return [build.arch.qemu, *build.arch.bare, "-smp", "2", "-m", "128M", "-nographic", *ICOUNT,
            "-kernel", build.guest, "-append", cmdline, *qemu_args]


def axvm_command(build, directory, *, pcpus=(1, 2), lazy=True, cmdline="", devices=(), image=None, qemu_args=()):
    """
    The bench VM's file goes into `directory`. pcpus: a mask for each vCPU. devices: instead of those that a VM has.
    image: other than the one built.
    """
    vm = pathlib.Path(directory) / "bench.toml"
    vm.write_text(f'[base]\nname = "bench"\ncpu_num = {len(pcpus)}\nphys_cpu_sets = {list(pcpus)}\n'
                  f'[kernel]\nkernel_path = "{build.guest.resolve()}"\ncmdline = "{cmdline}"\n'
                  f'memory = "64M"\nlazy = {"true" if lazy else "false"}\n'
                  + (f"[devices]\nemu_devices = {json.dumps(devices)}\n" if devices else ""))
    return [build.axvm, "run", vm, "--smp", "2", "--image", image or build.image, "--", *ICOUNT, *qemu_args]


def run(command, **options):
    """Run it to its end; what it prints."""
    try:
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, **options)
    except FileNotFoundError as missing:
        raise Failed(f"there is no {missing.filename}") from None
    except subprocess.TimeoutExpired as expired:
        raise Failed(f"no end after {TIMEOUT} s:\n{(expired.stdout or b'').decode(errors='replace')}") from None
    if done.returncode != 0 or "GUEST PASS" not in done.stdout:
        raise Failed(f"the guest fails:\n{done.stdout}")
    return done.stdout


def run_to_verdict(command):
    """
    Run it until the guest has passed; what it prints. For what can't end where instructions are counted: of CPUs of
    which the first waits for another, as firmware's fences do, QEMU 7.2 runs only the first.
    """
    said = []
    with subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as process:
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        for line in process.stdout:
            said.append(line)
            if "GUEST PASS" in line:
                break
        watchdog.cancel()
        process.kill()
    if "GUEST PASS" not in said[-1]:
        raise Failed(f"the guest fails:\n{''.join(said)}")
    return "".join(said)


def counts(output):
    """Instructions by operation, as the guest has printed them."""
    return {name: int(hundredths) / 100 for name, hundredths in re.findall(r"bench (\S+) (\d+)", output)}


def main(function):
    """Run function(build, scratch directory); the command line's arguments: the build directory, the architecture."""
    given = sys.argv[1:]
    if len(given) > 2 or (len(given) == 2 and given[1] not in ARCHS):
        sys.exit(f"usage: {sys.argv[0]} [BUILD DIRECTORY [{' | '.join(ARCHS)}]]")
    directory = ROOT / (given[0] if given else "build")
    arch = given[1] if len(given) == 2 else "aarch64"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            sys.exit(function(Build(directory, arch), scratch))
    except Failed as failed:
        sys.exit(f"bench: {failed}")

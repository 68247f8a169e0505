# SPDX-License-Identifier: Apache-2.0
"""The machine that the bench guest runs on, with and without the hypervisor: where each instruction takes 1 ns."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
QEMU = "qemu-system-aarch64"
ICOUNT = ["-icount", "shift=0,sleep=off"]
RAM_BASE = 0x40000000
TIMEOUT = 600  # seconds


class Failed(Exception):
    pass


class Build:
    """What was built, below one directory."""

    def __init__(self, directory):
        self.axvm = directory / "axvm"
        self.image = directory / "axvm-aarch64.bin"
        self.elf = directory / "metal/aarch64/axvm.elf"
        self.guest = directory / "guests/aarch64/bench.bin"
        self.guest_elf = directory / "guests/aarch64/bench.elf"


def bare_command(build, cmdline=""):
    return [QEMU, "-M", "virt,gic-version=3", "-cpu", "cortex-a72", "-smp", "2", "-m", "128M", "-nographic", *ICOUNT,
            "-kernel", build.guest, "-append", cmdline]


def axvm_command(build, directory, *, pcpus=(1, 2), lazy=True, cmdline="", qemu_args=()):
    """The bench VM's file goes into `directory`. pcpus: a mask for each vCPU."""
    vm = pathlib.Path(directory) / "bench.toml"
    vm.write_text(f'[base]\nname = "bench"\ncpu_num = {len(pcpus)}\nphys_cpu_sets = {list(pcpus)}\n'
                  f'[kernel]\nkernel_path = "{build.guest.resolve()}"\ncmdline = "{cmdline}"\n'
                  f'memory = "64M"\nlazy = {"true" if lazy else "false"}\n')
    return [build.axvm, "run", vm, "--smp", "2", "--image", build.image, "--", *ICOUNT, *qemu_args]


def run(command, **options):
    """Run it to its end; what it prints."""
    if shutil.which(QEMU) is None:
        raise Failed(f"there is no {QEMU}")
    try:
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, **options)
    except subprocess.TimeoutExpired as expired:
        raise Failed(f"no end after {TIMEOUT} s:\n{(expired.stdout or b'').decode(errors='replace')}") from None
    if done.returncode != 0 or "GUEST PASS" not in done.stdout:
        raise Failed(f"the guest fails:\n{done.stdout}")
    return done.stdout


def counts(output):
    """Instructions by operation, as the guest has printed them."""
    return {name: int(hundredths) / 100 for name, hundredths in re.findall(r"bench (\S+) (\d+)", output)}


def main(function):
    """Run function(build); the command line's one argument is the build directory."""
    directory = ROOT / (sys.argv[1] if len(sys.argv) > 1 else "build")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            sys.exit(function(Build(directory), scratch))
    except Failed as failed:
        sys.exit(f"bench: {failed}")

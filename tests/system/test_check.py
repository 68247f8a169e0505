# SPDX-License-Identifier: Apache-2.0
"""The command line without a machine: what it says of files, what it packs, what it would run."""
import gzip
import os
import re
import shlex
import shutil
import struct
import subprocess
import tomllib
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AXVM = os.environ.get("AXVM", ROOT / "build/axvm")
WRONG = sorted((ROOT / "tests/wrong").glob("*.toml"))
COMMANDS = ["check", "pack", "show", "run", "keys"]
VM = """
[base]
id = 3
name = "vm"
cpu_num = 2
phys_cpu_sets = [0b01, 0b10]
[kernel]
kernel_path = "kernel"
ramdisk_path = "ramdisk"
kernel_load_addr = 0x4020_0000
cmdline = "console=ttyAMA0 quoted=\\"yes\\" back\\\\slash"
memory_regions = [[0x4000_0000, "64M", 7, 0], [0x5000_0000, 0x1000, 7, 0, true]]
[devices]
emu_devices = [
    ["gic", 0x0800_0000, 0x1_0000, 0, 0x1, [0x0810_0000]],
    ["uart", 0x0900_0000, 0x1000, 40, 0x2],
]
"""


def linux_image(magic):
    """Linux's header: text_offset, image_size and flags, and at 56 the magic number."""
    return bytes(8) + struct.pack("<QQQ", 0, 0x8000, 0) + bytes(24) + magic + bytes(4036)


def elf_image(machine, address):
    """One segment of the whole file."""
    header = struct.pack("<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 2, machine, 1, address, 64, 0, 0, 64, 56, 1,
                         0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 7, 0, address, address, 0x1000, 0x1000, 0x1000) + bytes(0x1000 - 120)


KERNELS = {
    "aarch64": {"Linux": linux_image(b"ARM\x64"), "ELF": elf_image(183, 0x40000000)},
    "riscv64": {"Linux": linux_image(b"RSC\x05"), "ELF": elf_image(243, 0x80000000)},
}


def axvm(*arguments, cwd=ROOT, **environment):
    return subprocess.run([AXVM, *arguments], cwd=cwd, capture_output=True, text=True, errors="replace", timeout=60,
                          env={**os.environ, **environment})


def diagnostics(stderr):
    """Without the lines that quote the file and point into it."""
    return [line for line in stderr.splitlines() if not line.startswith("    ")]


@pytest.fixture
def vm(tmp_path):
    (tmp_path / "vm.toml").write_text(VM)
    (tmp_path / "kernel").write_bytes(b"kernel" * 1000)
    (tmp_path / "ramdisk").write_bytes(b"ramdisk" * 500)
    return tmp_path


# ---- What is wrong with files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_says_what_is_wrong_and_where(path):
    text = path.read_text()
    beside = re.findall(r"^# beside: (.*)$", text, re.M)
    expected = re.findall(r"^# expect: (.*)$", text, re.M)
    arch = [word for name in re.findall(r"^# arch: (.*)$", text, re.M) for word in ("--arch", name)]
    result = axvm("check", *arch, "--smp", "4", "--memory", "1G", *beside, path.name, cwd=path.parent)
    found = diagnostics(result.stderr)
    separator = lambda line: ":" if line[0].isdigit() else ": "
    assert found == [path.name + separator(line) + line for line in expected]
    assert result.returncode == (1 if any("error: " in line for line in expected) else 0)
    assert result.stdout == ""


def test_there_is_a_wrong_file_for_every_kind_of_mistake():
    assert len(WRONG) >= 30


def test_errors_of_all_files_come_in_the_order_of_the_files():
    files = ["no-name.toml", "unknown-key.toml", "syntax.toml", "not-there.toml"]
    result = axvm("check", *files, cwd=ROOT / "tests/wrong")
    assert [":".join(line.split(":")[:2]) for line in diagnostics(result.stderr)] == [
        "no-name.toml:1", "unknown-key.toml:3", "unknown-key.toml:4", "unknown-key.toml:6",
        "syntax.toml:3", "not-there.toml: error"]
    assert result.returncode == 1


def test_points_at_the_column():
    result = axvm("check", "cpu-num.toml", cwd=ROOT / "tests/wrong")
    assert result.stderr == ("cpu-num.toml:3:11: error: cpu_num: a VM has at least one vCPU\n"
                             "    cpu_num = 0\n"
                             "              ^\n")


def test_the_caret_counts_characters_and_keeps_tabs(tmp_path):
    (tmp_path / "vm.toml").write_text('[base]\n\tname = "ä" ; x\n')
    result = axvm("check", "vm.toml", cwd=tmp_path)
    message, line, caret = result.stderr.splitlines()[:3]
    column = int(message.split(":")[2])
    assert line == '    \tname = "ä" ; x'
    assert caret == "    \t" + " " * (column - 2) + "^"


def test_lines_may_end_with_carriage_returns(tmp_path):
    (tmp_path / "vm.toml").write_bytes(b"[base]\r\ncpu_num = -1\r\n")
    result = axvm("check", "vm.toml", cwd=tmp_path)
    assert result.stderr.endswith("vm.toml:2:11: error: cpu_num: -1 is negative\n"
                                  "    cpu_num = -1\n"
                                  "              ^\n")


def test_control_characters_do_not_reach_the_terminal(tmp_path):
    (tmp_path / "vm.toml").write_bytes(b'[base]\nname = "\x1b[31m"\n[ke\x1brnel]\n')
    result = axvm("check", "vm.toml", cwd=tmp_path)
    assert result.returncode == 1
    assert "\x1b" not in result.stderr


NO_TOML = {
    "zeroes": b"\0" * 100,
    "a byte-order mark": b"\xff\xfe",
    "a deep section": b"[" + b"a." * 50000 + b"a]\n",
    "a deep key": b"a." * 50000 + b"a = 1\n",
    "deep keys in deep sections": b"".join(b"[" + b"a." * 400 + b"b%d]\n" % i + b"c." * 300 + b"d = 1\n"
                                           for i in range(5)),
    "a deep array": b"x = " + b"[" * 100000,
    "brackets": b"[" * 100000,
    "a deep table": b"x = " + b"{ x = " * 50000,
    "a long number": b"x = " + b"9" * 100000,
    "a long key": b"x" * 100000 + b" = 1",
    "all bytes": bytes(range(256)) * 16,
}


@pytest.mark.parametrize("data", NO_TOML.values(), ids=NO_TOML.keys())
def test_survives_files_that_are_no_toml(tmp_path, data):
    (tmp_path / "vm.toml").write_bytes(data)
    result = axvm("check", "vm.toml", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("vm.toml:")


def test_refuses_what_is_not_a_file_of_reasonable_size(tmp_path):
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    os.mkfifo(tmp_path / "fifo.toml")
    result = axvm("check", "large.toml", "fifo.toml", ".", cwd=tmp_path)
    assert diagnostics(result.stderr) == [
        "large.toml: error: cannot read large.toml: its 1048577 bytes are more than 1048576",
        "fifo.toml: error: cannot read fifo.toml: not a regular file",
        ".: error: cannot read .: not a regular file"]


# As the hypervisor would, which brings it up to date.
@pytest.mark.parametrize("node, cells", [("/", "#address-cells"), ("/", "#size-cells"), ("/cpus", "#address-cells")])
def test_a_device_tree_that_cannot_be_brought_up_to_date_is_refused(vm, node, cells):
    tree = vm / "mine.dtb"
    subprocess.run(["dtc", "-O", "dtb", "-o", tree, ROOT / "tests/system/data/guest-aarch64.dts"], check=True)
    (vm / "vm.toml").write_text((vm / "vm.toml").read_text().replace("[kernel]", '[kernel]\ndtb_path = "mine.dtb"'))
    assert axvm("check", vm / "vm.toml").stderr == ""
    subprocess.run(["fdtput", tree, node, cells, "3"], check=True)
    assert "dtb_path: " in axvm("check", vm / "vm.toml").stderr


def test_paths_are_relative_to_the_file(vm):
    assert axvm("check", vm / "vm.toml", cwd="/").stderr == ""


def test_what_depends_on_the_machine_is_checked_against_it(vm):
    assert axvm("check", vm / "vm.toml").returncode == 0
    assert axvm("check", vm / "vm.toml", "--smp", "2", "--memory=66M").returncode == 0
    assert axvm("check", vm / "vm.toml", "--smp", "1").returncode == 1
    assert axvm("check", vm / "vm.toml", "--memory", "63M").returncode == 1


def test_a_machine_holds_so_many_vms(vm):
    for i in range(65):
        (vm / f"{i}.toml").write_text(f'[base]\nname = "{i}"\n[kernel]\nkernel_path = "kernel"\nmemory = "4M"\n')
    assert axvm("check", *[vm / f"{i}.toml" for i in range(64)]).returncode == 0
    assert axvm("check", *[vm / f"{i}.toml" for i in range(65)]).returncode == 2


# ---- The examples and the manual -------------------------------------------------------------------------------------


EXAMPLES = {
    "aarch64": {"vmlinuz": KERNELS["aarch64"]["Linux"], "initrd.img": b"x" * 4096, "u-boot.bin": b"x" * 4096},
    "riscv64": {"vmlinuz": KERNELS["riscv64"]["Linux"], "initrd.img": b"x" * 4096,
                "u-boot.elf": elf_image(243, 0x80200000)},
}


@pytest.mark.parametrize("arch", EXAMPLES)
def test_the_examples_are_right(tmp_path, arch):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    images = tmp_path / "build/guests" / arch
    images.mkdir(parents=True)
    for name, data in EXAMPLES[arch].items():
        (images / name).write_bytes(data)
    alone = [[path] for path in (tmp_path / "examples").rglob("*.toml") if arch in str(path.relative_to(tmp_path))]
    both = sorted((tmp_path / f"examples/two-linux-{arch}").glob("*.toml"))
    assert len(alone) == 4 and len(both) == 2
    for files in [*alone, both]:
        result = axvm("run", "--dry-run", *files)
        assert (result.returncode, result.stderr) == (0, "")
        assert f"qemu-system-{arch}" in result.stdout


def test_the_manual_names_every_key_and_every_device_type():
    manual = (ROOT / "docs/configuration.md").read_text()
    keys = [line.split()[0] for line in axvm("keys").stdout.splitlines()]
    assert len(keys) > 30
    section = {}
    for name in ["base", "kernel", "devices"]:
        section[name] = manual.split(f"## [{name}]")[1].split("\n## ")[0]
    for key in keys:
        assert f"| `{key.split('.')[1]}` |" in section[key.split(".")[0]], key
    header = (ROOT / "include/axvm/config.h").read_text()
    codes = re.findall(r"AXVM_EMU_\w+ = (0x[0-9a-f]+)", header)
    assert len(codes) > 10
    for code in codes:
        assert f"| `{code}` |" in manual, code


# ---- Usage -----------------------------------------------------------------------------------------------------------


def test_help_is_no_error():
    for arguments in [["--help"], ["-h"], ["help"]]:
        result = axvm(*arguments)
        assert result.returncode == 0
        assert all(f"axvm {command}" in result.stdout for command in COMMANDS)
    for command in COMMANDS:
        result = axvm(command, "--help")
        assert result.returncode == 0
        assert result.stdout.startswith(f"usage: axvm {command}")
        assert result.stderr == ""
    assert re.fullmatch(r"axvm \d+\.\d+\.\d+\n", axvm("--version").stdout)


@pytest.mark.parametrize("arguments", [
    [], ["chek"], ["--hlep"], ["check"], ["check", "--what", "x"], ["check", "-o", "x", "y"],
    ["check", "x", "--arch", "mips"], ["check", "x", "--arch"], ["show", "x", "--arch", "riscv64"],
    ["check", "x", "--smp", "0"],
    ["check", "x", "--smp", "65"], ["check", "x", "--smp", "two"], ["check", "x", "--memory", "1000"],
    ["check", "x", "--memory", "0"], ["check", "x", "--smp"], ["check", "x", "--", "y"], ["pack", "x"],
    ["pack", "-o", "x"],
    ["show"], ["show", "a", "b"], ["run"], ["run", "--"], ["keys", "x"],
], ids=" ".join)
def test_wrong_usage_has_its_own_status(arguments):
    result = axvm(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "usage: axvm" in result.stderr or "axvm --help" in result.stderr or "did you mean" in result.stderr \
        or "Exit status" in result.stderr


# ---- Architectures ---------------------------------------------------------------------------------------------------


FOR_ARCH = [(arch, data) for arch, kernels in KERNELS.items() for data in kernels.values()]
FOR_ARCH_IDS = [f"{kind}-{arch}" for arch, kernels in KERNELS.items() for kind in kernels]


def plain_vm(directory, name, kernel):
    """A VM that says nothing of its architecture but by its kernel; its path stands at 4:15."""
    (directory / f"{name}.kernel").write_bytes(kernel)
    (directory / f"{name}.toml").write_text(
        f'[base]\nname = "{name}"\n[kernel]\nkernel_path = "{name}.kernel"\nmemory = "64M"\n')
    return f"{name}.toml"


def arch_of(directory, *arguments):
    """What the bundle is for, and what `axvm run` would start."""
    assert axvm("pack", "-o", "bundle", *arguments, cwd=directory).stderr == ""
    arch = re.match(r"# bundle of \d VMs? for (\w+),", axvm("show", "bundle", cwd=directory).stdout)[1]
    command = axvm("run", "--dry-run", *arguments, cwd=directory).stdout.splitlines()[1].split()
    assert command[0] == f"qemu-system-{arch}"
    assert command[command.index("-kernel") + 1] == str(Path(AXVM).resolve().parent / f"axvm-{arch}.bin")
    return arch


@pytest.mark.parametrize("packed", [False, True], ids=["", "gzip"])
@pytest.mark.parametrize("arch, kernel", FOR_ARCH, ids=FOR_ARCH_IDS)
def test_the_kernel_tells_the_architecture(tmp_path, arch, kernel, packed):
    vm = plain_vm(tmp_path, "vm", gzip.compress(kernel) if packed else kernel)
    assert arch_of(tmp_path, vm) == arch
    assert arch_of(tmp_path, vm, "--arch", arch) == arch


def test_a_kernel_that_doesnt_tell_goes_with_the_others_or_is_for_what_was_asked(tmp_path):
    flat = plain_vm(tmp_path, "flat", b"x" * 4096)
    riscv = plain_vm(tmp_path, "riscv", KERNELS["riscv64"]["Linux"])
    assert arch_of(tmp_path, flat) == "aarch64"
    assert arch_of(tmp_path, flat, "--arch", "riscv64") == "riscv64"
    assert arch_of(tmp_path, flat, riscv) == "riscv64"


@pytest.mark.parametrize("packed", [False, True], ids=["", "gzip"])
@pytest.mark.parametrize("arch, kernel", FOR_ARCH, ids=FOR_ARCH_IDS)
def test_a_kernel_of_another_architecture_than_asked_is_refused(tmp_path, arch, kernel, packed):
    vm = plain_vm(tmp_path, "vm", gzip.compress(kernel) if packed else kernel)
    other, = KERNELS.keys() - {arch}
    machine = {"aarch64": 183, "riscv64": 243}[arch]
    found = diagnostics(axvm("check", "--arch", other, vm, cwd=tmp_path).stderr)
    text = f"kernel_path: the kernel is for {arch} (ELF machine {machine}), the VM is {other}"
    assert f"vm.toml:4:15: error: {text}" in found


def test_kernels_of_two_architectures_dont_go_together(tmp_path):
    files = [plain_vm(tmp_path, name, kernel) for name, kernel in [
        ("flat", b"x" * 4096), ("one", KERNELS["riscv64"]["Linux"]), ("two", KERNELS["aarch64"]["ELF"]),
        ("three", KERNELS["riscv64"]["ELF"])]]
    result = axvm("pack", "-o", "bundle", *files, cwd=tmp_path)
    assert result.returncode == 1 and not (tmp_path / "bundle").exists()
    assert diagnostics(result.stderr) == [
        "two.toml:4:15: error: kernel_path: the kernel is for aarch64, but that of one.toml:4:15 is for riscv64"]


def test_an_unknown_architecture_gets_the_list(vm):
    assert "--arch mips: expected aarch64 or riscv64\n" in axvm("check", "--arch", "mips", vm / "vm.toml").stderr


# ---- Bundles ---------------------------------------------------------------------------------------------------------


def shown(bundle):
    """The VMs' configurations and images as `axvm show` prints them."""
    result = axvm("show", bundle)
    assert (result.returncode, result.stderr) == (0, "")
    vms = result.stdout.split("\n# ---- VM ")[1:]
    images = [re.findall(r"^# (\w+) +(\d+) bytes, crc32 (\w+) ok: \"(.*)\"$", text, re.M) for text in vms]
    return [tomllib.loads("#" + text) for text in vms], images


def test_what_was_packed_is_shown(vm):
    assert axvm("pack", "-o", vm / "bundle", vm / "vm.toml").stderr == ""
    configs, images = shown(vm / "bundle")
    given = tomllib.loads(VM)
    assert configs[0]["base"] == {**given["base"], "vm_type": 1}
    assert configs[0]["kernel"].pop("memory_regions") == [
        [0x40000000, "64M", 7, 0, False], [0x50000000, "4K", 7, 0, True]]
    del given["kernel"]["memory_regions"]
    assert configs[0]["kernel"] == {**given["kernel"], "image_location": "memory", "lazy": False}
    assert configs[0]["devices"]["emu_devices"] == [
        ["gic", 0x08000000, "64K", 0, 1, [0x08100000]], ["uart", 0x09000000, "4K", 40, 2, []]]
    crc = lambda name: f"{zlib.crc32((vm / name).read_bytes()):08x}"
    assert images[0] == [("kernel", "6000", crc("kernel"), "kernel"), ("ramdisk", "3500", crc("ramdisk"), "ramdisk")]


def test_what_is_shown_can_be_packed_again(vm):
    axvm("pack", "-o", vm / "bundle", vm / "vm.toml")
    text = axvm("show", vm / "bundle").stdout
    (vm / "again.toml").write_text(text)
    assert axvm("pack", "-o", vm / "again", vm / "again.toml").stderr == ""
    assert (vm / "again").read_bytes() == (vm / "bundle").read_bytes()


def test_packing_is_repeatable_and_leaves_nothing_beside_the_bundle(vm):
    before = set(os.listdir(vm))
    for name in ["a", "b"]:
        assert axvm("pack", "-o", vm / name, vm / "vm.toml").returncode == 0
    assert (vm / "a").read_bytes() == (vm / "b").read_bytes()
    assert set(os.listdir(vm)) == before | {"a", "b"}


def test_images_are_page_aligned_and_whole(vm):
    axvm("pack", "-o", vm / "bundle", vm / "vm.toml")
    data = (vm / "bundle").read_bytes()
    for name in ["kernel", "ramdisk"]:
        content = (vm / name).read_bytes()
        assert data.find(content) % 4096 == 0
    assert data.endswith((vm / "ramdisk").read_bytes())


def test_wrong_files_make_no_bundle(vm):
    (vm / "bundle").write_text("precious")
    result = axvm("pack", "-o", vm / "bundle", vm / "vm.toml", "--smp", "1")
    assert result.returncode == 1
    assert (vm / "bundle").read_text() == "precious"
    result = axvm("pack", "-o", vm / "not-there/bundle", vm / "vm.toml")
    assert result.returncode == 1
    assert "cannot write" in result.stderr


def test_a_gzip_kernel_is_unpacked(vm):
    content = (vm / "kernel").read_bytes()
    (vm / "kernel").write_bytes(gzip.compress(content * 1000))
    assert axvm("pack", "-o", vm / "bundle", vm / "vm.toml").stderr == ""
    _, images = shown(vm / "bundle")
    assert images[0][0][1:3] == (str(len(content) * 1000), f"{zlib.crc32(content * 1000):08x}")


def test_all_of_a_gzip_kernel_in_parts_is_unpacked(vm):
    content = (vm / "kernel").read_bytes() * 1000
    (vm / "kernel").write_bytes(b"".join(gzip.compress(part) for part in [content[:5000], content[5000:]]))
    assert axvm("pack", "-o", vm / "bundle", vm / "vm.toml").stderr == ""
    _, images = shown(vm / "bundle")
    assert images[0][0][1:3] == (str(len(content)), f"{zlib.crc32(content):08x}")


def test_a_damaged_gzip_kernel_is_refused(vm):
    packed = gzip.compress(os.urandom(100000))
    (vm / "kernel").write_bytes(packed[:-5000])
    assert "its gzip data is truncated" in axvm("check", vm / "vm.toml").stderr
    (vm / "kernel").write_bytes(packed[:50000] + b"\xff" * 20 + packed[50020:])
    assert "its gzip data is damaged" in axvm("check", vm / "vm.toml").stderr


def test_a_damaged_image_is_bad(vm):
    axvm("pack", "-o", vm / "bundle", vm / "vm.toml")
    data = bytearray((vm / "bundle").read_bytes())
    data[-1] ^= 1
    (vm / "bundle").write_bytes(data)
    result = axvm("show", vm / "bundle")
    assert result.returncode == 1
    assert re.search(r"^# ramdisk .* BAD: \"ramdisk\"$", result.stdout, re.M)
    assert re.search(r"^# kernel .* ok: \"kernel\"$", result.stdout, re.M)


def test_a_damaged_bundle_is_refused_and_nothing_worse(vm):
    axvm("pack", "-o", vm / "bundle", vm / "vm.toml")
    data = (vm / "bundle").read_bytes()
    head = int.from_bytes(data[4:8], "big")
    damaged = [data[:size] for size in (0, 1, 39, 40, 100, head - 1, head, 4096, len(data) - 1)]
    damaged += [data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1:] for at in range(0, head, 41)]
    for number, content in enumerate(damaged):
        (vm / "bundle").write_bytes(content)
        result = axvm("show", vm / "bundle")
        assert result.returncode == 1, number
        assert result.stderr.startswith("axvm: bundle: "), number


def seal(data, at):
    """A bundle whose head was changed, with the head's checksum, which is `at` that offset, right again."""
    head = data[:at] + bytes(4) + data[at + 4:int.from_bytes(data[4:8], "big")]
    return data[:at] + zlib.crc32(head).to_bytes(4, "big") + data[at + 4:]


def test_control_characters_of_a_bundle_do_not_reach_the_terminal(vm):
    axvm("pack", "-o", vm / "bundle", vm / "vm.toml")
    good = (vm / "bundle").read_bytes()
    at = next(at for at in range(0, 4096, 4) if seal(good, at) == good)
    for name in [b"aarch64\0", b"cpu_num\0"]:
        assert good.count(name) == 1
        (vm / "bundle").write_bytes(seal(good.replace(name, b"\x1b[31mx\x7f\0"), at))
        result = axvm("show", vm / "bundle")
        assert "?[31mx?" in result.stdout + result.stderr
        assert not re.search("[\x1b\x7f]", result.stdout + result.stderr)


def test_what_is_not_there_cannot_be_shown(tmp_path):
    result = axvm("show", tmp_path / "bundle")
    assert result.returncode == 1
    assert "No such file" in result.stderr


# ---- Running ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_prints_the_commands(vm):
    result = axvm("run", "--dry-run", "--smp", "8", "--memory", "512M", "--image", "/x/a b.bin", vm / "vm.toml", "--",
                  "-d", "it's", "--smp")
    assert result.returncode == 0
    pack, qemu = [shlex.split(line) for line in result.stdout.splitlines()]
    assert pack == ["axvm", "pack", "-o", "axvm.bundle", str(vm / "vm.toml")]
    assert qemu == ["qemu-system-aarch64", "-M", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72",
                    "-smp", "8", "-m", "512M", "-nographic", "-kernel", "/x/a b.bin", "-initrd", "axvm.bundle",
                    "-d", "it's", "--smp"]


def test_a_dry_run_for_riscv64(tmp_path):
    vm = plain_vm(tmp_path, "vm", KERNELS["riscv64"]["Linux"])
    result = axvm("run", "-n", "--smp", "2", "--image", "i", vm, "--", "-s", cwd=tmp_path)
    assert result.stdout.splitlines()[1] == (
        "qemu-system-riscv64 -M virt -cpu rv64 -smp 2 -m 1024M -nographic -kernel i -initrd axvm.bundle -s")


def test_the_image_is_found_beside_the_program_or_in_the_environment(vm):
    beside = axvm("run", "-n", vm / "vm.toml").stdout.splitlines()[1].split()
    assert beside[beside.index("-kernel") + 1] == str(Path(AXVM).resolve().parent / "axvm-aarch64.bin")
    assert beside[beside.index("-smp") + 1] == "4" and beside[beside.index("-m") + 1] == "1024M"
    other = axvm("run", "-n", vm / "vm.toml", AXVM_IMAGE="/y/axvm.bin").stdout.splitlines()[1].split()
    assert other[other.index("-kernel") + 1] == "/y/axvm.bin"


def test_a_run_checks_against_its_machine_first(vm):
    result = axvm("run", "--dry-run", "--smp", "1", vm / "vm.toml")
    assert (result.returncode, result.stdout) == (1, "")


def test_a_run_without_a_hypervisor_fails(vm):
    result = axvm("run", "--image", vm / "not-there", vm / "vm.toml")
    assert result.returncode == 1
    assert "no hypervisor image" in result.stderr


def test_a_run_gives_qemu_the_bundle_and_leaves_nothing_behind(vm):
    """With something in QEMU's place that keeps what it was given."""
    (vm / "hypervisor").write_bytes(b"x")
    (vm / "bin").mkdir()
    (vm / "tmp").mkdir()
    qemu = vm / "bin/qemu-system-aarch64"
    qemu.write_text('#!/bin/sh\nwhile [ "$1" != -initrd ]; do shift; done\ncp "$2" "$KEEP"\ntouch "$3"\nexit 7\n')
    qemu.chmod(0o755)
    path = f"{vm / 'bin'}:{os.environ['PATH']}"
    result = axvm("run", "--image", vm / "hypervisor", vm / "vm.toml", "--", vm / "extra", PATH=path,
                  TMPDIR=str(vm / "tmp"), KEEP=str(vm / "kept"))
    assert result.returncode == 7
    assert (vm / "extra").exists()
    assert axvm("pack", "-o", vm / "bundle", vm / "vm.toml").returncode == 0
    assert (vm / "kept").read_bytes() == (vm / "bundle").read_bytes()
    assert os.listdir(vm / "tmp") == []


def test_a_run_without_qemu_fails(vm):
    (vm / "hypervisor").write_bytes(b"x")
    result = axvm("run", "--image", vm / "hypervisor", vm / "vm.toml", PATH=str(vm))
    assert result.returncode == 1
    assert "cannot run qemu-system-aarch64" in result.stderr

# SPDX-License-Identifier: Apache-2.0
"""What a VM can boot from."""
import gzip
import subprocess

from support import PASS, ROOT, Shell


MIB = 1 << 20
LINUX_MAGIC = {"aarch64": b"ARM\x64", "riscv64": b"RSC\x05"}
FLAT_OFFSET = {"aarch64": 0x80000, "riscv64": 2 * MIB}  # from the beginning of RAM: where our guest is linked
U_BOOT_ARCH = {"aarch64": "arm", "riscv64": "riscv"}


def test_raw_image(start, tmp_path, arch):
    assert arch.vmlinuz.read_bytes()[56:60] == LINUX_MAGIC[arch.name]
    Shell(start(arch.linux_vm(tmp_path)))


def test_gzipped_image(start, tmp_path, arch):
    packed = tmp_path / "vmlinuz.gz"
    packed.write_bytes(gzip.compress(arch.vmlinuz.read_bytes(), 1))
    Shell(start(arch.linux_vm(tmp_path, kernel_path=packed)))


def test_elf(start, tmp_path, arch):
    machine = start(arch.guest_vm(tmp_path, arch.calls, kernel_path=arch.guest("test.elf")))
    machine.expect(PASS)
    machine.expect_end()


# Without the magic number of Linux's header nothing tells where it wants to be, nor what for: the file and --arch do.
def test_flat_binary(start, tmp_path, arch):
    flat = tmp_path / "flat.bin"
    image = bytearray(arch.guest("test.bin").read_bytes())
    image[56:60] = bytes(4)
    flat.write_bytes(image)
    machine = start(arch.guest_vm(tmp_path, arch.calls, kernel_path=flat,
                                  kernel_load_addr=arch.ram + FLAT_OFFSET[arch.name]), axvm_args=["--arch", arch.name])
    machine.expect(PASS)
    machine.expect_end()


def test_load_addresses_are_taken_from_the_file(start, tmp_path, arch):
    kernel, ramdisk, dtb = arch.ram + 32 * MIB, arch.ram + 128 * MIB, arch.ram + 160 * MIB
    shell = Shell(start(arch.linux_vm(tmp_path, kernel_load_addr=kernel, ramdisk_load_addr=ramdisk, dtb_load_addr=dtb)))
    code = int(shell.run("grep 'Kernel code' /proc/iomem").split("-")[0], 16)
    assert kernel <= code < kernel + 2 * MIB
    start_bytes = shell.run("od -An -tx1 /proc/device-tree/chosen/linux,initrd-start")
    assert int(start_bytes.replace(" ", ""), 16) == ramdisk


def test_users_device_tree_is_brought_up_to_date(start, tmp_path, arch):
    tree = tmp_path / "mine.dtb"
    subprocess.run(["dtc", "-O", "dtb", "-o", tree, ROOT / f"tests/system/data/guest-{arch.name}.dts"], check=True)
    shell = Shell(start(arch.linux_vm(tmp_path, cpus=2, memory="192M", dtb_path=tree)))
    assert shell.run("tr -d '\\0' < /proc/device-tree/model") == "a tree of the user's own"
    assert shell.run("nproc") == "2"  # the tree says 4
    assert shell.run("ls -d /proc/device-tree/cpus/cpu@*").split() == [
        "/proc/device-tree/cpus/cpu@0", "/proc/device-tree/cpus/cpu@1"]
    assert 100 < int(shell.run("awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo")) < 192  # and 64 MiB
    assert shell.run("cat /proc/cmdline") == f"console={arch.console}"  # and something else


def test_u_boot_as_in_the_example(start, arch):
    machine = start(ROOT / f"examples/u-boot-{arch.name}.toml")
    machine.expect("U-Boot 20")
    machine.expect("Hit any key to stop autoboot")
    machine.type("\r")
    machine.expect("=> ")
    machine.type("version\r")
    machine.expect("U-Boot 20.*\n.*=> ")
    machine.type("printenv arch\r")
    machine.expect(rf"arch={U_BOOT_ARCH[arch.name]}\r*\n")
    machine.type("bdinfo\r")
    machine.expect(f"-> start *= 0x0*{arch.ram:x}")
    machine.expect("=> ")
    machine.type("poweroff\r")
    machine.expect_end()


def test_linux_as_in_the_example(start, arch):
    machine = start(ROOT / f"examples/linux-{arch.name}.toml")
    Shell(machine).start("poweroff -f")
    machine.expect_end()

# SPDX-License-Identifier: Apache-2.0
"""What a VM can boot from."""
import gzip
import subprocess

from support import PASS, ROOT, TEST_BIN, TEST_ELF, U_BOOT, VMLINUZ, Shell, guest_vm, linux_vm


def test_raw_image(start, tmp_path):
    assert VMLINUZ.read_bytes()[56:60] == b"ARM\x64"
    Shell(start(linux_vm(tmp_path)))


def test_gzipped_image(start, tmp_path):
    packed = tmp_path / "vmlinuz.gz"
    packed.write_bytes(gzip.compress(VMLINUZ.read_bytes(), 1))
    Shell(start(linux_vm(tmp_path, kernel_path=packed)))


def test_elf(start, tmp_path):
    machine = start(guest_vm(tmp_path, "psci", kernel_path=TEST_ELF))
    machine.expect(PASS)
    machine.expect_end()


# Without the magic number of Linux's header nothing tells where it wants to be: the file does.
def test_flat_binary(start, tmp_path):
    flat = tmp_path / "flat.bin"
    image = bytearray(TEST_BIN.read_bytes())
    image[56:60] = bytes(4)
    flat.write_bytes(image)
    machine = start(guest_vm(tmp_path, "psci", kernel_path=flat, kernel_load_addr=0x40080000))
    machine.expect(PASS)
    machine.expect_end()


def test_load_addresses_are_taken_from_the_file(start, tmp_path):
    shell = Shell(start(linux_vm(tmp_path, kernel_load_addr=0x42000000, ramdisk_load_addr=0x48000000,
                                 dtb_load_addr=0x4a000000)))
    assert shell.run("grep 'Kernel code' /proc/iomem").startswith("42")
    start_bytes = shell.run("od -An -tx1 /proc/device-tree/chosen/linux,initrd-start")
    assert int(start_bytes.replace(" ", ""), 16) == 0x48000000


def test_users_device_tree_is_brought_up_to_date(start, tmp_path):
    tree = tmp_path / "mine.dtb"
    subprocess.run(["dtc", "-O", "dtb", "-o", tree, ROOT / "tests/system/data/guest.dts"], check=True)
    shell = Shell(start(linux_vm(tmp_path, cpus=2, memory="192M", dtb_path=tree)))
    assert shell.run("tr -d '\\0' < /proc/device-tree/model") == "a tree of the user's own"
    assert shell.run("nproc") == "2"  # the tree says 4
    assert shell.run("ls -d /proc/device-tree/cpus/cpu@*").split() == [
        "/proc/device-tree/cpus/cpu@0", "/proc/device-tree/cpus/cpu@1"]
    assert 100 < int(shell.run("awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo")) < 192  # and 64 MiB
    assert shell.run("cat /proc/cmdline") == "console=ttyAMA0"  # and something else


def test_u_boot_as_in_the_example(start):
    machine = start(ROOT / "examples/u-boot-aarch64.toml")
    machine.expect("U-Boot 20")
    machine.expect("Hit any key to stop autoboot")
    machine.type("\r")
    machine.expect("=> ")
    machine.type("version\r")
    machine.expect("U-Boot 20.*\n.*=> ")
    machine.type("printenv arch\r")
    machine.expect("arch=arm\r*\n")
    machine.type("bdinfo\r")
    machine.expect("-> start *= 0x0*40000000")
    machine.expect("=> ")
    machine.type("poweroff\r")
    machine.expect_end()
    assert U_BOOT.exists()


def test_linux_as_in_the_example(start):
    machine = start(ROOT / "examples/linux-aarch64.toml")
    Shell(machine).start("poweroff -f")
    machine.expect_end()

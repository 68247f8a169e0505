# SPDX-License-Identifier: Apache-2.0
"""LPIs and the ITS, from inside: our own guest counts what it gets, and Linux's driver finds all that it wants."""
import re

import pytest

from support import PASS, Shell, write_vm

pytestmark = pytest.mark.only("aarch64")
ROUNDS = 300


def its_vm(arch, directory, name="its", **keys):
    return write_vm(directory, name, kernel_path=arch.guest("its.bin"), memory="32M", **keys)


@pytest.mark.parametrize("cpus, smp", [(1, 1), (3, 4), (2, 1)])
def test_every_cpu_gets_its_lpis_exactly_as_often_as_they_were_raised(start, tmp_path, arch, cpus, smp):
    machine = start(its_vm(arch, tmp_path, cpus=cpus), smp=smp)
    machine.expect(PASS)
    assert f"its: {cpus} CPUs took {ROUNDS * (cpus + 3)} LPIs" in machine.log
    machine.expect_end()


def test_a_vm_without_an_its_has_none(start, tmp_path, arch):
    gic = ["gic", 0x08000000, 0x10000, 0, 1, [0x080a0000]]
    machine = start(its_vm(arch, tmp_path, devices={"emu_devices": [gic, ["uart", 0x09000000, 0x1000, 33, 2]]}))
    machine.expect("FAIL .*its != 0")


def test_linux_finds_the_its_and_turns_lpis_on_everywhere(start, tmp_path, arch):
    shell = Shell(start(arch.linux_vm(tmp_path, cpus=3)))
    log = shell.run("dmesg | grep -E 'ITS|LPI'")
    assert re.search(r"ITS@0x0*8080000: allocated \d+ Devices", log)
    assert len(re.findall(r"CPU\d: using allocated LPI pending table", log)) == 3
    assert not re.search(r"(?i)fail|error|warn|unable|timeout", log), log

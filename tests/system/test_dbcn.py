# SPDX-License-Identifier: Apache-2.0
"""A VM without a UART: its console is SBI's DBCN."""
import pytest

from support import PASS

pytestmark = pytest.mark.only("riscv64")

NO_UART = {"emu_devices": [["plic", 0x0c000000, 0x600000, 0, 1]]}


def test_what_is_typed_can_be_read(start, tmp_path, arch):
    machine = start(arch.guest_vm(tmp_path, "typed", devices=NO_UART))
    machine.expect("typed: one line, please")
    line = "more than is kept for a VM at once: 0123456789"
    machine.type(line + "\r")
    machine.expect(f"typed: <{line}>")
    machine.expect(PASS)
    machine.expect_end()

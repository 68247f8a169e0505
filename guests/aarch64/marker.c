/* SPDX-License-Identifier: Apache-2.0 */
/* Where the marker guest has its marks on aarch64. Breakpoints are in the hardware while MDSCR_EL1.MDE is set. */
#include "marker.h"

void mark_registers(uint64_t mark)
{
    reg_write(tpidr_el0, mark);
    reg_write(tpidrro_el0, mark);
    reg_write(contextidr_el1, mark & 0xffffffff);
    reg_write(far_el1, mark);
    reg_write(esr_el1, mark >> 32);
    reg_write(afsr0_el1, mark);
    reg_write(amair_el1, mark);
    reg_write(ttbr1_el1, mark & UINT64_C(0xffff0000fffff000));
    reg_write(sp_el0, mark);
    reg_write(elr_el1, mark);
    reg_write(par_el1, mark & 0xfffff000);
    reg_write(dbgbvr0_el1, mark & ~UINT64_C(3));
    reg_write(dbgbvr5_el1, mark & ~UINT64_C(3));
    reg_write(dbgwvr0_el1, mark & ~UINT64_C(7));
    reg_write(dbgwvr3_el1, mark & ~UINT64_C(7));
    reg_write(mdscr_el1, 0x8000);
    reg_write(cntp_cval_el0, mark);
    reg_write(fpcr, 0x3c00000);
    reg_write(fpsr, 0x9f);
}

void check_registers(uint64_t mark)
{
    check_equal(reg_read(tpidr_el0), mark);
    check_equal(reg_read(tpidrro_el0), mark);
    check_equal(reg_read(contextidr_el1), mark & 0xffffffff);
    check_equal(reg_read(ttbr1_el1), mark & UINT64_C(0xffff0000fffff000));
    check_equal(reg_read(sp_el0), mark);
    check_equal(reg_read(dbgbvr0_el1) & 0xffffffff, mark & ~UINT64_C(3) & 0xffffffff);
    check_equal(reg_read(dbgwvr3_el1) & 0xffffffff, mark & ~UINT64_C(7) & 0xffffffff);
    check_equal(reg_read(mdscr_el1), 0x8000);
    check_equal(reg_read(cntp_cval_el0), mark);
    check_equal(reg_read(fpcr), 0x3c00000);
    check_equal(reg_read(fpsr), 0x9f);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/riscv64/cpu.h"

/* As a trap into VS mode is taken (Privileged 1.13, 18.6.2); vsstatus has the layout of sstatus. */
void rv64_inject(struct rv64_vcpu *v, enum rv64_cause cause, uint64_t tval)
{
    uint64_t status = rv64_cpu_sys_read(RV64_VSSTATUS);
    uint64_t next = status & ~(SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP);

    next |= (status & SSTATUS_SIE) != 0 ? SSTATUS_SPIE : 0;
    next |= rv64_cpu_is_vs() ? SSTATUS_SPP : 0;
    rv64_cpu_sys_write(RV64_VSSTATUS, next);
    rv64_cpu_sys_write(RV64_VSEPC, v->frame.pc);
    rv64_cpu_sys_write(RV64_VSCAUSE, cause);
    rv64_cpu_sys_write(RV64_VSTVAL, tval);
    v->frame.pc = rv64_cpu_sys_read(RV64_VSTVEC) & ~UINT64_C(3); /* exceptions: the base, vectored or not */
    rv64_cpu_set_vs();
}

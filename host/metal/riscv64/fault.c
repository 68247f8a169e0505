/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include "host_cpu.h"
#include "lib/log.h"
#include "percpu.h"

_Static_assert(offsetof(struct percpu, cpu_id) == PERCPU_CPU_ID, "entry.S");
_Static_assert(sizeof(percpus) == 8 * PERCPU_MAX, "entry.S");
_Static_assert(offsetof(struct percpu, faulted) == PERCPU_FAULTED, "entry.S");
_Static_assert(offsetof(struct percpu, regs) == PERCPU_REGS, "entry.S");
_Static_assert(offsetof(struct fault_regs, stval) == 280, "entry.S");

/* scause (Privileged 1.13, table 26) */
const char *fault_name(const struct fault_regs *regs)
{
    static const char *const names[CAUSE_COUNT] = {
        [CAUSE_FETCH_MISALIGNED] = "misaligned instruction address",
        [CAUSE_FETCH_ACCESS] = "instruction access fault",
        [CAUSE_ILLEGAL] = "illegal instruction",
        [CAUSE_BREAKPOINT] = "breakpoint",
        [CAUSE_LOAD_MISALIGNED] = "misaligned load",
        [CAUSE_LOAD_ACCESS] = "load access fault",
        [CAUSE_STORE_MISALIGNED] = "misaligned store",
        [CAUSE_STORE_ACCESS] = "store access fault",
        [CAUSE_FETCH_PAGE] = "instruction page fault",
        [CAUSE_LOAD_PAGE] = "load page fault",
        [CAUSE_STORE_PAGE] = "store page fault",
        [CAUSE_FETCH_GUEST_PAGE] = "instruction guest-page fault",
        [CAUSE_LOAD_GUEST_PAGE] = "load guest-page fault",
        [CAUSE_STORE_GUEST_PAGE] = "store guest-page fault",
    };

    if ((regs->scause & CAUSE_INTERRUPT) != 0) {
        return "interrupt";
    }
    return regs->scause < CAUSE_COUNT && names[regs->scause] ? names[regs->scause] : "exception";
}

/* Whether the instruction before `addr` is JAL or JALR with ra, or C.JALR, so that a function may return to `addr`. */
bool fault_is_call(uint64_t addr)
{
    const uint16_t *parcel = (const uint16_t *)(uintptr_t)addr;
    uint32_t insn = parcel[-2] | (uint32_t)parcel[-1] << 16;

    return (insn & 0xfffU) == 0x0efU || (insn & 0x7fffU) == 0x0e7U ||
           ((parcel[-1] & 0xf07fU) == 0x9002U && parcel[-1] != 0x9002U);
}

void fault_log(const struct fault_regs *regs)
{
    log_error("scause %llx stval %016llx sepc %016llx sp %016llx sstatus %llx", (unsigned long long)regs->scause,
              (unsigned long long)regs->stval, (unsigned long long)regs->pc, (unsigned long long)regs->x[2],
              (unsigned long long)regs->sstatus);
    for (unsigned i = 0; i < 32; i += 4) {
        log_error("x%-2u %016llx %016llx %016llx %016llx", i, (unsigned long long)regs->x[i],
                  (unsigned long long)regs->x[i + 1], (unsigned long long)regs->x[i + 2],
                  (unsigned long long)regs->x[i + 3]);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include "host_cpu.h"
#include "lib/log.h"
#include "percpu.h"

_Static_assert(offsetof(struct percpu, faulted) == PERCPU_FAULTED, "entry.S");
_Static_assert(offsetof(struct percpu, regs) == PERCPU_REGS, "entry.S");
_Static_assert(offsetof(struct fault_regs, far) == 280, "entry.S");

#define ESR_EC(esr) ((unsigned)((esr) >> 26) & 0x3fU)

/* ESR_EL2.EC (Arm ARM D19.2.40): what EL2 can raise for itself */
static const struct {
    uint8_t class;
    const char *name;
} classes[] = {
    {0x00, "unknown reason"},
    {0x07, "FP or SIMD access"},
    {0x0e, "illegal execution state"},
    {0x16, "HVC"},
    {0x17, "SMC"},
    {0x18, "system register access"},
    {0x21, "instruction abort"},
    {0x22, "PC alignment"},
    {0x25, "data abort"},
    {0x26, "SP alignment"},
    {0x2f, "SError"},
    {0x3c, "BRK"},
};

const char *fault_name(const struct fault_regs *regs)
{
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (classes[i].class == ESR_EC(regs->esr)) {
            return classes[i].name;
        }
    }
    return "exception";
}

/* Whether the instruction before `addr` is BL or BLR, so that `addr` may be where a function returns to. */
bool fault_is_call(uint64_t addr)
{
    uint32_t insn = ((const uint32_t *)(uintptr_t)addr)[-1];

    return insn >> 26 == 0x25 || (insn & 0xfffffc1fU) == 0xd63f0000U;
}

void fault_log(const struct fault_regs *regs)
{
    log_error("esr %08llx far %016llx pc %016llx sp %016llx pstate %08llx", (unsigned long long)regs->esr,
              (unsigned long long)regs->far, (unsigned long long)regs->pc, (unsigned long long)regs->sp,
              (unsigned long long)regs->pstate);
    for (unsigned i = 0; i < 30; i += 5) {
        log_error("x%-2u %016llx %016llx %016llx %016llx %016llx", i, (unsigned long long)regs->x[i],
                  (unsigned long long)regs->x[i + 1], (unsigned long long)regs->x[i + 2],
                  (unsigned long long)regs->x[i + 3], (unsigned long long)regs->x[i + 4]);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include "host_cpu.h"
#include "host.h"
#include "lib/log.h"
#include "percpu.h"
#include <stdio.h>

_Static_assert(offsetof(struct percpu, faulted) == PERCPU_FAULTED, "entry.S");
_Static_assert(offsetof(struct percpu, regs) == PERCPU_REGS, "entry.S");
_Static_assert(offsetof(struct fault_regs, far) == 280, "entry.S");
_Static_assert(sizeof(struct percpu) <= PERCPU_SIZE && PERCPU_SIZE % 16 == 0, "host_layout.h");

#define ESR_EC(esr) ((unsigned)((esr) >> 26) & 0x3fU)
#define BACKTRACE_MAX 16U
#define STACK_SIZE (STACK_AREA - STACK_GUARD - PERCPU_SIZE)

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

static const char *class_name(uint64_t esr)
{
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (classes[i].class == ESR_EC(esr)) {
            return classes[i].name;
        }
    }
    return "exception";
}

static bool is_text(uint64_t addr)
{
    return addr >= address_of(image_start) + 4 && addr < address_of(image_rodata) && addr % 4 == 0;
}

/* Whether the instruction before `addr` is BL or BLR, so that `addr` may be where a function returns to. */
static bool is_return_address(uint64_t addr)
{
    uint32_t insn;

    if (!is_text(addr)) {
        return false;
    }
    insn = ((const uint32_t *)(uintptr_t)addr)[-1];
    return insn >> 26 == 0x25 || (insn & 0xfffffc1fU) == 0xd63f0000U;
}

/*
 * The compiler keeps no frame pointers (they cost on each exit), so every word of the stack that can be a return
 * address is shown; a few may be left over from earlier calls.
 */
static void backtrace(const struct fault_regs *regs)
{
    uint64_t top = address_of(this_cpu()), at = regs->sp & ~UINT64_C(7);
    char line[160];
    size_t used = (size_t)snprintf(line, sizeof(line), "at image+0x%llx from +0x%llx",
                                   (unsigned long long)(regs->pc - address_of(image_start)),
                                   (unsigned long long)(regs->x[30] - address_of(image_start)));

    if (top - at > STACK_SIZE) {
        at = top - at <= STACK_SIZE + STACK_GUARD ? top - STACK_SIZE : top; /* it grew into its guard; it is lost */
    }
    for (unsigned found = 0; at < top && found < BACKTRACE_MAX && used < sizeof(line) - 12; at += 8) {
        uint64_t word = *(const uint64_t *)(uintptr_t)at;

        if (is_return_address(word)) {
            used += (size_t)snprintf(line + used, sizeof(line) - used, " +0x%llx",
                                     (unsigned long long)(word - address_of(image_start)));
            found++;
        }
    }
    log_error("%s", line);
}

_Noreturn void fault_report(const struct fault_regs *regs)
{
    log_error("pCPU %u: %s in the hypervisor, which gives this pCPU up", this_cpu()->id, class_name(regs->esr));
    log_error("esr %08llx far %016llx pc %016llx sp %016llx pstate %08llx", (unsigned long long)regs->esr,
              (unsigned long long)regs->far, (unsigned long long)regs->pc, (unsigned long long)regs->sp,
              (unsigned long long)regs->pstate);
    for (unsigned i = 0; i < 30; i += 5) {
        log_error("x%-2u %016llx %016llx %016llx %016llx %016llx", i, (unsigned long long)regs->x[i],
                  (unsigned long long)regs->x[i + 1], (unsigned long long)regs->x[i + 2],
                  (unsigned long long)regs->x[i + 3], (unsigned long long)regs->x[i + 4]);
    }
    backtrace(regs);
    sched_lost(&this_cpu()->queue);
    host_flush();
    park();
}

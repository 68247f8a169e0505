/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include "host.h"
#include "host_cpu.h"
#include "lib/log.h"
#include "percpu.h"
#include <stdio.h>

_Static_assert(offsetof(struct percpu, cpu_id) == PERCPU_CPU_ID, "entry.S");
_Static_assert(sizeof(percpus) == 8 * PERCPU_MAX, "entry.S");
_Static_assert(offsetof(struct percpu, faulted) == PERCPU_FAULTED, "entry.S");
_Static_assert(offsetof(struct percpu, regs) == PERCPU_REGS, "entry.S");
_Static_assert(offsetof(struct fault_regs, stval) == 280, "entry.S");
_Static_assert(sizeof(struct percpu) <= PERCPU_SIZE && PERCPU_SIZE % 16 == 0, "host_layout.h");

#define BACKTRACE_MAX 16U
#define STACK_SIZE (STACK_AREA - STACK_GUARD - PERCPU_SIZE)

/* scause (Privileged 1.13, table 26) */
static const char *cause_name(uint64_t cause)
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

    if ((cause & CAUSE_INTERRUPT) != 0) {
        return "interrupt";
    }
    return cause < CAUSE_COUNT && names[cause] ? names[cause] : "exception";
}

static bool is_text(uint64_t addr)
{
    return addr >= address_of(image_start) + 4 && addr < address_of(image_rodata) && addr % 2 == 0;
}

/* Whether the instruction before `addr` is JAL or JALR with ra, or C.JALR, so that a function may return to `addr`. */
static bool is_return_address(uint64_t addr)
{
    const uint16_t *parcel = (const uint16_t *)(uintptr_t)addr;
    uint32_t insn;

    if (!is_text(addr)) {
        return false;
    }
    insn = parcel[-2] | (uint32_t)parcel[-1] << 16;
    return (insn & 0xfffU) == 0x0efU || (insn & 0x7fffU) == 0x0e7U ||
           ((parcel[-1] & 0xf07fU) == 0x9002U && parcel[-1] != 0x9002U);
}

/*
 * The compiler keeps no frame pointers (they cost on each exit), so every word of the stack that can be a return
 * address is shown; a few may be left over from earlier calls.
 */
static void backtrace(const struct fault_regs *regs)
{
    uint64_t top = address_of(this_cpu()), at = regs->x[2] & ~UINT64_C(7);
    char line[160];
    size_t used = (size_t)snprintf(line, sizeof(line), "at image+0x%llx from +0x%llx",
                                   (unsigned long long)(regs->pc - address_of(image_start)),
                                   (unsigned long long)(regs->x[1] - address_of(image_start)));

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
    log_error("pCPU %u: %s in the hypervisor, which gives this pCPU up", this_cpu()->id, cause_name(regs->scause));
    log_error("scause %llx stval %016llx sepc %016llx sp %016llx sstatus %llx", (unsigned long long)regs->scause,
              (unsigned long long)regs->stval, (unsigned long long)regs->pc, (unsigned long long)regs->x[2],
              (unsigned long long)regs->sstatus);
    for (unsigned i = 0; i < 32; i += 4) {
        log_error("x%-2u %016llx %016llx %016llx %016llx", i, (unsigned long long)regs->x[i],
                  (unsigned long long)regs->x[i + 1], (unsigned long long)regs->x[i + 2],
                  (unsigned long long)regs->x[i + 3]);
    }
    backtrace(regs);
    sched_lost(&this_cpu()->queue);
    host_flush();
    park();
}

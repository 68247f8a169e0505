/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include "host_cpu.h"
#include "host.h"
#include "lib/log.h"
#include "percpu.h"
#include <stdio.h>

_Static_assert(sizeof(struct percpu) <= PERCPU_SIZE && PERCPU_SIZE % 16 == 0, "host_layout.h");

#define BACKTRACE_MAX 16U
#define STACK_SIZE (STACK_AREA - STACK_GUARD - PERCPU_SIZE)

static bool is_text(uint64_t addr)
{
    return addr >= address_of(image_start) + 4 && addr < address_of(image_rodata) && addr % FAULT_INSN_ALIGN == 0;
}

/*
 * The compiler keeps no frame pointers (they cost on each exit), so every word of the stack that can be a return
 * address is shown; a few may be left over from earlier calls.
 */
static void backtrace(const struct fault_regs *regs)
{
    uint64_t top = address_of(this_cpu()), at = fault_sp(regs) & ~UINT64_C(7);
    char line[160];
    size_t used = (size_t)snprintf(line, sizeof(line), "at image+0x%llx from +0x%llx",
                                   (unsigned long long)(regs->pc - address_of(image_start)),
                                   (unsigned long long)(fault_ra(regs) - address_of(image_start)));

    if (top - at > STACK_SIZE) {
        at = top - at <= STACK_SIZE + STACK_GUARD ? top - STACK_SIZE : top; /* it grew into its guard; it is lost */
    }
    for (unsigned found = 0; at < top && found < BACKTRACE_MAX && used < sizeof(line) - 12; at += 8) {
        uint64_t word = *(const uint64_t *)(uintptr_t)at;

        if (is_text(word) && fault_is_call(word)) {
            used += (size_t)snprintf(line + used, sizeof(line) - used, " +0x%llx",
                                     (unsigned long long)(word - address_of(image_start)));
            found++;
        }
    }
    log_error("%s", line);
}

_Noreturn void fault_report(const struct fault_regs *regs)
{
    log_error("pCPU %u: %s in the hypervisor, which gives this pCPU up", this_cpu()->id, fault_name(regs));
    fault_log(regs);
    backtrace(regs);
    sched_lost(&this_cpu()->queue);
    host_flush();
    park();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the hostile guest tries: addresses, values, and memory through tables that are up to no good. */
#include "hostile.h"

uint64_t random_target(struct hostile_cpu *cpu)
{
    uint64_t target;

    do {
        uint64_t how = random64(cpu);

        target = random_place(cpu);
        if ((how & 7) == 0) {
            target |= 0xfff; /* across pages */
            target -= how >> 3 & 0xf;
        } else if ((how & 0x30) != 0) {
            target &= ~UINT64_C(7);
        }
    } while (!may_try(target));
    return target;
}

/* Not RAM that anything may have been written to: what is there might be a loop. */
uint64_t random_code_target(struct hostile_cpu *cpu)
{
    uint64_t target;

    do {
        target = random_target(cpu);
    } while (target >> 25 == machine.memory_base >> 25 || target >> 26 == LAZY_BASE >> 26);
    return target;
}

uint64_t random_value(struct hostile_cpu *cpu)
{
    uint64_t value = random64(cpu);

    switch (below(cpu, 8)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return UINT64_C(1) << (value & 63);
    case 3:
        return value & 0xff;
    case 4:
        return random_target(cpu);
    case 5:
        return value & value >> 32 & 0xffffffffU;
    case 6:
        return ~(UINT64_C(1) << (value & 63));
    default:
        return value;
    }
}

void op_alias(struct hostile_cpu *cpu)
{
    bool execute = below(cpu, 4) == 0;
    uint64_t target = execute ? random_code_target(cpu) : random_target(cpu);
    uint64_t va = alias_page(random64(cpu)) | (target & 0xfff);
    unsigned tries = 1 + (unsigned)below(cpu, 4);

    alias_to(cpu, va, target);
    alias_to(cpu, va + 4096, random_code_target(cpu));
    alias_begin(cpu);
    while (tries-- > 0) {
        slot_begin(cpu);
        if (execute) {
            cpu->leashed = true; /* what is left of earlier translations may lead to anything */
            cpu->pc = va & ~INSN_ALIGN;
            slot_run(cpu);
            cpu->leashed = false;
        } else {
            try_access(cpu, va);
        }
    }
}

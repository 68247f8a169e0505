/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware calls, power, interrupts and their controller, timers, lines, debug registers, waiting. */
#include "hostile_parts.h"

#define PPI_CNTV 27U
#define SGI_RESCUE 15U

/* ---- Firmware calls ---------------------------------------------------------------------------------------------- */

/* What ends or stops something is op_power()'s and op_wait()'s to call; the machine's end nobody's. */
static bool is_fatal(uint32_t id)
{
    static const uint8_t numbers[] = {1, 2, 3, 8, 9, 0xc, 0xe, 0x12};

    for (unsigned i = 0; i < COUNT(numbers); i++) {
        if ((id & ~0x40000000U) == 0x84000000U + numbers[i]) {
            return true;
        }
    }
    return false;
}

static uint32_t random_call(struct hostile_cpu *cpu)
{
    static const uint32_t ranges[] = {
        0x84000000, 0xc4000000, 0x80000000, 0x86000000, 0xbf00ff00, 0x00000000, 0xc6000000,
    };
    uint32_t id;

    do {
        id = (uint32_t)random64(cpu);
        if (below(cpu, 8) != 0) {
            id = ranges[below(cpu, COUNT(ranges))] | (id & 0x1f);
        }
    } while (is_fatal(id));
    return id;
}

void op_call(struct hostile_cpu *cpu)
{
    uint64_t kept;

    slot_begin(cpu);
    for (unsigned i = 1; i < 8; i++) {
        cpu->x[i] = random_value(cpu);
    }
    kept = cpu->x[20] = random64(cpu);
    cpu->x[0] = random_call(cpu) | (below(cpu, 2) != 0 ? random64(cpu) << 32 : 0);
    slot_add(cpu, (below(cpu, 2) != 0 ? INSN_HVC : INSN_SMC) |
                      (below(cpu, 8) == 0 ? (uint32_t)below(cpu, 0x10000) << 5 : 0));
    slot_run(cpu);
    if (cpu->x[20] != kept) {
        failed(cpu, "a call changed x20 from %#llx to %#llx", (unsigned long long)kept, (unsigned long long)cpu->x[20]);
    }
}

void power_on(const struct hostile_cpu *target)
{
    (void)hvc(PSCI_CPU_ON, machine.cpu_ids[target->index], (uint64_t)(uintptr_t)hostile_start,
              (uint64_t)(uintptr_t)target);
}

/* Where there is no memory, no CPU may start; a CPU that does is lost. */
static void power_on_nowhere(struct hostile_cpu *cpu, const struct hostile_cpu *target)
{
    uint64_t entry = below(cpu, 2) != 0 ? machine.arch.gicd + below(cpu, 0x10000) : UINT64_C(1) << (28 + below(cpu, 2));
    int64_t answer = (int64_t)hvc(PSCI_CPU_ON, machine.cpu_ids[target->index], entry, random64(cpu));

    if (answer == 0) {
        failed(cpu, "CPU_ON at %#llx succeeded", (unsigned long long)entry);
    }
}

static void power_off_self(struct hostile_cpu *cpu)
{
    if (may_sleep()) {
        cpu->off = true;
        barrier("dsb sy");
        hvc(PSCI_CPU_OFF, random64(cpu), 0, 0);
        failed(cpu, "CPU_OFF came back");
    }
}

void op_power(struct hostile_cpu *cpu)
{
    struct hostile_cpu *target = &hostile_cpus[below(cpu, machine.cpu_count)];

    switch (below(cpu, 8)) {
    case 0:
        power_off_self(cpu);
        break;
    case 1:
        (void)hvc(PSCI_AFFINITY_INFO, random_value(cpu), below(cpu, 4), 0);
        (void)hvc(PSCI_AFFINITY_INFO, machine.cpu_ids[target->index], below(cpu, 2), 0);
        break;
    case 2:
        (void)hvc(PSCI_CPU_ON, random64(cpu) | 0x100, random_value(cpu), random_value(cpu));
        break;
    case 3:
        power_on_nowhere(cpu, target);
        break;
    default:
        power_on(target);
        break;
    }
}

/* ---- Interrupts -------------------------------------------------------------------------------------------------- */

void op_sgi(struct hostile_cpu *cpu)
{
    uint64_t random = random64(cpu);
    uint64_t value = random & UINT64_C(0x000001000f00ffff);

    value |= below(cpu, 4) == 0 ? random & UINT64_C(0x00fff0ff00ff0000) : 0;
    switch (below(cpu, 4)) {
    case 0:
        reg_write(S3_0_C12_C11_6, value); /* ICC_ASGI1R_EL1 */
        break;
    case 1:
        reg_write(S3_0_C12_C11_7, value); /* ICC_SGI0R_EL1 */
        break;
    default:
        reg_write(ICC_SGI1R_EL1, value);
        break;
    }
    slot_begin(cpu);
    slot_run(cpu);
}

static uint64_t random_gic_register(struct hostile_cpu *cpu)
{
    uint64_t frame = machine.arch.gicd;
    uint64_t offset = 0x80 + below(cpu, 0xe00);

    switch (below(cpu, 8)) {
    case 0:
        offset = below(cpu, 6) * 4;
        break;
    case 1:
        offset = 0x6000 + below(cpu, 0x2000);
        break;
    default:
        break;
    }
    if (below(cpu, 2) != 0) {
        frame = machine.arch.gicr + 0x20000 * below(cpu, machine.cpu_count);
        frame += below(cpu, 8) != 0 ? 0x10000 : 0;
    }
    return frame + offset;
}

static void write_icc(struct hostile_cpu *cpu, uint64_t value)
{
    switch (below(cpu, 16)) {
    case 0:
        reg_write(ICC_PMR_EL1, value);
        break;
    case 1:
        reg_write(S3_0_C12_C8_3, value & 7); /* BPR0 */
        break;
    case 2:
        reg_write(S3_0_C12_C12_3, value & 7); /* BPR1 */
        break;
    case 3:
        reg_write(S3_0_C12_C12_4, value); /* CTLR: EOImode, CBPR */
        break;
    case 4:
        reg_write(S3_0_C12_C12_6, value); /* IGRPEN0 */
        break;
    case 5:
        reg_write(ICC_IGRPEN1_EL1, value);
        break;
    case 6:
        reg_write(ICC_EOIR1_EL1, value & 0x3ff);
        break;
    case 7:
        reg_write(S3_0_C12_C8_1, value & 0x3ff); /* EOIR0 */
        break;
    case 8:
        reg_write(S3_0_C12_C11_1, value & 0x3ff); /* DIR */
        break;
    case 9:
        reg_write(S3_0_C12_C8_4, value); /* AP0R0 */
        break;
    case 10:
        reg_write(S3_0_C12_C9_0, value); /* AP1R0 */
        break;
    case 11:
        (void)reg_read(ICC_IAR1_EL1);
        break;
    case 12:
        (void)reg_read(S3_0_C12_C8_0); /* IAR0 */
        break;
    case 13:
        (void)reg_read(S3_0_C12_C12_2); /* HPPIR1 */
        break;
    case 14:
        (void)reg_read(S3_0_C12_C11_3); /* RPR */
        break;
    default:
        reg_write(ICC_SRE_EL1, value);
        break;
    }
}

void access_register(struct hostile_cpu *cpu, uint64_t at, uint64_t value)
{
    switch (below(cpu, 8)) {
    case 0:
        *(volatile uint8_t *)at = (uint8_t)value;
        break;
    case 1:
        *(volatile uint64_t *)(at & ~UINT64_C(7)) = value;
        break;
    case 2:
    case 3:
        (void)mmio_read32(at & ~UINT64_C(3));
        break;
    default:
        mmio_write32(at & ~UINT64_C(3), (uint32_t)value);
        break;
    }
}

/* These accesses must not fault, whatever they say. */
void op_gic(struct hostile_cpu *cpu)
{
    for (unsigned i = 0; i < 4; i++) {
        access_register(cpu, random_gic_register(cpu), random_value(cpu));
        write_icc(cpu, random_value(cpu));
    }
    slot_begin(cpu);
    slot_run(cpu);
}

void op_timer(struct hostile_cpu *cpu)
{
    uint64_t value = random_value(cpu);

    value += below(cpu, 2) != 0 ? ticks() - below(cpu, 2000) : 0;
    switch (below(cpu, 6)) {
    case 0:
        reg_write(cntv_cval_el0, value & INT64_MAX);
        break;
    case 1:
        reg_write(cntv_tval_el0, value & INT32_MAX);
        break;
    case 2:
        reg_write(cntv_ctl_el0, value);
        break;
    case 3:
        reg_write(cntp_cval_el0, value);
        break;
    case 4:
        reg_write(cntp_tval_el0, value);
        break;
    default:
        reg_write(cntp_ctl_el0, value);
        break;
    }
    if (below(cpu, 4) == 0) { /* due now, and again and again */
        reg_write(cntv_cval_el0, 0);
        reg_write(cntv_ctl_el0, 1);
        reg_write(cntp_tval_el0, 0);
        reg_write(cntp_ctl_el0, 1);
    }
    slot_begin(cpu);
    slot_run(cpu);
}

/* Devices' lines: of the UART by its masks, of the clock by its match register. */
void op_line(struct hostile_cpu *cpu)
{
    static const uint16_t uart[] = {0x24, 0x28, 0x2c, 0x30, 0x34, 0x38, 0x3c, 0x40, 0x44, 0x48, 0x04, 0x18};
    static const uint16_t rtc[] = {0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c, 0xfe0};
    uint64_t value = random_value(cpu);

    if (below(cpu, 2) != 0) {
        access_register(cpu, machine.uart + uart[below(cpu, COUNT(uart))], value);
    } else {
        value += below(cpu, 2) != 0 ? mmio_read32(0x09010000) : 0;
        access_register(cpu, 0x09010000 + rtc[below(cpu, COUNT(rtc))], value);
    }
    slot_begin(cpu);
    slot_run(cpu);
}

/* ---- Debug ------------------------------------------------------------------------------------------------------- */

#define MDSCR_EL1 SYSREG(2, 0, 0, 2, 2)

void op_debug(struct hostile_cpu *cpu)
{
    uint32_t number = (uint32_t)below(cpu, 8);
    bool user = below(cpu, 2) != 0;

    slot_begin(cpu);
    cpu->x[1] = user ? user_page(cpu, USER_SLOT) : cpu->pc;
    cpu->x[1] += below(cpu, 8) * 4;
    cpu->x[2] = random64(cpu) | 1;
    cpu->x[3] = (random64(cpu) & 0xb001) | (below(cpu, 4) != 0 ? 0x8000 : 0);
    cpu->x[4] = random_target(cpu);
    /* BVR or WVR, BCR or WCR, OSLAR */
    slot_add(cpu, insn_msr(SYSREG(2, 0, 0, number, 4 + 2 * below(cpu, 2)), 1 + 3 * (uint32_t)below(cpu, 2)));
    slot_add(cpu, insn_msr(SYSREG(2, 0, 0, number, 5 + 2 * below(cpu, 2)), 2));
    slot_add(cpu, insn_msr(SYSREG(2, 0, 1, 0, 4), (uint32_t)below(cpu, 32)));
    slot_add(cpu, insn_msr(MDSCR_EL1, 3));
    slot_add(cpu, INSN_ISB);
    slot_run(cpu);

    slot_begin(cpu);
    cpu->pstate &= ~UINT64_C(0x200);              /* D */
    cpu->pstate |= below(cpu, 2) != 0 ? 1U << 21 : 0; /* SS */
    if (user) {
        cpu->pstate &= ~UINT64_C(0xf);
        cpu->pc = user_page(cpu, USER_SLOT);
    }
    cpu->x[1] = random_target(cpu);
    cpu->x[0] = 0x84000000;
    slot_add(cpu, below(cpu, 2) != 0 ? INSN_HVC : 0xb9400022 /* ldr w2, [x1] */);
    slot_add(cpu, 0xb9000022 /* str w2, [x1] */);
    slot_run(cpu);
    if (below(cpu, 2) != 0) {
        reg_write(mdscr_el1, 0);
    }
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

void open_redistributor(unsigned cpu)
{
    uint64_t frame = machine.arch.gicr + 0x20000 * (uint64_t)cpu;

    mmio_write32(machine.arch.gicd, 3);
    mmio_write32(frame + 0x14, 0);               /* WAKER */
    mmio_write32(frame + 0x10080, 0xffffffff);   /* IGROUPR0 */
    mmio_write32(frame + 0x10380, 0xffffffff);   /* ICACTIVER0 */
    mmio_write32(frame + 0x10400 + SGI_RESCUE / 4 * 4, 0);
    mmio_write32(frame + 0x10400 + PPI_CNTV / 4 * 4, 0);
    mmio_write32(frame + 0x10100, 1U << PPI_CNTV | 1U << SGI_RESCUE);
}

void open_interrupts(struct hostile_cpu *cpu)
{
    reg_write(ICC_PMR_EL1, 0xff);
    reg_write(S3_0_C12_C12_4, 0); /* CTLR */
    reg_write(S3_0_C12_C8_4, 0);  /* AP0R0 */
    reg_write(S3_0_C12_C9_0, 0);  /* AP1R0 */
    reg_write(S3_0_C12_C12_6, 1);
    reg_write(ICC_IGRPEN1_EL1, 1);
    open_redistributor(cpu->index);
}

/* A timer ends it; if others have turned that off meanwhile, one of them does (rescue()). */
void op_wait(struct hostile_cpu *cpu)
{
    static const uint32_t insns[] = {INSN_WFI, INSN_WFI, INSN_WFE, INSN_HVC};
    uint32_t insn = insns[below(cpu, COUNT(insns))];

    cpu->waiting = true;
    if (insn != INSN_WFE || below(cpu, 4) != 0) {
        open_interrupts(cpu);
    }
    reg_write(cntkctl_el1, 0x74 | (random64(cpu) & 0xff)); /* events come, too */
    reg_write(cntv_cval_el0, ticks() + below(cpu, 3000));
    reg_write(cntv_ctl_el0, 1);
    slot_begin(cpu);
    cpu->pstate |= below(cpu, 4) != 0 ? 0xc0 : 0;
    cpu->x[0] = below(cpu, 2) != 0 ? PSCI_CPU_SUSPEND : 0x84000001;
    cpu->x[1] = random_value(cpu);
    cpu->x[2] = (uint64_t)(uintptr_t)hostile_start;
    slot_add(cpu, insn);
    slot_run(cpu);
    cpu->waiting = false;
}

/* ---- What a CPU has, it keeps ------------------------------------------------------------------------------------ */

void op_keep(struct hostile_cpu *cpu)
{
    uint64_t mark = random64(cpu);
    uint64_t contextidr = mark & 0xffffffff, ttbr1 = mark & UINT64_C(0xffff0000fffff000), amair;

    reg_write(cpacr_el1, 3U << 20);
    barrier("isb");
    hostile_fp_fill(mark);
    reg_write(contextidr_el1, contextidr);
    reg_write(ttbr1_el1, ttbr1);
    reg_write(far_el1, mark);
    reg_write(tpidr_el0, mark);
    reg_write(amair_el1, mark);
    amair = reg_read(amair_el1);
    for (unsigned i = 1 + (unsigned)below(cpu, 4); i > 0; i--) {
        (void)hvc(PSCI_VERSION, 0, 0, 0);
        (void)mmio_read32(machine.arch.gicd + 4);
        barrier("yield");
    }
    check_kept(cpu, "TPIDR_EL0", reg_read(tpidr_el0), mark);
    check_kept(cpu, "FAR_EL1", reg_read(far_el1), mark);
    op_wait(cpu);
    check_kept(cpu, "CONTEXTIDR_EL1", reg_read(contextidr_el1), contextidr);
    check_kept(cpu, "TTBR1_EL1", reg_read(ttbr1_el1), ttbr1);
    check_kept(cpu, "AMAIR_EL1", reg_read(amair_el1), amair);
    check_kept(cpu, "the difference in FP registers", hostile_fp_differ(mark), 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* SBI calls, harts, interrupts and their controller, timers, lines, waiting. */
#include "hostile_parts.h"

/* ---- SBI calls --------------------------------------------------------------------------------------------------- */

/* What ends or stops something is op_power()'s and op_wait()'s to call; the machine's end nobody's. */
static bool is_fatal(uint64_t extension, uint64_t function)
{
    return extension == 8 || extension == SBI_SRST || extension == SBI_SUSP ||
           (extension == SBI_HSM && function != SBI_HSM_STATUS);
}

/* OpenSBI 1.1 doesn't survive random arguments of these. */
static bool is_fatal_to_opensbi(uint64_t extension)
{
    return extension == SBI_PMU || extension == SBI_RFENCE || (extension >= 5 && extension <= 7);
}

/* a0: much of what may be printed would be noise. */
static void tame_console(struct hostile_cpu *cpu)
{
    if (cpu->x[X_A7] == SBI_DBCN && below(cpu, 2) != 0) {
        cpu->x[X_A0] = below(cpu, 8);
    } else if (cpu->x[X_A7] == SBI_DBCN) {
        cpu->x[X_A1] = UINT64_C(0x18000000); /* where nothing is */
    }
}

void op_call(struct hostile_cpu *cpu)
{
    static const uint32_t extensions[] = {SBI_BASE, SBI_TIME, SBI_IPI,  SBI_RFENCE, SBI_HSM, SBI_DBCN, SBI_PMU,
                                          SBI_PMU,  SBI_DBCN, 0x4e41434c, 0x535441, 0x43505043,
                                          0,        1,        2,        3,        4,       5,         6,
                                          7,        9};
    uint64_t kept[HOSTILE_REGS];

    slot_begin(cpu);
    for (unsigned i = 1; i < HOSTILE_REGS; i++) {
        cpu->x[i] = random_value(cpu);
    }
    do {
        cpu->x[X_A7] = below(cpu, 16) != 0 ? extensions[below(cpu, COUNT(extensions))] : random64(cpu);
        cpu->x[X_A6] = below(cpu, 8) != 0 ? below(cpu, 9) : random_value(cpu);
    } while (is_fatal(cpu->x[X_A7], cpu->x[X_A6]) || (!is_strict() && is_fatal_to_opensbi(cpu->x[X_A7])));
    tame_console(cpu);
    for (unsigned i = 0; i < HOSTILE_REGS; i++) {
        kept[i] = cpu->x[i];
    }
    slot_add(cpu, INSN_ECALL);
    slot_run(cpu);
    for (unsigned i = 1; i < HOSTILE_REGS; i++) {
        if (cpu->x[i] != kept[i] && i != X_A0 && i != X_A1) {
            failed(cpu, "call %#llx.%llu changed x%u from %#llx to %#llx", (unsigned long long)kept[X_A7],
                   (unsigned long long)kept[X_A6], i, (unsigned long long)kept[i], (unsigned long long)cpu->x[i]);
        }
    }
}

/* ---- Harts ------------------------------------------------------------------------------------------------------- */

void power_on(const struct hostile_cpu *target)
{
    (void)sbi(SBI_HSM, SBI_HSM_START, machine.cpu_ids[target->index], (uintptr_t)hostile_start, (uintptr_t)target);
}

/* Where there is no memory, no hart may start; one that does is lost. */
static void power_on_nowhere(struct hostile_cpu *cpu, const struct hostile_cpu *target)
{
    static const uint64_t nowhere[] = {0x0c000000, 0x10000000, 0x18000000, 0x2000000000, UINT64_MAX - 3};
    uint64_t entry = nowhere[below(cpu, COUNT(nowhere))] + below(cpu, 2) * 2;

    if (is_strict() &&
        sbi(SBI_HSM, SBI_HSM_START, machine.cpu_ids[target->index], entry, random64(cpu)).error == SBI_SUCCESS) {
        failed(cpu, "hart_start at %#llx succeeded", (unsigned long long)entry);
    }
}

static void power_off_self(struct hostile_cpu *cpu)
{
    if (may_sleep()) {
        cpu->off = true;
        barrier("fence");
        (void)sbi(SBI_HSM, SBI_HSM_STOP, random64(cpu));
        failed(cpu, "hart_stop came back");
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
        (void)sbi(SBI_HSM, SBI_HSM_STATUS, random_value(cpu));
        (void)sbi(SBI_HSM, SBI_HSM_STATUS, machine.cpu_ids[target->index]);
        break;
    case 2:
        (void)sbi(SBI_HSM, SBI_HSM_START, random64(cpu) | 0x100, random_value(cpu), random_value(cpu));
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

static void take_what_is_due(struct hostile_cpu *cpu)
{
    slot_begin(cpu);
    cpu->status |= SSTATUS_SPIE;
    slot_run(cpu);
}

void op_ipi(struct hostile_cpu *cpu)
{
    uint64_t mask = below(cpu, 4) != 0 ? below(cpu, 1U << machine.cpu_count) : random_value(cpu);
    uint64_t base = below(cpu, 4) != 0 ? 0 : random_value(cpu);

    csr_write(sie, random64(cpu) & 0x222);
    for (uint64_t i = 1 + below(cpu, 8); i > 0; i--) {
        (void)sbi(SBI_IPI, 0, mask, below(cpu, 8) != 0 ? base : UINT64_MAX);
    }
    csr_write(sip, random64(cpu));
    take_what_is_due(cpu);
}

void op_fence(struct hostile_cpu *cpu)
{
    uint64_t mask = below(cpu, 2) != 0 ? below(cpu, 1U << machine.cpu_count) : random_value(cpu);

    if (!is_strict()) {
        return;
    }
    (void)sbi(SBI_RFENCE, below(cpu, 8), mask, below(cpu, 2) != 0 ? 0 : UINT64_MAX, random_value(cpu),
              random_value(cpu), random_value(cpu));
}

static uint64_t random_plic_register(struct hostile_cpu *cpu)
{
    uint64_t context = below(cpu, 2U * machine.cpu_count + 2U);

    switch (below(cpu, 8)) {
    case 0:
        return PLIC_PENDING(below(cpu, 128));
    case 1:
    case 2:
        return PLIC_ENABLE(context, below(cpu, 128));
    case 3:
        return PLIC_THRESHOLD(context);
    case 4:
        return PLIC_CLAIM(context);
    case 5:
        return below(cpu, 0x180000) * 4;
    default:
        return PLIC_PRIORITY(below(cpu, 128));
    }
}

/* These accesses must not fault, whatever they say. */
void op_plic(struct hostile_cpu *cpu)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t at = machine.arch.plic + random_plic_register(cpu);

        if (below(cpu, 4) == 0) {
            (void)mmio_read32(at);
        } else {
            mmio_write32(at, (uint32_t)random_value(cpu));
        }
    }
    csr_write(sie, random64(cpu) & 0x222);
    take_what_is_due(cpu);
}

void op_timer(struct hostile_cpu *cpu)
{
    uint64_t value = random_value(cpu);

    value += below(cpu, 2) != 0 ? ticks() - below(cpu, 200) : 0;
    value = below(cpu, 4) == 0 ? 0 : value; /* due now, and again and again */
    if (machine.arch.sstc && below(cpu, 2) != 0) {
        csr_write(0x14d, value);
    } else {
        (void)sbi(below(cpu, 2) != 0 ? SBI_TIME : 0, 0, value);
    }
    csr_write(sie, random64(cpu) & 0x222);
    take_what_is_due(cpu);
}

/* Devices' lines: of the UART by its masks, of the clock by its alarm. */
void op_line(struct hostile_cpu *cpu)
{
    static const uint8_t rtc[] = {0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c, 0x20};
    uint64_t value = random_value(cpu);

    if (below(cpu, 2) != 0) {
        uint64_t reg = machine.uart + 1 + below(cpu, 7);

        if (below(cpu, 2) != 0) {
            mmio_write8(reg, (uint8_t)value);
        } else {
            (void)mmio_read8(reg);
        }
    } else {
        mmio_write32(machine.arch.rtc + rtc[below(cpu, COUNT(rtc))], (uint32_t)value);
        (void)mmio_read32(machine.arch.rtc + rtc[below(cpu, COUNT(rtc))]);
    }
    take_what_is_due(cpu);
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

/* A timer ends it, and if that should fail, one of the others does (wake()). */
void op_wait(struct hostile_cpu *cpu)
{
    uint64_t how = below(cpu, 8);

    cpu->waiting = true;
    csr_write(sie, 0x22);
    (void)sbi(SBI_TIME, 0, ticks() + below(cpu, 500));
    slot_begin(cpu);
    cpu->status |= below(cpu, 2) != 0 ? SSTATUS_SPIE : 0;
    cpu->x[X_A7] = SBI_HSM;
    cpu->x[X_A6] = SBI_HSM_SUSPEND;
    cpu->x[X_A0] = how == 0 ? random_value(cpu) : how == 1 ? 0x80000000 : 0;
    cpu->x[X_A1] = (uint64_t)(uintptr_t)hostile_start;
    cpu->x[X_A2] = (uint64_t)(uintptr_t)cpu;
    cpu->suspended = how == 1 || cpu->x[X_A0] >> 31 == 1;
    slot_add(cpu, how < 4 ? INSN_ECALL : INSN_WFI);
    slot_run(cpu);
    cpu->suspended = false;
    cpu->waiting = false;
}

/* ---- What a CPU has, it keeps ------------------------------------------------------------------------------------ */

void op_keep(struct hostile_cpu *cpu)
{
    static uint64_t images[HOSTILE_CPUS][VECTOR_WORDS];
    uint64_t *image = images[cpu->index];
    uint64_t mark = random64(cpu);
    unsigned words = 0;

    csr_set(sstatus, SSTATUS_FS | SSTATUS_VS);
    if (machine.arch.vector) {
        words = vector_words();
        for (unsigned i = 0; i < words; i++) {
            image[i] = mark * (2 * i + 1);
        }
        csr_write(0x8 /* vstart */, 0);
        vectors_load(image);
    }
    hostile_f_fill(mark);
    csr_write(fcsr, mark & 0xff);
    csr_write(scounteren, mark & 7);
    for (unsigned i = 1 + (unsigned)below(cpu, 4); i > 0; i--) {
        (void)sbi(SBI_BASE, 0, 0);
        (void)mmio_read32(machine.arch.plic + 4);
        cpu_relax();
    }
    op_wait(cpu); /* a suspend that isn't retentive doesn't come back here */
    csr_set(sstatus, SSTATUS_FS | SSTATUS_VS);
    check_kept(cpu, "fcsr", csr_read(fcsr), mark & 0xff);
    check_kept(cpu, "scounteren", csr_read(scounteren), mark & 7);
    check_kept(cpu, "the difference in FP registers", hostile_f_differ(mark), 0);
    if (words != 0) {
        vectors_store(image);
        for (unsigned i = 0; i < words; i++) {
            check_kept(cpu, "a vector register", image[i], mark * (2 * i + 1));
        }
    }
}

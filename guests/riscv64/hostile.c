/* SPDX-License-Identifier: Apache-2.0 */
/* The hostile guest on riscv64: its operations, and what it finds when it starts. */
#include "hostile_parts.h"

const struct kind kinds[] = {
    {"mmio", 24, op_mmio}, {"alias", 12, op_alias}, {"csr", 16, op_csr},    {"wild", 5, op_wild},
    {"insn", 6, op_insn},  {"user", 10, op_user},   {"sret", 4, op_sret},   {"race", 4, op_race},
    {"call", 8, op_call},  {"power", 4, op_power},  {"ipi", 5, op_ipi},     {"fence", 1, op_fence},
    {"plic", 12, op_plic}, {"timer", 8, op_timer},  {"line", 5, op_line},   {"wait", 5, op_wait},
    {"lazy", 4, op_lazy},  {"keep", 2, op_keep},    {"print", 1, op_print}, {0},
};

_Static_assert(offsetof(struct hostile_cpu, pc) == CPU_PC, "hostile_arch.h");
_Static_assert(offsetof(struct hostile_cpu, status) == CPU_STATUS, "hostile_arch.h");
_Static_assert(offsetof(struct hostile_cpu, tval) == CPU_TVAL, "hostile_arch.h");
_Static_assert(offsetof(struct hostile_cpu, in_slot) == CPU_IN_SLOT, "hostile_arch.h");
_Static_assert(offsetof(struct hostile_cpu, satp) == CPU_SATP, "hostile_arch.h");
_Static_assert(offsetof(struct boot_record, regs) == BOOT_REGS_AT, "hostile_arch.h");
_Static_assert(offsetof(struct boot_record, f) == BOOT_F_AT, "hostile_arch.h");

/* ---- What the common part asks for ------------------------------------------------------------------------------- */

bool is_strict(void)
{
    static unsigned known; /* asked for often */

    if (known == 0) {
        known = 1 + (sbi(SBI_BASE, SBI_BASE_IMPL_ID, 0).value != 1);
    }
    return known == 2;
}

void put_raw(uint8_t c)
{
    mmio_write8(machine.uart + UART_THR, c);
}

void put_anyhow(uint8_t c)
{
    mmio_write8(machine.uart + UART_LCR, 3);
    mmio_write8(machine.uart + UART_MCR, 0);
    for (unsigned i = 0; i < 100000 && (mmio_read8(machine.uart + UART_LSR) & UART_LSR_THRE) == 0; i++) {
    }
    put_raw(c);
}

void hostile_adopt(void)
{
    irq_disable();
    hostile_sane(hostile_cpus[0].satp);
}

void wake(const struct hostile_cpu *target)
{
    (void)sbi(SBI_IPI, 0, 1, machine.cpu_ids[target->index]);
}

void calm(void)
{
    csr_write(sie, 0);
    (void)sbi(SBI_TIME, 0, UINT64_MAX);
}

/*
 * Not by spinning: under -icount QEMU 7.2 gives the time until its next timer is due to one CPU, and nothing to the one
 * behind that, if all others wait.
 */
void rest(void)
{
    csr_write(sie, UINT64_C(1) << IRQ_TIMER);
    (void)sbi(SBI_TIME, 0, ticks() + ticks_per_second() / 50000);
    wait_irq();
}

bool has_lazy(void)
{
    return is_strict();
}

/* The C code itself met an exception: that is an interrupt or a fault where there can be none. */
_Noreturn void hostile_crashed(struct hostile_cpu *cpu)
{
    failed(cpu, "scause %#llx in C code: stval %#llx sepc %#llx sp %#llx", (unsigned long long)cpu->cause,
           (unsigned long long)cpu->tval, (unsigned long long)cpu->pc, (unsigned long long)cpu->x[X_SP]);
    hostile_end();
}

/* ---- What a CPU finds when it starts ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint64_t mask;
} boot_regs[] = {
#define BOOT_REG(name, number, mask) {#name, mask},
    BOOT_REGS(BOOT_REG)
};

_Static_assert(sizeof(boot_regs) / sizeof(boot_regs[0]) <= (BOOT_F_AT - BOOT_REGS_AT) / 8, "hostile_arch.h: BOOT_F_AT");

/* a0 and a1 are arguments. */
static void check_boot_record(struct hostile_cpu *cpu, const struct boot_record *boot)
{
    for (unsigned i = 1; i < 32; i++) {
        if (i != X_A0 && i != X_A1 && boot->x[i] != 0) {
            failed(cpu, "started with x%u %#llx", i, (unsigned long long)boot->x[i]);
        }
    }
    for (unsigned i = 0; i < COUNT(boot_regs); i++) {
        if ((boot->regs[i] & boot_regs[i].mask) != 0) {
            failed(cpu, "started with %s %#llx", boot_regs[i].name, (unsigned long long)boot->regs[i]);
        }
    }
    for (unsigned i = 0; i < 32; i++) {
        if (boot->f[i] != 0) {
            failed(cpu, "started with f%u %#llx", i, (unsigned long long)boot->f[i]);
        }
    }
}

static void check_boot_vectors(struct hostile_cpu *cpu)
{
    static uint64_t images[HOSTILE_CPUS][VECTOR_WORDS];
    uint64_t *image = images[cpu->index];

    vectors_store(image);
    for (unsigned i = 0; i < vector_words(); i++) {
        if (image[i] != 0) {
            failed(cpu, "started with %#llx in vector registers", (unsigned long long)image[i]);
            return;
        }
    }
}

void check_boot(struct hostile_cpu *cpu)
{
    bool suspended = cpu->suspended;

    cpu->suspended = false;
    if (cpu->boot.x[X_A0] != machine.cpu_ids[cpu->index]) {
        failed(cpu, "started with a0 %#llx", (unsigned long long)cpu->boot.x[X_A0]);
    }
    if (suspended || !is_strict()) {
        return;
    }
    check_boot_record(cpu, &cpu->boot);
    if (machine.arch.sstc && csr_read(0x14d) != UINT64_MAX && csr_read(0x14d) != 0) {
        failed(cpu, "started with stimecmp %#llx", (unsigned long long)csr_read(0x14d));
    }
    if (machine.arch.vector) {
        csr_set(sstatus, SSTATUS_VS);
        check_boot_vectors(cpu);
    }
}

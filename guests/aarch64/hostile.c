/* SPDX-License-Identifier: Apache-2.0 */
/* The hostile guest on aarch64: its operations, and what it finds when it starts. */
#include "hostile_parts.h"

const struct kind kinds[] = {
    {"mmio", 24, op_mmio}, {"alias", 10, op_alias}, {"sysreg", 16, op_sysreg}, {"wild", 5, op_wild},
    {"insn", 5, op_insn},  {"user", 10, op_user},   {"eret", 4, op_eret},      {"race", 4, op_race},
    {"call", 6, op_call},  {"power", 4, op_power},  {"sgi", 6, op_sgi},        {"gic", 12, op_gic},
    {"its", 8, op_its},    {"timer", 8, op_timer},  {"line", 4, op_line},      {"debug", 4, op_debug},
    {"wait", 4, op_wait},  {"lazy", 4, op_lazy},    {"keep", 2, op_keep},      {"print", 1, op_print},
    {0},
};

_Static_assert(offsetof(struct hostile_cpu, sp) == CPU_SP, "hostile_arch.h");
_Static_assert(offsetof(struct hostile_cpu, in_slot) == CPU_IN_SLOT, "hostile_arch.h");
_Static_assert(offsetof(struct boot_record, regs) == BOOT_REGS_AT, "hostile_arch.h");
_Static_assert(offsetof(struct boot_record, fp) == BOOT_FP_AT, "hostile_arch.h");

/* ---- What the common part asks for ------------------------------------------------------------------------------- */

#define UART_CR 0x30
#define UART_CR_ON 0x301

void put_raw(uint8_t c)
{
    mmio_write32(machine.uart, c);
}

void put_anyhow(uint8_t c)
{
    mmio_write32(machine.uart + UART_CR, UART_CR_ON);
    put_raw(c);
}

void hostile_adopt(void)
{
    hostile_sane();
    barrier("msr daifset, #0xf");
    its_adopt();
}

void wake(const struct hostile_cpu *target)
{
    open_redistributor(target->index);
    gic_send_sgi(15, target->index);
    barrier("sev");
}

void calm(void)
{
    reg_write(mdscr_el1, 0);
}

void rest(void)
{
    cpu_relax();
}

bool has_lazy(void)
{
    return true;
}

/* The C code itself met an exception: that is an interrupt or an abort where there can be none. */
_Noreturn void hostile_crashed(struct hostile_cpu *cpu)
{
    failed(cpu, "vector %llu in C code: esr %#llx far %#llx pc %#llx sp %#llx", (unsigned long long)cpu->vector,
           (unsigned long long)cpu->esr, (unsigned long long)cpu->far, (unsigned long long)cpu->pc,
           (unsigned long long)cpu->sp);
    hostile_end();
}

/* ---- What a CPU finds when it starts ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint64_t value, mask;
} boot_regs[] = {
#define BOOT_REG(name, value, mask) {#name, value, mask},
    BOOT_REGS(BOOT_REG) BOOT_FP_REGS(BOOT_REG)
};

_Static_assert(sizeof(boot_regs) / sizeof(boot_regs[0]) <= (BOOT_FP_AT - BOOT_REGS_AT) / 8, "hostile.h: BOOT_FP_AT");

void check_boot(struct hostile_cpu *cpu)
{
    const struct boot_record *boot = &cpu->boot;

    for (unsigned i = 1; i < 31; i++) {
        if (boot->x[i] != 0) {
            failed(cpu, "started with x%u %#llx", i, (unsigned long long)boot->x[i]);
        }
    }
    for (unsigned i = 0; i < sizeof(boot_regs) / sizeof(boot_regs[0]); i++) {
        if ((boot->regs[i] & boot_regs[i].mask) != boot_regs[i].value) {
            failed(cpu, "started with %s %#llx", boot_regs[i].name, (unsigned long long)boot->regs[i]);
        }
    }
    for (unsigned i = 0; i < 64; i++) {
        if (boot->fp[i] != 0) {
            failed(cpu, "started with q%u.d[%u] %#llx", i / 2, i % 2, (unsigned long long)boot->fp[i]);
        }
    }
}

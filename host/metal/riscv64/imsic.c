/* SPDX-License-Identifier: Apache-2.0 */
#include "extint.h"

#include "aplic.h"
#include "host.h"
#include "host_cpu.h"
#include "lib/log.h"
#include "percpu.h"

/* Registers of the hart's own S-level interrupt file, through siselect and sireg (RISC-V AIA 1.0, 3.8) */
#define EIDELIVERY 0x70U
#define EITHRESHOLD 0x72U
#define EIP(identity) (0x80U + (identity) / 64 * 2)
#define EIE(identity) (0xc0U + (identity) / 64 * 2)
#define TOPEI_IDENTITY(topei) ((uint32_t)((topei) >> 16) & 0x7ffU)

#define IDENTITY_UART 2U /* beside INTC_IMSIC_KICK */

static struct {
    uint32_t irq;
    uint32_t hart_index[AXVM_MAX_PCPUS]; /* as the APLIC has it: group index, hart index */
} wire;

static void indirect_write(uint64_t reg, uint64_t value)
{
    csr_write(CSR_SISELECT, reg);
    csr_write(CSR_SIREG, value);
}

static void init(const struct machine *machine)
{
    aplic_init(machine, true);
}

static uint32_t field(uint64_t file, unsigned shift, unsigned bits)
{
    return (uint32_t)(file >> shift & ((UINT64_C(1) << bits) - 1));
}

/* AIA 4.9.1: how the APLIC makes a file's address from the index, turned round. */
static uint32_t hart_index(const struct machine_riscv64 *machine, uint64_t file)
{
    uint32_t hart = field(file, AXVM_PAGE_SHIFT + machine->imsic.guest_bits, machine->imsic.hart_bits);
    uint32_t group = field(file, machine->imsic.group_shift, machine->imsic.group_bits);

    return group << machine->imsic.hart_bits | hart;
}

static int cpu_init(const struct machine *machine, struct percpu *self)
{
    const struct machine_riscv64 *riscv64 = &machine->riscv64;
    uint64_t file = riscv64->imsic.file[self->id];

    if (file == 0 || !csr_exists(CSR_STOPEI)) {
        return fail(AXVM_ENOENT, "pCPU %u has no IMSIC", self->id);
    }
    for (uint32_t identity = 0; identity <= riscv64->imsic.ids; identity += 64) {
        indirect_write(EIE(identity), 0);
        indirect_write(EIP(identity), 0);
    }
    indirect_write(EIE(0), UINT64_C(1) << INTC_IMSIC_KICK | UINT64_C(1) << IDENTITY_UART);
    indirect_write(EITHRESHOLD, 0);
    indirect_write(EIDELIVERY, 1);
    wire.hart_index[self->id] = hart_index(riscv64, file);
    if (riscv64->imsic.guest_bits != 0) {
        self->intc.guest_file = hpa(file + AXVM_PAGE_SIZE);
        self->intc.guest_ids = riscv64->imsic.guest_ids;
    }
    self->intc.kick = (volatile uint32_t *)(uintptr_t)file;
    return AXVM_OK;
}

static void enable(uint32_t irq, const struct percpu *cpu)
{
    wire.irq = irq;
    aplic_enable(irq, wire.hart_index[cpu->id], IDENTITY_UART);
}

/* The most important pending identity, which no longer is; 0: none. */
static uint32_t claim(void)
{
    uint64_t topei;

    __asm__ volatile("csrrw %0, %1, zero" : "=r"(topei) : "i"(CSR_STOPEI) : "memory");
    return TOPEI_IDENTITY(topei);
}

static void handle(void)
{
    uint32_t identity = claim();

    cpu_dsb(); /* before what its sender wrote is read */
    if (identity == IDENTITY_UART) {
        host_uart_input();
        aplic_again(wire.irq);
    }
}

const struct extint extint_imsic = {.init = init, .cpu_init = cpu_init, .enable = enable, .handle = handle};

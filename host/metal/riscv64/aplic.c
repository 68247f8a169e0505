/* SPDX-License-Identifier: Apache-2.0 */
#include "aplic.h"

#include "extint.h"
#include "host.h"
#include "percpu.h"

#define DOMAINCFG 0x0000U
#define DOMAINCFG_DM (1U << 2)
#define DOMAINCFG_IE (1U << 8)
#define SOURCECFG(irq) (4U * (irq))
#define SOURCECFG_LEVEL_HIGH 6U
#define IN_CLRIP(word) (0x1d00U + 4U * (word)) /* reads as the wires, 1: active */
#define SETIENUM 0x1edcU
#define CLRIE(word) (0x1f00U + 4U * (word))
#define SETIPNUM_LE 0x2000U
#define TARGET(irq) (0x3000U + 4U * (irq))
#define TARGET_HART(index) ((index) << 18)
#define IDC(idc) (0x4000U + 32U * (idc))
#define IDC_DELIVERY 0x00U
#define IDC_FORCE 0x04U
#define IDC_THRESHOLD 0x08U
#define IDC_CLAIMI 0x1cU

static volatile uint8_t *aplic; /* NULL: there is none */
static uint32_t sources;

void aplic_init(const struct machine *machine, bool msi)
{
    if (machine->riscv64.aplic.regs.base == machine->riscv64.aplic.regs.end) {
        return;
    }
    aplic = (volatile uint8_t *)(uintptr_t)machine->riscv64.aplic.regs.base;
    sources = machine->riscv64.aplic.sources;
    extint_write(aplic, DOMAINCFG, 0);
    for (uint32_t word = 0; word <= sources / 32; word++) {
        extint_write(aplic, CLRIE(word), UINT32_MAX);
    }
    for (uint32_t irq = 1; irq <= sources; irq++) {
        extint_write(aplic, SOURCECFG(irq), 0);
    }
    extint_write(aplic, DOMAINCFG, DOMAINCFG_IE | (msi ? DOMAINCFG_DM : 0));
}

void aplic_enable(uint32_t irq, uint32_t hart_index, uint32_t identity)
{
    if (aplic && irq <= sources) {
        extint_write(aplic, SOURCECFG(irq), SOURCECFG_LEVEL_HIGH);
        extint_write(aplic, TARGET(irq), TARGET_HART(hart_index) | identity);
        extint_write(aplic, SETIENUM, irq);
    }
}

void aplic_again(uint32_t irq)
{
    if ((extint_read(aplic, IN_CLRIP(irq / 32)) & 1U << irq % 32) != 0) {
        extint_write(aplic, SETIPNUM_LE, irq); /* which should look at the wire itself, but QEMU's before 9 doesn't */
    }
}

volatile uint8_t *aplic_idc(uint32_t idc)
{
    volatile uint8_t *regs = aplic + IDC(idc);

    extint_write(regs, IDC_FORCE, 0);
    extint_write(regs, IDC_THRESHOLD, 0);
    extint_write(regs, IDC_DELIVERY, 1);
    return regs + IDC_CLAIMI;
}

/* ---- Without IMSICs ---------------------------------------------------------------------------------------------- */

static uint32_t idcs[AXVM_MAX_PCPUS];

static void init(const struct machine *machine)
{
    aplic_init(machine, false);
}

static int cpu_init(const struct machine *machine, struct percpu *self)
{
    uint32_t idc = machine->riscv64.aplic.idc[self->id];

    if (idc == MACHINE_NONE) { /* it is at another APLIC */
        return AXVM_OK;
    }
    idcs[self->id] = idc;
    self->intc.claim = aplic_idc(idc);
    return AXVM_OK;
}

static void enable(uint32_t irq, const struct percpu *cpu)
{
    aplic_enable(irq, idcs[cpu->id], 1);
}

static void handle(void)
{
    if (extint_read(this_cpu()->intc.claim, 0) != 0) {
        host_uart_input();
    }
}

const struct extint extint_aplic = {.init = init, .cpu_init = cpu_init, .enable = enable, .handle = handle};

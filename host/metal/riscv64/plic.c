/* SPDX-License-Identifier: Apache-2.0 */
#include "extint.h"

#include "host.h"
#include "percpu.h"

#define PLIC_PRIORITY(source) (4U * (source))
#define PLIC_ENABLE(context, word) (0x2000U + 0x80U * (context) + 4U * (word))
#define PLIC_CONTEXT(context) (0x200000U + 0x1000U * (context))
#define PLIC_THRESHOLD 0U
#define PLIC_CLAIM 4U

static volatile uint8_t *plic;
static uint32_t contexts[AXVM_MAX_PCPUS];

static void init(const struct machine *machine)
{
    plic = (volatile uint8_t *)(uintptr_t)machine->riscv64.plic.regs.base;
    for (uint32_t source = 1; source <= machine->riscv64.plic.sources; source++) {
        extint_write(plic, PLIC_PRIORITY(source), 0);
    }
}

static int cpu_init(const struct machine *machine, struct percpu *self)
{
    uint32_t context = machine->riscv64.plic.context[self->id];

    if (context == MACHINE_NONE) { /* it is at another PLIC */
        return AXVM_OK;
    }
    for (uint32_t word = 0; word <= machine->riscv64.plic.sources / 32; word++) {
        extint_write(plic, PLIC_ENABLE(context, word), 0);
    }
    contexts[self->id] = context;
    self->intc.claim = plic + PLIC_CONTEXT(context) + PLIC_CLAIM;
    extint_write(plic, PLIC_CONTEXT(context) + PLIC_THRESHOLD, 0);
    return AXVM_OK;
}

static void enable(uint32_t irq, const struct percpu *cpu)
{
    extint_write(plic, PLIC_PRIORITY(irq), 1);
    extint_write(plic, PLIC_ENABLE(contexts[cpu->id], irq / 32), 1U << irq % 32);
}

static void handle(void)
{
    volatile uint8_t *claim = this_cpu()->intc.claim;
    uint32_t irq = extint_read(claim, 0);

    if (irq != 0) {
        host_uart_input();
        extint_write(claim, 0, irq);
    }
}

const struct extint extint_plic = {.init = init, .cpu_init = cpu_init, .enable = enable, .handle = handle};

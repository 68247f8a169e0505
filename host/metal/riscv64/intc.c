/* SPDX-License-Identifier: Apache-2.0 */
#include "intc.h"

#include "extint.h"
#include "host.h"
#include "host_cpu.h"
#include "lib/log.h"
#include "percpu.h"

static const struct extint *extint; /* NULL: the machine has none that we know */

void intc_init(const struct machine *machine)
{
    const struct machine_riscv64 *riscv64 = &machine->riscv64;

    if (riscv64->imsic.regs_count != 0) {
        extint = &extint_imsic;
    } else if (riscv64->aplic.regs.base != riscv64->aplic.regs.end) {
        extint = &extint_aplic;
    } else if (riscv64->plic.regs.base != riscv64->plic.regs.end) {
        extint = &extint_plic;
    } else {
        log_warn("there is no interrupt controller that the hypervisor knows");
        return;
    }
    extint->init(machine);
}

int intc_cpu_init(const struct machine *machine, struct percpu *self)
{
    int error = extint ? extint->cpu_init(machine, self) : AXVM_OK;

    csr_clear(CSR_SIP, IRQ_SS);
    csr_write(CSR_SIE, IRQ_SS | IRQ_ST | IRQ_SE);
    return error;
}

static bool takes_wires(const struct percpu *cpu)
{
    return cpu && (cpu->intc.claim || cpu->intc.kick);
}

/* Of several PLICs or APLICs each serves some pCPUs only. */
void intc_enable_uart(uint32_t irq)
{
    const struct percpu *cpu = this_cpu();

    for (unsigned i = 0; !takes_wires(cpu) && i < AXVM_MAX_PCPUS; i++) {
        cpu = percpus[i];
    }
    if (takes_wires(cpu)) {
        extint->enable(irq, cpu);
    } else {
        log_warn("no pCPU takes the UART's interrupt");
    }
}

void intc_kick(const struct percpu *target)
{
    cpu_dsb();
    if (target->intc.kick) {
        *target->intc.kick = INTC_IMSIC_KICK;
    } else {
        sbi_call(SBI_IPI, SBI_IPI_SEND, 1, target->cpu_id, 0);
    }
}

void intc_set_active(uint32_t irq, bool active)
{
    (void)irq;
    (void)active;
}

void intc_complete(uint32_t irq)
{
    (void)irq;
}

/* Out of the way of the kick, which is the frequent one. */
static __attribute__((noinline)) void handle_others(uint64_t pending)
{
    if ((pending & IRQ_ST) != 0) {
        host_timer_due();
    }
    if ((pending & IRQ_SE) != 0 && extint) {
        extint->handle();
    }
}

enum axvm_irq_result host_irq_handle(uint32_t *irq)
{
    uint64_t pending = csr_read(CSR_SIP) & (IRQ_SS | IRQ_ST | IRQ_SE);

    (void)irq;
    if (pending == 0) {
        return AXVM_IRQ_NONE;
    }
    if ((pending & IRQ_SS) != 0) {
        csr_clear(CSR_SIP, IRQ_SS);
        cpu_dsb(); /* before what its sender wrote is read */
    }
    if (pending != IRQ_SS) {
        handle_others(pending);
    }
    return percpu_irq_result();
}

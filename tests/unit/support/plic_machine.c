/* SPDX-License-Identifier: Apache-2.0 */
#include "support/plic_machine.h"

#include "support/fake_hal.h"

#include <stdlib.h>
#include <string.h>

struct plic_machine plic_machine;

static struct plic_machine *const m = &plic_machine;

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

void plic_power_on(void)
{
    memset(m, 0, sizeof(*m));
    m->vm.id = 1;
    vplic_init(&m->plic, &m->vm);
    for (unsigned v = 0; v < PLIC_VCPUS; v++) {
        m->vcpus[v].vm = &m->vm;
        m->vcpus[v].id = v;
        atomic_store(&m->vcpus[v].state, AXVM_VCPU_RUNNING);
        atomic_store(&m->vcpus[v].resident_on, (int32_t)v);
        vplic_attach(&m->plic, &m->cpus[v], &m->vcpus[v]);
    }
}

int plic_setup(void **state)
{
    int error = fake_hal_setup(state);

    plic_power_on();
    return error;
}

int plic_teardown(void **state)
{
    fake_hal_set_pcpu(0);
    return fake_hal_teardown(state);
}

uint32_t plic_read(unsigned v, uint64_t offset)
{
    uint64_t value = UINT64_MAX;

    fake_hal_set_pcpu(v);
    must(m->plic.device.ops->read(&m->plic.device, &m->vcpus[v], offset, 4, &value) == AXVM_OK);
    must(value <= UINT32_MAX);
    return (uint32_t)value;
}

void plic_write(unsigned v, uint64_t offset, uint32_t value)
{
    fake_hal_set_pcpu(v);
    must(m->plic.device.ops->write(&m->plic.device, &m->vcpus[v], offset, 4, value) == AXVM_OK);
}

void plic_enable(unsigned v, uint32_t irq, bool on)
{
    uint64_t offset = PLIC_ENABLE_OF(PLIC_S_MODE(v), irq / 32);
    uint32_t value = plic_read(v, offset);

    plic_write(v, offset, on ? value | 1U << irq % 32 : value & ~(1U << irq % 32));
}

uint32_t plic_claim(unsigned v)
{
    return plic_read(v, PLIC_CLAIM_OF(PLIC_S_MODE(v)));
}

void plic_complete(unsigned v, uint32_t irq)
{
    plic_write(v, PLIC_CLAIM_OF(PLIC_S_MODE(v)), irq);
}

void plic_wire(uint32_t irq, bool level)
{
    fake_hal_set_pcpu(PLIC_VCPUS); /* a device's, where no vCPU runs */
    must(vplic_set_line(&m->plic, irq, level) == AXVM_OK);
}

void plic_pulse(uint32_t irq)
{
    fake_hal_set_pcpu(PLIC_VCPUS);
    must(vplic_pulse(&m->plic, irq) == AXVM_OK);
}

bool plic_output(unsigned v)
{
    return vplic_output(&m->cpus[v]);
}

bool plic_asked(unsigned v)
{
    return (atomic_exchange(&m->vcpus[v].requests, 0) & VCPU_REQ_IRQ) != 0;
}

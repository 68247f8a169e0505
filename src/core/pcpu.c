/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pcpu.h"

#include "core/arch.h"
#include "core/vm.h"
#include "lib/log.h"
#include <string.h>

struct pcpu pcpus[AXVM_MAX_PCPUS];

void pcpu_init(void)
{
    memset(pcpus, 0, sizeof(pcpus));
}

struct pcpu *pcpu_self(void)
{
    return &pcpus[hal->pcpu_id()];
}

void pcpu_evict(struct pcpu *cpu)
{
    struct axvm_vcpu *vcpu = cpu->resident;

    if (vcpu == NULL) {
        return;
    }
    arch->vcpu_save(vcpu);
    cpu->resident = NULL;
    /* Last, and with release: whoever reads -1 finds the registers in memory. */
    atomic_store_explicit(&vcpu->resident_on, -1, memory_order_release);
}

int pcpu_load(struct pcpu *cpu, struct axvm_vcpu *vcpu)
{
    if (cpu->resident == vcpu) {
        return AXVM_OK;
    }
    if (atomic_load_explicit(&vcpu->resident_on, memory_order_acquire) >= 0) {
        return AXVM_EBUSY;
    }
    pcpu_evict(cpu);
    atomic_store_explicit(&vcpu->resident_on, (int32_t)(cpu - pcpus), memory_order_relaxed);
    cpu->resident = vcpu;
    arch->vcpu_load(vcpu);
    vcpu->stats.switches++;
    return AXVM_OK;
}

int axvm_cpu_enable(void)
{
    struct pcpu *cpu = pcpu_self();
    int error;

    if (cpu->enabled) {
        return fail(AXVM_EBADSTATE, "pCPU %u: virtualization is on already", hal->pcpu_id());
    }
    if (!arch->supported()) {
        return fail(AXVM_EUNSUPPORTED, "pCPU %u: it has no virtualization extension", hal->pcpu_id());
    }
    error = arch->cpu_enable();
    cpu->enabled = error == AXVM_OK;
    return error;
}

int axvm_cpu_disable(void)
{
    struct pcpu *cpu = pcpu_self();

    if (!cpu->enabled) {
        return fail(AXVM_EBADSTATE, "pCPU %u: virtualization is off already", hal->pcpu_id());
    }
    if (cpu->resident != NULL) {
        return fail(AXVM_EBUSY, "pCPU %u: vCPU %u of VM %u is still resident", hal->pcpu_id(), cpu->resident->id,
                    axvm_id(cpu->resident->vm));
    }
    arch->cpu_disable();
    cpu->enabled = false;
    return AXVM_OK;
}

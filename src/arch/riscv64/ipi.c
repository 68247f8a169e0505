/* SPDX-License-Identifier: Apache-2.0 */
/* What one vCPU does to others of its VM: software interrupts and fences. */
#include "arch/riscv64/cpu.h"
#include "lib/host.h"

void rv64_send_ipi(struct rv64_vcpu *self, struct rv64_vcpu *to)
{
    if (to == self) {
        rv64_cpu_hvip_set(IRQ_VSS);
        return;
    }
    atomic_store_explicit(&to->ipi, true, memory_order_release);
    vcpu_request(&to->base, VCPU_REQ_IRQ);
}

/*
 * Where a vCPU is resident, the hart is told; the others do it when they are loaded. One that is being loaded just now
 * has said first where it will be, and looks for the wish after that (arch.c); here it is the other way round, so one
 * of the two is seen. What it left in the TLB of a pCPU where it was before is never found again: rv64_vm.last_vcpu.
 */
static uint64_t pcpu_of(struct rv64_vcpu *v)
{
    int32_t on = atomic_load_explicit(&v->base.resident_on, memory_order_acquire);

    if (on < 0) {
        atomic_store_explicit(&v->fence_wanted, true, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        on = atomic_load_explicit(&v->base.resident_on, memory_order_acquire);
    }
    return on < 0 ? 0 : UINT64_C(1) << on;
}

void rv64_fence_vcpus(struct rv64_vcpu *self, uint64_t vcpus, enum rv64_fence kind, uint64_t start, uint64_t size,
                      uint64_t asid)
{
    uint64_t pcpus = 0;

    for (uint64_t left = vcpus; left != 0; left &= left - 1) {
        struct axvm_vcpu *vcpu = vm_vcpu(self->base.vm, (uint32_t)__builtin_ctzll(left));

        pcpus |= vcpu != NULL ? pcpu_of(rv64_vcpu(vcpu)) : 0;
    }
    switch (kind) {
    case RV64_FENCE_I:
        rv64_cpu_fence_i(pcpus);
        break;
    case RV64_FENCE_VMA:
        rv64_cpu_vstage_flush(pcpus, start, size);
        break;
    case RV64_FENCE_VMA_ASID:
        rv64_cpu_vstage_flush_asid(pcpus, asid, start, size);
        break;
    }
}

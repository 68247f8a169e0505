/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest interrupt files (AIA 3.4, 6.1). A vCPU that has an IMSIC, and its pCPU for itself, has the first of that pCPU's
 * while it is resident there: messages from vCPUs come to it by a store that doesn't trap, since its page is mapped
 * where the guest has its IMSIC; and it takes them without an exit. Those from emulated devices, and from vCPUs that
 * trapped a moment before, are still made pending in vimsic_cpu.eip, and moved over by VCPU_REQ_IRQ.
 *
 * A vCPU that waits in the host, or isn't resident, has its state in vimsic_cpu again, and its page traps: who sends it
 * a message then wakes it. So no other pCPU ever needs a file's registers, nor does HS mode take SGEI (hgeie is 0). It
 * doesn't pay to take the page away at each turn of vCPUs that share a pCPU: these have no file.
 */
#include "arch/riscv64/cpu.h"
#include "lib/host.h"

#define VGEIN_FIRST (UINT64_C(1) << HSTATUS_VGEIN_SHIFT)

/* Each vCPU's page is an area of the address space, of which some must be left for memory. */
#define MAX_VCPUS (ADDRSPACE_MAX_AREAS / 2)

static gpa_t imsic_page(const struct rv64_vcpu *v)
{
    return gpa(rv64_vm(v->base.vm)->imsic.device.base + v->base.id * VIMSIC_PAGE);
}

static bool may_have_file(const struct rv64_vcpu *v, hpa_t *page, uint32_t *ids)
{
    const struct axvm *vm = v->base.vm;

    return rv64_vm(v->base.vm)->has_imsic && (rv64_cpu_features() & RV64_GUEST_FILE) != 0 && hal->guest_file != NULL &&
           atomic_load_explicit(&v->base.alone, memory_order_relaxed) && vm->config.cpu_num <= MAX_VCPUS &&
           hal->guest_file(page, ids) && *ids >= VIMSIC_IDS;
}

static void select_file(struct rv64_vcpu *v, uint64_t vgein)
{
    v->controls.hstatus = (v->controls.hstatus & ~HSTATUS_VGEIN) | vgein;
    rv64_cpu_hstatus_write(v->controls.hstatus);
}

/* The page is mapped last: until then messages trap, and none comes to a file that isn't ready. */
void rv64_file_take(struct rv64_vcpu *v)
{
    struct vimsic_state state;
    hpa_t page;
    uint32_t ids;

    if (v->has_file || !may_have_file(v, &page, &ids)) {
        return;
    }
    select_file(v, VGEIN_FIRST);
    vimsic_move_out(&v->imsic, &state);
    rv64_cpu_file_load(&state, ids);
    v->has_file = true;
    if (addrspace_map_linear(&v->base.vm->as, imsic_page(v), page, VIMSIC_PAGE, AXVM_MEM_RW | AXVM_MEM_DEVICE) !=
        AXVM_OK) {
        v->has_file = false;
        rv64_cpu_file_save(&state);
        vimsic_move_in(&v->imsic, &state);
        select_file(v, 0);
    }
    atomic_fetch_or_explicit(&v->base.requests, VCPU_REQ_IRQ, memory_order_relaxed);
}

/* The page goes first: when addrspace_unmap() is back, no pCPU stores to the file any more. */
void rv64_file_put(struct rv64_vcpu *v)
{
    struct vimsic_state state;

    if (v->has_file) {
        (void)addrspace_unmap(&v->base.vm->as, imsic_page(v), VIMSIC_PAGE);
        rv64_cpu_file_save(&state);
        vimsic_move_in(&v->imsic, &state);
        select_file(v, 0);
        v->has_file = false;
        atomic_fetch_or_explicit(&v->base.requests, VCPU_REQ_IRQ, memory_order_relaxed);
    }
}

void rv64_file_collect(struct rv64_vcpu *v)
{
    for (unsigned i = 0; i < VIMSIC_WORDS; i++) {
        uint64_t messages = vimsic_collect(&v->imsic, i);

        if (messages != 0) {
            rv64_cpu_file_pend(i, messages);
        }
    }
}

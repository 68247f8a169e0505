/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a guest page fault was, if htval doesn't say: a hart may always write zero to it (18.6.2, table "htval"). It is
 * found as the hart found it, by the guest's own tables (Privileged 1.13, 12.3.2, with vsatp for satp).
 */
#include "arch/riscv64/cpu.h"

#define ATP_MODE_SHIFT 60U
#define ATP_SV39 8U /* Sv48, Sv57: the next ones */
#define ATP_SV57 10U
#define ATP_PPN UINT64_C(0xfffffffffff)

#define PTE_V RV_BIT(0)
#define PTE_W RV_BIT(2)
#define PTE_X RV_BIT(3)
#define PTE_RWX (RV_BIT(1) | PTE_W | PTE_X)
#define PTE_U RV_BIT(4)
#define PTE_A RV_BIT(6)
#define PTE_D RV_BIT(7)
#define PTE_N RV_BIT(63) /* Svnapot: the last level has 64 KiB */
#define PTE_ADDRESS(pte) (((pte) >> 10 & ATP_PPN) << AXVM_PAGE_SHIFT)

/*
 * What the hart has seen at least, to get as far as the G-stage with the access itself; it hasn't when the guest has
 * changed its tables meanwhile. Nobody gets by a fault what only the kernel may.
 */
static bool is_allowed(uint64_t cause, uint64_t pte)
{
    uint64_t need = rv64_cpu_is_vs() ? 0 : PTE_U;

    need |= cause == CAUSE_STORE_GUEST_PAGE ? PTE_W : cause == CAUSE_FETCH_GUEST_PAGE ? PTE_X : 0;
    return (pte & need) == need;
}

/* A hart that writes A and D itself may have faulted at that: as if it had, the page of the entry is written. */
static int leaf_find(struct rv64_vcpu *v, uint64_t cause, uint64_t entry, uint64_t pte, unsigned level,
                     struct rv64_fault *fault)
{
    uint64_t accessed = PTE_A | (cause == CAUSE_STORE_GUEST_PAGE ? PTE_D : 0);
    uint64_t offset = (pte & PTE_N) != 0 ? KIB(64) - 1 : (AXVM_PAGE_SIZE << 9 * level) - 1;

    if (!is_allowed(cause, pte)) {
        return AXVM_ENOENT;
    }
    fault->gpa = (PTE_ADDRESS(pte) & ~offset) | (fault->tval & offset);
    return (pte & accessed) != accessed ? addrspace_fault(&v->base.vm->as, gpa(entry), AXVM_MEM_WRITE) : AXVM_OK;
}

int rv64_vs_stage_find(struct rv64_vcpu *v, uint64_t cause, struct rv64_fault *fault)
{
    uint64_t vsatp = rv64_cpu_sys_read(RV64_VSATP);
    uint64_t mode = vsatp >> ATP_MODE_SHIFT, table = (vsatp & ATP_PPN) << AXVM_PAGE_SHIFT, pte;
    int error;

    if (mode < ATP_SV39 || mode > ATP_SV57) { /* Bare; the others aren't legal */
        fault->gpa = fault->tval;
        return AXVM_OK;
    }
    for (unsigned level = (unsigned)(mode - ATP_SV39) + 3; level-- > 0; table = PTE_ADDRESS(pte)) {
        uint64_t entry = table + (fault->tval >> (AXVM_PAGE_SHIFT + 9 * level) & 511) * 8;

        error = addrspace_read(&v->base.vm->as, gpa(entry), &pte, sizeof(pte));
        if (error != AXVM_OK) {
            fault->gpa = entry;
            return error;
        }
        rv64_cpu_gstage_flush_local(entry); /* it may have been this page that wasn't there */
        if ((pte & PTE_V) == 0) {
            return AXVM_ENOENT;
        }
        if ((pte & PTE_RWX) != 0) {
            return leaf_find(v, cause, entry, pte, level, fault);
        }
    }
    return AXVM_ENOENT;
}

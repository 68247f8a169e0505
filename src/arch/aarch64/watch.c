/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's watchpoints on accesses that are emulated, which the hardware doesn't see (Arm ARM D2.10; pseudocode
 * AArch64.CheckWatchpoint). They come behind MMU faults and before external aborts (D1.3.5.5), but for accesses where
 * no device is; DC IVAC, which is a store to them, isn't looked at. What is CONSTRAINED UNPREDICTABLE: BAS counts as it
 * is, also with MASK; MASK 1 and 2 are 0; reserved combinations of HMC, SSC and PAC are taken by the bit.
 */
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/hcr.h"

/* DBGWCR<n>_EL1, and of DBGBCR<n>_EL1 what a linked watchpoint looks at */
#define WCR_E BIT64(0)
#define WCR_PAC_EL1 BIT64(1)
#define WCR_PAC_EL0 BIT64(2)
#define WCR_LSC_LOAD BIT64(3)
#define WCR_LSC_STORE BIT64(4)
#define WCR_BAS(wcr) ((unsigned)((wcr) >> 5) & 0xffU)
#define WCR_HMC BIT64(13)
#define WCR_SSC(wcr) ((unsigned)((wcr) >> 14) & 3U)
#define WCR_LBN(wcr) ((unsigned)((wcr) >> 16) & 0xfU)
#define WCR_WT BIT64(20)
#define WCR_MASK(wcr) ((unsigned)((wcr) >> 24) & 0x1fU)
#define BCR_E BIT64(0)
#define BCR_BT(bcr) ((unsigned)((bcr) >> 20) & 0xfU)
#define BT_LINKED_CONTEXT 3U

static bool is_on(const struct a64_vcpu *v)
{
    return (v->debug.mdscr & MDSCR_MDE) != 0 && !v->debug.os_lock;
}

/* At EL1 only if the guest says so (D2.4.1). */
static bool may_come(const struct a64_vcpu *v)
{
    return is_on(v) && (!a64_at_el1(v) || ((v->debug.mdscr & MDSCR_KDE) != 0 && (v->frame.pstate & PSTATE_D) == 0));
}

/* Context-aware breakpoint `n` agrees to a watchpoint that is linked to it. */
static bool in_context(const struct a64_vcpu *v, unsigned n)
{
    uint64_t bcr = v->debug.bcr[n];

    return (bcr & BCR_E) != 0 && BCR_BT(bcr) == BT_LINKED_CONTEXT &&
           (uint32_t)v->debug.bvr[n] == (uint32_t)a64_cpu_sys_read(A64_CONTEXTIDR_EL1);
}

/* Whether a watchpoint is for what does the access: the guest is Non-secure (table D2-15). */
static bool is_for(const struct a64_vcpu *v, uint64_t wcr, uint64_t access)
{
    unsigned ssc = WCR_SSC(wcr);

    return (wcr & WCR_E) != 0 && (wcr & access) == access && (ssc < 2 || (ssc == 3 && (wcr & WCR_HMC) != 0)) &&
           ((wcr & WCR_WT) == 0 || in_context(v, WCR_LBN(wcr)));
}

/* Bits 63:56 may be a tag, and else are as bit 55. */
static bool covers(uint64_t wcr, uint64_t wvr, uint64_t va)
{
    unsigned bottom = (wvr & 4) != 0 ? 2 : 3, mask = WCR_MASK(wcr);

    return (WCR_BAS(wcr) >> (va & ((1U << bottom) - 1)) & 1) != 0 &&
           (va ^ wvr) << 8 >> ((mask > bottom ? mask : bottom) + 8) == 0;
}

static bool find(const struct a64_vcpu *v, uint64_t access, uint64_t va)
{
    unsigned count = (unsigned)(a64_cpu_id_register(5, 0) >> 20 & 0xfU) + 1; /* ID_AA64DFR0_EL1.WRPs */

    for (unsigned n = 0; n < count; n++) {
        if (is_for(v, v->debug.wcr[n], access) && covers(v->debug.wcr[n], v->debug.wvr[n], va)) {
            return true;
        }
    }
    return false;
}

bool a64_watch_access(struct a64_vcpu *v, bool privileged)
{
    const struct a64_access *a = &v->access;
    uint64_t access = (a->insn.kind == A64_INSN_STORE ? WCR_LSC_STORE : WCR_LSC_LOAD) |
                      (privileged ? WCR_PAC_EL1 : WCR_PAC_EL0);

    for (unsigned i = 0; may_come(v) && i < a->size; i++) {
        if (find(v, access, a->va + i)) {
            a64_inject_watchpoint(v, a->esr, a->va + i);
            return true;
        }
    }
    return false;
}

void a64_watch_update(struct a64_vcpu *v)
{
    static struct bus none; /* not const: .bss takes no room in images */

    v->plain_bus = is_on(v) ? &none : &v->base.vm->buses[AXVM_SPACE_MMIO];
    v->mmio_hint = &bus_nothing;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SBI calls of the guest: who answers which, and the extensions BASE, TIME, IPI and RFENCE. Nothing here reaches the
 * machine's own firmware; what isn't known is SBI_ERR_NOT_SUPPORTED.
 *
 * PMU is not available: guests have no counters (hcounteren gives them the time alone), and of an extension with none
 * Linux would make a PMU that can't count. Nor are CPPC, NACL, STA, and those of vendors and firmwares.
 */
#include "arch/riscv64/sbi.h"

#include "arch/riscv64/cpu.h"
#include <string.h>

/*
 * The specification's list of implementation ids has none for this library, and gives them out one after the other
 * from 0. "axvm" in ASCII is far from those.
 */
#define IMPL_ID 0x6178766dU
#define IMPL_VERSION 1U

/* ---- Lists of harts ---------------------------------------------------------------------------------------------- */

/* Where hart ids are vCPU ids, as they are unless a configuration says otherwise. NULL: not here. */
static inline struct axvm_vcpu *hart_by_index(const struct axvm *vm, uint64_t id)
{
    uint32_t count = atomic_load_explicit(&vm->vcpu_count, memory_order_relaxed);

    return id < count && vm->vcpus[id]->phys_id == id ? vm->vcpus[id] : NULL;
}

static struct axvm_vcpu *hart(struct axvm *vm, uint64_t id)
{
    struct axvm_vcpu *vcpu = hart_by_index(vm, id);

    return vcpu != NULL ? vcpu : vcpu_by_phys_id(vm, id);
}

static uint64_t all_vcpus(const struct axvm *vm)
{
    return UINT64_MAX >> (64 - vm->vcpu_count);
}

enum sbi_error sbi_harts(const struct rv64_vcpu *v, uint64_t mask, uint64_t base, uint64_t *vcpus)
{
    struct axvm *vm = v->base.vm;
    uint64_t found = 0;

    if (base == UINT64_MAX) {
        *vcpus = all_vcpus(vm);
        return SBI_SUCCESS;
    }
    for (; mask != 0; mask &= mask - 1) {
        uint64_t id = base + (uint64_t)__builtin_ctzll(mask);
        const struct axvm_vcpu *vcpu = id >= base ? hart(vm, id) : NULL;

        if (vcpu == NULL) {
            return SBI_ERR_INVALID_PARAM;
        }
        found |= UINT64_C(1) << vcpu->id;
    }
    *vcpus = found;
    return SBI_SUCCESS;
}

/* ---- BASE -------------------------------------------------------------------------------------------------------- */

static const struct sbi_extension *extension(uint64_t eid);

static uint64_t is_available(uint64_t eid)
{
    return eid == SBI_TIME || eid == SBI_IPI || eid == SBI_RFENCE || eid == SBI_BASE || eid == SBI_HVC ||
           eid < SBI_LEGACY_COUNT || extension(eid) != NULL;
}

static __attribute__((noinline)) int other_base_call(struct rv64_vcpu *v)
{
    switch (v->frame.x[SBI_A6]) {
    case BASE_GET_IMPL_ID:
        return sbi_return(v, SBI_SUCCESS, IMPL_ID);
    case BASE_GET_IMPL_VERSION:
        return sbi_return(v, SBI_SUCCESS, IMPL_VERSION);
    case BASE_PROBE_EXTENSION:
        return sbi_return(v, SBI_SUCCESS, is_available(sbi_arg(v, 0)));
    case BASE_GET_MVENDORID: /* 0: not implemented; the guest has no errata of the machine's to work around */
    case BASE_GET_MARCHID:
    case BASE_GET_MIMPID:
        return sbi_return(v, SBI_SUCCESS, 0);
    default:
        return sbi_error(v, SBI_ERR_NOT_SUPPORTED);
    }
}

static inline int base_call(struct rv64_vcpu *v)
{
    return v->frame.x[SBI_A6] != BASE_GET_SPEC_VERSION ? other_base_call(v)
                                                       : sbi_return(v, SBI_SUCCESS, SBI_SPEC_2_0);
}

/* ---- TIME, IPI --------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) int time_call(struct rv64_vcpu *v)
{
    uint64_t compare = sbi_arg(v, 0);

    if (v->frame.x[SBI_A6] != TIME_SET_TIMER) {
        return sbi_error(v, SBI_ERR_NOT_SUPPORTED);
    }
    (void)sbi_error(v, SBI_SUCCESS);
    rv64_timer_set(v, compare);
    return RV64_RESUME;
}

static inline void send_ipi(struct rv64_vcpu *v, struct axvm_vcpu *vcpu)
{
    if (atomic_load_explicit(&vcpu->power, memory_order_relaxed) == VCPU_ON) {
        rv64_send_ipi(v, rv64_vcpu(vcpu));
    }
}

void sbi_send_ipi(struct rv64_vcpu *v, uint64_t vcpus)
{
    for (; vcpus != 0; vcpus &= vcpus - 1) {
        send_ipi(v, v->base.vm->vcpus[__builtin_ctzll(vcpus)]);
    }
}

static __attribute__((noinline)) int ipi_list(struct rv64_vcpu *v)
{
    uint64_t vcpus;
    enum sbi_error error = sbi_harts(v, sbi_arg(v, 0), sbi_arg(v, 1), &vcpus);

    if (error == SBI_SUCCESS) {
        sbi_send_ipi(v, vcpus);
    }
    return sbi_error(v, error);
}

/* The list's one hart, or NULL: it has another number of them, or one that has to be looked for. */
static inline struct axvm_vcpu *only_hart(const struct axvm *vm, uint64_t mask, uint64_t base)
{
    if (mask == 0 || (mask & (mask - 1)) != 0 || base > UINT32_MAX) {
        return NULL;
    }
    for (; (mask & 1) == 0; mask >>= 1) { /* a few steps, where counting zeroes is no instruction */
        base++;
    }
    return hart_by_index(vm, base);
}

static __attribute__((noinline)) int ipi_call(struct rv64_vcpu *v)
{
    struct axvm_vcpu *vcpu;

    if (v->frame.x[SBI_A6] != IPI_SEND) {
        return sbi_error(v, SBI_ERR_NOT_SUPPORTED);
    }
    vcpu = only_hart(v->base.vm, sbi_arg(v, 0), sbi_arg(v, 1));
    if (vcpu == NULL) {
        return ipi_list(v);
    }
    (void)sbi_error(v, SBI_SUCCESS);
    send_ipi(v, vcpu);
    return RV64_RESUME;
}

/* ---- RFENCE ------------------------------------------------------------------------------------------------------ */

enum sbi_error sbi_fence(struct rv64_vcpu *v, uint64_t vcpus, enum rv64_fence kind, uint64_t start, uint64_t size,
                         uint64_t asid)
{
    if (kind == RV64_FENCE_I || size == UINT64_MAX || (start == 0 && size == 0)) {
        start = 0;
        size = UINT64_MAX;
    } else if (size == 0) {
        return SBI_SUCCESS;
    } else if (start + (size - 1) < start) {
        return SBI_ERR_INVALID_ADDRESS;
    }
    if (vcpus != 0) {
        rv64_fence_vcpus(v, vcpus, kind, start, size, asid);
    }
    return SBI_SUCCESS;
}

static __attribute__((noinline)) int rfence_call(struct rv64_vcpu *v)
{
    static const uint8_t kinds[] = {
        [RFENCE_FENCE_I] = RV64_FENCE_I,
        [RFENCE_SFENCE_VMA] = RV64_FENCE_VMA,
        [RFENCE_SFENCE_VMA_ASID] = RV64_FENCE_VMA_ASID,
    };
    uint64_t fid = v->frame.x[SBI_A6];
    enum sbi_error error;
    uint64_t vcpus;

    if (fid >= sizeof(kinds)) {
        return sbi_error(v, SBI_ERR_NOT_SUPPORTED);
    }
    error = sbi_harts(v, sbi_arg(v, 0), sbi_arg(v, 1), &vcpus);
    if (error == SBI_SUCCESS) {
        error = sbi_fence(v, vcpus, (enum rv64_fence)kinds[fid], sbi_arg(v, 2), sbi_arg(v, 3), sbi_arg(v, 4));
    }
    return sbi_error(v, error);
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

static const struct sbi_extension *const extensions[] = {&sbi_hsm, &sbi_dbcn, &sbi_srst, &sbi_susp};

static const struct sbi_extension *extension(uint64_t eid)
{
    for (unsigned i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        if (extensions[i]->eid == eid) {
            return extensions[i];
        }
    }
    return NULL;
}

static int hypercall(struct rv64_vcpu *v)
{
    v->exit->hypercall.nr = v->frame.x[SBI_A6];
    memcpy(v->exit->hypercall.args, &v->frame.x[SBI_A0], sizeof(v->exit->hypercall.args));
    return sbi_leave(v, AXVM_EXIT_HYPERCALL);
}

static __attribute__((noinline)) int rare_call(struct rv64_vcpu *v, uint64_t eid)
{
    const struct sbi_extension *e = extension(eid);
    uint64_t fid = v->frame.x[SBI_A6];

    if (e != NULL && fid < e->count) {
        return e->functions[fid](v);
    }
    if (eid == SBI_HVC) {
        return hypercall(v);
    }
    return eid < SBI_LEGACY_COUNT ? sbi_legacy(v, eid) : sbi_error(v, SBI_ERR_NOT_SUPPORTED);
}

/* The calls are not inlined: what needs no stack frame shall have none. */
int rv64_sbi(struct rv64_vcpu *v)
{
    uint64_t eid = v->frame.x[SBI_A7];

    v->base.stats.calls++;
    v->frame.pc += 4;
    if (eid == SBI_TIME) {
        return time_call(v);
    }
    if (eid == SBI_IPI) {
        return ipi_call(v);
    }
    if (eid == SBI_RFENCE) {
        return rfence_call(v);
    }
    return eid == SBI_BASE ? base_call(v) : rare_call(v, eid);
}

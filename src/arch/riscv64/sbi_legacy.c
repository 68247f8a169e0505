/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SBI's legacy extensions, 0 to 8: each is one function, a6 is ignored, the result is in a0, and a1 stays. Lists of
 * harts are words in guest-virtual memory; NULL is all harts, as it always was with the implementations of the time.
 */
#include "arch/riscv64/cpu.h"
#include "arch/riscv64/sbi.h"
#include "lib/host.h"

static int result(struct rv64_vcpu *v, int64_t value)
{
    v->frame.x[SBI_A0] = (uint64_t)value;
    return RV64_RESUME;
}

static int set_timer(struct rv64_vcpu *v)
{
    rv64_timer_set(v, sbi_arg(v, 0));
    return result(v, SBI_SUCCESS);
}

static int console_putchar(struct rv64_vcpu *v)
{
    char byte = (char)sbi_arg(v, 0);

    hal->console_write(v->base.vm->id, &byte, 1);
    return result(v, SBI_SUCCESS);
}

static int console_getchar(struct rv64_vcpu *v)
{
    return result(v, sbi_console_getchar(rv64_vm(v->base.vm)));
}

static int clear_ipi(struct rv64_vcpu *v)
{
    bool pending = atomic_exchange(&v->ipi, false);

    pending = pending || (rv64_cpu_hvip_read() & IRQ_VSS) != 0;
    rv64_cpu_hvip_clear(IRQ_VSS);
    return result(v, pending ? 1 : 0);
}

/*
 * Page and access faults that reading the list takes are the guest's own, with sepc at its ecall (SBI 2.0, chapter 5):
 * what a load by the guest itself would take, so a kernel that mends the page may go on with the ecall. So it does
 * after a guest page fault of memory that is there only now; where nothing answers, or a device does, that is an access
 * fault.
 */
static int bad_pointer(struct rv64_vcpu *v, uint64_t cause, uint64_t va)
{
    v->frame.pc -= 4;
    if (cause == CAUSE_LOAD_GUEST_PAGE) {
        return rv64_data_fault(v);
    }
    rv64_inject(v, (enum rv64_cause)cause, va);
    return RV64_RESUME;
}

/* Of the list one word is read: harts 0 to 63. */
static int for_harts(struct rv64_vcpu *v, enum sbi_error (*act)(struct rv64_vcpu *v, uint64_t vcpus))
{
    uint64_t list = sbi_arg(v, 0);
    uint64_t mask = 0, base = UINT64_MAX, cause = CAUSE_LOAD_MISALIGNED, vcpus;
    enum sbi_error error;

    if (list != 0) {
        base = 0;
        if (list % sizeof(mask) != 0 || !rv64_cpu_read_u64(list, &mask, &cause)) {
            return bad_pointer(v, cause, list);
        }
    }
    error = sbi_harts(v, mask, base, &vcpus);
    return result(v, error == SBI_SUCCESS ? act(v, vcpus) : error);
}

static enum sbi_error ipi(struct rv64_vcpu *v, uint64_t vcpus)
{
    sbi_send_ipi(v, vcpus);
    return SBI_SUCCESS;
}

static enum sbi_error fence_i(struct rv64_vcpu *v, uint64_t vcpus)
{
    return sbi_fence(v, vcpus, RV64_FENCE_I, 0, 0, 0);
}

static enum sbi_error sfence_vma(struct rv64_vcpu *v, uint64_t vcpus)
{
    return sbi_fence(v, vcpus, RV64_FENCE_VMA, sbi_arg(v, 1), sbi_arg(v, 2), 0);
}

static enum sbi_error sfence_vma_asid(struct rv64_vcpu *v, uint64_t vcpus)
{
    return sbi_fence(v, vcpus, RV64_FENCE_VMA_ASID, sbi_arg(v, 1), sbi_arg(v, 2), sbi_arg(v, 3));
}

static int send_ipi(struct rv64_vcpu *v)
{
    return for_harts(v, ipi);
}

static int remote_fence_i(struct rv64_vcpu *v)
{
    return for_harts(v, fence_i);
}

static int remote_sfence_vma(struct rv64_vcpu *v)
{
    return for_harts(v, sfence_vma);
}

static int remote_sfence_vma_asid(struct rv64_vcpu *v)
{
    return for_harts(v, sfence_vma_asid);
}

static int shutdown(struct rv64_vcpu *v)
{
    return sbi_system_down(v, AXVM_SYSTEM_OFF);
}

int sbi_legacy(struct rv64_vcpu *v, uint64_t eid)
{
    static sbi_function *const functions[SBI_LEGACY_COUNT] = {
        set_timer,      console_putchar,   console_getchar,        clear_ipi, send_ipi,
        remote_fence_i, remote_sfence_vma, remote_sfence_vma_asid, shutdown,
    };

    return functions[eid](v);
}

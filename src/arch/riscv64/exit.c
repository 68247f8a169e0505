/* SPDX-License-Identifier: Apache-2.0 */
/* Exits of the guest, by cause. Every cause ends in a result or in a fault of the guest's own. */
#include "arch/riscv64/aia.h"
#include "arch/riscv64/cpu.h"
#include "lib/host.h"

#define MAX_SERVICES 8U /* of requests, at one exit */

#define INSN_WFI UINT32_C(0x10500073)

static struct rv64_vcpu *vcpu_of(struct rv64_frame *frame)
{
    return (struct rv64_vcpu *)(void *)((char *)frame - offsetof(struct rv64_vcpu, frame));
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

int rv64_wait(struct rv64_vcpu *v)
{
    uint64_t pending = rv64_cpu_hip_read() & IRQ_VS_ALL;

    v->wait_sie = rv64_cpu_sys_read(RV64_VSIE);
    if ((pending >> 1 & v->wait_sie) != 0) { /* VS-level interrupts are one bit higher in hip than in vsie (18.2.3) */
        return RV64_RESUME;
    }
    v->hvip = rv64_cpu_hvip_read();
    rv64_timer_wait(v);
    rv64_file_put(v);
    v->exit->kind = AXVM_EXIT_HALT;
    return RV64_LEAVE;
}

/* ---- Exceptions -------------------------------------------------------------------------------------------------- */

/* From a page for execution only, maybe. What trapped is known by its cause: the registers of the trap don't matter. */
static bool fetch_again(uint64_t pc, uint32_t *insn)
{
    const struct rv64_fault fault = rv64_cpu_fault();

    return rv64_cpu_fetch_again(pc, &fault, insn);
}

/*
 * What the hypervisor forbids the guest (18.6.1): WFI, to give the pCPU to others; and what the guest's CPU, which has
 * no hypervisor extension, doesn't have at all. stval may have the instruction or zero, and in QEMU 7.2 also an earlier
 * one; so it is read where it stands.
 */
static int virtual_instruction(struct rv64_vcpu *v, uint64_t cause)
{
    uint32_t insn;

    (void)cause;
    if (!rv64_cpu_fetch(v->frame.pc, &insn) && !fetch_again(v->frame.pc, &insn)) {
        return rv64_retry(v, CAUSE_FETCH_GUEST_PAGE, v->frame.pc);
    }
    v->base.stats.others++;
    if (insn == INSN_WFI && rv64_cpu_is_vs()) {
        v->frame.pc += 4;
        return rv64_wait(v);
    }
    if (!rv64_aia_csr(v, insn)) {
        rv64_inject(v, CAUSE_ILLEGAL, insn);
    }
    return RV64_RESUME;
}

static int ecall(struct rv64_vcpu *v, uint64_t cause)
{
    (void)cause;
    return rv64_sbi(v);
}

/* Not delegated, and of no guest's doing: as if the instruction weren't there. */
static __attribute__((noinline)) int unexpected(struct rv64_vcpu *v)
{
    v->base.stats.others++;
    rv64_inject(v, CAUSE_ILLEGAL, 0);
    return RV64_RESUME;
}

static int (*const exit_handlers[CAUSE_COUNT])(struct rv64_vcpu *v, uint64_t cause) = {
    [CAUSE_ILLEGAL] = virtual_instruction, /* not delegated where the guest has more CSRs than the CPU */
    [CAUSE_ECALL_VS] = ecall,
    [CAUSE_FETCH_GUEST_PAGE] = rv64_guest_page_fault,
    [CAUSE_LOAD_GUEST_PAGE] = rv64_guest_page_fault,
    [CAUSE_STORE_GUEST_PAGE] = rv64_guest_page_fault,
    [CAUSE_VIRTUAL_INSTRUCTION] = virtual_instruction,
};

/* ---- Interrupts -------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) int host_interrupt(struct rv64_vcpu *v)
{
    uint32_t irq = 0;

    v->base.stats.irqs++;
    if (hal->irq_handle(&irq) == AXVM_IRQ_RESCHED) {
        v->exit->kind = AXVM_EXIT_EXTERNAL_INTERRUPT;
        v->exit->external_interrupt.vector = irq;
        return RV64_LEAVE;
    }
    return RV64_RESUME;
}

int rv64_exit(struct rv64_frame *frame, uint64_t scause)
{
    struct rv64_vcpu *v = vcpu_of(frame);

    if (__builtin_expect(scause < CAUSE_COUNT && exit_handlers[scause] != NULL, 1)) {
        return exit_handlers[scause](v, scause);
    }
    return (scause & CAUSE_INTERRUPT) != 0 ? host_interrupt(v) : unexpected(v);
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

/*
 * Where it has Ssaia, the CPU says itself what stopi is (AIA 6.3.3). Of a pending external interrupt that comes from no
 * guest interrupt file, QEMU's does only if hvictl has it, too; and then, pending or not.
 */
static void update_external(struct rv64_vcpu *v)
{
    bool external;

    if (v->has_file) {
        rv64_file_collect(v);
    }
    external = rv64_external(v);
    if (external) {
        rv64_cpu_hvip_set(IRQ_VSE);
    } else {
        rv64_cpu_hvip_clear(IRQ_VSE);
    }
    if (rv64_vm(v->base.vm)->has_imsic && (rv64_cpu_features() & RV64_AIA) != 0) {
        rv64_cpu_sys_write(RV64_HVICTL, external ? HVICTL_IID_SEI | HVICTL_IPRIO_LOWEST : 0);
    }
}

/* What others made pending since. */
static void update_pending(struct rv64_vcpu *v)
{
    if (atomic_load_explicit(&v->ipi, memory_order_relaxed) &&
        atomic_exchange_explicit(&v->ipi, false, memory_order_acquire)) {
        rv64_cpu_hvip_set(IRQ_VSS);
    }
    update_external(v);
    if (rv64_timer_pending(v)) { /* never, when the hardware looks after it */
        rv64_cpu_hvip_set(IRQ_VST);
    }
}

static uint32_t requested(const struct rv64_vcpu *v)
{
    return atomic_load_explicit(&v->base.requests, memory_order_relaxed);
}

int rv64_serve_requests(struct rv64_vcpu *v)
{
    if ((requested(v) & VCPU_REQ_CORE) != 0) {
        v->exit->kind = AXVM_EXIT_STOPPED;
        return RV64_LEAVE;
    }
    atomic_fetch_and_explicit(&v->base.requests, ~(uint32_t)VCPU_REQ_IRQ, memory_order_acquire);
    update_pending(v);
    return RV64_RESUME;
}

/*
 * Serving may itself request something, for which there is no kick. Other vCPUs can keep this one busy; they must not
 * keep the host's interrupts away, which are masked here.
 */
int rv64_exit_finish(struct rv64_frame *frame, int verdict)
{
    struct rv64_vcpu *v = vcpu_of(frame);

    for (unsigned i = 0; verdict == RV64_RESUME && requested(v) != 0; i++) {
        if (i == MAX_SERVICES) {
            v->exit->kind = AXVM_EXIT_NOTHING;
            return RV64_LEAVE;
        }
        verdict = rv64_serve_requests(v);
    }
    return verdict;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Exits of the guest, by exception class. Every class ends in a result or in a fault of the guest's own. */
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/hcr.h"
#include "lib/host.h"
#include "lib/log.h"

#define MAX_SERVICES 8U /* of requests, at one exit */

static struct a64_vcpu *vcpu_of(struct a64_frame *frame)
{
    return (struct a64_vcpu *)(void *)((char *)frame - offsetof(struct a64_vcpu, frame));
}

/* Arm ARM G1.8, ITAdvance(): IT[4:0] shifts left until the last instruction of the block is done. */
static uint64_t it_advance(uint64_t pstate)
{
    uint64_t it = (pstate >> 8 & 0xfcU) | (pstate >> 25 & 3U);

    it = (it & 7U) == 0 ? 0 : (it & 0xe0U) | (it << 1 & 0x1fU);
    return (pstate & ~PSTATE_AA32_IT) | (it & 0xfcU) << 8 | (it & 3U) << 25;
}

/*
 * The software step is taken (Arm ARM D2.12.4), and BTYPE is zero after anything but a branch (D8.4.6). AArch32 has no
 * BTYPE, and in T32 instructions of 16 bits: then IL is 0.
 */
void a64_step_over_special(struct a64_vcpu *v, uint64_t esr)
{
    if ((v->frame.pstate & PSTATE_NRW) != 0) {
        v->frame.pc += (esr & ESR_IL) != 0 ? 4 : 2;
        v->frame.pstate = it_advance(v->frame.pstate) & ~PSTATE_SS;
    } else {
        v->frame.pc += 4;
        v->frame.pstate &= ~(PSTATE_SS | PSTATE_BTYPE);
    }
}

static int undefined(struct a64_vcpu *v, uint64_t esr)
{
    (void)esr;
    v->base.stats.others++;
    a64_inject_undefined(v);
    return A64_RESUME;
}

static int hvc(struct a64_vcpu *v, uint64_t esr)
{
    if (ISS_IMM16(esr) != 0) { /* SMCCC 2.9: the immediate shall be zero */
        v->base.stats.others++;
        v->frame.x[0] = UINT64_MAX;
        return A64_RESUME;
    }
    return a64_smccc(v);
}

/* A trapped SMC has not been executed yet: step over it (Arm ARM D1.3.6, preferred return address). */
static int smc(struct a64_vcpu *v, uint64_t esr)
{
    a64_step_over(v, esr);
    return hvc(v, esr);
}

static int wfx(struct a64_vcpu *v, uint64_t esr)
{
    bool skipped = (v->frame.pstate & PSTATE_NRW) != 0 && !a64_aarch32_condition_holds(v->frame.pstate, esr);

    v->base.stats.others++;
    a64_step_over(v, esr);
    if (skipped) {
        return A64_RESUME;
    }
    if (ISS_WFX_TI(esr) == WFX_WFI) {
        a64_timer_wait(v);
        v->exit->kind = AXVM_EXIT_HALT; /* the core looks whether there is anything to wait for */
        return A64_LEAVE;
    }
    v->exit->kind = AXVM_EXIT_NOTHING; /* WFE waits for another vCPU, as likely as not: let it run */
    return vgicv3_pending(&v->gic) ? A64_RESUME : A64_LEAVE;
}

static int (*const exit_handlers[EC_COUNT])(struct a64_vcpu *v, uint64_t esr) = {
    [EC_WFX] = wfx,
    [EC_CP15_32] = a64_sysreg_aarch32,
    [EC_CP15_64] = a64_sysreg_aarch32,
    [EC_HVC64] = hvc,
    [EC_SMC64] = smc,
    [EC_SYSREG] = a64_sysreg,
    [EC_IABT_LOWER] = a64_instruction_abort,
    [EC_DABT_LOWER] = a64_data_abort,
};

static uint32_t requested(const struct a64_vcpu *v)
{
    return atomic_load_explicit(&v->base.requests, memory_order_relaxed);
}

/*
 * The core's requests, or an access that waits for other vCPUs: the guest doesn't go on without it. They may themselves
 * wait for this vCPU, so they are served first. When it takes long the host may do something else meanwhile.
 */
__attribute__((noinline)) static int serve_rare(struct a64_vcpu *v)
{
    for (unsigned i = 0; i < MAX_SERVICES; i++) {
        if ((requested(v) & VCPU_REQ_CORE) != 0) {
            v->exit->kind = AXVM_EXIT_STOPPED;
            return A64_LEAVE;
        }
        atomic_fetch_and_explicit(&v->base.requests, ~(uint32_t)(VCPU_REQ_IRQ | VCPU_REQ_ACCESS),
                                  memory_order_acquire);
        vgicv3_sync(&v->gic);
        a64_mmio_go_on(v);
        if ((requested(v) & VCPU_REQ_ACCESS) == 0) {
            return A64_RESUME;
        }
    }
    v->exit->kind = AXVM_EXIT_NOTHING;
    return A64_LEAVE;
}

int a64_serve_requests(struct a64_vcpu *v)
{
    if ((requested(v) & (VCPU_REQ_CORE | VCPU_REQ_ACCESS)) != 0) {
        return serve_rare(v);
    }
    atomic_fetch_and_explicit(&v->base.requests, ~(uint32_t)VCPU_REQ_IRQ, memory_order_acquire);
    vgicv3_sync(&v->gic);
    return A64_RESUME;
}

/*
 * Serving may itself request something, for which there is no kick. Other vCPUs can keep this one busy; they must not
 * keep the host's interrupts away, which are masked here.
 */
int a64_exit_finish(struct a64_frame *frame, int verdict)
{
    struct a64_vcpu *v = vcpu_of(frame);

    for (unsigned i = 0; verdict == A64_RESUME && requested(v) != 0; i++) {
        if (i == MAX_SERVICES) {
            v->exit->kind = AXVM_EXIT_NOTHING;
            return A64_LEAVE;
        }
        verdict = a64_serve_requests(v);
    }
    return verdict;
}

int a64_exit_sync(struct a64_frame *frame, uint64_t esr)
{
    struct a64_vcpu *v = vcpu_of(frame);
    int (*handler)(struct a64_vcpu *, uint64_t) = exit_handlers[ESR_EC(esr)];

    return (handler != NULL ? handler : undefined)(v, esr);
}

int a64_exit_irq(struct a64_frame *frame)
{
    struct a64_vcpu *v = vcpu_of(frame);
    uint32_t irq = 0;

    v->base.stats.irqs++;
    switch (hal->irq_handle(&irq)) {
    case AXVM_IRQ_GUEST:
        vgicv3_hardware_irq(&v->gic, irq);
        break;
    case AXVM_IRQ_MAINTENANCE:
        vgicv3_sync(&v->gic);
        break;
    case AXVM_IRQ_RESCHED:
        v->exit->kind = AXVM_EXIT_EXTERNAL_INTERRUPT;
        v->exit->external_interrupt.vector = irq;
        return A64_LEAVE;
    case AXVM_IRQ_NONE:
    case AXVM_IRQ_HANDLED:
        break;
    }
    return A64_RESUME;
}

void a64_serror(struct a64_vcpu *v)
{
    log_limited(&v->base.vm->log, AXVM_LOG_WARN, "vm %u: vcpu %u: SError while it ran; passed on to it", v->base.vm->id,
                v->base.id);
    a64_inject_serror(v);
}

int a64_exit_serror(struct a64_frame *frame)
{
    struct a64_vcpu *v = vcpu_of(frame);

    v->base.stats.others++;
    a64_serror(v);
    return A64_RESUME;
}

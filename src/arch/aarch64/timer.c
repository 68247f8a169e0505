/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generic timer of EL1 (Arm ARM D12.2.4): a timer's condition holds when count - CVAL >= 0, unsigned; its output is
 * up while it is enabled, not masked, and the condition holds.
 *
 * The virtual timer is the hardware's, with CNTVOFF_EL2 per VM; its interrupt reaches the guest through a list register
 * linked to the physical one. While the vCPU waits, the timer's output is a level of the emulated GIC, raised by a host
 * timer: so whether it ends the wait is the GIC's to say, also when others change something about that later.
 * The physical timer traps and is emulated by a host timer; its line is an ordinary level of the emulated GIC.
 */
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/hcr.h"
#include "lib/host.h"

enum cntp_reg {
    CNTP_TVAL = 0,
    CNTP_CTL = 1,
    CNTP_CVAL = 2,
};

static bool unmasked(uint64_t ctl)
{
    return (ctl & (CNT_CTL_ENABLE | CNT_CTL_IMASK)) == CNT_CTL_ENABLE;
}

/* Ticks of the host at which the virtual timer is due; UINT64_MAX: never. */
static uint64_t cntv_deadline(const struct a64_vcpu *v)
{
    uint64_t offset = atomic_load_explicit(&a64_vm(v->base.vm)->cntvoff, memory_order_relaxed);
    uint64_t cval = v->timers.cntv_cval;

    if (!unmasked(v->timers.cntv_ctl) || cval > UINT64_MAX - offset) {
        return UINT64_MAX;
    }
    return cval + offset;
}

/* While it is loaded the guest may have changed it since it fired. */
bool a64_timer_output(struct axvm_vcpu *vcpu, uint32_t irq)
{
    const struct a64_vcpu *v = a64_vcpu(vcpu);

    if (irq != A64_PPI_CNTV) {
        return true;
    }
    if (v->timers.loaded) {
        uint64_t ctl = a64_cpu_cntv_ctl();

        return unmasked(ctl) && (ctl & CNT_CTL_ISTATUS) != 0;
    }
    return cntv_deadline(v) <= hal->ticks();
}

static void cntv_line(struct a64_vcpu *v, bool up)
{
    v->timers.line = up;
    vgicv3_set_private_line(&v->gic, A64_PPI_CNTV, up);
}

static void wake_fire(struct axvm_timer *timer)
{
    struct a64_timers *timers = (struct a64_timers *)(void *)((char *)timer - offsetof(struct a64_timers, wake));

    cntv_line((struct a64_vcpu *)(void *)((char *)timers - offsetof(struct a64_vcpu, timers)), true);
}

/* The physical timer's output, and when to look at it again. */
static void cntp_update(struct a64_vcpu *v)
{
    struct a64_timers *t = &v->timers;
    bool due = t->cntp_cval <= hal->ticks();

    vgicv3_set_private_line(&v->gic, A64_PPI_CNTP, unmasked(t->cntp_ctl) && due);
    if (unmasked(t->cntp_ctl) && !due) {
        t->phys.deadline = t->cntp_cval;
        hal->timer_arm(&t->phys);
    } else {
        hal->timer_cancel(&t->phys);
    }
}

static void phys_fire(struct axvm_timer *timer)
{
    struct a64_timers *timers = (struct a64_timers *)(void *)((char *)timer - offsetof(struct a64_timers, phys));
    struct a64_vcpu *v = (struct a64_vcpu *)(void *)((char *)timers - offsetof(struct a64_vcpu, timers));

    cntp_update(v);
}

void a64_timer_init(struct a64_vcpu *v)
{
    v->timers.wake.fire = wake_fire;
    v->timers.phys.fire = phys_fire;
}

void a64_timer_fini(struct a64_vcpu *v)
{
    hal->timer_cancel(&v->timers.wake);
    hal->timer_cancel(&v->timers.phys);
}

void a64_timer_reset(struct a64_vcpu *v)
{
    a64_timer_fini(v);
    v->timers.cntv_ctl = 0;
    v->timers.cntv_cval = 0;
    v->timers.cntp_ctl = 0;
    v->timers.cntp_cval = 0;
    cntv_line(v, false);
    vgicv3_set_private_line(&v->gic, A64_PPI_CNTP, false);
}

void a64_timer_load(struct a64_vcpu *v)
{
    hal->timer_cancel(&v->timers.wake);
    if (v->timers.line) {
        cntv_line(v, false);
    }
    a64_cpu_cntv_load(v->timers.cntv_ctl, v->timers.cntv_cval);
    v->timers.loaded = true;
    /*
     * From now on this pCPU's, like the vCPU; after the cancellation it isn't just firing on the one where it was
     * armed.
     */
    hal->timer_cancel(&v->timers.phys);
    if (unmasked(v->timers.cntp_ctl)) {
        cntp_update(v);
    }
}

/* While it isn't loaded: on any pCPU. */
static void wake_update(struct a64_vcpu *v)
{
    uint64_t deadline = cntv_deadline(v);
    bool due = deadline <= hal->ticks();

    hal->timer_cancel(&v->timers.wake);
    if (due || v->timers.line) {
        cntv_line(v, due);
    }
    if (!due && deadline != UINT64_MAX) {
        v->timers.wake.deadline = deadline;
        hal->timer_arm(&v->timers.wake);
    }
}

void a64_timer_shift(struct a64_vcpu *v)
{
    if (!v->timers.loaded) {
        wake_update(v);
    }
}

void a64_timer_save(struct a64_vcpu *v)
{
    if (v->timers.loaded) {
        a64_cpu_cntv_save(&v->timers.cntv_ctl, &v->timers.cntv_cval);
        v->timers.loaded = false;
    }
}

void a64_timer_wait(struct a64_vcpu *v)
{
    a64_timer_save(v);
    wake_update(v);
}

uint64_t a64_cntp_read(struct a64_vcpu *v, unsigned reg)
{
    const struct a64_timers *t = &v->timers;
    uint64_t now = hal->ticks();

    switch ((enum cntp_reg)reg) {
    case CNTP_TVAL:
        return (t->cntp_cval - now) & UINT32_MAX;
    case CNTP_CTL:
        return t->cntp_ctl | (t->cntp_cval <= now ? CNT_CTL_ISTATUS : 0);
    case CNTP_CVAL:
        break;
    }
    return t->cntp_cval;
}

void a64_cntp_write(struct a64_vcpu *v, unsigned reg, uint64_t value)
{
    switch ((enum cntp_reg)reg) {
    case CNTP_TVAL:
        v->timers.cntp_cval = hal->ticks() + (uint64_t)(int64_t)(int32_t)value;
        break;
    case CNTP_CTL:
        v->timers.cntp_ctl = value & (CNT_CTL_ENABLE | CNT_CTL_IMASK);
        break;
    case CNTP_CVAL:
        v->timers.cntp_cval = value;
        break;
    }
    cntp_update(v);
}

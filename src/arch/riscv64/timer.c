/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's timer: due when time - time_offset >= compare, unsigned. With Sstc (Privileged 1.13, chapter 20) the
 * hardware compares, with vstimecmp and htimedelta, and the guest never comes here while it runs. Without, the guest
 * sets it by SBI, and `wake` fires also while it runs: then VSTIP is ours to set. hvip.VSTIP isn't used with Sstc.
 */
#include "arch/riscv64/cpu.h"
#include "lib/host.h"

static bool has_sstc(void)
{
    return (rv64_cpu_features() & RV64_SSTC) != 0;
}

/* Ticks of the host at which it is due; UINT64_MAX: never. */
static uint64_t deadline_of(const struct rv64_vcpu *v)
{
    uint64_t offset = atomic_load_explicit(&rv64_vm(v->base.vm)->time_offset, memory_order_relaxed);

    return v->timer.compare > UINT64_MAX - offset ? UINT64_MAX : v->timer.compare + offset;
}

bool rv64_timer_pending(const struct rv64_vcpu *v)
{
    uint64_t deadline = deadline_of(v);

    return !v->timer.loaded && deadline != UINT64_MAX && deadline <= hal->ticks();
}

static void wake_fire(struct axvm_timer *timer)
{
    struct rv64_timer *t = (struct rv64_timer *)(void *)((char *)timer - offsetof(struct rv64_timer, wake));
    struct rv64_vcpu *v = (struct rv64_vcpu *)(void *)((char *)t - offsetof(struct rv64_vcpu, timer));

    vcpu_request(&v->base, VCPU_REQ_IRQ);
}

static void arm(struct rv64_vcpu *v, uint64_t deadline)
{
    if (deadline != UINT64_MAX) {
        v->timer.wake.deadline = deadline;
        hal->timer_arm(&v->timer.wake);
    }
}

/* While it waits: with its enable bit in sie clear, the timer ends no wait (3.3.3), and nobody else can set that. */
static void wake_update(struct rv64_vcpu *v)
{
    hal->timer_cancel(&v->timer.wake);
    if ((v->wait_sie & IRQ_VST >> 1) != 0) {
        arm(v, deadline_of(v));
    }
}

/* While it runs without Sstc. What is due already needs no timer. */
static void emulate(struct rv64_vcpu *v)
{
    if (rv64_timer_pending(v)) {
        atomic_fetch_or_explicit(&v->base.requests, VCPU_REQ_IRQ, memory_order_relaxed);
    } else {
        arm(v, deadline_of(v));
    }
}

void rv64_timer_init(struct rv64_vcpu *v)
{
    v->timer.wake.fire = wake_fire;
    v->timer.compare = UINT64_MAX;
}

void rv64_timer_fini(struct rv64_vcpu *v)
{
    hal->timer_cancel(&v->timer.wake);
}

void rv64_timer_reset(struct rv64_vcpu *v)
{
    rv64_timer_fini(v);
    v->timer.compare = UINT64_MAX;
}

void rv64_timer_load(struct rv64_vcpu *v)
{
    hal->timer_cancel(&v->timer.wake);
    if (has_sstc()) {
        rv64_cpu_timecmp_write(v->timer.compare);
        v->timer.loaded = true;
    } else {
        emulate(v);
    }
}

void rv64_timer_save(struct rv64_vcpu *v)
{
    if (v->timer.loaded) {
        v->timer.compare = rv64_cpu_timecmp_read();
        v->timer.loaded = false;
    }
}

void rv64_timer_wait(struct rv64_vcpu *v)
{
    rv64_timer_save(v);
    wake_update(v);
}

/* Any pCPU will do for the timer: all it does is to kick. */
void rv64_timer_shift(struct rv64_vcpu *v)
{
    if (!v->timer.loaded) {
        wake_update(v);
    }
}

/* SBI 2.0, 6.1: setting it also clears what is pending of it. */
void rv64_timer_set(struct rv64_vcpu *v, uint64_t compare)
{
    if (v->timer.loaded) {
        rv64_cpu_timecmp_write(compare);
        return;
    }
    v->timer.compare = compare;
    rv64_cpu_hvip_clear(IRQ_VST);
    hal->timer_cancel(&v->timer.wake);
    emulate(v);
}

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

static void wake_arm(struct rv64_vcpu *v)
{
    uint64_t deadline = deadline_of(v);

    if (deadline != UINT64_MAX) {
        v->timer.wake.deadline = deadline;
        hal->timer_arm(&v->timer.wake);
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
        wake_arm(v);
    }
}

void rv64_timer_save(struct rv64_vcpu *v)
{
    if (v->timer.loaded) {
        v->timer.compare = rv64_cpu_timecmp_read();
        v->timer.loaded = false;
        wake_arm(v);
    }
}

/* Any pCPU will do for the timer: all it does is to kick. */
void rv64_timer_shift(struct rv64_vcpu *v)
{
    if (!v->timer.loaded) {
        hal->timer_cancel(&v->timer.wake);
        wake_arm(v);
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
    wake_arm(v);
}

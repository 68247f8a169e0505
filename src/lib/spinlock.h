/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ticket lock: first come, first served. The holder runs with interrupts masked (hosts mask them while the library
 * runs), so it is never preempted by someone who wants the lock on the same pCPU.
 *
 * Lock order, outermost first:  registry -> vm lifecycle -> device -> vgic -> addrspace -> host (frames, run queues,
 * console).
 */
#ifndef AXVM_LIB_SPINLOCK_H
#define AXVM_LIB_SPINLOCK_H

#include <stdatomic.h>
#include <stdint.h>

struct spinlock {
    _Atomic uint32_t next;
    _Atomic uint32_t owner;
};

static inline void spin_lock(struct spinlock *lock)
{
    uint32_t ticket = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);

    while (atomic_load_explicit(&lock->owner, memory_order_acquire) != ticket) {
    }
}

static inline void spin_unlock(struct spinlock *lock)
{
    /* Only the holder writes `owner`, so a plain increment of its own copy will do. */
    uint32_t ticket = atomic_load_explicit(&lock->owner, memory_order_relaxed);

    atomic_store_explicit(&lock->owner, ticket + 1, memory_order_release);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which vCPU runs where and when. Every vCPU is a task of one pCPU for as long as it lives: pinned by its configuration
 * or placed while booting. A task that waits for an interrupt gives its pCPU up, and gets it back as soon as the
 * interrupt is there, unless it has used more of it lately than the one that runs there. Whatever they do - wait, exit,
 * give way, again and again - a pCPU's ready tasks get equal shares of its time, and a ready task waits no longer than
 * a slice for each of the others.
 *
 * No VM runs before all are created: one with lazy RAM could take the memory that another is just being made in.
 *
 * Locking: none. Lists are made while booting and stay. A pCPU runs its own tasks only; any pCPU may mark a task ready.
 */
#ifndef METAL_SCHEDULER_H
#define METAL_SCHEDULER_H

#include "console.h"
#include "lib/log_limit.h"
#include <axvm/axvm.h>

#define SCHED_MAX_VMS 64U

#define SCHED_SLICES_PER_SECOND 100U

struct sched_vm;

/* used, in_turn, yields and resets are its pCPU's. */
struct task {
    struct sched_vm *vm;
    uint32_t vcpu;
    uint32_t pcpu;
    uint64_t allowed; /* mask of pCPUs */
    struct task *next; /* of the pCPU */
    uint64_t used; /* ticks of the pCPU, or what others had used when it came back from a wait */
    bool in_turn;  /* was ready when its pCPU looked last */
    bool yields;   /* has come back from its last turn to give way to others */
    bool resets;   /* was the last of its VM's to be parked, and has to start the VM again: with that it goes on */
    _Atomic bool ready; /* worth calling axvm_run_vcpu(); true all the while it runs */
    _Atomic bool parked; /* has seen that its VM doesn't run any more */
};

/* In a 4 KiB frame of its own. */
struct sched_vm {
    struct axvm *_Atomic vm; /* NULL: not created, or not yet as a whole */
    void *boot;              /* what main.c needs until then */
    _Atomic bool awaited;    /* neither started nor given up */
    uint32_t id;
    const char *name;
    struct console_port port;
    struct log_limit log; /* of what its guest can cause */
    _Atomic bool reset_wanted;
    _Atomic unsigned parked; /* tasks that are */
    unsigned task_count;
    struct task tasks[AXVM_MAX_VCPUS];
};

/* One pCPU's. */
struct runqueue {
    struct task *first;
    struct task *last; /* the one that ran last */
    uint64_t since;    /* when its turn began */
    uint64_t floor;    /* the least that any of them has used that was in turn */
    struct task *_Atomic current; /* in axvm_run_vcpu() now; NULL: none */
    unsigned task_count;
    _Atomic bool preempt; /* another task should have its turn */
    struct axvm_timer slice;
};

/* ---- While booting, on one pCPU ---- */

/* No pCPUs, no VMs. As it is at first. */
void sched_forget(void);

void sched_add_cpu(unsigned pcpu, struct runqueue *queue);

/*
 * Take in a zeroed `vm` with id and name filled in and as many tasks as the configuration has vCPUs. AXVM_EINVAL: it
 * has none, or its phys_cpu_sets name no pCPU that is there; AXVM_EEXIST: its id is taken; AXVM_ENOMEM.
 */
int sched_add(struct sched_vm *vm, const struct axvm_config *config);

/* Give every task its pCPU: those that may not run everywhere first, each to the one with the fewest tasks. */
void sched_place(void);

/* ---- Afterwards ---- */

/* The VM with that id, or NULL; the index'th VM, or NULL. */
struct sched_vm *sched_find(uint32_t vm_id);
struct sched_vm *sched_vm(unsigned index);

/* The VM is booted: run it, once every other VM is started or given up, too. */
void sched_start(struct sched_vm *vm);

/* It never will be. */
void sched_give_up(struct sched_vm *vm);

/* Run one of the calling pCPU's ready tasks until it leaves. False: none is ready. */
bool sched_step(struct runqueue *queue);

/* The calling pCPU has failed and runs nothing any more: the VMs that have a vCPU there fail, too. */
void sched_lost(struct runqueue *queue);

/* hal->vcpu_kick */
void sched_kick(uint32_t vm_id, uint32_t vcpu_id);

/* ---- What the scheduler asks of the host ---- */

/* Make that pCPU take an interrupt, after which it asks queue->preempt whether to leave the guest. */
void host_kick(unsigned pcpu);

/* The last VM has ended, and none will start. */
void host_all_ended(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A VM, as far as no architecture is concerned. Each architecture's VM structure begins with this one. */
#ifndef AXVM_CORE_VM_H
#define AXVM_CORE_VM_H

#include "core/arch.h"
#include "core/arena.h"
#include "core/layout.h"
#include "core/vcpu.h"
#include "device/bus.h"
#include "lib/host.h"
#include "lib/log_limit.h"
#include "lib/spinlock.h"
#include "mem/addrspace.h"

#define VM_MAX_REGIONS 32U /* the configuration's and those added later */

struct axvm_image {
    const void *data;
    size_t size;
};

/* RAM of the VM, and how it goes back to the host, as far as the addrspace doesn't see to that. */
struct vm_region {
    struct axvm_memory_region region;
    enum vm_region_release {
        VM_REGION_KEEP,   /* the addrspace owns the frames, or the host keeps the memory aside for good */
        VM_REGION_CLAIM,  /* claimed at HPA = GPA: hal->region_release() */
        VM_REGION_FRAMES, /* one run of frames at HPA = GPA: frames_give() */
    } release;
};

/* How far a reset is. */
struct vm_reset {
    bool under_way;        /* vCPUs are claimed, and the VM is busy with it */
    enum axvm_state from;  /* where it came from */
    gpa_t zeroed;          /* RAM below is */
    uint64_t loaded;       /* bytes of images */
};

/*
 * Invariants:
 *  - Only boot and resume move to running, and they hold `lock`: whoever holds it and finds another state, and `inside`
 *    0, knows that no vCPU is in the guest, nor enters it until `lock` is free.
 *  - `busy`, under `lock`, belongs to the one call of init, reset or destroy that is at work. Reset and destroy claim
 *    every vCPU as well (vcpu_claim()), so that nobody else touches their registers.
 *  - `built` is set once everything exists: address space, devices, vCPUs. Before, only init touches them.
 *  - vcpus[0 .. vcpu_count) exist, and are never replaced.
 */
struct axvm {
    _Atomic uint32_t refs;
    _Atomic uint32_t state;  /* enum axvm_state; moves only as vm_transition() allows */
    _Atomic uint32_t inside; /* vCPUs inside axvm_run_vcpu() */
    _Atomic uint32_t vcpu_count;
    struct axvm_vcpu *vcpus[AXVM_MAX_VCPUS];
    struct bus buses[AXVM_SPACE_COUNT];
    struct addrspace as;
    uint32_t id;
    struct spinlock lock; /* lifecycle operations, devices and memory regions */
    bool busy;
    struct vm_reset reset; /* of who has `busy` */
    _Atomic bool built;
    _Atomic uint64_t suspended_at; /* hal ticks when the last vCPU left, while suspended */
    struct log_limit log; /* of what its guest can cause */
    struct arena arena;
    struct axvm_device *devices; /* all, newest first */
    struct axvm_image images[AXVM_IMAGE_COUNT];
    struct layout layout; /* where the images went */
    unsigned region_count;
    struct vm_region regions[VM_MAX_REGIONS];
    struct axvm *next; /* of the registry */
    struct axvm_config config;
};

/* The architecture given to axvm_library_init(); its host is in lib/host.h. */
extern const struct axvm_arch *arch;

/* Move from `from` to `to` if that is legal and `from` is still the state; else AXVM_EBADSTATE. No log. */
int vm_transition(struct axvm *vm, enum axvm_state from, enum axvm_state to);

/* The vCPU with that id, or NULL. */
struct axvm_vcpu *vm_vcpu(const struct axvm *vm, uint32_t id);

/* vcpu_request() to every vCPU. */
void vm_request(struct axvm *vm, uint32_t requests);

/* Whether no vCPU is in the guest nor can get there. vm->lock is held, and it stays so until that is given up. */
bool vm_is_quiet(struct axvm *vm);

/*
 * Around a vCPU's stay inside axvm_run_vcpu(). vm_enter: false if the VM isn't running; after true, look once more.
 * vm_leave takes vm->lock if the VM is stopping.
 */
bool vm_enter(struct axvm *vm);
void vm_leave(struct axvm *vm);

/*
 * The guest asked for power-off or reset: the first vCPU to ask moves the VM to stopping and kicks the others; true for
 * that one only. Each asking vCPU leaves with AXVM_EXIT_SYSTEM_DOWN (the first) or AXVM_EXIT_STOPPED.
 */
bool vm_system_down(struct axvm_vcpu *vcpu, enum axvm_system_event event);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * axvm: a library that owns the resources of virtual machines. This is all that an embedder includes.
 *
 * The usual sequence:
 *     axvm_library_init(&hal, &axvm_arch_aarch64);        once
 *     axvm_cpu_enable();                                  once on each pCPU that is to run guests
 *     axvm_create(&config, &vm);                          state loading
 *     axvm_set_image(vm, AXVM_IMAGE_KERNEL, data, size);
 *     axvm_init(vm);                                      memory mapped, images loaded: state loaded
 *     axvm_boot(vm);                                      state running
 *     for each vCPU, on some pCPU:  axvm_run_vcpu(vm, id, &exit) in a loop, acting on exit.kind
 *     axvm_shutdown(vm);                                  state stopping, then stopped when no vCPU is inside
 *     axvm_destroy(vm);                                   frees all, once no other reference is held
 *
 * Functions return 0 or a negative enum axvm_error unless they say otherwise; the log says where an error began. They
 * may be called on any pCPU and by several at once unless they say otherwise.
 */
#ifndef AXVM_AXVM_H
#define AXVM_AXVM_H

#include <axvm/config.h>
#include <axvm/device.h>
#include <axvm/exit.h>
#include <axvm/hal.h>
#include <axvm/types.h>

struct axvm;
struct axvm_arch;

extern const struct axvm_arch axvm_arch_aarch64, axvm_arch_riscv64;
extern const struct axvm_arch axvm_arch_fake;

enum axvm_state {
    AXVM_STATE_LOADING,
    AXVM_STATE_LOADED,
    AXVM_STATE_RUNNING,
    AXVM_STATE_SUSPENDED,
    AXVM_STATE_STOPPING,
    AXVM_STATE_STOPPED,
    AXVM_STATE_FAILED,
    AXVM_STATE_COUNT
};

enum axvm_vcpu_state {
    AXVM_VCPU_CREATED, /* has no registers yet */
    AXVM_VCPU_FREE,    /* set up, not on any pCPU */
    AXVM_VCPU_READY,   /* bound by axvm_run_vcpu() */
    AXVM_VCPU_RUNNING, /* in the guest */
    AXVM_VCPU_BLOCKED, /* waits for an interrupt */
    AXVM_VCPU_STATE_COUNT
};

/* ---- The library and the machine ---------------------------------------------------------------------------- */

/* Tell the library its host and its architecture, once, before all else. AXVM_EINVAL: a callback is missing. */
int axvm_library_init(const struct axvm_hal *hal, const struct axvm_arch *arch);

/* Whether the calling pCPU can run guests at all. */
bool axvm_has_hardware_support(void);

/* Turn virtualization on or off on the calling pCPU. AXVM_EUNSUPPORTED, AXVM_EBADSTATE (already so), AXVM_EBUSY. */
int axvm_cpu_enable(void);
int axvm_cpu_disable(void);

/* ---- Life of a VM ------------------------------------------------------------------------------------------- */

/*
 * Create a VM in state loading, with one reference for the caller. The configuration is completed, validated and
 * copied. Errors: AXVM_EINVAL (the log lists each fault), AXVM_EEXIST (the id is taken), AXVM_ENOMEM.
 */
int axvm_create(const struct axvm_config *config, struct axvm **vm);

enum axvm_image_kind {
    AXVM_IMAGE_KERNEL,
    AXVM_IMAGE_BIOS,
    AXVM_IMAGE_DTB,
    AXVM_IMAGE_RAMDISK,
    AXVM_IMAGE_COUNT
};

/* Give an image; the memory stays the caller's, unchanged until the VM is gone: reset reads it again. State loading. */
int axvm_set_image(struct axvm *vm, enum axvm_image_kind kind, const void *data, size_t size);

/* Lay out and map memory, make vCPUs and devices, load images, make the device tree. loading -> loaded, or failed. */
int axvm_init(struct axvm *vm);

/* loaded -> running. vCPU 0 is powered on; run it. Of two racing callers one wins, the other gets AXVM_EBADSTATE. */
int axvm_boot(struct axvm *vm);

/*
 * running, suspended, loaded -> stopping -> stopped. Kicks every vCPU; the VM is stopped as soon as none is inside
 * axvm_run_vcpu(). AXVM_EBADSTATE if it is stopping or stopped already.
 */
int axvm_shutdown(struct axvm *vm);

/* running -> suspended: vCPUs are kicked and run no further; the guest's virtual time stands still. And back. */
int axvm_suspend(struct axvm *vm);
int axvm_resume(struct axvm *vm);

/*
 * stopped or failed -> loaded: RAM zeroed, images loaded again, vCPUs and devices as after power-on. AXVM_EBUSY while a
 * vCPU is still inside axvm_run_vcpu(), or resident on another pCPU (axvm_run_vcpu() or axvm_release_vcpu() there);
 * AXVM_EBADSTATE also if axvm_init() failed. If it fails on the way, the VM is failed, and reset may be tried again.
 */
int axvm_reset(struct axvm *vm);

/*
 * The same a small part at a time, none of which takes long, however much RAM there is: AXVM_MORE, which is positive,
 * until there is no more to do; then as axvm_reset(). One caller, who doesn't stop before that; all others get
 * AXVM_EBUSY meanwhile.
 */
#define AXVM_MORE 1
int axvm_reset_step(struct axvm *vm);

/* Any state -> failed, with the reason in the log; the vCPUs leave. */
void axvm_fail(struct axvm *vm, const char *reason);

/*
 * Take a VM that is not running out of the library (its id is free again) and drop the creator's reference.
 * AXVM_EBADSTATE: running, suspended or stopping; AXVM_EBUSY: a vCPU is still resident on some pCPU
 * (axvm_release_vcpu()).
 */
int axvm_destroy(struct axvm *vm);

/* References. The last axvm_put() frees the VM and returns its frames and regions to the host. */
struct axvm *axvm_get(struct axvm *vm);
void axvm_put(struct axvm *vm);

/* The VM with that id and a reference for the caller, or NULL. */
struct axvm *axvm_find(uint32_t id);

uint32_t axvm_id(const struct axvm *vm);
const char *axvm_name(const struct axvm *vm);
enum axvm_state axvm_state(const struct axvm *vm);
const char *axvm_state_name(enum axvm_state state);
const struct axvm_config *axvm_config(const struct axvm *vm);

/* ---- vCPUs -------------------------------------------------------------------------------------------------- */

unsigned axvm_vcpu_count(const struct axvm *vm);
enum axvm_vcpu_state axvm_vcpu_state(const struct axvm *vm, uint32_t vcpu); /* CREATED for an id that is none */
const char *axvm_vcpu_state_name(enum axvm_vcpu_state state);

/*
 * Run a vCPU on the calling pCPU until the host has something to do, and say what. Everything that the library can
 * answer is answered on the way. The vCPU stays resident on this pCPU (its registers in the hardware) when this
 * returns; another vCPU's axvm_run_vcpu() here, or axvm_release_vcpu(), saves them.
 * Errors: AXVM_EINVAL (no such vCPU), AXVM_EBUSY (running elsewhere, or resident on another pCPU),
 * AXVM_EBADSTATE (the pCPU isn't enabled). An error leaves the vCPU in its last good state.
 */
int axvm_run_vcpu(struct axvm *vm, uint32_t vcpu, struct axvm_exit *exit);

/*
 * Save the vCPU if it is resident on the calling pCPU, so that it may run on another. AXVM_EBUSY: resident elsewhere.
 */
int axvm_release_vcpu(struct axvm *vm, uint32_t vcpu);

/*
 * Whether axvm_run_vcpu() would enter the guest: powered on, VM running, and an interrupt pending if it waits for one.
 */
bool axvm_vcpu_runnable(const struct axvm *vm, uint32_t vcpu);

/*
 * Tell the library whether this vCPU has its pCPU for itself: then WFI and WFE don't exit. Takes effect at the next
 * entry. The host must make it shared again (and kick it) before a second vCPU is to run there.
 */
int axvm_vcpu_set_alone(struct axvm *vm, uint32_t vcpu, bool alone);

/* The pCPU a vCPU is resident on, or a negative error (AXVM_ENOENT: none, AXVM_EINVAL: no such vCPU). */
int axvm_vcpu_resides_on(const struct axvm *vm, uint32_t vcpu);

/*
 * Write the register that returns a hypercall's result (aarch64 x0, riscv64 a0, x86_64 rax), or any general one.
 * AXVM_EBUSY: the vCPU runs, or is resident on another pCPU.
 */
int axvm_set_return_value(struct axvm *vm, uint32_t vcpu, uint64_t value);
int axvm_set_gpr(struct axvm *vm, uint32_t vcpu, unsigned reg, uint64_t value);

/*
 * Raise an interrupt (an edge; private ones go to each vCPU of the mask, wired ones once) in any VM, from any pCPU.
 * AXVM_EBADSTATE: the VM is neither running nor suspended; AXVM_EINVAL: no such interrupt, or a vCPU that doesn't
 * exist.
 */
int axvm_inject_interrupt(struct axvm *vm, uint64_t vcpu_mask, uint32_t irq);

/*
 * A message-signalled interrupt, from any pCPU: device `device_id` writes `data` to guest-physical `address`. aarch64:
 * the ITS's GITS_TRANSLATER, where the data is the EventID. AXVM_ENOENT: the guest takes no such event, now; not
 * logged. AXVM_EINVAL: nothing takes interrupts at that address. AXVM_EBADSTATE: the VM is neither running nor
 * suspended.
 */
int axvm_signal_msi(struct axvm *vm, uint64_t address, uint32_t device_id, uint32_t data);

/* Bytes typed at the VM's console. Returns how many were taken, or a negative error (AXVM_ENOENT: it has none). */
int axvm_console_input(struct axvm *vm, const char *bytes, size_t count);

/* ---- Memory ------------------------------------------------------------------------------------------------- */

struct axvm_memory_region {
    gpa_t gpa;
    uint64_t size;
    uint32_t flags;
    enum axvm_map_type map_type;
    bool lazy;
    bool needs_release; /* the library gives its frames or its claim back */
};

struct axvm_buffer {
    void *data;
    size_t size;
};

/*
 * Add RAM. alloc: zeroed frames of the host's, at `at`, or (at.given false) at GPA = HPA where the host has a free run.
 * reserved: memory that the host keeps aside, at GPA = HPA. size is a multiple of 4 KiB.
 * Errors: AXVM_EINVAL (or the host gives no guest that memory), AXVM_EBUSY (it is in use), AXVM_EEXIST (overlaps),
 * AXVM_ENOMEM.
 */
int axvm_alloc_memory_region(struct axvm *vm, struct axvm_opt_u64 at, uint64_t size, uint32_t flags);
int axvm_map_reserved_memory_region(struct axvm *vm, gpa_t at, uint64_t size, uint32_t flags);

/* Copies up to `max` of the VM's regions; returns how many there are. */
size_t axvm_memory_regions(const struct axvm *vm, struct axvm_memory_region *regions, size_t max);

/*
 * Map host-physical memory, unmap, change permissions; multiples of 4 KiB. AXVM_EEXIST, AXVM_ENOENT, AXVM_EINVAL. A
 * region of RAM that is unmapped as a whole, by one call, goes back to the host; of one unmapped in part, what was
 * claimed does so with the VM.
 */
int axvm_map_region(struct axvm *vm, gpa_t start, hpa_t target, uint64_t size, uint32_t flags);
int axvm_unmap_region(struct axvm *vm, gpa_t start, uint64_t size);
int axvm_protect_region(struct axvm *vm, gpa_t start, uint64_t size, uint32_t flags);
int axvm_translate(struct axvm *vm, gpa_t addr, hpa_t *target, uint32_t *flags);
hpa_t axvm_page_table_root(const struct axvm *vm);

/*
 * Host pointers to [start, start+size) of guest RAM, one buffer for each contiguous piece, in order; lazy pages are
 * populated. While no vCPU runs. Returns the number of buffers, or AXVM_EFAULT, AXVM_ENOMEM (`max` is too small),
 * AXVM_EBADSTATE.
 */
int axvm_image_load_region(struct axvm *vm, gpa_t start, uint64_t size, struct axvm_buffer *buffers, size_t max);

/* Copy out of or into guest RAM: any length and alignment, all or an error; AXVM_EFAULT for what is no RAM, is device
 * memory, or lacks the permission. */
int axvm_read_guest(struct axvm *vm, gpa_t from, void *to, size_t size);
int axvm_write_guest(struct axvm *vm, gpa_t to, const void *from, size_t size);

/*
 * Dirty log: from start on, writes by the guest and by axvm_write_guest() are noted for each 4 KiB page of RAM.
 * fetch copies one bit a page of [start, start+size) into `bitmap` (bit 0 of byte 0 first) and clears them.
 */
int axvm_dirty_log_start(struct axvm *vm);
int axvm_dirty_log_fetch(struct axvm *vm, gpa_t start, uint64_t size, uint8_t *bitmap);
int axvm_dirty_log_stop(struct axvm *vm);

#endif

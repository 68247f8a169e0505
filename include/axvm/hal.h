/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host gives to the library: all that an embedder has to write. docs/porting.md shows one filled in.
 *
 * No callback may call back into the library unless its comment says so. All may be called on any pCPU at any time,
 * with a VM's locks held and, on a bare-metal host, with interrupts masked; none may sleep.
 */
#ifndef AXVM_HAL_H
#define AXVM_HAL_H

#include <axvm/types.h>

enum axvm_log_level {
    AXVM_LOG_ERROR,
    AXVM_LOG_WARN,
    AXVM_LOG_INFO,
    AXVM_LOG_DEBUG,
};

/*
 * A one-shot timer of the pCPU that armed it. The library owns the memory; the last three members are the host's, and
 * begin as zeroes. `fire` runs on that pCPU, at or after `deadline`, exactly once for each arming, with no lock of the
 * host held; it may arm and cancel timers.
 */
struct axvm_timer {
    uint64_t deadline; /* in ticks of hal->ticks() */
    void (*fire)(struct axvm_timer *timer);
    struct axvm_timer *next;
    uint32_t pcpu; /* whose timer it is or was */
    bool armed;
};

/* What became of a physical interrupt that ended a guest's run; see axvm_hal.irq_handle. */
enum axvm_irq_result {
    AXVM_IRQ_NONE,    /* nothing was pending (spurious) */
    AXVM_IRQ_HANDLED, /* it was the host's: done, go on with the guest */
    AXVM_IRQ_RESCHED, /* it was the host's, and the host wants the pCPU: leave axvm_run_vcpu() */
    AXVM_IRQ_GUEST,   /* it belongs to the running guest: acknowledged, priority dropped, not deactivated */
    AXVM_IRQ_MAINTENANCE, /* the virtual interrupt controller wants service (GIC maintenance interrupt); completed */
};

struct axvm_hal {
    /*
     * Physical memory. frames_alloc gives 2^order contiguous 4 KiB frames, aligned to their size; their content is
     * unspecified (the library zeroes what a guest will see). Errors: AXVM_ENOMEM. Any aligned part of a run may be
     * given back on its own, and aligned neighbours together.
     */
    int (*frames_alloc)(unsigned order, hpa_t *frames);
    void (*frames_free)(hpa_t frames, unsigned order);

    /*
     * Take the range [base, base+size) of the host's memory for a guest that is to have it at these very addresses, or
     * give it back. Both are multiples of 4 KiB. The range comes from a VM's configuration, which may be hostile: the
     * host gives nothing by which a guest could harm it. Errors: AXVM_EBUSY: some of it is in use, be it by the host
     * itself (its own memory, the registers of its devices); AXVM_EINVAL: not all of it is memory that a guest may
     * have; AXVM_ENOENT: none of it is the host's to give, but a guest may have it unclaimed (and then several may).
     */
    int (*region_claim)(hpa_t base, uint64_t size);
    void (*region_release)(hpa_t base, uint64_t size);

    /*
     * Address conversion, for memory that the above gave, or that a guest may have unclaimed. hpa_to_hva: NULL for an
     * address that the host can't reach; a region is reachable as a whole or not at all.
     */
    void *(*hpa_to_hva)(hpa_t addr);
    hpa_t (*hva_to_hpa)(const void *addr);

    /* A monotonic counter common to all pCPUs, and its rate in Hz. On aarch64 it must be CNTPCT_EL0. */
    uint64_t (*ticks)(void);
    uint64_t tick_hz;

    /* The time of day in nanoseconds since 1970 (UTC), with which clocks of VMs begin; 0 if that isn't known. */
    uint64_t (*wall_clock)(void);

    /*
     * Arm `timer` on the calling pCPU for timer->deadline (re-arming moves it), or cancel it wherever it is armed. When
     * timer_cancel returns, `fire` is not running on another pCPU and won't until the timer is armed again.
     */
    void (*timer_arm)(struct axvm_timer *timer);
    void (*timer_cancel)(struct axvm_timer *timer);

    /* The calling pCPU's number, from 0, below AXVM_MAX_PCPUS and below pcpu_count. */
    unsigned (*pcpu_id)(void);
    unsigned pcpu_count;

    /*
     * riscv64 (elsewhere unused): the hart id of a pCPU, as SBI calls name it; and what all harts can do, as the
     * machine's description has it in "riscv,isa" ("rv64imafdch_sstc_..."; underscores may separate letters, too), of
     * which the guest is told what it may use.
     */
    uint64_t (*pcpu_hart)(unsigned pcpu);
    const char *isa;

    /*
     * riscv64 (NULL: there are none): the calling pCPU's first guest interrupt file (AIA 3.4): its page, and its
     * highest identity. False: the pCPU has none. Nobody but the library uses it, and the page is mapped into guests.
     */
    bool (*guest_file)(hpa_t *page, uint32_t *ids);

    /*
     * Something changed for a vCPU that is not running on the calling pCPU (an interrupt is pending, its power state
     * changed, its VM left the running state): see that it becomes runnable if it was blocked, and leaves the guest if
     * it is there. Must not run it at once.
     */
    void (*vcpu_kick)(uint32_t vm_id, uint32_t vcpu_id);

    /*
     * A physical interrupt is pending on the calling pCPU: acknowledge it, and handle it when it is the host's. For
     * AXVM_IRQ_GUEST, *irq is its architectural number (aarch64: INTID). May arm timers, fire them, and call
     * axvm_inject_interrupt() and axvm_console_input().
     */
    enum axvm_irq_result (*irq_handle)(uint32_t *irq);

    /*
     * aarch64 (elsewhere unused): set or clear the physical active state of a guest's private interrupt on the calling
     * pCPU (GICR_ISACTIVER0).
     */
    void (*irq_set_active)(uint32_t irq, bool active);

    /* Output of the guest's console, `size` bytes. May block no longer than the UART takes. */
    void (*console_write)(uint32_t vm_id, const char *bytes, size_t size);

    /* One line of the log, without newline; the text is only valid during the call. */
    void (*log)(enum axvm_log_level level, const char *line);
};

#endif

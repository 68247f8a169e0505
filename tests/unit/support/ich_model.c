/* SPDX-License-Identifier: Apache-2.0 */
#include "support/ich_model.h"

#include "irqchip/ich.h"

#include <stdio.h>
#include <string.h>

#define FIRST_LPI 8192U /* LPIs have no active state, and are not counted when they are ended */
#define PRIORITY_BITS_MASK 0xf8U
#define IDLE_PRIORITY 0xffU
#define MIN_BPR0 2U /* 7 - preemption bits */
#define MIN_BPR1 3U

static struct interface {
    uint64_t lr[ICH_MAX_LRS];
    uint32_t hcr;
    uint32_t vmcr;
    uint32_t ap[2]; /* by group; bit n: priority 8 * n is active */
} interfaces[ICH_MODEL_PCPUS];

static unsigned lr_count;
static bool lpis_stay_active;
static bool false_alarms;
static bool drops_count;
static _Thread_local unsigned selected;
static _Atomic unsigned faults, accesses;
static void (*deactivated)(unsigned pcpu, uint32_t pintid);

static struct interface *self(void)
{
    return &interfaces[selected];
}

static void fault(const char *what, uint64_t value)
{
    fprintf(stderr, "ich_model: pCPU %u: %s (0x%llx)\n", selected, what, (unsigned long long)value);
    faults++;
}

void ich_model_reset(unsigned lrs)
{
    memset(interfaces, 0, sizeof(interfaces));
    for (unsigned p = 0; p < ICH_MODEL_PCPUS; p++) {
        for (unsigned n = 0; n < lrs; n++) {
            interfaces[p].lr[n] = UINT64_C(0x50a0000000000000) + 33 + n; /* pending: UNKNOWN after reset */
        }
    }
    lr_count = lrs;
    lpis_stay_active = false;
    false_alarms = false;
    drops_count = false;
    selected = 0;
    faults = 0;
    accesses = 0;
    deactivated = NULL;
}

void ich_model_select(unsigned pcpu)
{
    selected = pcpu;
}

void ich_model_keep_lpis_active(bool keep)
{
    lpis_stay_active = keep;
}

void ich_model_false_alarms(bool on)
{
    false_alarms = on;
}

void ich_model_count_drops(bool count)
{
    drops_count = count;
}

void ich_model_on_deactivate(void (*callback)(unsigned pcpu, uint32_t pintid))
{
    deactivated = callback;
}

unsigned ich_model_faults(void)
{
    return faults;
}

unsigned ich_model_accesses(void)
{
    return accesses;
}

/* ---- Fields ---- */

static unsigned lr_group(uint64_t lr)
{
    return (lr & ICH_LR_GROUP1) != 0 ? 1 : 0;
}

static uint32_t lr_priority(uint64_t lr)
{
    return (uint32_t)(lr >> ICH_LR_PRIORITY_SHIFT) & 0xffU;
}

static uint32_t lr_intid(uint64_t lr)
{
    return (uint32_t)lr;
}

static uint64_t lr_state(uint64_t lr)
{
    return lr & ICH_LR_STATE;
}

static bool group_on(const struct interface *i, unsigned group)
{
    return (i->vmcr & (group == 1 ? ICH_VMCR_VENG1 : ICH_VMCR_VENG0)) != 0;
}

static uint32_t pmr(const struct interface *i)
{
    return i->vmcr >> ICH_VMCR_VPMR_SHIFT;
}

/* The bits of a priority that decide about preemption (IHI 0069 4.8.3): group 0 [7:BPR0+1], group 1 [7:BPR1]. */
static uint32_t group_priority_mask(const struct interface *i, unsigned group)
{
    uint32_t bpr0 = i->vmcr >> ICH_VMCR_VBPR0_SHIFT & 7U;
    uint32_t bpr1 = i->vmcr >> ICH_VMCR_VBPR1_SHIFT & 7U;

    if (group == 1 && (i->vmcr & ICH_VMCR_VCBPR) == 0) {
        return 0xffU << bpr1 & 0xffU;
    }
    return 0xffU << (bpr0 + 1) & 0xffU;
}

/* ---- Pseudocode of the architecture, for virtual interrupts ---- */

/* While the guest runs, an interrupt may be in one list register only (IHI 0069 12.4.6). */
static void check_entry(const struct interface *i)
{
    for (unsigned n = 0; n < lr_count; n++) {
        for (unsigned other = 0; other < n; other++) {
            if (lr_state(i->lr[n]) != 0 && lr_state(i->lr[other]) != 0 &&
                lr_intid(i->lr[n]) == lr_intid(i->lr[other])) {
                fault("an interrupt in two list registers", i->lr[n]);
            }
        }
    }
}

static uint32_t highest_active(const struct interface *i)
{
    uint32_t bits = i->ap[0] | i->ap[1];

    return bits == 0 ? IDLE_PRIORITY : (uint32_t)__builtin_ctz(bits) << 3;
}

/* The list register with the highest-priority pending interrupt of a group that is on, or -1. */
static int highest_pending(const struct interface *i)
{
    int best = -1;

    check_entry(i);
    if ((i->hcr & ICH_HCR_EN) == 0) {
        return -1;
    }
    for (unsigned n = 0; n < lr_count; n++) {
        uint64_t lr = i->lr[n];

        if (lr_state(lr) == ICH_LR_PENDING && group_on(i, lr_group(lr)) &&
            (best < 0 || lr_priority(lr) < lr_priority(i->lr[best]))) {
            best = (int)n;
        }
    }
    return best;
}

/* Whether it may be taken now: above the mask, and above what is running by its group priority. */
static bool can_signal(const struct interface *i, uint64_t lr)
{
    uint32_t running = highest_active(i);
    uint32_t mask = group_priority_mask(i, lr_group(lr));

    if (lr_priority(lr) >= pmr(i)) {
        return false;
    }
    return running == IDLE_PRIORITY || (lr_priority(lr) & mask) < (running & mask);
}

bool ich_model_signalled(unsigned group)
{
    const struct interface *i = self();
    int n = highest_pending(i);

    return n >= 0 && lr_group(i->lr[n]) == group && can_signal(i, i->lr[n]);
}

uint32_t ich_model_hppi(unsigned group)
{
    const struct interface *i = self();
    int n = highest_pending(i);

    return n >= 0 && lr_group(i->lr[n]) == group ? lr_intid(i->lr[n]) : ICH_MODEL_SPURIOUS;
}

uint32_t ich_model_ack(unsigned group)
{
    struct interface *i = self();
    int n = highest_pending(i);
    uint64_t *lr;

    if (n < 0 || lr_group(i->lr[n]) != group || !can_signal(i, i->lr[n])) {
        return ICH_MODEL_SPURIOUS;
    }
    lr = &i->lr[n];
    i->ap[group] |= 1U << ((lr_priority(*lr) & group_priority_mask(i, group)) >> 3);
    *lr = (*lr & ~ICH_LR_STATE) | (lr_intid(*lr) < FIRST_LPI || lpis_stay_active ? ICH_LR_ACTIVE : 0);
    return lr_intid(*lr);
}

static uint64_t *find_active(struct interface *i, uint32_t intid)
{
    for (unsigned n = 0; n < lr_count; n++) {
        if ((i->lr[n] & ICH_LR_ACTIVE) != 0 && lr_intid(i->lr[n]) == intid) {
            return &i->lr[n];
        }
    }
    return NULL;
}

static void deactivate(struct interface *i, uint32_t intid)
{
    uint64_t *lr = find_active(i, intid);
    uint32_t count = i->hcr >> ICH_HCR_EOICOUNT_SHIFT;

    if (lr == NULL && intid >= FIRST_LPI) {
        return;
    }
    if (lr == NULL) {
        i->hcr = (i->hcr & ~(31U << ICH_HCR_EOICOUNT_SHIFT)) | (count + 1) << ICH_HCR_EOICOUNT_SHIFT;
        return;
    }
    *lr &= ~ICH_LR_ACTIVE;
    if ((*lr & ICH_LR_HW) != 0 && deactivated != NULL) {
        deactivated(selected, (uint32_t)(*lr >> ICH_LR_PINTID_SHIFT) & 0x1fffU);
    }
}

void ich_model_eoi(unsigned group, uint32_t intid)
{
    struct interface *i = self();
    uint32_t both = i->ap[0] | i->ap[1];

    if ((intid >= 1020 && intid < FIRST_LPI) || both == 0) {
        return; /* nothing to drop: a CONSTRAINED UNPREDICTABLE choice, EOIcount stays */
    }
    both &= -both;
    if ((i->ap[group] & both) == 0) {
        return; /* the running priority is the other group's */
    }
    i->ap[group] &= ~both;
    if ((i->vmcr & ICH_VMCR_VEOIM) == 0 || intid >= FIRST_LPI || (drops_count && find_active(i, intid) == NULL)) {
        deactivate(i, intid);
    }
}

bool ich_model_dir(uint32_t intid)
{
    struct interface *i = self();

    if ((i->hcr & ICH_HCR_TDIR) != 0) {
        return false;
    }
    if ((i->vmcr & ICH_VMCR_VEOIM) != 0 && intid < 1020) {
        deactivate(i, intid);
    }
    return true;
}

uint32_t ich_model_running_priority(void)
{
    return highest_active(self());
}

static void set_field(struct interface *i, unsigned shift, uint32_t mask, uint32_t value)
{
    i->vmcr = (i->vmcr & ~(mask << shift)) | (value & mask) << shift;
}

void ich_model_set_pmr(uint32_t mask)
{
    set_field(self(), ICH_VMCR_VPMR_SHIFT, 0xff, mask & PRIORITY_BITS_MASK);
}

void ich_model_set_bpr(unsigned group, uint32_t point)
{
    uint32_t least = group == 1 ? MIN_BPR1 : MIN_BPR0;

    set_field(self(), group == 1 ? ICH_VMCR_VBPR1_SHIFT : ICH_VMCR_VBPR0_SHIFT, 7, point < least ? least : point);
}

void ich_model_set_group(unsigned group, bool on)
{
    set_field(self(), group, 1, on);
}

void ich_model_set_eoi_mode(bool split)
{
    set_field(self(), 9, 1, split);
}

uint32_t ich_model_eoi_mode(void)
{
    return self()->vmcr >> 9 & 1;
}

/* ---- ICH_* ---- */

static bool valid(unsigned n)
{
    accesses++;
    if (n >= lr_count) {
        fault("a list register that isn't there", n);
        return false;
    }
    return true;
}

unsigned ich_lr_count(void)
{
    return lr_count;
}

unsigned ich_ap_count(void)
{
    return 1;
}

uint64_t ich_lr_read(unsigned n)
{
    return valid(n) ? self()->lr[n] : 0;
}

static void check_lr(uint64_t lr)
{
    if ((lr & ICH_LR_HW) != 0 && lr_state(lr) == ICH_LR_STATE) {
        fault("a linked interrupt that is pending and active", lr);
    }
    if (lr != 0 && (lr & UINT64_C(0x0f07e00000000000)) != 0) {
        fault("reserved bits or unimplemented priority bits", lr);
    }
    if ((lr & ICH_LR_HW) == 0 && (lr & UINT64_C(0x1dff00000000)) != 0) {
        fault("a physical INTID without a link", lr);
    }
}

void ich_lr_write(unsigned n, uint64_t value)
{
    if (valid(n)) {
        check_lr(value);
        self()->lr[n] = value;
    }
}

/* Whether the list register shows an EOI that the hypervisor has asked to be told of (ICH_EISR_EL2). */
static bool eoi_seen(uint64_t lr)
{
    return lr_state(lr) == 0 && (lr & ICH_LR_HW) == 0 && (lr & ICH_LR_EOI) != 0;
}

uint32_t ich_elrsr_read(void)
{
    uint32_t empty = 0;

    accesses++;
    for (unsigned n = 0; n < lr_count; n++) {
        empty |= lr_state(self()->lr[n]) == 0 && !eoi_seen(self()->lr[n]) ? 1U << n : 0;
    }
    return empty;
}

static uint32_t misr(const struct interface *i)
{
    unsigned valid_lrs = 0, pending = 0, eois = 0;
    uint32_t why = 0;

    for (unsigned n = 0; n < lr_count; n++) {
        valid_lrs += lr_state(i->lr[n]) != 0;
        pending += lr_state(i->lr[n]) == ICH_LR_PENDING;
        eois += eoi_seen(i->lr[n]);
    }
    why |= eois != 0 ? ICH_MISR_EOI : 0;
    why |= (i->hcr & ICH_HCR_UIE) != 0 && valid_lrs <= 1 ? ICH_MISR_U : 0;
    why |= (i->hcr & ICH_HCR_LRENPIE) != 0 && (false_alarms || i->hcr >> ICH_HCR_EOICOUNT_SHIFT != 0) ? ICH_MISR_LRENP
                                                                                                    : 0;
    why |= (i->hcr & ICH_HCR_NPIE) != 0 && pending == 0 ? ICH_MISR_NP : 0;
    why |= (i->hcr & ICH_HCR_VGRP0EIE) != 0 && group_on(i, 0) ? ICH_MISR_VGRP0E : 0;
    why |= (i->hcr & ICH_HCR_VGRP0DIE) != 0 && !group_on(i, false_alarms ? 1 : 0) ? ICH_MISR_VGRP0D : 0;
    why |= (i->hcr & ICH_HCR_VGRP1EIE) != 0 && group_on(i, 1) ? ICH_MISR_VGRP1E : 0;
    why |= (i->hcr & ICH_HCR_VGRP1DIE) != 0 && !group_on(i, 1) ? ICH_MISR_VGRP1D : 0;
    return (i->hcr & ICH_HCR_EN) != 0 ? why : 0;
}

uint32_t ich_misr_read(void)
{
    accesses++;
    return misr(self());
}

bool ich_model_maintenance(void)
{
    return misr(self()) != 0;
}

uint32_t ich_hcr_read(void)
{
    accesses++;
    return self()->hcr;
}

void ich_hcr_write(uint32_t value)
{
    accesses++;
    self()->hcr = value;
}

uint32_t ich_vmcr_read(void)
{
    accesses++;
    return self()->vmcr;
}

/* Binary points below the minimum become the minimum. */
void ich_vmcr_write(uint32_t value)
{
    accesses++;
    self()->vmcr = value & ~(7U << 24);
    ich_model_set_bpr(0, value >> ICH_VMCR_VBPR0_SHIFT & 7U);
    ich_model_set_bpr(1, value >> ICH_VMCR_VBPR1_SHIFT & 7U);
}

static uint32_t *ap(unsigned group, unsigned n)
{
    static uint32_t none;

    accesses++;
    if (n != 0) {
        fault("an active priority register that isn't there", n);
        return &none;
    }
    return &self()->ap[group];
}

uint32_t ich_ap0r_read(unsigned n)
{
    return *ap(0, n);
}

void ich_ap0r_write(unsigned n, uint32_t value)
{
    *ap(0, n) = value;
}

uint32_t ich_ap1r_read(unsigned n)
{
    return *ap(1, n);
}

void ich_ap1r_write(unsigned n, uint32_t value)
{
    *ap(1, n) = value;
}

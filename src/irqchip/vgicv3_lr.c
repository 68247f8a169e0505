/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery: from the words to the list registers and back.
 *
 * What makes level-sensitive interrupts of emulated devices right (IHI 0069 5.2 has the list registers know nothing of
 * wires): while the wire is up, the list register asks for maintenance at the guest's EOI, when the interrupt becomes
 * pending again; a wire that falls makes it dirty, which takes the pending state and the request away. A driver that
 * quiets its device before the EOI thus costs no exit.
 */
#include "irqchip/vgicv3_impl.h"
#include "lib/host.h"

/* ---- One list register ------------------------------------------------------------------------------------------- */

/* Those that this vCPU would be signalled. A redistributor whose PE sleeps holds them back (IHI 0069 11.1). */
static uint32_t signalled(const struct vgicv3_cpu *cpu, const struct vgicv3_word *word)
{
    return cpu->asleep ? 0 : vgicv3_word_forwarded(cpu->gic, word);
}

/* Whether the interrupt is pending for this vCPU, be it active as well. */
static bool is_signalled(const struct vgicv3_cpu *cpu, const struct vgicv3_word *word, unsigned bit)
{
    return (signalled(cpu, word) >> bit & 1) != 0 && word->target[bit] == cpu->index;
}

static unsigned lr_irq(uint64_t lr)
{
    return (unsigned)(lr & ICH_LR_VINTID); /* as compose() put it there */
}

/*
 * Take back what list register `n` holds; it must be written before the guest goes on. LPIs have no active state, and
 * EOIs of those that are in no list register aren't counted (IHI 0069 12.4.2); some interfaces keep them active until
 * the EOI.
 */
static void fold(struct vgicv3_cpu *cpu, unsigned n)
{
    uint64_t lr = ich_lr_read(n);
    unsigned irq = lr_irq(lr);
    struct vgicv3_word *word = vgicv3_word_of(cpu, irq);
    uint32_t bit = 1U << irq % 32;

    if ((word->forced & bit) == 0 && irq < VGICV3_FIRST_LPI) {
        word->active = (lr & ICH_LR_ACTIVE) != 0 ? word->active | bit : word->active & ~bit;
    }
    if ((lr & ICH_LR_PENDING) != 0) {
        word->latch |= word->lr_latch & bit;
    }
    if ((lr & (ICH_LR_HW | ICH_LR_STATE)) == ICH_LR_HW) {
        word->hardware &= ~bit; /* the guest's deactivation went on to the physical interrupt */
    }
    word->forced &= ~bit;
    word->lr_latch &= ~bit;
    word->in_lr &= ~bit;
    cpu->lr_used &= ~(1U << n);
    cpu->lr_eoi &= ~(1U << n);
    if (word->target[irq % 32] != cpu->index && (word->active & bit) == 0) {
        vgicv3_changed(cpu->gic, word, bit); /* routed elsewhere meanwhile */
    }
}

static void write_lr(struct vgicv3_cpu *cpu, unsigned n, uint64_t lr)
{
    cpu->lr[n] = lr;
    ich_lr_write(n, lr);
}

/*
 * How list register and hardware go together: one that is linked can't be pending and active (IHI 0069 12.4.6), so for
 * that case the link is done by hand: the list register reports the EOI, and release_hardware() deactivates; also where
 * it is pending, but not signalled now. The same for one that is pending whatever its wire does: what is linked and
 * pending is the wire's.
 */
static uint64_t compose(const struct vgicv3_word *word, unsigned i, bool pending)
{
    uint32_t bit = 1U << i;
    bool active = (word->active & bit) != 0, again = pending || (word->latch & bit) != 0;
    unsigned irq = vgicv3_intid(word, i);
    uint64_t lr = irq | (uint64_t)vgicv3_word_priority(word, i) << ICH_LR_PRIORITY_SHIFT;

    lr |= (word->group1 & bit) != 0 ? ICH_LR_GROUP1 : 0;
    lr |= (pending ? ICH_LR_PENDING : 0) | (active ? ICH_LR_ACTIVE : 0);
    if ((word->hardware & bit) != 0 && !(again && (active || (word->wired & bit) == 0))) {
        return lr | ICH_LR_HW | (uint64_t)irq << ICH_LR_PINTID_SHIFT;
    }
    if (((word->level & ~word->edge) | word->hardware) & bit) {
        return lr | ICH_LR_EOI;
    }
    /* Pending, but not for this vCPU: whoever is to get it, gets it when it is active no more. */
    return (word->latch & bit) != 0 && !pending ? lr | ICH_LR_EOI : lr;
}

static void put(struct vgicv3_cpu *cpu, unsigned n, struct vgicv3_word *word, unsigned i, bool pending)
{
    uint32_t bit = 1U << i;
    uint64_t lr = compose(word, i, pending);

    if (pending) {
        word->lr_latch |= word->latch & bit;
        word->latch &= ~bit;
    }
    word->in_lr |= bit;
    word->owner[i] = cpu->index;
    word->slot[i] = (uint8_t)n;
    cpu->lr_used |= 1U << n;
    cpu->lr_eoi |= (lr & (ICH_LR_HW | ICH_LR_EOI)) == ICH_LR_EOI ? 1U << n : 0;
    write_lr(cpu, n, lr);
}

/* What may raise the maintenance interrupt, by condition; ICH_MISR_EL2 has the same bits. */
#define ALARMS                                                                                                         \
    (ICH_HCR_UIE | ICH_HCR_LRENPIE | ICH_HCR_NPIE | ICH_HCR_VGRP0EIE | ICH_HCR_VGRP0DIE | ICH_HCR_VGRP1EIE |           \
     ICH_HCR_VGRP1DIE)

/*
 * ICH_HCR_EL2.EOIcount counts only while it is asked for; reading it ends with writing it back to zero. None of what is
 * asked for can be so already, but QEMU 7.2 takes group 0 to be off while group 1 is: such a false alarm would keep the
 * guest from running for ever, so it is done without; also when the same was asked for before group 1 went off.
 */
static void write_hcr(struct vgicv3_cpu *cpu, uint32_t hcr)
{
    if (hcr == cpu->hcr && (hcr & ALARMS) == 0) {
        return;
    }
    cpu->hcr = hcr;
    ich_hcr_write(hcr);
    if ((hcr & ALARMS) != 0) {
        uint32_t false_alarms = ich_misr_read() & hcr & ALARMS;

        if (false_alarms != 0) {
            ich_hcr_write(hcr & ~false_alarms);
        }
    }
}

/* Deactivating went on to the hardware only from a linked list register; elsewhere it is for us to do. */
static void release_hardware(struct vgicv3_cpu *cpu)
{
    struct vgicv3_word *word = &cpu->private;
    uint32_t stale = word->hardware & ~(word->active | word->latch | word->in_lr);

    word->hardware &= ~stale;
    for (; stale != 0; stale &= stale - 1) {
        hal->irq_set_active(lowest_bit(stale), false);
    }
}

/* ---- All list registers: the best of what there is --------------------------------------------------------------- */

struct candidate {
    uint32_t key; /* lower is better */
    struct vgicv3_word *word;
    unsigned bit;
    bool pending; /* else merely active */
};

struct choice {
    uint32_t vmcr;
    uint32_t watched; /* groups that the guest turns on or off not without our noticing, as in ICH_VMCR_EL2 */
    unsigned count, max;
    bool pending_left, active_left; /* something of that kind found no place */
    struct candidate best[ICH_MAX_LRS];
};

/*
 * By priority, an active interrupt before one that is pending and can't preempt it. With that order, what is left out
 * is deliverable only after most of what is in; an active one that is left out is the outermost of nested handlers,
 * whose EOI comes last and is counted (IHI 0069 12.4.2 EOIcount). Two things change the order:
 *  - with EOImode 1 active interrupts don't hold back pending ones after the priority drop, so the pending ones come
 *    first;
 *  - pending interrupts of a group that the guest has turned off at its CPU interface come last.
 */
static uint32_t candidate_key(const struct choice *choice, const struct candidate *c)
{
    uint32_t key = vgicv3_word_priority(c->word, c->bit) << 1 | (c->pending ? 1U : 0U);

    if (!c->pending) {
        return (choice->vmcr & ICH_VMCR_VEOIM) != 0 ? key | 1U << 9 : key;
    }
    return (choice->vmcr & vgicv3_group(c->word, c->bit)) == 0 ? key | 1U << 10 : key;
}

static void leave_out(struct choice *choice, const struct candidate *c)
{
    choice->pending_left |= c->pending;
    choice->active_left |= !c->pending;
}

static void consider(struct choice *choice, struct candidate c)
{
    unsigned at = choice->count;

    c.key = candidate_key(choice, &c);
    if (choice->count < choice->max) {
        choice->count++;
    } else if (choice->best[--at].key <= c.key) {
        leave_out(choice, &c);
        return;
    } else {
        leave_out(choice, &choice->best[at]);
    }
    for (; at > 0 && choice->best[at - 1].key > c.key; at--) {
        choice->best[at] = choice->best[at - 1];
    }
    choice->best[at] = c;
}

static void consider_word(struct vgicv3_cpu *cpu, struct choice *choice, struct vgicv3_word *word)
{
    uint32_t pending = signalled(cpu, word) & ~word->active & ~word->in_lr;
    uint32_t todo;

    for (todo = pending | word->active; todo != 0; todo &= todo - 1) {
        unsigned bit = lowest_bit(todo);

        if (vgicv3_holder(word, bit) == cpu->index) {
            consider(choice, (struct candidate){.word = word, .bit = bit, .pending = pending >> bit & 1});
        }
    }
}

/* Ask for maintenance when the guest turns one of these groups (as in ICH_VMCR_EL2) off that is on, or on. */
static uint32_t watch_groups(uint32_t vmcr, uint32_t groups)
{
    uint32_t off = groups & vmcr, on = groups & ~vmcr;

    return ((on & ICH_VMCR_VENG0) != 0 ? ICH_HCR_VGRP0EIE : 0) | ((off & ICH_VMCR_VENG0) != 0 ? ICH_HCR_VGRP0DIE : 0) |
           ((on & ICH_VMCR_VENG1) != 0 ? ICH_HCR_VGRP1EIE : 0) | ((off & ICH_VMCR_VENG1) != 0 ? ICH_HCR_VGRP1DIE : 0);
}

/*
 * With 1-of-N interrupts: when the guest turns a group off of which it has one, others may have that; when it turns one
 * on that such interrupts wait for, it gets them.
 */
static void watch_for_roaming(const struct vgicv3 *gic, struct choice *choice)
{
    choice->watched = gic->stranded & ~choice->vmcr;
    for (unsigned i = 0; i < choice->count; i++) {
        const struct candidate *c = &choice->best[i];

        choice->watched |= vgicv3_roams(gic, c->word, c->bit) ? vgicv3_group(c->word, c->bit) & choice->vmcr : 0;
    }
}

/* The controls that bring the guest back here when something that was left out may be wanted. */
static uint32_t choose_hcr(struct choice *choice)
{
    uint32_t hcr = ICH_HCR_EN | ICH_HCR_TDIR;
    bool pending_in = false;

    for (unsigned i = 0; i < choice->count; i++) {
        pending_in |= choice->best[i].pending;
    }
    if (choice->pending_left) {
        hcr |= pending_in ? ICH_HCR_NPIE : ICH_HCR_UIE;
        choice->watched = ICH_VMCR_VENG0 | ICH_VMCR_VENG1;
    }
    if (choice->watched != 0) {
        hcr |= watch_groups(choice->vmcr, choice->watched);
    }
    return choice->active_left ? hcr | ICH_HCR_LRENPIE : hcr;
}

/*
 * The active interrupt of the highest priority that is this vCPU's and in no list register. That is the priority now:
 * of one whose priority the guest has changed in its handler, another handler's end may be taken for the end.
 */
static bool find_active_outside(struct vgicv3_cpu *cpu, struct vgicv3_word **word, uint32_t *mask)
{
    uint32_t best = UINT32_MAX;

    for (unsigned w = 0; w < VGICV3_WORDS; w++) {
        struct vgicv3_word *at = vgicv3_word(cpu, w);

        for (uint32_t todo = at->active & ~at->in_lr; todo != 0; todo &= todo - 1) {
            unsigned bit = lowest_bit(todo);

            if (at->owner[bit] == cpu->index && vgicv3_word_priority(at, bit) < best) {
                best = vgicv3_word_priority(at, bit);
                *word = at;
                *mask = 1U << bit;
            }
        }
    }
    return best != UINT32_MAX;
}

/*
 * EOIs that found no list register: with EOImode 0 they end the handlers from the innermost outwards. With EOImode 1
 * they deactivate nothing, and aren't counted (IHI 0069 12.4.2), but by QEMU 7.2; where ICC_DIR_EL1 doesn't trap (TDIR
 * is RES0), what is counted are writes to that.
 */
static void deactivate_counted(struct vgicv3_cpu *cpu, uint32_t vmcr)
{
    uint32_t hcr = ich_hcr_read(), mask;
    struct vgicv3_word *word;

    if ((vmcr & ICH_VMCR_VEOIM) != 0 && (hcr & ICH_HCR_TDIR) != 0) {
        return;
    }
    for (uint32_t n = hcr >> ICH_HCR_EOICOUNT_SHIFT; n > 0; n--) {
        if (!find_active_outside(cpu, &word, &mask)) {
            break;
        }
        vgicv3_clear_active(cpu->gic, word, mask);
    }
}

static void fold_all(struct vgicv3_cpu *cpu)
{
    if ((cpu->hcr & ICH_HCR_LRENPIE) != 0) {
        deactivate_counted(cpu, ich_vmcr_read());
    }
    while (cpu->lr_used != 0) {
        fold(cpu, lowest_bit(cpu->lr_used));
    }
}

/*
 * Of the chosen ones, what is pending again while active isn't so in its list register if something else is left out:
 * after its EOI it could be in the way, if its group is off. So the EOI is reported, and the best are chosen anew.
 */
static bool is_put_pending(const struct vgicv3_cpu *cpu, const struct choice *choice, const struct candidate *c)
{
    return c->pending || (!choice->pending_left && is_signalled(cpu, c->word, c->bit));
}

static void rebuild(struct vgicv3_cpu *cpu)
{
    struct choice choice = {.vmcr = ich_vmcr_read(), .max = lowest_bit(~cpu->lr_mask)};
    uint32_t used = cpu->lr_used;

    fold_all(cpu);
    vgicv3_learn_groups(cpu, choice.vmcr);
    for (unsigned w = 0; w < cpu->gic->words; w++) {
        consider_word(cpu, &choice, vgicv3_word(cpu, w));
    }
    cpu->dirty_words = 0;
    cpu->private.dirty = 0;
    for (unsigned n = 0; n < choice.count; n++) {
        const struct candidate *c = &choice.best[n];

        put(cpu, n, c->word, c->bit, is_put_pending(cpu, &choice, c));
    }
    for (used &= ~cpu->lr_used; used != 0; used &= used - 1) {
        write_lr(cpu, lowest_bit(used), 0);
    }
    if (cpu->gic->roaming) {
        watch_for_roaming(cpu->gic, &choice);
    }
    write_hcr(cpu, choose_hcr(&choice));
    cpu->rebuild = (cpu->hcr & ALARMS) != 0;
}

/* ---- Only what changed ------------------------------------------------------------------------------------------- */

/* A free list register, or ICH_MAX_LRS. Those that the guest is done with are folded when they are needed. */
static unsigned free_lr(struct vgicv3_cpu *cpu)
{
    if ((cpu->lr_mask & ~cpu->lr_used) == 0) {
        for (uint32_t done = ich_elrsr_read() & cpu->lr_used; done != 0; done &= done - 1) {
            fold(cpu, lowest_bit(done));
        }
    }
    return cpu->lr_mask & ~cpu->lr_used ? lowest_bit(cpu->lr_mask & ~cpu->lr_used) : ICH_MAX_LRS;
}

/* Bring the list register of one interrupt up to date. False: there is none left for it. */
static bool place(struct vgicv3_cpu *cpu, struct vgicv3_word *word, unsigned i)
{
    uint32_t bit = 1U << i;
    unsigned n = ICH_MAX_LRS;
    bool pending;

    if ((word->in_lr & bit) != 0) {
        n = word->slot[i];
        fold(cpu, n);
    }
    pending = is_signalled(cpu, word, i);
    if (!pending && (word->active & bit) == 0) {
        if (n != ICH_MAX_LRS) {
            write_lr(cpu, n, 0);
        }
        return true;
    }
    if (n == ICH_MAX_LRS) {
        n = free_lr(cpu);
    }
    if (n == ICH_MAX_LRS) {
        return false;
    }
    put(cpu, n, word, i, pending);
    return true;
}

/* Those of the word's dirty interrupts that are for this vCPU. */
static uint32_t dirty_here(struct vgicv3_cpu *cpu, struct vgicv3_word *word)
{
    uint32_t mine = 0;

    if (word->index == 0) {
        return word->dirty;
    }
    for (uint32_t todo = word->dirty; todo != 0; todo &= todo - 1) {
        unsigned bit = lowest_bit(todo);

        mine |= vgicv3_holder(word, bit) == cpu->index ? 1U << bit : 0;
    }
    return mine;
}

/* False: all list registers have to be looked at. */
static bool place_dirty(struct vgicv3_cpu *cpu)
{
    for (; cpu->dirty_words != 0; cpu->dirty_words &= cpu->dirty_words - 1) {
        struct vgicv3_word *word = vgicv3_word(cpu, lowest_bit(cpu->dirty_words));
        uint32_t todo = dirty_here(cpu, word);

        word->dirty &= ~todo;
        if ((todo & cpu->gic->roams[word->index]) != 0) {
            return false; /* which groups are on matters */
        }
        for (; todo != 0; todo &= todo - 1) {
            if (!place(cpu, word, lowest_bit(todo))) {
                return false;
            }
        }
    }
    return true;
}

/* Interrupts whose EOI is to be acted upon may have had it. */
static void mark_eoi(struct vgicv3_cpu *cpu)
{
    for (uint32_t todo = cpu->lr_eoi; todo != 0; todo &= todo - 1) {
        unsigned irq = lr_irq(cpu->lr[lowest_bit(todo)]);
        struct vgicv3_word *word = vgicv3_word_of(cpu, irq);

        word->dirty |= 1U << irq % 32;
        cpu->dirty_words |= 1U << word->index;
    }
}

static uint32_t take_inbox(struct vgicv3_cpu *cpu)
{
    uint32_t inbox;

    if (atomic_load_explicit(&cpu->inbox, memory_order_relaxed) == 0) {
        return 0;
    }
    inbox = atomic_exchange_explicit(&cpu->inbox, 0, memory_order_acquire);
    return (inbox & 0xffffU) | (inbox >> 16 & ~cpu->private.group1);
}

static void latch(struct vgicv3_cpu *cpu, uint32_t interrupts)
{
    cpu->private.latch |= interrupts;
    cpu->private.dirty |= interrupts;
    cpu->dirty_words |= 1U;
}

void vgicv3_merge_inbox(struct vgicv3_cpu *cpu)
{
    uint32_t sgis = take_inbox(cpu);

    if (sgis != 0) {
        latch(cpu, sgis);
    }
}

/* The vCPU folds all that others have marked: who waited for that needs to no more. */
__attribute__((noinline)) static void settled(struct vgicv3_cpu *cpu)
{
    struct vgicv3 *gic = cpu->gic;
    uint64_t others = ~(UINT64_C(1) << cpu->index);

    gic->settling &= others;
    for (uint64_t todo = gic->waiting; todo != 0; todo &= todo - 1) {
        gic->cpus[lowest_bit(todo)]->awaited &= others;
    }
}

static void settle(struct vgicv3_cpu *cpu)
{
    if ((cpu->gic->settling | cpu->gic->waiting) != 0) {
        settled(cpu);
    }
}

static bool is_pending_by_wire(const struct vgicv3_word *word, unsigned i)
{
    if ((word->in_lr >> i & 1) != 0) {
        return (ich_lr_read(word->slot[i]) & ICH_LR_STATE) == ICH_LR_PENDING;
    }
    return ((word->latch & ~word->active) >> i & 1) != 0;
}

/* Physical interrupts whose wire has fallen before the guest took them. */
static void look_at_wires(struct vgicv3_cpu *cpu)
{
    struct vgicv3_word *word = &cpu->private;

    for (uint32_t todo = word->hardware & word->wired; todo != 0; todo &= todo - 1) {
        unsigned i = lowest_bit(todo);

        if (is_pending_by_wire(word, i) && !cpu->gic->wire(cpu->vcpu, i)) {
            word->latch &= ~(1U << i);
            word->lr_latch &= ~(1U << i);
            word->dirty |= 1U << i;
            cpu->dirty_words |= 1U;
        }
    }
}

static void sync_locked(struct vgicv3_cpu *cpu)
{
    vgicv3_merge_inbox(cpu);
    look_at_wires(cpu);
    settle(cpu);
    if (cpu->lr_eoi != 0) {
        mark_eoi(cpu);
    }
    if (cpu->rebuild || !place_dirty(cpu)) {
        rebuild(cpu);
    }
    release_hardware(cpu);
}

void vgicv3_refold(struct vgicv3_cpu *cpu)
{
    cpu->rebuild = true;
    sync_locked(cpu);
}

/*
 * An SGI that was last delivered through the list register that it still has, with which the guest is done: if nothing
 * has changed about it but that it is pending again, it is pending there again.
 */
static inline bool deliver_again(struct vgicv3_cpu *cpu, unsigned irq)
{
    const struct vgicv3_word *word = &cpu->private;
    unsigned n = word->slot[irq];

    if (((word->in_lr & ~word->dirty) >> irq & 1) == 0 || (cpu->lr[n] & ICH_LR_STATE) != ICH_LR_PENDING ||
        (ich_elrsr_read() >> n & 1) == 0) {
        return false;
    }
    ich_lr_write(n, cpu->lr[n]);
    return true;
}

void vgicv3_sync(struct vgicv3_cpu *cpu)
{
    struct vgicv3 *gic = cpu->gic;
    uint32_t sgis;

    spin_lock(&gic->lock);
    sgis = take_inbox(cpu);
    if (sgis != 0 && ((sgis & (sgis - 1)) != 0 || !deliver_again(cpu, lowest_bit(sgis)))) {
        latch(cpu, sgis);
    }
    if (cpu->rebuild || (cpu->dirty_words | cpu->lr_eoi) != 0 || gic->settling != 0) {
        sync_locked(cpu);
    }
    vgicv3_unlock(gic, cpu->vcpu);
}

/* ---- Residence --------------------------------------------------------------------------------------------------- */

void vgicv3_load(struct vgicv3_cpu *cpu)
{
    unsigned lrs = ich_lr_count();

    for (unsigned n = 0; n < ich_ap_count(); n++) {
        ich_ap0r_write(n, cpu->ap0r[n]);
        ich_ap1r_write(n, cpu->ap1r[n]);
    }
    ich_vmcr_write(cpu->vmcr);
    for (unsigned n = 0; n < lrs; n++) {
        ich_lr_write(n, 0);
    }
    cpu->lr_mask = (1U << lrs) - 1;
    spin_lock(&cpu->gic->lock);
    vgicv3_refold(cpu);
    vgicv3_unlock(cpu->gic, cpu->vcpu);
}

void vgicv3_save(struct vgicv3_cpu *cpu)
{
    spin_lock(&cpu->gic->lock);
    look_at_wires(cpu);
    fold_all(cpu);
    settle(cpu);
    cpu->lr_waiting = false;
    cpu->hcr = 0;
    cpu->vmcr = ich_vmcr_read();
    vgicv3_learn_groups(cpu, cpu->vmcr);
    vgicv3_unlock(cpu->gic, cpu->vcpu);
    for (unsigned n = 0; n < ich_ap_count(); n++) {
        cpu->ap0r[n] = ich_ap0r_read(n);
        cpu->ap1r[n] = ich_ap1r_read(n);
    }
    ich_hcr_write(0);
}

/* ---- Interrupts of the hardware ---------------------------------------------------------------------------------- */

/* No lock: only this pCPU touches its list registers and in_lr of its private interrupts. */
void vgicv3_hardware_irq(struct vgicv3_cpu *cpu, uint32_t irq)
{
    struct vgicv3_word *word = &cpu->private;
    unsigned n;

    if (irq >= 32) {
        return;
    }
    n = word->slot[irq];
    if ((word->in_lr >> irq & 1) != 0 && (cpu->lr[n] & (ICH_LR_HW | ICH_LR_STATE)) == (ICH_LR_HW | ICH_LR_PENDING)) {
        /*
         * It was last delivered through this list register, and if something about it has changed since, the next sync
         * will see to that. The guest is done with it there, or it would still be active.
         */
        ich_lr_write(n, cpu->lr[n]);
        return;
    }
    spin_lock(&cpu->gic->lock);
    if ((word->in_lr >> irq & 1) != 0) {
        fold(cpu, n);
        write_lr(cpu, n, 0);
    }
    word->wired = (word->wired & ~(1U << irq)) | (~word->latch & 1U << irq);
    word->hardware |= 1U << irq;
    latch(cpu, 1U << irq);
    sync_locked(cpu);
    vgicv3_unlock(cpu->gic, cpu->vcpu);
}

bool vgicv3_hardware_active(const struct vgicv3_cpu *cpu, uint32_t irq)
{
    const struct vgicv3_word *word = &cpu->private;

    return irq < 32 && (word->hardware & (word->active | word->latch)) >> irq & 1;
}

/* ---- What a waiting vCPU would wake up for ----------------------------------------------------------------------- */

/* The running priority: of the lowest bit in the active priority registers of both groups; 0x100: none. */
static uint32_t running_priority(void)
{
    unsigned count = ich_ap_count();

    for (unsigned n = 0; n < count; n++) {
        uint32_t active = ich_ap0r_read(n) | ich_ap1r_read(n);

        if (active != 0) {
            return (n * 32 + lowest_bit(active)) * 8 / count;
        }
    }
    return 0x100;
}

/*
 * IHI 0069 4.8.2, 4.8.5: an interrupt is signalled if its group is on, its priority is higher (less) than the mask's,
 * and its group priority, which has the bits that the binary point leaves of it, higher than that of what is active.
 */
static void look_at_interface(struct vgicv3_cpu *cpu)
{
    uint32_t vmcr = ich_vmcr_read(), mask = vmcr >> ICH_VMCR_VPMR_SHIFT, running = running_priority();
    uint32_t point[2] = {(vmcr >> ICH_VMCR_VBPR0_SHIFT & 7) + 1, vmcr >> ICH_VMCR_VBPR1_SHIFT & 7};

    vgicv3_learn_groups(cpu, vmcr);
    point[1] = (vmcr & ICH_VMCR_VCBPR) != 0 ? point[0] : point[1];
    for (unsigned group = 0; group < 2; group++) {
        uint32_t below = running & ~0U << point[group];

        below = below < mask ? below : mask;
        cpu->wakes_below[group] = (uint8_t)((vmcr & ICH_VMCR_VENG0 << group) != 0 ? below : 0);
    }
}

static bool wakes(const struct vgicv3_cpu *cpu, bool group1, uint64_t priority)
{
    return (priority & 0xff) < cpu->wakes_below[group1 ? 1 : 0];
}

static bool any_lr_pending(const struct vgicv3_cpu *cpu)
{
    for (uint32_t todo = cpu->lr_used; todo != 0; todo &= todo - 1) {
        uint64_t lr = ich_lr_read(lowest_bit(todo));

        if ((lr & ICH_LR_STATE) == ICH_LR_PENDING &&
            wakes(cpu, (lr & ICH_LR_GROUP1) != 0, lr >> ICH_LR_PRIORITY_SHIFT)) {
            return true;
        }
    }
    return false;
}

/* In no list register; while it sleeps, of any priority: the redistributor's WakeRequest (IHI 0069 11.1). */
static bool any_word_pending(struct vgicv3_cpu *cpu)
{
    for (unsigned w = 0; w < cpu->gic->words; w++) {
        struct vgicv3_word *word = vgicv3_word(cpu, w);

        for (uint32_t todo = vgicv3_word_forwarded(cpu->gic, word) & ~(word->active | word->in_lr); todo != 0;
             todo &= todo - 1) {
            unsigned bit = lowest_bit(todo);

            if (vgicv3_holder(word, bit) == cpu->index &&
                (cpu->asleep || wakes(cpu, (word->group1 >> bit & 1) != 0, vgicv3_word_priority(word, bit)))) {
                return true;
            }
        }
    }
    return false;
}

/*
 * Where the vCPU is resident its CPU interface is looked at; elsewhere, lr_waiting and wakes_below say what was seen
 * there last: that doesn't change while it waits.
 */
bool vgicv3_pending(struct vgicv3_cpu *cpu)
{
    bool pending;

    spin_lock(&cpu->gic->lock);
    if (atomic_load_explicit(&cpu->vcpu->resident_on, memory_order_relaxed) == (int32_t)hal->pcpu_id()) {
        look_at_interface(cpu);
        sync_locked(cpu);
        cpu->lr_waiting = any_lr_pending(cpu);
    }
    vgicv3_merge_inbox(cpu);
    pending = cpu->lr_waiting || any_word_pending(cpu);
    vgicv3_unlock(cpu->gic, NULL);
    return pending;
}

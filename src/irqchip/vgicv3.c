/* SPDX-License-Identifier: Apache-2.0 */
/* The GIC as a whole: what interrupts are told to it, and which vCPUs it tells; set-up and reset. */
#include "irqchip/vgicv3_impl.h"
#include "core/vm.h"
#include "lib/log.h"

#include <string.h>

/* ---- Telling vCPUs ----------------------------------------------------------------------------------------------- */

/* A vCPU that is handling its own exit here looks at its requests before it enters the guest: no kick. */
static void request(struct axvm_vcpu *vcpu, const struct axvm_vcpu *from)
{
    if (vcpu == from) {
        atomic_fetch_or_explicit(&vcpu->requests, VCPU_REQ_IRQ, memory_order_relaxed);
    } else {
        vcpu_request(vcpu, VCPU_REQ_IRQ);
    }
}

void vgicv3_unlock_and_poke(struct vgicv3 *gic, const struct axvm_vcpu *from)
{
    uint64_t pokes = gic->pokes;

    gic->pokes = 0;
    spin_unlock(&gic->lock);
    for (; pokes != 0; pokes &= pokes - 1) {
        request(gic->cpus[lowest_bit(pokes)]->vcpu, from);
    }
}

static bool participates(const struct vgicv3_cpu *cpu)
{
    return atomic_load(&cpu->vcpu->power) == VCPU_ON && !cpu->asleep;
}

/* Nobody is known to have the group on. Guests turn it on without an exit: everyone looks, and asks to be told. */
static void strand(struct vgicv3 *gic, uint64_t awake, uint32_t group)
{
    if ((gic->stranded & group) != 0) {
        return;
    }
    gic->stranded |= group;
    for (; awake != 0; awake &= awake - 1) {
        vgicv3_cpu_changed(gic->cpus[lowest_bit(awake)]);
    }
}

/*
 * For a 1-of-N interrupt: the vCPU that it has, if that is powered on and awake and has the group on, else the first
 * that is and has (IHI 0069 3.3, 11.1: the choice is the implementation's). If there is none, one without the group.
 */
static uint8_t any_vcpu(struct vgicv3 *gic, uint8_t present, uint32_t group)
{
    uint64_t awake = 0, able = 0;

    for (unsigned i = 0; i < gic->cpu_count; i++) {
        uint64_t bit = participates(gic->cpus[i]) ? UINT64_C(1) << i : 0;

        awake |= bit;
        able |= (gic->cpus[i]->groups & group) != 0 ? bit : 0;
    }
    if (able == 0) {
        strand(gic, awake, group);
        able = awake != 0 ? awake : 1;
    }
    return present < gic->cpu_count && (able >> present & 1) != 0 ? present : (uint8_t)lowest_bit(able);
}

void vgicv3_mark(struct vgicv3 *gic, struct vgicv3_word *word, uint32_t mask)
{
    uint32_t todo = mask & (word->in_lr | word->active | word->hardware | vgicv3_word_forwarded(gic, word));

    for (; todo != 0; todo &= todo - 1) {
        unsigned bit = lowest_bit(todo);
        uint8_t cpu;

        if (vgicv3_roams(gic, word, bit)) {
            word->target[bit] = any_vcpu(gic, word->target[bit], vgicv3_group(word, bit));
        }
        cpu = vgicv3_holder(word, bit);
        if (cpu != VGICV3_NO_VCPU) {
            word->dirty |= 1U << bit;
            gic->cpus[cpu]->dirty_words |= 1U << word->index;
            gic->pokes |= UINT64_C(1) << cpu;
        }
    }
}

static void choose_again(struct vgicv3 *gic, struct vgicv3_word *word)
{
    uint32_t todo = gic->roams[word->index] & (word->in_lr | vgicv3_word_forwarded(gic, word));

    for (; todo != 0; todo &= todo - 1) {
        unsigned bit = lowest_bit(todo), target = word->target[bit];

        if (any_vcpu(gic, word->target[bit], vgicv3_group(word, bit)) != target) {
            vgicv3_mark(gic, word, 1U << bit);
        }
    }
}

void vgicv3_choose_again(struct vgicv3 *gic)
{
    gic->stranded = 0;
    for (unsigned w = 1; gic->roaming && w < VGICV3_WORDS; w++) {
        choose_again(gic, &gic->spi[w]);
    }
}

void vgicv3_cpu_off(struct vgicv3_cpu *cpu)
{
    spin_lock(&cpu->gic->lock);
    vgicv3_choose_again(cpu->gic);
    vgicv3_unlock(cpu->gic, cpu->vcpu);
}

void vgicv3_settle(struct vgicv3 *gic, const struct axvm_vcpu *from, const struct vgicv3_word *word, uint32_t mask)
{
    for (uint32_t todo = mask & word->in_lr; todo != 0; todo &= todo - 1) {
        uint8_t owner = word->owner[lowest_bit(todo)];

        gic->settling |= from == NULL || owner != from->id ? UINT64_C(1) << owner : 0;
    }
}

void vgicv3_cpu_changed(struct vgicv3_cpu *cpu)
{
    cpu->rebuild = true;
    cpu->gic->pokes |= UINT64_C(1) << cpu->index;
}

/* ---- Where interrupts come from ---------------------------------------------------------------------------------- */

static int no_such_irq(const struct vgicv3 *gic, uint32_t irq)
{
    return fail(AXVM_EINVAL, "VM %u: the GIC has no interrupt %u", gic->vm->id, irq);
}

int vgicv3_pulse(struct vgicv3_cpu *cpu, uint32_t irq)
{
    struct vgicv3_word *word;

    if (irq >= VGICV3_MAX_IRQS) {
        return no_such_irq(cpu->gic, irq);
    }
    word = vgicv3_word(cpu, irq / 32);
    spin_lock(&cpu->gic->lock);
    word->latch |= 1U << irq % 32;
    word->wired &= ~(1U << irq % 32);
    vgicv3_changed(cpu->gic, word, 1U << irq % 32);
    vgicv3_unlock(cpu->gic, NULL);
    return AXVM_OK;
}

static void drive(struct vgicv3 *gic, struct vgicv3_word *word, uint32_t bit, bool level)
{
    spin_lock(&gic->lock);
    if (((word->level & bit) != 0) != level) {
        word->level ^= bit;
        word->latch |= level ? word->edge & bit : 0;
        vgicv3_changed(gic, word, bit);
    }
    vgicv3_unlock(gic, NULL);
}

int vgicv3_set_line(struct vgicv3 *gic, uint32_t irq, bool level)
{
    if (irq < 32 || irq >= VGICV3_MAX_IRQS) {
        return no_such_irq(gic, irq);
    }
    drive(gic, &gic->spi[irq / 32], 1U << irq % 32, level);
    return AXVM_OK;
}

void vgicv3_set_private_line(struct vgicv3_cpu *cpu, uint32_t irq, bool level)
{
    drive(cpu->gic, &cpu->private, 1U << irq % 32, level);
}

static void post(const struct vgicv3_cpu *from, unsigned to, uint32_t sgi)
{
    struct vgicv3_cpu *cpu = from->gic->cpus[to];

    atomic_fetch_or_explicit(&cpu->inbox, sgi, memory_order_release);
    request(cpu->vcpu, from->vcpu);
}

/*
 * Fields of ICC_SGI1R_EL1 and its like (IHI 0069 12.2): TargetList at [15:0], a bit for each of sixteen CPUs; Aff1 at
 * [23:16], INTID at [27:24], Aff2 at [39:32], IRM at 40, RS at [47:44], Aff3 at [55:48].
 */
#define SGI_IRM (UINT64_C(1) << 40)
#define SGI_FAR UINT64_C(0x00fff1ff00000000) /* all from Aff2 upwards */

__attribute__((noinline)) static void send_to_any(const struct vgicv3_cpu *from, uint64_t value, uint32_t sgi)
{
    const struct vgicv3 *gic = from->gic;
    uint32_t cluster = (uint32_t)((value >> 48 & 0xff) << 16 | (value >> 32 & 0xff) << 8 | (value >> 16 & 0xff));
    uint32_t range = cluster << 4 | (value >> 44 & 0xf); /* of sixteen, as in affinity >> 4 */

    for (unsigned i = 0; i < gic->cpu_count; i++) {
        uint32_t affinity = gic->affinity[i];
        bool named = affinity >> 4 == range && (value >> (affinity & 0xf) & 1) != 0;

        if ((value & SGI_IRM) != 0 ? i != from->index : named) {
            post(from, i, sgi);
        }
    }
}

/*
 * With one security state, SGI1R reaches interrupts of both groups, and SGI0R and ASGI1R only those of group 0 (IHI
 * 0069, "Forwarding an SGI to a target PE"). What guests mostly do is fast: one target, in the usual numbering of CPUs.
 */
void vgicv3_send_sgi(struct vgicv3_cpu *from, uint64_t value, enum vgicv3_sgi_group group)
{
    const struct vgicv3 *gic = from->gic;
    uint32_t sgi = 1U << (value >> 24 & 0xf) << (group == VGICV3_SGI1 ? 0 : 16);
    uint32_t list = value & 0xffffU;

    if ((value & SGI_FAR) == 0 && list != 0 && (list & (list - 1)) == 0) {
        uint32_t affinity = (value >> 8 & 0xff00U) | lowest_bit(list);
        uint32_t usual = (value >> 12 & 0xff0U) + lowest_bit(list);

        if (usual < gic->cpu_count && gic->affinity[usual] == affinity) {
            post(from, usual, sgi);
            return;
        }
    }
    send_to_any(from, value, sgi);
}

void vgicv3_deactivate(struct vgicv3_cpu *cpu, uint64_t value)
{
    uint32_t irq = value & 0xffffffU;
    struct vgicv3 *gic = cpu->gic;

    if (irq >= VGICV3_MAX_IRQS || (ich_vmcr_read() & ICH_VMCR_VEOIM) == 0) {
        return; /* IHI 0069 12.2.4: with EOImode 0 the write has no defined effect */
    }
    spin_lock(&gic->lock);
    vgicv3_clear_active(gic, vgicv3_word(cpu, irq / 32), 1U << irq % 32);
    vgicv3_unlock(gic, cpu->vcpu);
}

/* ---- Power-on ---------------------------------------------------------------------------------------------------- */

uint8_t vgicv3_find(const struct vgicv3 *gic, uint32_t affinity)
{
    for (unsigned i = 0; i < gic->cpu_count; i++) {
        if (gic->affinity[i] == affinity) {
            return (uint8_t)i;
        }
    }
    return VGICV3_NO_VCPU;
}

/*
 * All that isn't set here is zero. Groups reset to unknown values (IHI 0069 12.9.14); group 1, so that a guest that
 * leaves them alone gets IRQs. SGIs are edge-triggered for good.
 */
void vgicv3_word_reset(struct vgicv3_word *word, unsigned index, uint8_t target)
{
    *word = (struct vgicv3_word){.index = (uint8_t)index, .group1 = UINT32_MAX, .level = word->level};
    word->edge = index == 0 ? 0xffffU : 0;
    for (unsigned i = 0; i < 32; i++) {
        word->target[i] = target;
    }
}

/* SPIs are routed to the first vCPU until the guest says otherwise (IROUTER resets to an unknown value). */
static void spis_reset(struct vgicv3 *gic)
{
    uint64_t affinity = gic->cpu_count > 0 ? gic->cpus[0]->vcpu->phys_id : 0;

    gic->ctlr = 0;
    gic->stranded = 0;
    gic->roaming = false;
    memset(gic->roams, 0, sizeof(gic->roams));
    for (unsigned w = 1; w < VGICV3_WORDS; w++) {
        vgicv3_word_reset(&gic->spi[w], w, 0);
    }
    for (unsigned irq = 32; irq < VGICV3_MAX_IRQS; irq++) {
        gic->irouter[irq] = affinity & IROUTER_MASK & ~IROUTER_IRM;
    }
}

void vgicv3_cpu_reset(struct vgicv3_cpu *cpu)
{
    cpu->vmcr = ICH_VMCR_VFIQEN; /* read-as-one with system registers only */
    for (unsigned n = 0; n < 4; n++) {
        cpu->ap0r[n] = 0;
        cpu->ap1r[n] = 0;
    }
}

/* Awake, as the firmware leaves it that the guest believes to have been there (hardware resets to asleep). */
static void redist_reset(struct vgicv3_cpu *cpu)
{
    vgicv3_word_reset(&cpu->private, 0, cpu->index);
    atomic_store(&cpu->inbox, 0);
    cpu->asleep = false;
    cpu->groups = 0;
    cpu->awaited = 0;
    vgicv3_lpi_cpu_reset(cpu);
    vgicv3_cpu_reset(cpu);
}

void vgicv3_reset(struct vgicv3 *gic)
{
    spis_reset(gic);
    vgicv3_lpi_reset(gic);
    gic->waiting = 0;
    for (unsigned i = 0; i < gic->cpu_count; i++) {
        redist_reset(gic->cpus[i]);
    }
}

void vgicv3_init(struct vgicv3 *gic, struct axvm *vm)
{
    memset(gic, 0, sizeof(*gic));
    gic->vm = vm;
    spis_reset(gic);
    vgicv3_lpi_reset(gic);
    vgicv3_dist_init(gic);
    vgicv3_redist_init(gic);
}

void vgicv3_attach(struct vgicv3 *gic, struct vgicv3_cpu *cpu, struct axvm_vcpu *vcpu)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->vcpu = vcpu;
    cpu->gic = gic;
    cpu->index = (uint8_t)gic->cpu_count;
    gic->cpus[gic->cpu_count] = cpu;
    gic->affinity[gic->cpu_count] = vgicv3_pack_affinity(vcpu->phys_id);
    gic->cpu_count++;
    redist_reset(cpu);
    if (cpu->index == 0) {
        spis_reset(gic);
    }
}

int vgicv3_add_devices(struct vgicv3 *gic, gpa_t dist, gpa_t redist)
{
    int error;

    gic->dist.base = dist.v;
    gic->redist.base = redist.v;
    gic->redist.size = gic->vm->config.cpu_num * VGICV3_REDIST_SIZE;
    error = axvm_add_device(gic->vm, &gic->dist);
    return error != AXVM_OK ? error : axvm_add_device(gic->vm, &gic->redist);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the emulated GICv3. `gic->lock` is held wherever nothing else is said. */
#ifndef AXVM_IRQCHIP_VGICV3_IMPL_H
#define AXVM_IRQCHIP_VGICV3_IMPL_H

#include "device/bus.h"
#include "irqchip/vgicv3.h"

#define GICD_CTLR_ENABLE_GRP0 (1U << 0)
#define GICD_CTLR_ENABLE_GRP1 (1U << 1)

#define IROUTER_IRM (UINT64_C(1) << 31)
#define IROUTER_MASK UINT64_C(0xff80ffffff)

#define PRIORITY_MASK 0xf8f8f8f8U /* 32 levels in each byte, as many as a virtual CPU interface surely has */

/* ProductID 'X', no JEP106 code. (Zero is that of a chip with an erratum.) */
#define GIC_IIDR 0x58000000U

static inline unsigned lowest_bit(uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits);
}

static inline struct vgicv3_word *vgicv3_word(struct vgicv3_cpu *cpu, unsigned index)
{
    return index == 0 ? &cpu->private : &cpu->gic->spi[index];
}

/* The interrupt's group, as a bit of ICH_VMCR_EL2. */
static inline uint32_t vgicv3_group(const struct vgicv3_word *word, unsigned bit)
{
    return ICH_VMCR_VENG0 << (word->group1 >> bit & 1);
}

/* INTID of an interrupt, and the word it is in (as `INTID % 32`). */
#define VGICV3_LPI_GAP (VGICV3_FIRST_LPI - VGICV3_MAX_IRQS)

static inline unsigned vgicv3_intid(const struct vgicv3_word *word, unsigned bit)
{
    return word->index * 32U + bit + (word->index < VGICV3_WORDS ? 0 : VGICV3_LPI_GAP);
}

static inline struct vgicv3_word *vgicv3_word_of(struct vgicv3_cpu *cpu, unsigned intid)
{
    return vgicv3_word(cpu, (intid < VGICV3_FIRST_LPI ? intid : intid - VGICV3_LPI_GAP) / 32);
}

/* IHI 0069 4.8: a level-sensitive interrupt is pending while its wire is up, and by a write to ISPENDR. */
static inline uint32_t vgicv3_word_pending(const struct vgicv3_word *word)
{
    return word->latch | (word->level & ~word->edge);
}

/* Those that are pending and that the distributor forwards, whatever their active state. */
static inline uint32_t vgicv3_word_forwarded(const struct vgicv3 *gic, const struct vgicv3_word *word)
{
    uint32_t groups = (gic->ctlr & GICD_CTLR_ENABLE_GRP0 ? ~word->group1 : 0) |
                      (gic->ctlr & GICD_CTLR_ENABLE_GRP1 ? word->group1 : 0);

    return vgicv3_word_pending(word) & word->enabled & groups;
}

static inline uint32_t vgicv3_word_priority(const struct vgicv3_word *word, unsigned bit)
{
    return word->priority[bit / 4] >> (bit % 4 * 8) & 0xffU;
}

/* The vCPU that has the interrupt, or is to get it; VGICV3_NO_VCPU: none. */
static inline uint8_t vgicv3_holder(const struct vgicv3_word *word, unsigned bit)
{
    return ((word->in_lr | word->active) >> bit & 1) != 0 ? word->owner[bit] : word->target[bit];
}

/*
 * Give up the lock, then tell the vCPUs in gic->pokes. `from` is the vCPU on whose behalf this is done where it is
 * resident, or NULL.
 */
void vgicv3_unlock_and_poke(struct vgicv3 *gic, const struct axvm_vcpu *from);

static inline void vgicv3_unlock(struct vgicv3 *gic, const struct axvm_vcpu *from)
{
    if (gic->pokes == 0) {
        spin_unlock(&gic->lock);
    } else {
        vgicv3_unlock_and_poke(gic, from);
    }
}

/*
 * Something about the interrupts in `mask` changed: see that the vCPUs that have them, or are to get them, look at
 * them. vgicv3_changed() is for changes that leave inactive what isn't pending.
 */
void vgicv3_mark(struct vgicv3 *gic, struct vgicv3_word *word, uint32_t mask);

static inline void vgicv3_changed(struct vgicv3 *gic, struct vgicv3_word *word, uint32_t mask)
{
    if ((mask & (word->in_lr | word->active | word->latch | word->level)) != 0) {
        vgicv3_mark(gic, word, mask);
    }
}

/* The vCPUs that have these in list registers, other than `from`, keep RWP set until they have given them back. */
void vgicv3_settle(struct vgicv3 *gic, const struct axvm_vcpu *from, const struct vgicv3_word *word, uint32_t mask);

/* Some vCPU may take 1-of-N interrupts no more, or again: let another one have those that wait. */
void vgicv3_choose_again(struct vgicv3 *gic);

/* So if, as its ICH_VMCR_EL2 says, the guest has turned a group on or off at this vCPU's CPU interface. */
static inline void vgicv3_learn_groups(struct vgicv3_cpu *cpu, uint32_t vmcr)
{
    uint8_t groups = vmcr & (ICH_VMCR_VENG0 | ICH_VMCR_VENG1);

    if (groups != cpu->groups) {
        cpu->groups = groups;
        vgicv3_choose_again(cpu->gic);
    }
}

/* Whether it is a 1-of-N interrupt (GICD_IROUTER.Interrupt_Routing_Mode). */
static inline bool vgicv3_roams(const struct vgicv3 *gic, const struct vgicv3_word *word, unsigned bit)
{
    return (gic->roams[word->index] >> bit & 1) != 0;
}

/* Something changed about everything of this vCPU. */
void vgicv3_cpu_changed(struct vgicv3_cpu *cpu);

/* SGIs that were sent to `cpu` become pending. */
void vgicv3_merge_inbox(struct vgicv3_cpu *cpu);

/* Read all list registers of `cpu`, which is resident here, into the words, and fill them again. */
void vgicv3_refold(struct vgicv3_cpu *cpu);

/* The vCPU with this affinity, as in vgicv3.affinity, or VGICV3_NO_VCPU. */
uint8_t vgicv3_find(const struct vgicv3 *gic, uint32_t affinity);

/* Aff3 at [39:32] and the others at [23:0], as MPIDR_EL1 and IROUTER have them, in 32 bits. */
static inline uint32_t vgicv3_pack_affinity(uint64_t affinity)
{
    return (uint32_t)(affinity >> 8 & 0xff000000U) | (uint32_t)(affinity & 0xffffffU);
}

/*
 * The registers that distributor and SGI_base frame have alike, at offsets 0x80 to 0xfff: `bank` is the vCPU whose
 * private interrupts they are (its inbox merged), NULL for the distributor's. Lock not held; `from` makes the access.
 * Wrong widths, and all that isn't there: RAZ/WI. As an axvm_device_ops returns, or BUS_AGAIN.
 */
#define VGICV3_WORD_REGS 0x80U
#define VGICV3_WORD_REGS_END 0x1000U
int vgicv3_regs_read(struct vgicv3 *gic, struct axvm_vcpu *from, struct vgicv3_cpu *bank, uint64_t offset,
                     unsigned size, uint64_t *value);
int vgicv3_regs_write(struct vgicv3 *gic, struct axvm_vcpu *from, struct vgicv3_cpu *bank, uint64_t offset,
                      unsigned size, uint32_t value);

/* What a register of eight bytes becomes by a write of four or eight, whose offset's lowest three bits count. */
static inline uint64_t vgicv3_merge(uint64_t old, uint64_t offset, unsigned size, uint64_t value)
{
    uint64_t mask = size == 8 ? UINT64_MAX : UINT64_C(0xffffffff) << (offset % 8 * 8);

    return (old & ~mask) | (value << (offset % 8 * 8) & mask);
}

/*
 * LPIs of a redistributor: GICR_CTLR.EnableLPIs, which stays set (IHI 0069 12.11), and GICR_PROPBASER and
 * GICR_PENDBASER at offsets 0x70 to 0x7f, of which an access has four or eight bytes and is aligned. Lock not held.
 */
void vgicv3_lpi_enable(struct vgicv3_cpu *cpu, const struct axvm_vcpu *from);
uint64_t vgicv3_lpi_base_read(struct vgicv3_cpu *cpu, unsigned offset);
void vgicv3_lpi_base_write(struct vgicv3_cpu *cpu, unsigned offset, unsigned size, uint64_t value);

/* As after power-on; of a vCPU. */
void vgicv3_lpi_reset(struct vgicv3 *gic);
void vgicv3_lpi_cpu_reset(struct vgicv3_cpu *cpu);

/* Everything zero but what is told: as after power-on. */
void vgicv3_word_reset(struct vgicv3_word *word, unsigned index, uint8_t target);

/* GICD_ICACTIVER and ICC_DIR: make inactive. */
void vgicv3_clear_active(struct vgicv3 *gic, struct vgicv3_word *word, uint32_t mask);

/* Identification registers at 0xffd0 to 0xffff of a frame. */
#define VGICV3_IDS 0xffd0U
uint32_t vgicv3_id_read(uint64_t offset, unsigned size);

void vgicv3_dist_init(struct vgicv3 *gic);
void vgicv3_redist_init(struct vgicv3 *gic);

#endif

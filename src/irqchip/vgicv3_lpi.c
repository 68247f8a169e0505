/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LPIs at the redistributors (IHI 0069 5.1). The guest's tables are read at EnableLPIs; the configuration table also
 * when the ITS says so. Nothing is written to them: a pending table is the redistributor's own from EnableLPIs on, for
 * good.
 *
 * What can't be read, for it is no RAM, reads as zero: such an LPI is disabled, and not pending.
 */
#include "core/vm.h"
#include "irqchip/vgicv3_impl.h"

#include <string.h>

#define GICR_PROPBASER 0x0070U

#define BASER_ADDRESS UINT64_C(0x000ffffffffff000)
#define BASER_ATTRIBUTES (UINT64_C(7) << 56 | UINT64_C(3) << 10 | UINT64_C(7) << 7) /* caches, shareability: kept */
#define PROPBASER_ID_BITS UINT64_C(0x1f)
#define PROPBASER_MASK (BASER_ADDRESS | BASER_ATTRIBUTES | PROPBASER_ID_BITS)
#define PENDBASER_PTZ (UINT64_C(1) << 62)
#define PENDBASER_ADDRESS UINT64_C(0x000fffffffff0000)
#define PENDBASER_MASK (PENDBASER_ADDRESS | BASER_ATTRIBUTES | PENDBASER_PTZ)

/* GICR_PROPBASER.IDbits + 1 that cover all LPIs there are; with less, there are none below 8192 + 1. */
#define LPI_ID_BITS 14U

/* A byte of the configuration table: the priority in bits 7:2, enabled in bit 0. */
#define CONFIG_ENABLE 1U

static struct vgicv3_word *word_of(struct vgicv3 *gic, unsigned lpi)
{
    return &gic->spi[VGICV3_WORDS + lpi / 32];
}

static bool ids_suffice(const struct vgicv3 *gic)
{
    return (gic->propbaser & PROPBASER_ID_BITS) + 1 >= LPI_ID_BITS;
}

/* ---- The guest's tables ------------------------------------------------------------------------------------------ */

static void read_table(struct vgicv3 *gic, uint64_t address, void *to, unsigned size)
{
    if (!ids_suffice(gic) || addrspace_read(&gic->vm->as, gpa(address), to, size) != AXVM_OK) {
        memset(to, 0, size);
    }
}

static void configure(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned lpi, uint8_t config)
{
    struct vgicv3_word *word = word_of(gic, lpi);
    uint32_t *priority = &word->priority[lpi % 32 / 4];
    unsigned shift = lpi % 4 * 8;
    uint32_t bit = 1U << lpi % 32;
    bool was_enabled = (word->enabled & bit) != 0;
    bool enabled = (config & CONFIG_ENABLE) != 0;
    uint32_t wanted = (*priority & ~(0xffU << shift)) | ((uint32_t)config << shift & PRIORITY_MASK);

    if (wanted == *priority && enabled == was_enabled) {
        return;
    }
    *priority = wanted;
    word->enabled = enabled ? word->enabled | bit : word->enabled & ~bit;
    vgicv3_changed(gic, word, bit);
    if (!enabled) {
        vgicv3_settle(gic, from, word, bit);
    }
}

static void load_configuration(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned first, unsigned count)
{
    uint8_t table[VGICV3_LPIS];

    if (!gic->lpis_on) {
        return;
    }
    read_table(gic, (gic->propbaser & BASER_ADDRESS) + first, table, count);
    for (unsigned i = 0; i < count; i++) {
        configure(gic, from, first + i, table[i]);
    }
}

static void set_pending(struct vgicv3 *gic, unsigned lpi, unsigned target)
{
    struct vgicv3_word *word = word_of(gic, lpi);

    word->target[lpi % 32] = (uint8_t)target;
    word->latch |= 1U << lpi % 32;
    vgicv3_changed(gic, word, 1U << lpi % 32);
}

/* A bit for each INTID; the first 8192 are unused. */
static void load_pending(struct vgicv3_cpu *cpu)
{
    uint8_t table[VGICV3_LPIS / 8];

    if ((cpu->pendbaser & PENDBASER_PTZ) != 0) {
        return;
    }
    read_table(cpu->gic, (cpu->pendbaser & PENDBASER_ADDRESS) + VGICV3_FIRST_LPI / 8, table, sizeof(table));
    for (unsigned lpi = 0; lpi < VGICV3_LPIS; lpi++) {
        if ((table[lpi / 8] >> lpi % 8 & 1) != 0) {
            set_pending(cpu->gic, lpi, cpu->index);
        }
    }
}

/* ---- Registers --------------------------------------------------------------------------------------------------- */

void vgicv3_lpi_enable(struct vgicv3_cpu *cpu, const struct axvm_vcpu *from)
{
    struct vgicv3 *gic = cpu->gic;

    spin_lock(&gic->lock);
    if (!cpu->lpis_on && gic->its != NULL) {
        cpu->lpis_on = true;
        gic->lpis_on = true;
        gic->words = VGICV3_WORDS + VGICV3_LPI_WORDS;
        load_configuration(gic, from, 0, VGICV3_LPIS);
        load_pending(cpu);
    }
    vgicv3_unlock(gic, from);
}

uint64_t vgicv3_lpi_base_read(struct vgicv3_cpu *cpu, unsigned offset)
{
    struct vgicv3 *gic = cpu->gic;
    uint64_t value;

    spin_lock(&gic->lock);
    value = offset / 8 == GICR_PROPBASER / 8 ? gic->propbaser : cpu->pendbaser & ~PENDBASER_PTZ;
    vgicv3_unlock(gic, NULL);
    return value >> (offset % 8 * 8);
}

/* While they are in use, writes have no defined effect: here they have none. */
void vgicv3_lpi_base_write(struct vgicv3_cpu *cpu, unsigned offset, unsigned size, uint64_t value)
{
    struct vgicv3 *gic = cpu->gic;

    spin_lock(&gic->lock);
    if (offset / 8 != GICR_PROPBASER / 8) {
        if (!cpu->lpis_on) {
            cpu->pendbaser = vgicv3_merge(cpu->pendbaser, offset, size, value) & PENDBASER_MASK;
        }
    } else if (!gic->lpis_on) {
        gic->propbaser = vgicv3_merge(gic->propbaser, offset, size, value) & PROPBASER_MASK;
    }
    vgicv3_unlock(gic, NULL);
}

/* ---- For the ITS ------------------------------------------------------------------------------------------------- */

bool vgicv3_is_lpi(struct vgicv3 *gic, uint32_t intid)
{
    bool in_range;

    spin_lock(&gic->lock);
    in_range = ids_suffice(gic) && intid - VGICV3_FIRST_LPI < VGICV3_LPIS;
    vgicv3_unlock(gic, NULL);
    return in_range;
}

void vgicv3_lpi_set(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned lpi, unsigned target)
{
    spin_lock(&gic->lock);
    if (gic->cpus[target]->lpis_on) {
        set_pending(gic, lpi, target);
    }
    vgicv3_unlock(gic, from);
}

/* Without lr_latch, the pending state of a list register is dropped when it is folded. */
void vgicv3_lpi_clear(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned lpi)
{
    struct vgicv3_word *word = word_of(gic, lpi);
    uint32_t bit = 1U << lpi % 32;

    spin_lock(&gic->lock);
    word->latch &= ~bit;
    word->lr_latch &= ~bit;
    vgicv3_mark(gic, word, bit);
    vgicv3_settle(gic, from, word, bit);
    vgicv3_unlock(gic, from);
}

static void move(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned lpi, unsigned target)
{
    struct vgicv3_word *word = word_of(gic, lpi);
    uint32_t bit = 1U << lpi % 32;

    if (word->target[lpi % 32] != target && gic->cpus[target]->lpis_on) {
        word->target[lpi % 32] = (uint8_t)target;
        vgicv3_changed(gic, word, bit);
        vgicv3_settle(gic, from, word, bit);
    }
}

void vgicv3_lpi_move(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned lpi, unsigned target)
{
    spin_lock(&gic->lock);
    move(gic, from, lpi, target);
    vgicv3_unlock(gic, from);
}

void vgicv3_lpi_move_all(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned source, unsigned target)
{
    spin_lock(&gic->lock);
    for (unsigned lpi = 0; lpi < VGICV3_LPIS; lpi++) {
        if (word_of(gic, lpi)->target[lpi % 32] == source) {
            move(gic, from, lpi, target);
        }
    }
    vgicv3_unlock(gic, from);
}

static void reload(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned first, unsigned count)
{
    spin_lock(&gic->lock);
    load_configuration(gic, from, first, count);
    vgicv3_unlock(gic, from);
}

void vgicv3_lpi_reload(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned lpi)
{
    reload(gic, from, lpi, 1);
}

void vgicv3_lpi_reload_all(struct vgicv3 *gic, const struct axvm_vcpu *from)
{
    reload(gic, from, 0, VGICV3_LPIS);
}

/* A vCPU that is off takes nothing, and would give back nothing either. */
bool vgicv3_lpi_settled(struct vgicv3 *gic, unsigned cpu)
{
    bool settled;

    spin_lock(&gic->lock);
    settled = (gic->settling >> cpu & 1) == 0 || atomic_load(&gic->cpus[cpu]->vcpu->power) != VCPU_ON;
    vgicv3_unlock(gic, NULL);
    return settled;
}

/* ---- Power-on ---------------------------------------------------------------------------------------------------- */

void vgicv3_lpi_cpu_reset(struct vgicv3_cpu *cpu)
{
    cpu->lpis_on = false;
    cpu->pendbaser = 0;
}

void vgicv3_lpi_reset(struct vgicv3 *gic)
{
    gic->words = VGICV3_WORDS;
    gic->lpis_on = false;
    gic->propbaser = 0;
    for (unsigned w = VGICV3_WORDS; w < VGICV3_WORDS + VGICV3_LPI_WORDS; w++) {
        vgicv3_word_reset(&gic->spi[w], w, VGICV3_NO_VCPU);
        gic->spi[w].edge = UINT32_MAX;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers with a field for each interrupt, which the distributor has for SPIs (IHI 0069 12.9) and the SGI_base frame
 * of a redistributor for SGIs and PPIs (12.11), at the same offsets.
 *
 * A handler sees the word of 32 interrupts that its 32 bits are in; gic->lock is held.
 */
#include "irqchip/vgicv3_impl.h"

struct access {
    struct vgicv3 *gic;
    struct axvm_vcpu *from; /* whose access it is */
    struct vgicv3_word *word;
    unsigned offset; /* in the frame */
    unsigned size;
};

/* ---- One bit an interrupt ---------------------------------------------------------------------------------------- */

static uint32_t group_read(const struct access *a)
{
    return a->word->group1;
}

static void group_write(const struct access *a, uint32_t value)
{
    uint32_t changed = a->word->group1 ^ value;

    a->word->group1 = value;
    vgicv3_changed(a->gic, a->word, changed);
}

static uint32_t enable_read(const struct access *a)
{
    return a->word->enabled;
}

static void enable_set(const struct access *a, uint32_t value)
{
    uint32_t changed = value & ~a->word->enabled;

    a->word->enabled |= value;
    vgicv3_changed(a->gic, a->word, changed);
}

/* Of other vCPUs that have one in a list register, RWP tells until they have given it back. */
static void enable_clear(const struct access *a, uint32_t value)
{
    uint32_t changed = value & a->word->enabled & a->word->in_lr;

    a->word->enabled &= ~value;
    vgicv3_changed(a->gic, a->word, changed);
    vgicv3_settle(a->gic, a->from, a->word, changed);
}

/* ---- A byte, and two bits, an interrupt -------------------------------------------------------------------------- */

static uint32_t priority_read(const struct access *a)
{
    return (uint32_t)bus_narrow(a->word->priority[a->offset / 4 % 8] >> (a->offset % 4 * 8), a->size);
}

static void priority_write(const struct access *a, uint32_t value)
{
    uint32_t *priority = &a->word->priority[a->offset / 4 % 8];

    if (a->size == 4) {
        *priority = value & PRIORITY_MASK;
        vgicv3_changed(a->gic, a->word, 0xfU << a->offset % 32);
    } else {
        unsigned shift = a->offset % 4 * 8;

        *priority = (*priority & ~(0xffU << shift)) | (value << shift & PRIORITY_MASK);
        vgicv3_changed(a->gic, a->word, 1U << a->offset % 32);
    }
}

/* Sixteen bits to the odd bits of thirty-two, and back. */
static uint32_t spread(uint32_t bits)
{
    bits = (bits | bits << 8) & 0x00ff00ffU;
    bits = (bits | bits << 4) & 0x0f0f0f0fU;
    bits = (bits | bits << 2) & 0x33333333U;
    bits = (bits | bits << 1) & 0x55555555U;
    return bits << 1;
}

static uint32_t gather(uint32_t bits)
{
    bits = bits >> 1 & 0x55555555U;
    bits = (bits | bits >> 1) & 0x33333333U;
    bits = (bits | bits >> 2) & 0x0f0f0f0fU;
    bits = (bits | bits >> 4) & 0x00ff00ffU;
    return (bits | bits >> 8) & 0xffffU;
}

static uint32_t config_read(const struct access *a)
{
    return spread(a->word->edge >> a->offset % 8 * 4 & 0xffffU);
}

static void config_write(const struct access *a, uint32_t value)
{
    unsigned shift = a->offset % 8 * 4;
    uint32_t mask = 0xffffU << shift;

    if (a->word->index == 0 && shift == 0) {
        return; /* SGIs are edge-triggered */
    }
    mask &= a->word->edge ^ gather(value) << shift;
    a->word->edge ^= mask;
    vgicv3_changed(a->gic, a->word, mask);
}

/* ---- Pending and active state ------------------------------------------------------------------------------------ */

static uint32_t pending_read(const struct access *a)
{
    return vgicv3_word_pending(a->word) | a->word->lr_latch;
}

static uint32_t active_read(const struct access *a)
{
    return a->word->active;
}

static void pending_set(const struct access *a, uint32_t value)
{
    a->word->latch |= value;
    a->word->wired &= ~value;
    vgicv3_changed(a->gic, a->word, value);
}

/* Without lr_latch, the pending state of a list register is dropped when it is folded. */
static void pending_clear(const struct access *a, uint32_t value)
{
    a->word->latch &= ~value;
    a->word->lr_latch &= ~value;
    vgicv3_mark(a->gic, a->word, value);
}

/* One that nobody has acknowledged becomes that vCPU's which would have got it. */
static void active_set(const struct access *a, uint32_t value)
{
    struct vgicv3_word *word = a->word;
    uint32_t fresh = value & ~(word->active | word->in_lr);

    for (uint32_t todo = fresh; todo != 0; todo &= todo - 1) {
        word->owner[lowest_bit(todo)] = word->target[lowest_bit(todo)];
    }
    word->active |= value;
    word->forced |= value & word->in_lr;
    vgicv3_changed(a->gic, word, value);
}

void vgicv3_clear_active(struct vgicv3 *gic, struct vgicv3_word *word, uint32_t mask)
{
    word->active &= ~mask;
    word->forced |= mask & word->in_lr;
    vgicv3_mark(gic, word, mask);
}

static void active_clear(const struct access *a, uint32_t value)
{
    vgicv3_clear_active(a->gic, a->word, value);
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

/*
 * Not here, so RAZ/WI: ITARGETSR and the SGI registers (affinity routing is on), IGRPMODR and NSACR (one security
 * state).
 */
enum reg_block {
    NONE, IGROUPR, ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER, IPRIORITYR, ICFGR,
};

static const struct reg {
    uint8_t widths; /* sum of the sizes in bytes that are allowed; 0: see state_read() and state_write() */
    uint8_t shift;  /* log2 of the bytes that hold 32 interrupts */
    uint32_t (*read)(const struct access *a);
    void (*write)(const struct access *a, uint32_t value);
} regs[] = {
    [IGROUPR] = {4, 2, group_read, group_write},
    [ISENABLER] = {4, 2, enable_read, enable_set},
    [ICENABLER] = {4, 2, enable_read, enable_clear},
    [ISPENDR] = {0, 2, pending_read, pending_set},
    [ICPENDR] = {0, 2, pending_read, pending_clear},
    [ISACTIVER] = {0, 2, active_read, active_set},
    [ICACTIVER] = {0, 2, active_read, active_clear},
    [IPRIORITYR] = {4 | 1, 5, priority_read, priority_write},
    [ICFGR] = {4, 3, config_read, config_write},
};

/* Which registers each 128 bytes have. */
static const uint8_t blocks[VGICV3_WORD_REGS_END / 0x80] = {
    NONE,       IGROUPR,    ISENABLER,  ICENABLER,  ISPENDR,    ICPENDR,    ISACTIVER,  ICACTIVER,
    IPRIORITYR, IPRIORITYR, IPRIORITYR, IPRIORITYR, IPRIORITYR, IPRIORITYR, IPRIORITYR, IPRIORITYR,
    NONE,       NONE,       NONE,       NONE,       NONE,       NONE,       NONE,       NONE,
    ICFGR,      ICFGR,      NONE,       NONE,       NONE,       NONE,       NONE,       NONE,
};

static inline const struct reg *find(uint64_t offset, unsigned size)
{
    const struct reg *reg = &regs[blocks[offset / 0x80]];

    return (reg->widths & size) != 0 && (offset & (size - 1)) == 0 ? reg : NULL;
}

/* The word that the offset is in, or NULL. Each block has room for 32. */
static inline struct vgicv3_word *word_at(struct vgicv3 *gic, struct vgicv3_cpu *bank, const struct reg *reg,
                                          uint64_t offset)
{
    unsigned index = offset >> reg->shift & 31;

    if (bank != NULL) {
        return index == 0 ? &bank->private : NULL;
    }
    return index - 1 < VGICV3_WORDS - 1 ? &gic->spi[index] : NULL;
}

/* ---- Access to pending and active state -------------------------------------------------------------------------- */

/* Those that may be in another state by now than the word says, or by what only the vCPU's own pCPU sees. */
static uint32_t volatile_state(const struct vgicv3_word *word)
{
    return word->in_lr | word->active | (word->latch & word->hardware);
}

/*
 * The vCPUs that know better about some of these than the word does: they have them in list registers, or EOIs of
 * active ones that have no list register may only be counted yet, or they have the wire by which they are pending.
 */
static uint64_t holders(const struct access *a, uint32_t mask)
{
    const struct vgicv3_word *word = a->word;
    uint64_t cpus = 0;

    for (uint32_t todo = mask & volatile_state(word); todo != 0; todo &= todo - 1) {
        unsigned bit = lowest_bit(todo), holder = vgicv3_holder(word, bit);
        uint32_t needed = (word->latch & word->hardware) >> bit & 1 ? ICH_HCR_EN : ICH_HCR_LRENPIE;

        if ((word->in_lr >> bit & 1) != 0 ||
            (holder != VGICV3_NO_VCPU && (a->gic->cpus[holder]->hcr & needed) != 0)) {
            cpus |= UINT64_C(1) << holder;
        }
    }
    return cpus;
}

/* Fold here what is held here, and ask the others. */
static void ask(const struct access *a, struct vgicv3_cpu *cpu, uint32_t mask)
{
    uint64_t self = UINT64_C(1) << cpu->index;
    uint64_t cpus = holders(a, mask);

    if ((cpus & self) != 0) {
        vgicv3_refold(cpu);
    }
    cpu->awaited = cpus & ~self;
    if (cpu->awaited != 0) {
        vgicv3_mark(a->gic, a->word, mask & volatile_state(a->word));
    }
}

/* A write takes place at the beginning, a read at the end. */
static int state_access_locked(const struct access *a, const struct reg *reg, bool write, uint32_t *value)
{
    struct vgicv3_cpu *cpu = a->gic->cpus[a->from->id];
    uint64_t self = UINT64_C(1) << cpu->index;

    if ((a->gic->waiting & self) == 0) {
        ask(a, cpu, write ? *value : UINT32_MAX);
        if (write) {
            reg->write(a, *value);
        }
    }
    if (cpu->awaited != 0) {
        a->gic->waiting |= self;
        return BUS_AGAIN;
    }
    a->gic->waiting &= ~self;
    if (!write) {
        *value = reg->read(a);
    }
    return AXVM_OK;
}

/* Also of what isn't there: that is not touched. */
__attribute__((noinline, cold)) static int state_access(struct access *a, struct vgicv3_cpu *bank, bool write,
                                                        uint32_t *value)
{
    const struct reg *reg = &regs[blocks[a->offset / 0x80]];
    int result;

    if (reg->read == NULL || reg->widths != 0 || a->size != 4 || a->offset % 4 != 0) {
        return AXVM_OK;
    }
    a->word = word_at(a->gic, bank, reg, a->offset);
    if (a->word == NULL) {
        return AXVM_OK;
    }
    spin_lock(&a->gic->lock);
    result = state_access_locked(a, reg, write, value);
    vgicv3_unlock(a->gic, a->from);
    return result;
}

static int state_read(struct vgicv3 *gic, struct axvm_vcpu *from, struct vgicv3_cpu *bank, uint64_t offset,
                      unsigned size, uint64_t *value)
{
    struct access a = {.gic = gic, .from = from, .offset = (unsigned)offset, .size = size};
    uint32_t word = 0;
    int result = state_access(&a, bank, false, &word);

    *value = word;
    return result;
}

static int state_write(struct vgicv3 *gic, struct axvm_vcpu *from, struct vgicv3_cpu *bank, uint64_t offset,
                       unsigned size, uint32_t value)
{
    struct access a = {.gic = gic, .from = from, .offset = (unsigned)offset, .size = size};

    return state_access(&a, bank, true, &value);
}

/* ---- Access to all that is there --------------------------------------------------------------------------------- */

int vgicv3_regs_read(struct vgicv3 *gic, struct axvm_vcpu *from, struct vgicv3_cpu *bank, uint64_t offset,
                     unsigned size, uint64_t *value)
{
    const struct reg *reg = find(offset, size);
    struct vgicv3_word *word = reg != NULL ? word_at(gic, bank, reg, offset) : NULL;

    if (word != NULL) {
        struct access a = {gic, from, word, (unsigned)offset, size};

        spin_lock(&gic->lock);
        *value = reg->read(&a);
        vgicv3_unlock(gic, from);
        return AXVM_OK;
    }
    return state_read(gic, from, bank, offset, size, value);
}

int vgicv3_regs_write(struct vgicv3 *gic, struct axvm_vcpu *from, struct vgicv3_cpu *bank, uint64_t offset,
                      unsigned size, uint32_t value)
{
    const struct reg *reg = find(offset, size);
    struct vgicv3_word *word = reg != NULL ? word_at(gic, bank, reg, offset) : NULL;

    if (word != NULL) {
        struct access a = {gic, from, word, (unsigned)offset, size};

        spin_lock(&gic->lock);
        reg->write(&a, value);
        vgicv3_unlock(gic, from);
        return AXVM_OK;
    }
    return state_write(gic, from, bank, offset, size, value);
}

/* PIDR4-7, PIDR0-3, CIDR0-3 in the order of their addresses (IHI 0069 12.1.10): of PIDR2, bits 7:4 say GICv3. */
uint32_t vgicv3_id_read(uint64_t offset, unsigned size)
{
    static const uint8_t ids[12] = {0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1};

    return size == 4 && offset % 4 == 0 ? ids[(offset - VGICV3_IDS) / 4] : 0;
}

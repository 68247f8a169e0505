/* SPDX-License-Identifier: Apache-2.0 */
#include "irqchip/vaplic.h"

#include "core/guest_fdt.h"
#include "core/vm.h"
#include "irqchip/riscv_fdt.h"
#include "lib/log.h"
#include <libfdt.h>
#include <string.h>

/* 4.5.1, 4.5.2 */
#define DOMAINCFG_FIXED 0x80000000U
#define DOMAINCFG_IE (1U << 8)
#define DOMAINCFG_DM (1U << 2)
#define SOURCECFG_D (1U << 10)
#define SOURCECFG_SM 7U

enum source_mode {
    MODE_INACTIVE = 0,
    MODE_DETACHED = 1,
    MODE_EDGE1 = 4,
    MODE_EDGE0 = 5,
    MODE_LEVEL1 = 6,
    MODE_LEVEL0 = 7,
};

/* 4.5.16. Guests' harts have no guests: Guest Index is read-only zero. */
#define TARGET_HART_SHIFT 18U
#define TARGET_HART (0x3fffU << TARGET_HART_SHIFT)
#define TARGET_IPRIO 0xffU
#define TARGET_EIID 0x7ffU

#define TOPI_ID_SHIFT 16U

#define FDT_LEVEL_HIGH 4U

static unsigned lowest_bit(uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits);
}

/* Give up the lock, and tell the vCPUs in aplic->pokes. */
static void unlock(struct vaplic *aplic)
{
    uint64_t pokes = aplic->pokes;

    aplic->pokes = 0;
    spin_unlock(&aplic->lock);
    for (; pokes != 0; pokes &= pokes - 1) {
        vcpu_request(aplic->cpus[lowest_bit(pokes)]->vcpu, VCPU_REQ_IRQ);
    }
}

/* ---- From pending to the vCPUs; under the lock, from here on ----------------------------------------------------- */

/* Rectified input values (4.5.2). */
static uint32_t inputs(const struct vaplic *aplic, unsigned w)
{
    return ((aplic->level[w] ^ aplic->inverted[w]) & (aplic->edge[w] | aplic->leveled[w])) | aplic->pulsed[w];
}

/* Level-sensitive sources whose pending bit is but a copy of the input (4.7). */
static uint32_t copies(const struct vaplic *aplic, unsigned w)
{
    return aplic->imsic == NULL ? aplic->leveled[w] : 0;
}

/* Claimed, or forwarded by message. */
static void taken(struct vaplic *aplic, unsigned w, uint32_t bit)
{
    aplic->pulsed[w] &= ~bit;
    aplic->pending[w] &= ~bit | (inputs(aplic, w) & copies(aplic, w));
}

/* Among the sources of equal priority, the first (4.5.16.1). */
static uint32_t find_topi(const struct vaplic *aplic, unsigned index)
{
    uint32_t limit = aplic->cpus[index]->threshold != 0 ? aplic->cpus[index]->threshold : TARGET_IPRIO + 1;
    uint32_t topi = 0;

    for (unsigned w = 0; w < VAPLIC_WORDS; w++) {
        for (uint32_t ready = aplic->pending[w] & aplic->enabled[w]; ready != 0; ready &= ready - 1) {
            uint32_t irq = 32 * w + lowest_bit(ready);
            uint32_t priority = aplic->target[irq] & TARGET_IPRIO;

            if (aplic->target[irq] >> TARGET_HART_SHIFT == index && priority < limit) {
                limit = priority;
                topi = irq << TOPI_ID_SHIFT | priority;
            }
        }
    }
    return topi;
}

static void update_output(struct vaplic *aplic, unsigned index)
{
    struct vaplic_cpu *cpu = aplic->cpus[index];
    bool output = aplic->on && cpu->delivery && (cpu->force || cpu->topi != 0);

    if (output != atomic_load_explicit(&cpu->output, memory_order_relaxed)) {
        atomic_store_explicit(&cpu->output, output, memory_order_release);
        aplic->pokes |= UINT64_C(1) << index;
    }
}

static void update_cpu(struct vaplic *aplic, unsigned index)
{
    aplic->cpus[index]->topi = find_topi(aplic, index);
    update_output(aplic, index);
}

/* The target's hart index may name no one: then nobody gets it. */
static void update_targets(struct vaplic *aplic, unsigned w, uint32_t sources)
{
    uint64_t cpus = 0;

    for (; sources != 0; sources &= sources - 1) {
        uint32_t hart = aplic->target[32 * w + lowest_bit(sources)] >> TARGET_HART_SHIFT;

        cpus |= hart < aplic->cpu_count ? UINT64_C(1) << hart : 0;
    }
    for (; cpus != 0; cpus &= cpus - 1) {
        update_cpu(aplic, lowest_bit(cpus));
    }
}

static void send(const struct vaplic *aplic, uint32_t target)
{
    uint32_t hart = target >> TARGET_HART_SHIFT;

    if (hart < aplic->cpu_count) {
        vimsic_send(aplic->imsic->cpus[hart], target & TARGET_EIID);
    }
}

static void forward(struct vaplic *aplic, unsigned w)
{
    uint32_t ready = aplic->on ? aplic->pending[w] & aplic->enabled[w] : 0;

    for (; ready != 0; ready &= ready - 1) {
        taken(aplic, w, ready & -ready);
        send(aplic, aplic->target[32 * w + lowest_bit(ready)]);
    }
}

/* Something changed about these sources, of word w. */
static void changed(struct vaplic *aplic, unsigned w, uint32_t sources)
{
    if (aplic->imsic != NULL) {
        forward(aplic, w);
    } else {
        update_targets(aplic, w, sources);
    }
}

/* The inputs may have changed; they were `before`. */
static void inputs_changed(struct vaplic *aplic, unsigned w, uint32_t before)
{
    uint32_t now = inputs(aplic, w);

    if (now != before) {
        aplic->pending[w] |= now & ~before;
        aplic->pending[w] &= now | ~aplic->leveled[w];
        changed(aplic, w, (now ^ before) & aplic->enabled[w]);
    }
}

/* ---- Where interrupts come from ---------------------------------------------------------------------------------- */

static int check_source(const struct vaplic *aplic, uint32_t irq)
{
    if (irq == 0 || irq >= VAPLIC_SOURCES) {
        return fail(AXVM_EINVAL, "VM %u: the APLIC has no source %u", aplic->vm->id, irq);
    }
    return AXVM_OK;
}

int vaplic_set_line(struct vaplic *aplic, uint32_t irq, bool level)
{
    int error = check_source(aplic, irq);
    uint32_t bit = 1U << irq % 32, before;

    if (error == AXVM_OK) {
        spin_lock(&aplic->lock);
        before = inputs(aplic, irq / 32);
        aplic->level[irq / 32] &= ~bit;
        aplic->level[irq / 32] |= level ? bit : 0;
        inputs_changed(aplic, irq / 32, before);
        unlock(aplic);
    }
    return error;
}

int vaplic_pulse(struct vaplic *aplic, uint32_t irq)
{
    int error = check_source(aplic, irq);
    uint32_t bit = 1U << irq % 32, before;

    if (error == AXVM_OK) {
        spin_lock(&aplic->lock);
        before = inputs(aplic, irq / 32);
        aplic->pulsed[irq / 32] |= bit & aplic->leveled[irq / 32] & ~before;
        inputs_changed(aplic, irq / 32, before);
        if ((aplic->edge[irq / 32] & bit) != 0) {
            aplic->pending[irq / 32] |= bit;
            changed(aplic, irq / 32, bit);
        }
        unlock(aplic);
    }
    return error;
}

/* ---- Registers of the domain; `n` counts from the first of its kind ---------------------------------------------- */

static uint32_t domaincfg_read(const struct vaplic *aplic, unsigned n)
{
    (void)n;
    return DOMAINCFG_FIXED | (aplic->on ? DOMAINCFG_IE : 0) | (aplic->imsic != NULL ? DOMAINCFG_DM : 0);
}

static void domaincfg_write(struct vaplic *aplic, unsigned n, uint32_t value)
{
    (void)n;
    aplic->on = (value & DOMAINCFG_IE) != 0;
    for (unsigned w = 0; w < VAPLIC_WORDS && aplic->imsic != NULL; w++) {
        forward(aplic, w);
    }
    for (unsigned i = 0; i < aplic->cpu_count && aplic->imsic == NULL; i++) {
        update_output(aplic, i);
    }
}

static uint32_t sourcecfg_read(const struct vaplic *aplic, unsigned n)
{
    return n + 1 < VAPLIC_SOURCES ? aplic->mode[n + 1] : 0;
}

/* There is no child domain to delegate to: D makes all of it zero. Reserved modes, too, become Inactive. */
static uint8_t legal_mode(uint32_t value)
{
    uint8_t mode = value & SOURCECFG_SM;

    return (value & SOURCECFG_D) != 0 || mode == 2 || mode == 3 ? MODE_INACTIVE : mode;
}

static void set_bit(uint32_t *word, uint32_t bit, bool value)
{
    *word = value ? *word | bit : *word & ~bit;
}

static uint32_t legal_target(const struct vaplic *aplic, uint32_t value)
{
    if (aplic->imsic != NULL) {
        return value & (TARGET_HART | TARGET_EIID);
    }
    return (value & (TARGET_HART | TARGET_IPRIO)) | ((value & TARGET_IPRIO) == 0 ? 1 : 0);
}

/*
 * A level-sensitive source that is asserted becomes pending, so that nothing is lost that happened before; an edge that
 * went by did not happen. A source that becomes active isn't enabled.
 */
static void sourcecfg_write(struct vaplic *aplic, unsigned n, uint32_t value)
{
    unsigned irq = n + 1, w = irq / 32;
    uint32_t bit = 1U << irq % 32;
    uint8_t mode = legal_mode(value);

    if (irq >= VAPLIC_SOURCES || mode == aplic->mode[irq]) {
        return;
    }
    aplic->mode[irq] = mode;
    aplic->pulsed[w] &= ~bit;
    set_bit(&aplic->active[w], bit, mode != MODE_INACTIVE);
    set_bit(&aplic->edge[w], bit, mode == MODE_EDGE1 || mode == MODE_EDGE0);
    set_bit(&aplic->leveled[w], bit, mode == MODE_LEVEL1 || mode == MODE_LEVEL0);
    set_bit(&aplic->inverted[w], bit, mode == MODE_EDGE0 || mode == MODE_LEVEL0);
    aplic->enabled[w] &= aplic->active[w];
    aplic->pending[w] &= aplic->active[w] & (inputs(aplic, w) | ~aplic->leveled[w]);
    aplic->pending[w] |= bit & inputs(aplic, w) & aplic->leveled[w];
    changed(aplic, w, bit);
    aplic->target[irq] = mode == MODE_INACTIVE ? 0 : legal_target(aplic, aplic->target[irq]);
}

static uint32_t pending_read(const struct vaplic *aplic, unsigned n)
{
    return n < VAPLIC_WORDS ? aplic->pending[n] : 0;
}

static uint32_t inputs_read(const struct vaplic *aplic, unsigned n)
{
    return n < VAPLIC_WORDS ? inputs(aplic, n) : 0;
}

static uint32_t enabled_read(const struct vaplic *aplic, unsigned n)
{
    return n < VAPLIC_WORDS ? aplic->enabled[n] : 0;
}

/* 4.7: level-sensitive sources only while they are asserted; then, with direct delivery, they are pending anyway. */
static void pending_set(struct vaplic *aplic, unsigned n, uint32_t value)
{
    if (n < VAPLIC_WORDS) {
        value &= aplic->active[n] & (inputs(aplic, n) | ~aplic->leveled[n]);
        aplic->pending[n] |= value;
        changed(aplic, n, value);
    }
}

static void pending_clear(struct vaplic *aplic, unsigned n, uint32_t value)
{
    if (n < VAPLIC_WORDS) {
        value &= aplic->active[n] & ~copies(aplic, n);
        aplic->pending[n] &= ~value;
        aplic->pulsed[n] &= ~value;
        changed(aplic, n, value);
    }
}

static void enabled_set(struct vaplic *aplic, unsigned n, uint32_t value)
{
    if (n < VAPLIC_WORDS) {
        value &= aplic->active[n];
        aplic->enabled[n] |= value;
        changed(aplic, n, value);
    }
}

static void enabled_clear(struct vaplic *aplic, unsigned n, uint32_t value)
{
    if (n < VAPLIC_WORDS) {
        value &= aplic->enabled[n];
        aplic->enabled[n] &= ~value;
        changed(aplic, n, value);
    }
}

static void pending_set_number(struct vaplic *aplic, unsigned n, uint32_t value)
{
    (void)n;
    pending_set(aplic, value / 32, 1U << value % 32);
}

static void pending_set_number_be(struct vaplic *aplic, unsigned n, uint32_t value)
{
    pending_set_number(aplic, n, fdt32_to_cpu(value));
}

static void pending_clear_number(struct vaplic *aplic, unsigned n, uint32_t value)
{
    (void)n;
    pending_clear(aplic, value / 32, 1U << value % 32);
}

static void enabled_set_number(struct vaplic *aplic, unsigned n, uint32_t value)
{
    (void)n;
    enabled_set(aplic, value / 32, 1U << value % 32);
}

static void enabled_clear_number(struct vaplic *aplic, unsigned n, uint32_t value)
{
    (void)n;
    enabled_clear(aplic, value / 32, 1U << value % 32);
}

static uint32_t genmsi_read(const struct vaplic *aplic, unsigned n)
{
    (void)n;
    return aplic->genmsi;
}

/* 4.5.15: whether the domain is on doesn't matter. The message has gone when this returns: never busy. */
static void genmsi_write(struct vaplic *aplic, unsigned n, uint32_t value)
{
    (void)n;
    if (aplic->imsic != NULL) {
        aplic->genmsi = value & (TARGET_HART | TARGET_EIID);
        send(aplic, aplic->genmsi);
    }
}

static uint32_t target_read(const struct vaplic *aplic, unsigned n)
{
    return n + 1 < VAPLIC_SOURCES ? aplic->target[n + 1] : 0;
}

static void target_write(struct vaplic *aplic, unsigned n, uint32_t value)
{
    unsigned irq = n + 1, w = irq / 32;
    uint32_t bit = 1U << irq % 32, old;

    if (irq >= VAPLIC_SOURCES || (aplic->active[w] & bit) == 0) {
        return;
    }
    old = aplic->target[irq];
    aplic->target[irq] = legal_target(aplic, value);
    changed(aplic, w, bit);
    if (aplic->imsic == NULL && old >> TARGET_HART_SHIFT < aplic->cpu_count) {
        update_cpu(aplic, old >> TARGET_HART_SHIFT);
    }
}

static const struct bank {
    uint16_t first, end;
    uint32_t (*read)(const struct vaplic *aplic, unsigned n);       /* NULL: zero */
    void (*write)(struct vaplic *aplic, unsigned n, uint32_t value);
} banks[] = {
    {0x0000, 0x0004, domaincfg_read, domaincfg_write},
    {0x0004, 0x1000, sourcecfg_read, sourcecfg_write},
    {0x1c00, 0x1c80, pending_read, pending_set},
    {0x1cdc, 0x1ce0, NULL, pending_set_number},
    {0x1d00, 0x1d80, inputs_read, pending_clear},
    {0x1ddc, 0x1de0, NULL, pending_clear_number},
    {0x1e00, 0x1e80, enabled_read, enabled_set},
    {0x1edc, 0x1ee0, NULL, enabled_set_number},
    {0x1f00, 0x1f80, NULL, enabled_clear},
    {0x1fdc, 0x1fe0, NULL, enabled_clear_number},
    {0x2000, 0x2004, NULL, pending_set_number},
    {0x2004, 0x2008, NULL, pending_set_number_be},
    {0x3000, 0x3004, genmsi_read, genmsi_write},
    {0x3004, 0x4000, target_read, target_write},
};

static const struct bank *bank_of(uint64_t offset)
{
    for (unsigned i = 0; i < sizeof(banks) / sizeof(banks[0]); i++) {
        if (offset < banks[i].end) {
            return offset >= banks[i].first ? &banks[i] : NULL;
        }
    }
    return NULL;
}

static uint32_t domain_read(const struct vaplic *aplic, uint64_t offset)
{
    const struct bank *bank = bank_of(offset);

    return bank != NULL && bank->read != NULL ? bank->read(aplic, (unsigned)(offset - bank->first) / 4) : 0;
}

static void domain_write(struct vaplic *aplic, uint64_t offset, uint32_t value)
{
    const struct bank *bank = bank_of(offset);

    if (bank != NULL) {
        bank->write(aplic, (unsigned)(offset - bank->first) / 4, value);
    }
}

/* ---- Interrupt delivery control (4.8.1) -------------------------------------------------------------------------- */

#define IDC_BASE 0x4000U
#define IDC_SIZE 32U

enum {
    IDC_IDELIVERY = 0x00,
    IDC_IFORCE = 0x04,
    IDC_ITHRESHOLD = 0x08,
    IDC_TOPI = 0x18,
    IDC_CLAIMI = 0x1c,
};

static uint32_t claim(struct vaplic *aplic, unsigned index)
{
    struct vaplic_cpu *cpu = aplic->cpus[index];
    uint32_t topi = cpu->topi, irq = topi >> TOPI_ID_SHIFT;

    if (topi != 0) {
        taken(aplic, irq / 32, 1U << irq % 32);
        update_cpu(aplic, index);
    } else {
        cpu->force = false;
        update_output(aplic, index);
    }
    return topi;
}

static uint32_t idc_read(struct vaplic *aplic, unsigned index, unsigned reg)
{
    const struct vaplic_cpu *cpu = aplic->cpus[index];

    switch (reg) {
    case IDC_IDELIVERY:
        return cpu->delivery;
    case IDC_IFORCE:
        return cpu->force;
    case IDC_ITHRESHOLD:
        return cpu->threshold;
    case IDC_TOPI:
        return cpu->topi;
    case IDC_CLAIMI:
        return claim(aplic, index);
    default:
        return 0;
    }
}

static void idc_write(struct vaplic *aplic, unsigned index, unsigned reg, uint32_t value)
{
    struct vaplic_cpu *cpu = aplic->cpus[index];

    if (reg == IDC_IDELIVERY && value <= 1) {
        cpu->delivery = value != 0;
    } else if (reg == IDC_IFORCE && value <= 1) {
        cpu->force = value != 0;
    } else if (reg == IDC_ITHRESHOLD) {
        cpu->threshold = (uint8_t)value;
    } else {
        return;
    }
    update_cpu(aplic, index);
}

/* Which vCPU's they are; false: nobody's, or messages are sent instead. */
static bool idc_of(const struct vaplic *aplic, uint64_t offset, unsigned *index)
{
    *index = (unsigned)(offset - IDC_BASE) / IDC_SIZE;
    return aplic->imsic == NULL && *index < aplic->cpu_count;
}

/* ---- The device; the lock isn't held ----------------------------------------------------------------------------- */

static struct vaplic *aplic_of(struct axvm_device *device)
{
    return (struct vaplic *)(void *)((char *)device - offsetof(struct vaplic, device));
}

/* Others than naturally aligned accesses of 32 bits are answered by an access fault, as 4.5 prefers. */
static int check_access(uint64_t offset, unsigned size)
{
    return size == 4 && offset % 4 == 0 ? AXVM_OK : AXVM_EINVAL;
}

static int device_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                       uint64_t *value)
{
    struct vaplic *aplic = aplic_of(device);
    int error = check_access(offset, size);
    unsigned index;

    (void)vcpu;
    *value = 0;
    if (error == AXVM_OK) {
        spin_lock(&aplic->lock);
        if (offset < IDC_BASE) {
            *value = domain_read(aplic, offset);
        } else if (idc_of(aplic, offset, &index)) {
            *value = idc_read(aplic, index, offset % IDC_SIZE);
        }
        unlock(aplic);
    }
    return error;
}

static int device_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                        uint64_t value)
{
    struct vaplic *aplic = aplic_of(device);
    int error = check_access(offset, size);
    unsigned index;

    (void)vcpu;
    if (error == AXVM_OK) {
        spin_lock(&aplic->lock);
        if (offset < IDC_BASE) {
            domain_write(aplic, offset, (uint32_t)value);
        } else if (idc_of(aplic, offset, &index)) {
            idc_write(aplic, index, offset % IDC_SIZE, (uint32_t)value);
        }
        unlock(aplic);
    }
    return error;
}

/* Binding riscv,aplic */
static int fdt_node(struct axvm_device *device, void *fdt)
{
    int error = riscv_fdt_begin(device, fdt, "interrupt-controller", "riscv,aplic");

    if (error == 0) {
        error = aplic_of(device)->imsic != NULL ? fdt_property_u32(fdt, "msi-parent", GUEST_FDT_MSI)
                                                : riscv_fdt_external(device->vm, fdt);
    }
    error = error != 0 ? error : fdt_property(fdt, "interrupt-controller", NULL, 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "#interrupt-cells", 2);
    error = error != 0 ? error : fdt_property_u32(fdt, "#address-cells", 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "riscv,num-sources", VAPLIC_SOURCES - 1);
    error = error != 0 ? error : fdt_property_u32(fdt, "phandle", GUEST_FDT_INTC);
    return error != 0 ? error : fdt_end_node(fdt);
}

int vaplic_fdt_irq(void *fdt, uint32_t irq)
{
    const fdt32_t cells[] = {cpu_to_fdt32(irq), cpu_to_fdt32(FDT_LEVEL_HIGH)};

    return fdt_property(fdt, "interrupts", cells, sizeof(cells));
}

/* ---- Set-up and reset -------------------------------------------------------------------------------------------- */

static const struct axvm_device_ops ops = {
    .name = "APLIC",
    .read = device_read,
    .write = device_write,
    .fdt_node = fdt_node,
};

void vaplic_init(struct vaplic *aplic, struct axvm *vm)
{
    memset(aplic, 0, sizeof(*aplic));
    aplic->vm = vm;
    aplic->device = (struct axvm_device){.ops = &ops, .space = AXVM_SPACE_MMIO, .size = VAPLIC_SIZE};
}

static void cpu_reset(struct vaplic_cpu *cpu)
{
    cpu->delivery = false;
    cpu->force = false;
    cpu->threshold = 0;
    cpu->topi = 0;
    atomic_store(&cpu->output, false);
}

void vaplic_attach(struct vaplic *aplic, struct vaplic_cpu *cpu, struct axvm_vcpu *vcpu)
{
    cpu->vcpu = vcpu;
    cpu->aplic = aplic;
    cpu_reset(cpu);
    aplic->cpus[aplic->cpu_count++] = cpu;
}

int vaplic_add_device(struct vaplic *aplic, gpa_t base, struct vimsic *imsic)
{
    aplic->imsic = imsic;
    aplic->device.base = base.v;
    return axvm_add_device(aplic->vm, &aplic->device);
}

void vaplic_reset(struct vaplic *aplic)
{
    spin_lock(&aplic->lock);
    aplic->on = false;
    aplic->genmsi = 0;
    for (unsigned w = 0; w < VAPLIC_WORDS; w++) {
        aplic->pulsed[w] = aplic->active[w] = aplic->edge[w] = aplic->leveled[w] = aplic->inverted[w] = 0;
        aplic->pending[w] = aplic->enabled[w] = 0;
    }
    memset(aplic->mode, 0, sizeof(aplic->mode));
    memset(aplic->target, 0, sizeof(aplic->target));
    for (unsigned i = 0; i < aplic->cpu_count; i++) {
        cpu_reset(aplic->cpus[i]);
    }
    unlock(aplic);
}

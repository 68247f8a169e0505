/* SPDX-License-Identifier: Apache-2.0 */
/* `plic->lock` is held wherever nothing else is said. */
#include "irqchip/vplic.h"
#include "core/device.h"
#include "core/guest_fdt.h"
#include "lib/log.h"

#include <libfdt.h>
#include <string.h>

/* Where each block of registers begins. A context has 0x80 bytes of enables, and 0x1000 of the rest. */
#define PRIORITY 0x0U
#define PENDING 0x1000U
#define ENABLE 0x2000U
#define CONTEXT 0x200000U

#define ENABLE_SHIFT 7
#define CONTEXT_SHIFT 12
#define CONTEXT_THRESHOLD 0x0U
#define CONTEXT_CLAIM 0x4U

#define PRIORITY_MASK 7U

static inline unsigned lowest_bit(uint32_t bits)
{
    return (unsigned)__builtin_ctz(bits);
}

static inline uint32_t get(const _Atomic uint32_t *reg)
{
    return atomic_load_explicit(reg, memory_order_relaxed);
}

static inline void set(_Atomic uint32_t *reg, uint32_t value)
{
    atomic_store_explicit(reg, value, memory_order_relaxed);
}

/* For the guest's reads, without the lock: they stay in the order in which the guest makes them. */
static inline uint32_t observe(const _Atomic uint32_t *reg)
{
    return atomic_load_explicit(reg, memory_order_acquire);
}

static inline unsigned priority(const struct vplic *plic, unsigned irq)
{
    return atomic_load_explicit(&plic->priority[irq], memory_order_relaxed);
}

/* ---- Outputs ----------------------------------------------------------------------------------------------------- */

static bool wanted(const struct vplic *plic, const struct vplic_cpu *cpu)
{
    uint32_t threshold = get(&cpu->threshold);

    for (unsigned w = 0; w < VPLIC_WORDS; w++) {
        for (uint32_t todo = get(&plic->pending[w]) & get(&cpu->enabled[w]); todo != 0; todo &= todo - 1) {
            if (priority(plic, w * 32 + lowest_bit(todo)) > threshold) {
                return true;
            }
        }
    }
    return false;
}

/* Bring the output up to date; a bit for the vCPU if that changed it. */
static uint64_t refresh(const struct vplic *plic, struct vplic_cpu *cpu)
{
    bool output = wanted(plic, cpu);

    if (output == atomic_load_explicit(&cpu->output, memory_order_relaxed)) {
        return 0;
    }
    atomic_store(&cpu->output, output);
    return UINT64_C(1) << cpu->index;
}

/*
 * Give up the lock, and tell vCPUs that their output has changed. `from` is the vCPU that makes the access, where it is
 * resident, or NULL: it looks at its requests before it enters the guest, and needs no kick.
 */
static void unlock_and_poke(struct vplic *plic, const struct axvm_vcpu *from, uint64_t pokes)
{
    spin_unlock(&plic->lock);
    for (unsigned i = 0; pokes != 0; i++, pokes >>= 1) {
        struct axvm_vcpu *vcpu = plic->cpus[i]->vcpu;

        if ((pokes & 1) != 0 && vcpu == from) {
            atomic_fetch_or_explicit(&vcpu->requests, VCPU_REQ_IRQ, memory_order_relaxed);
        } else if ((pokes & 1) != 0) {
            vcpu_request(vcpu, VCPU_REQ_IRQ);
        }
    }
}

/*
 * These end what was done under the lock, and stay out of line, so that an access that changes no output saves no
 * registers. The context's enables or threshold have changed:
 */
__attribute__((noinline)) static void settle_cpu(struct vplic *plic, struct vplic_cpu *cpu,
                                                 const struct axvm_vcpu *from)
{
    unlock_and_poke(plic, from, refresh(plic, cpu));
}

/* The source has become pending or stopped being so, or has another priority: */
__attribute__((noinline)) static void settle_source(struct vplic *plic, unsigned irq, const struct axvm_vcpu *from)
{
    uint64_t pokes = 0;

    for (unsigned i = 0; i < plic->cpu_count; i++) {
        if ((get(&plic->cpus[i]->enabled[irq / 32]) >> irq % 32 & 1) != 0) {
            pokes |= refresh(plic, plic->cpus[i]);
        }
    }
    unlock_and_poke(plic, from, pokes);
}

/* ---- Gateways ---------------------------------------------------------------------------------------------------- */

/* Ends what was done under the lock. */
static void forward_and_unlock(struct vplic *plic, unsigned irq, const struct axvm_vcpu *from)
{
    set(&plic->pending[irq / 32], get(&plic->pending[irq / 32]) | 1U << irq % 32);
    settle_source(plic, irq, from);
}

static int no_such_irq(const struct vplic *plic, uint32_t irq)
{
    return fail(AXVM_EINVAL, "VM %u: the PLIC has no interrupt %u", plic->vm->id, irq);
}

int vplic_set_line(struct vplic *plic, uint32_t irq, bool level)
{
    uint32_t bit = 1U << irq % 32;
    unsigned w = irq / 32;

    if (irq == 0 || irq >= VPLIC_SOURCES) {
        return no_such_irq(plic, irq);
    }
    spin_lock(&plic->lock);
    plic->level[w] = level ? plic->level[w] | bit : plic->level[w] & ~bit;
    if (level && ((get(&plic->pending[w]) | plic->claimed[w]) & bit) == 0) {
        forward_and_unlock(plic, irq, NULL);
    } else {
        spin_unlock(&plic->lock);
    }
    return AXVM_OK;
}

int vplic_pulse(struct vplic *plic, uint32_t irq)
{
    uint32_t bit = 1U << irq % 32;
    unsigned w = irq / 32;

    if (irq == 0 || irq >= VPLIC_SOURCES) {
        return no_such_irq(plic, irq);
    }
    spin_lock(&plic->lock);
    plic->latched[w] |= plic->claimed[w] & bit;
    if (((get(&plic->pending[w]) | plic->claimed[w]) & bit) == 0) {
        forward_and_unlock(plic, irq, NULL);
    } else {
        spin_unlock(&plic->lock);
    }
    return AXVM_OK;
}

/* ---- Claim and completion ---------------------------------------------------------------------------------------- */

/* The pending source of the highest priority, of those the one with the lowest number; 0: none. */
static unsigned best(const struct vplic *plic, const struct vplic_cpu *cpu)
{
    unsigned irq = 0, highest = 0;

    for (unsigned w = 0; w < VPLIC_WORDS; w++) {
        for (uint32_t todo = get(&plic->pending[w]) & get(&cpu->enabled[w]); todo != 0; todo &= todo - 1) {
            unsigned candidate = w * 32 + lowest_bit(todo);

            if (priority(plic, candidate) > highest) {
                irq = candidate;
                highest = priority(plic, candidate);
            }
        }
    }
    return irq;
}

/* Lock not held, here and in all that follows. */
__attribute__((noinline)) static uint32_t claim(struct vplic *plic, struct vplic_cpu *cpu,
                                                const struct axvm_vcpu *from)
{
    unsigned irq;

    spin_lock(&plic->lock);
    irq = best(plic, cpu);
    if (irq != 0) {
        set(&plic->pending[irq / 32], get(&plic->pending[irq / 32]) & ~(1U << irq % 32));
        plic->claimed[irq / 32] |= 1U << irq % 32;
        settle_source(plic, irq, from);
    } else {
        spin_unlock(&plic->lock);
    }
    return irq;
}

static void complete(struct vplic *plic, struct vplic_cpu *cpu, const struct axvm_vcpu *from, uint32_t irq)
{
    uint32_t bit = 1U << irq % 32;
    unsigned w = irq / 32;
    bool again = false;

    if (irq >= VPLIC_SOURCES) {
        return;
    }
    spin_lock(&plic->lock);
    if ((plic->claimed[w] & get(&cpu->enabled[w]) & bit) != 0) {
        plic->claimed[w] &= ~bit;
        again = ((plic->level[w] | plic->latched[w]) & bit) != 0;
        plic->latched[w] &= ~bit;
    }
    if (again) {
        forward_and_unlock(plic, irq, from);
    } else {
        spin_unlock(&plic->lock);
    }
}

/* ---- Registers --------------------------------------------------------------------------------------------------- */

static void priority_write(struct vplic *plic, const struct axvm_vcpu *from, uint64_t irq, uint32_t value)
{
    if (irq == 0 || irq >= VPLIC_SOURCES) {
        return;
    }
    spin_lock(&plic->lock);
    atomic_store_explicit(&plic->priority[irq], (uint8_t)(value & PRIORITY_MASK), memory_order_relaxed);
    if ((get(&plic->pending[irq / 32]) >> irq % 32 & 1) != 0) {
        settle_source(plic, (unsigned)irq, from);
    } else {
        spin_unlock(&plic->lock);
    }
}

static void enable_write(struct vplic *plic, struct vplic_cpu *cpu, const struct axvm_vcpu *from, unsigned w,
                         uint32_t value)
{
    uint32_t changed;

    value &= w == 0 ? ~1U : UINT32_MAX;
    spin_lock(&plic->lock);
    changed = get(&cpu->enabled[w]) ^ value;
    set(&cpu->enabled[w], value);
    if ((changed & get(&plic->pending[w])) != 0) {
        settle_cpu(plic, cpu, from);
    } else {
        spin_unlock(&plic->lock);
    }
}

/* A higher one may only lower the output, and a lower one only raise it. */
static void threshold_write(struct vplic *plic, struct vplic_cpu *cpu, const struct axvm_vcpu *from, uint32_t value)
{
    uint32_t before;

    value &= PRIORITY_MASK;
    spin_lock(&plic->lock);
    before = get(&cpu->threshold);
    set(&cpu->threshold, value);
    if (value != before && (value > before) == atomic_load_explicit(&cpu->output, memory_order_relaxed)) {
        settle_cpu(plic, cpu, from);
    } else {
        spin_unlock(&plic->lock);
    }
}

/* Whose context that is, or NULL. */
static inline struct vplic_cpu *context(const struct vplic *plic, uint64_t number)
{
    return number % 2 == 1 && number / 2 < plic->cpu_count ? plic->cpus[number / 2] : NULL;
}

/* Of the 0x80 bytes of enables that a context has. */
static inline unsigned enable_word(uint64_t offset)
{
    return (unsigned)(offset >> 2) & ((1U << ENABLE_SHIFT >> 2) - 1);
}

static inline unsigned context_reg(uint64_t offset)
{
    return (unsigned)offset & ((1U << CONTEXT_SHIFT) - 1);
}

static struct vplic *plic_of(struct axvm_device *device)
{
    return (struct vplic *)(void *)((char *)device - offsetof(struct vplic, device));
}

static uint32_t context_read(struct vplic *plic, const struct axvm_vcpu *from, uint64_t offset)
{
    struct vplic_cpu *cpu = context(plic, (offset - CONTEXT) >> CONTEXT_SHIFT);

    if (cpu != NULL && context_reg(offset) == CONTEXT_CLAIM) {
        return claim(plic, cpu, from);
    }
    return cpu != NULL && context_reg(offset) == CONTEXT_THRESHOLD ? observe(&cpu->threshold) : 0;
}

static uint32_t enable_read(const struct vplic *plic, uint64_t offset)
{
    const struct vplic_cpu *cpu = context(plic, (offset - ENABLE) >> ENABLE_SHIFT);
    unsigned w = enable_word(offset);

    return cpu != NULL && w < VPLIC_WORDS ? observe(&cpu->enabled[w]) : 0;
}

static uint32_t pending_read(const struct vplic *plic, uint64_t offset)
{
    unsigned w = (unsigned)(offset - PENDING) / 4;

    return w < VPLIC_WORDS ? observe(&plic->pending[w]) : 0;
}

static int vplic_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                      uint64_t *value)
{
    struct vplic *plic = plic_of(device);

    if (size != 4 || offset % 4 != 0) {
        return AXVM_EINVAL;
    }
    if (offset < VPLIC_SOURCES * 4) {
        *value = atomic_load_explicit(&plic->priority[offset / 4], memory_order_acquire);
    } else if (offset >= CONTEXT) {
        *value = context_read(plic, vcpu, offset);
    } else if (offset >= ENABLE) {
        *value = enable_read(plic, offset);
    } else {
        *value = offset >= PENDING ? pending_read(plic, offset) : 0;
    }
    return AXVM_OK;
}

static void context_write(struct vplic *plic, const struct axvm_vcpu *from, uint64_t offset, uint32_t value)
{
    struct vplic_cpu *cpu = context(plic, (offset - CONTEXT) >> CONTEXT_SHIFT);

    if (cpu != NULL && context_reg(offset) == CONTEXT_CLAIM) {
        complete(plic, cpu, from, value);
    } else if (cpu != NULL && context_reg(offset) == CONTEXT_THRESHOLD) {
        threshold_write(plic, cpu, from, value);
    }
}

static int vplic_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                       uint64_t value)
{
    struct vplic *plic = plic_of(device);

    if (size != 4 || offset % 4 != 0) {
        return AXVM_EINVAL;
    }
    if (offset >= CONTEXT) {
        context_write(plic, vcpu, offset, (uint32_t)value);
    } else if (offset >= ENABLE) {
        struct vplic_cpu *cpu = context(plic, (offset - ENABLE) >> ENABLE_SHIFT);
        unsigned w = enable_word(offset);

        if (cpu != NULL && w < VPLIC_WORDS) {
            enable_write(plic, cpu, vcpu, w, (uint32_t)value);
        }
    } else if (offset < PENDING) {
        priority_write(plic, vcpu, offset / 4, (uint32_t)value);
    }
    return AXVM_OK;
}

/* ---- The guest's device tree: binding sifive,plic-1.0.0 ---------------------------------------------------------- */

#define NO_IRQ UINT32_MAX /* a context without an output: M mode's */
#define S_EXTERNAL 9U     /* Privileged 1.13 ch. 4.1.3: SEI */

/* Entry n is the line that context n drives. */
static int fdt_contexts(const struct vplic *plic, void *fdt)
{
    fdt32_t *cells;
    void *property;
    int error = fdt_property_placeholder(fdt, "interrupts-extended", (int)(plic->cpu_count * 4 * sizeof(*cells)),
                                         &property);

    cells = property;
    for (unsigned i = 0; i < plic->cpu_count && error == 0; i++) {
        cells[4 * i] = cpu_to_fdt32(GUEST_FDT_CPU_INTC0 + plic->cpus[i]->vcpu->id);
        cells[4 * i + 1] = cpu_to_fdt32(NO_IRQ);
        cells[4 * i + 2] = cells[4 * i];
        cells[4 * i + 3] = cpu_to_fdt32(S_EXTERNAL);
    }
    return error;
}

static int vplic_fdt_node(struct axvm_device *device, void *fdt)
{
    static const char compatible[] = "sifive,plic-1.0.0\0riscv,plic0";
    int error = device_fdt_begin(device, fdt, "interrupt-controller", compatible, sizeof(compatible));

    error = error != 0 ? error : fdt_property(fdt, "interrupt-controller", NULL, 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "#interrupt-cells", 1);
    error = error != 0 ? error : fdt_property_u32(fdt, "#address-cells", 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "riscv,ndev", VPLIC_SOURCES - 1);
    error = error != 0 ? error : fdt_property_u32(fdt, "phandle", GUEST_FDT_INTC);
    error = error != 0 ? error : fdt_contexts(plic_of(device), fdt);
    return error != 0 ? error : fdt_end_node(fdt);
}

/* ---- Power-on ---------------------------------------------------------------------------------------------------- */

static const struct axvm_device_ops ops = {
    .name = "PLIC",
    .read = vplic_read,
    .write = vplic_write,
    .fdt_node = vplic_fdt_node,
};

static void cpu_reset(struct vplic_cpu *cpu)
{
    set(&cpu->threshold, 0);
    for (unsigned w = 0; w < VPLIC_WORDS; w++) {
        set(&cpu->enabled[w], 0);
    }
    atomic_store(&cpu->output, false);
}

void vplic_reset(struct vplic *plic)
{
    spin_lock(&plic->lock);
    for (unsigned w = 0; w < VPLIC_WORDS; w++) {
        plic->latched[w] = 0;
        plic->claimed[w] = 0;
        set(&plic->pending[w], plic->level[w]);
    }
    for (unsigned irq = 0; irq < VPLIC_SOURCES; irq++) {
        atomic_store_explicit(&plic->priority[irq], 0, memory_order_relaxed);
    }
    for (unsigned i = 0; i < plic->cpu_count; i++) {
        cpu_reset(plic->cpus[i]);
    }
    spin_unlock(&plic->lock);
}

void vplic_init(struct vplic *plic, struct axvm *vm)
{
    memset(plic, 0, sizeof(*plic));
    plic->vm = vm;
    plic->device = (struct axvm_device){.ops = &ops, .vm = vm, .space = AXVM_SPACE_MMIO, .size = VPLIC_SIZE};
}

void vplic_attach(struct vplic *plic, struct vplic_cpu *cpu, struct axvm_vcpu *vcpu)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->vcpu = vcpu;
    cpu->plic = plic;
    cpu->index = plic->cpu_count;
    plic->cpus[plic->cpu_count++] = cpu;
}

int vplic_add_device(struct vplic *plic, gpa_t base)
{
    plic->device.base = base.v;
    return axvm_add_device(plic->vm, &plic->device);
}

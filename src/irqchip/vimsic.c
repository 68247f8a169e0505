/* SPDX-License-Identifier: Apache-2.0 */
#include "irqchip/vimsic.h"

#include "core/guest_fdt.h"
#include "core/vm.h"
#include "irqchip/riscv_fdt.h"
#include <libfdt.h>
#include <string.h>

/* A page's registers (3.5); the rest of it reads as zero. */
enum {
    SETEIPNUM_LE = 0x0,
    SETEIPNUM_BE = 0x4,
};

#define TOPEI_ID_SHIFT 16U

/* ---- What is pending --------------------------------------------------------------------------------------------- */

/* Identities from the threshold on don't count, if it isn't zero (3.8.2). */
static bool below(uint32_t id, uint32_t threshold)
{
    return threshold == 0 || id < threshold;
}

/* The lowest identity that is pending, enabled and below the threshold; 0: none. */
static uint32_t top(const struct vimsic_cpu *cpu)
{
    for (uint32_t i = 0; i < VIMSIC_WORDS; i++) {
        uint64_t ready = atomic_load(&cpu->eip[i]) & atomic_load(&cpu->eie[i]);

        if (ready != 0) {
            uint32_t id = 64 * i + (uint32_t)__builtin_ctzll(ready);

            return below(id, atomic_load(&cpu->threshold)) ? id : 0;
        }
    }
    return 0;
}

/* Whether top() isn't 0. Which it is counts only with a threshold; to find it is long where there is no CTZ. */
static bool is_any_ready(const struct vimsic_cpu *cpu)
{
    for (uint32_t i = 0; i < VIMSIC_WORDS; i++) {
        if ((atomic_load(&cpu->eip[i]) & atomic_load(&cpu->eie[i])) != 0) {
            return atomic_load(&cpu->threshold) == 0 || top(cpu) != 0;
        }
    }
    return false;
}

static bool is_delivering(const struct vimsic_cpu *cpu)
{
    return atomic_load(&cpu->delivery) != 0 && !atomic_load(&cpu->moved);
}

bool vimsic_output(const struct vimsic_cpu *cpu)
{
    return is_delivering(cpu) && is_any_ready(cpu);
}

/* Whether the vCPU has to do something about it. */
static bool is_news(const struct vimsic_cpu *cpu, uint32_t id)
{
    if (atomic_load(&cpu->moved)) {
        return true;
    }
    return (atomic_load(&cpu->eie[id / 64]) >> id % 64 & 1) != 0 && atomic_load(&cpu->delivery) != 0 &&
           below(id, atomic_load(&cpu->threshold));
}

/*
 * Sequentially consistent with what the vCPU does in its own registers, which looks at what is pending afterwards: of a
 * message and the enable of its identity, at least one sees the other.
 */
void vimsic_send(struct vimsic_cpu *cpu, uint32_t id)
{
    uint64_t bit = UINT64_C(1) << id % 64;

    if (id == 0 || id > VIMSIC_IDS) {
        return;
    }
    if ((atomic_fetch_or(&cpu->eip[id / 64], bit) & bit) == 0 && is_news(cpu, id)) {
        vcpu_request(cpu->vcpu, VCPU_REQ_IRQ);
    }
}

/* The vCPU itself changed its interrupt file, whose output was `before`. It looks at its requests before it goes on. */
static void changed(struct vimsic_cpu *cpu, bool before)
{
    if (vimsic_output(cpu) != before) {
        atomic_fetch_or_explicit(&cpu->vcpu->requests, VCPU_REQ_IRQ, memory_order_relaxed);
    }
}

/* ---- The vCPU's registers ---------------------------------------------------------------------------------------- */

/* Bits that `mask` lacks may change at any time. */
static uint64_t word_rmw(_Atomic uint64_t *word, uint64_t mask, uint64_t value)
{
    uint64_t old = atomic_load(word);

    while (mask != 0 && !atomic_compare_exchange_weak(word, &old, (old & ~mask) | (value & mask))) {
    }
    return old;
}

/* Register n of the eip or the eie array. What is beyond the last identity reads as zero, as does bit 0. */
static bool array_rmw(_Atomic uint64_t words[VIMSIC_WORDS], uint64_t n, uint64_t mask, uint64_t value, uint64_t *old)
{
    if (n % 2 != 0) {
        return false;
    }
    n /= 2;
    *old = n < VIMSIC_WORDS ? word_rmw(&words[n], n == 0 ? mask & ~UINT64_C(1) : mask, value) : 0;
    return true;
}

/* 3.8.1: WARL, 0 or 1. */
static uint64_t delivery_rmw(struct vimsic_cpu *cpu, uint64_t mask, uint64_t value)
{
    uint32_t old = atomic_load(&cpu->delivery);
    uint64_t new = (old & ~mask) | (value & mask);

    if (new <= 1) {
        atomic_store(&cpu->delivery, (uint32_t)new);
    }
    return old;
}

static uint64_t threshold_rmw(struct vimsic_cpu *cpu, uint64_t mask, uint64_t value)
{
    uint32_t old = atomic_load(&cpu->threshold);

    atomic_store(&cpu->threshold, (uint32_t)((old & ~mask) | (value & mask)) & VIMSIC_IDS);
    return old;
}

static bool reg_rmw(struct vimsic_cpu *cpu, uint64_t select, uint64_t mask, uint64_t value, uint64_t *old)
{
    *old = 0; /* the reserved ones between, too */
    if (select < VIMSIC_FIRST || select > VIMSIC_LAST) {
        return false;
    }
    if (select >= VIMSIC_EIE0) {
        return array_rmw(cpu->eie, select - VIMSIC_EIE0, mask, value, old);
    }
    if (select >= VIMSIC_EIP0) {
        return array_rmw(cpu->eip, select - VIMSIC_EIP0, mask, value, old);
    }
    if (select == VIMSIC_EIDELIVERY) {
        *old = delivery_rmw(cpu, mask, value);
    } else if (select == VIMSIC_EITHRESHOLD) {
        *old = threshold_rmw(cpu, mask, value);
    }
    return true;
}

bool vimsic_reg_rmw(struct vimsic_cpu *cpu, uint64_t select, uint64_t mask, uint64_t value, uint64_t *old)
{
    bool before = vimsic_output(cpu);
    bool is_there = reg_rmw(cpu, select, mask, value, old);

    if (mask != 0) {
        changed(cpu, before);
    }
    return is_there;
}

uint64_t vimsic_topei(struct vimsic_cpu *cpu, bool claim)
{
    uint32_t id = top(cpu);

    if (claim && id != 0) {
        atomic_fetch_and(&cpu->eip[id / 64], ~(UINT64_C(1) << id % 64));
        changed(cpu, is_delivering(cpu));
    }
    return id << TOPEI_ID_SHIFT | id;
}

/* ---- Elsewhere --------------------------------------------------------------------------------------------------- */

/* A message that finds `moved` not yet set is among those that the exchange takes along. */
void vimsic_move_out(struct vimsic_cpu *cpu, struct vimsic_state *state)
{
    atomic_store(&cpu->moved, true);
    for (unsigned i = 0; i < VIMSIC_WORDS; i++) {
        state->eie[i] = atomic_load(&cpu->eie[i]);
        state->eip[i] = atomic_exchange(&cpu->eip[i], 0);
    }
    state->delivery = atomic_load(&cpu->delivery);
    state->threshold = atomic_load(&cpu->threshold);
}

/* A message that finds `moved` not set any more finds all the rest as it is now. */
void vimsic_move_in(struct vimsic_cpu *cpu, const struct vimsic_state *state)
{
    atomic_store(&cpu->delivery, state->delivery);
    atomic_store(&cpu->threshold, state->threshold);
    for (unsigned i = 0; i < VIMSIC_WORDS; i++) {
        atomic_store(&cpu->eie[i], state->eie[i]);
        atomic_fetch_or(&cpu->eip[i], state->eip[i]);
    }
    atomic_store(&cpu->moved, false);
}

uint64_t vimsic_collect(struct vimsic_cpu *cpu, unsigned word)
{
    return atomic_load_explicit(&cpu->eip[word], memory_order_relaxed) != 0 ? atomic_exchange(&cpu->eip[word], 0) : 0;
}

/* ---- The pages --------------------------------------------------------------------------------------------------- */

static struct vimsic *imsic_of(struct axvm_device *device)
{
    return (struct vimsic *)(void *)((char *)device - offsetof(struct vimsic, device));
}

/* Others than naturally aligned accesses of 32 bits are answered by an access fault, as 3.5 prefers. */
static int page_check(uint64_t offset, unsigned size)
{
    return size == 4 && offset % 4 == 0 ? AXVM_OK : AXVM_EINVAL;
}

static int page_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                     uint64_t *value)
{
    (void)device;
    (void)vcpu;
    *value = 0;
    return page_check(offset, size);
}

/* Whether `offset` into the pages is of a register. */
static bool page_write_word(struct vimsic *imsic, uint64_t offset, uint32_t value)
{
    uint64_t cpu = offset / VIMSIC_PAGE, reg = offset % VIMSIC_PAGE;

    if (cpu >= imsic->cpu_count || (reg != SETEIPNUM_LE && reg != SETEIPNUM_BE)) {
        return false;
    }
    vimsic_send(imsic->cpus[cpu], reg == SETEIPNUM_LE ? value : fdt32_to_cpu(value));
    return true;
}

static int page_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                      uint64_t value)
{
    int error = page_check(offset, size);

    (void)vcpu;
    if (error == AXVM_OK) {
        (void)page_write_word(imsic_of(device), offset, (uint32_t)value);
    }
    return error;
}

int vimsic_signal_msi(struct vimsic *imsic, uint64_t address, uint32_t data)
{
    uint64_t offset = address - imsic->device.base;

    return offset < imsic->device.size && page_write_word(imsic, offset, data) ? AXVM_OK : AXVM_EINVAL;
}

/* Binding riscv,imsics. Its own interrupts are named by no one: they have no cells. */
static int fdt_node(struct axvm_device *device, void *fdt)
{
    int error = riscv_fdt_begin(device, fdt, "imsics", "riscv,imsics");

    error = error != 0 ? error : riscv_fdt_external(device->vm, fdt);
    error = error != 0 ? error : fdt_property(fdt, "interrupt-controller", NULL, 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "#interrupt-cells", 0);
    error = error != 0 ? error : fdt_property(fdt, "msi-controller", NULL, 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "#msi-cells", 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "riscv,num-ids", VIMSIC_IDS);
    error = error != 0 ? error : fdt_property_u32(fdt, "phandle", GUEST_FDT_MSI);
    return error != 0 ? error : fdt_end_node(fdt);
}

/* ---- Set-up and reset -------------------------------------------------------------------------------------------- */

static const struct axvm_device_ops ops = {
    .name = "IMSIC",
    .read = page_read,
    .write = page_write,
    .fdt_node = fdt_node,
};

static void cpu_reset(struct vimsic_cpu *cpu)
{
    for (unsigned i = 0; i < VIMSIC_WORDS; i++) {
        atomic_store(&cpu->eip[i], 0);
        atomic_store(&cpu->eie[i], 0);
    }
    atomic_store(&cpu->delivery, 0);
    atomic_store(&cpu->threshold, 0);
    atomic_store(&cpu->moved, false);
}

void vimsic_init(struct vimsic *imsic, struct axvm *vm)
{
    memset(imsic, 0, sizeof(*imsic));
    imsic->vm = vm;
    imsic->device = (struct axvm_device){.ops = &ops, .space = AXVM_SPACE_MMIO};
}

void vimsic_attach(struct vimsic *imsic, struct vimsic_cpu *cpu, struct axvm_vcpu *vcpu)
{
    cpu->vcpu = vcpu;
    cpu_reset(cpu);
    imsic->cpus[imsic->cpu_count++] = cpu;
}

void vimsic_reset(struct vimsic *imsic)
{
    for (unsigned i = 0; i < imsic->cpu_count; i++) {
        cpu_reset(imsic->cpus[i]);
    }
}

int vimsic_add_device(struct vimsic *imsic, gpa_t base)
{
    imsic->device.base = base.v;
    imsic->device.size = imsic->vm->config.cpu_num * VIMSIC_PAGE;
    return axvm_add_device(imsic->vm, &imsic->device);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/fake/fake.h"

#include <libfdt.h>
#include <string.h>

struct fake_arch fake_arch;

static const struct fake_vcpu *_Atomic loaded[AXVM_MAX_PCPUS]; /* whose registers are in each pCPU's hardware */

struct fake_vm *fake_vm(struct axvm *vm)
{
    return (struct fake_vm *)vm;
}

static struct fake_vcpu *of(struct axvm_vcpu *vcpu)
{
    return (struct fake_vcpu *)vcpu;
}

struct fake_vcpu *fake_vcpu(struct axvm *vm, uint32_t id)
{
    return of(vm_vcpu(vm, id));
}

static void expect(bool condition)
{
    if (!condition) {
        fake_arch.misuses++;
    }
}

void fake_arch_reset(void)
{
    memset(&fake_arch, 0, sizeof(fake_arch));
    memset(loaded, 0, sizeof(loaded));
}

/* ---- The test's side ---- */

void fake_push(struct fake_vcpu *vcpu, struct axvm_exit exit)
{
    expect(vcpu->script_count < FAKE_SCRIPT_MAX);
    if (vcpu->script_count < FAKE_SCRIPT_MAX) {
        vcpu->script[vcpu->script_count++] = exit;
    }
}

const struct fake_completion *fake_completed(const struct fake_vcpu *vcpu, unsigned n)
{
    expect(n < vcpu->completion_count);
    return &vcpu->completions[(vcpu->completion_count - 1 - n) % FAKE_COMPLETIONS_MAX];
}

void fake_guest_spin(struct fake_vcpu *vcpu, struct axvm_exit *exit)
{
    while (!(atomic_load(&vcpu->base.requests) & VCPU_REQ_CORE)) {
    }
    exit->kind = AXVM_EXIT_STOPPED;
}

/* ---- pCPU and VM ---- */

static bool supported(void)
{
    return !fake_arch.unsupported;
}

static int cpu_enable(void)
{
    return fake_arch.cpu_enable_error;
}

static void cpu_disable(void)
{
    expect(loaded[hal->pcpu_id()] == NULL);
}

static void flush_range(struct addrspace *as, gpa_t start, uint64_t size)
{
    (void)as;
    (void)start;
    (void)size;
}

static void flush_all(struct addrspace *as)
{
    (void)as;
}

const struct addrspace_tlb fake_tlb = {.flush_range = flush_range, .flush_all = flush_all};

static int vm_init(struct axvm *vm)
{
    fake_arch.vms++;
    return fake_arch.vm_init_error != AXVM_OK
               ? fake_arch.vm_init_error
               : addrspace_init(&vm->as, &pt_aarch64_stage2, axvm_platform_fake.gpa_bits, &fake_tlb, 1);
}

static void vm_fini(struct axvm *vm)
{
    (void)vm;
    fake_arch.vms--;
}

static void vm_reset(struct axvm *vm)
{
    fake_vm(vm)->resets++;
    fake_vm(vm)->wired = 0;
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        expect(fake_vcpu(vm, i)->loaded_on < 0);
        fake_vcpu(vm, i)->pending = 0;
    }
}

static void vm_boot(struct axvm *vm)
{
    fake_vm(vm)->boots++;
}

static void vm_time_shift(struct axvm *vm, uint64_t ticks)
{
    fake_vm(vm)->shifted += ticks;
}

/* ---- vCPU ---- */

static int vcpu_init(struct axvm_vcpu *vcpu)
{
    of(vcpu)->loaded_on = -1;
    return fake_arch.vcpu_init_error;
}

static void vcpu_start(struct axvm_vcpu *vcpu, gpa_t entry, uint64_t arg)
{
    struct fake_vcpu *fake = of(vcpu);

    expect(fake->loaded_on < 0);
    fake->starts++;
    fake->entry = entry;
    fake->arg = arg;
    memset(fake->gpr, 0, sizeof(fake->gpr));
    fake->gpr[0] = arg;
}

static void vcpu_load(struct axvm_vcpu *vcpu)
{
    struct fake_vcpu *fake = of(vcpu);
    unsigned pcpu = hal->pcpu_id();

    expect(fake->loaded_on < 0 && loaded[pcpu] == NULL);
    fake->loaded_on = (int32_t)pcpu;
    loaded[pcpu] = fake;
    fake->loads++;
}

static void vcpu_save(struct axvm_vcpu *vcpu)
{
    struct fake_vcpu *fake = of(vcpu);
    unsigned pcpu = hal->pcpu_id();

    expect(fake->loaded_on == (int32_t)pcpu && loaded[pcpu] == fake);
    fake->loaded_on = -1;
    loaded[pcpu] = NULL;
    fake->saves++;
}

static void vcpu_run(struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    struct fake_vcpu *fake = of(vcpu);

    expect(loaded[hal->pcpu_id()] == fake && atomic_load(&vcpu->state) == AXVM_VCPU_RUNNING);
    expect(atomic_load(&vcpu->power) == VCPU_ON);
    fake->runs++;
    if (atomic_load(&vcpu->requests) & VCPU_REQ_CORE) {
        exit->kind = AXVM_EXIT_STOPPED;
        return;
    }
    atomic_fetch_and(&vcpu->requests, ~(uint32_t)VCPU_REQ_IRQ);
    if (fake->script_next < fake->script_count) {
        *exit = fake->script[fake->script_next++];
    } else if (fake->guest != NULL) {
        fake->guest(fake, exit);
    } else {
        exit->kind = AXVM_EXIT_HALT;
    }
}

static void vcpu_complete(struct axvm_vcpu *vcpu, const struct axvm_exit *exit, int error, uint64_t value)
{
    struct fake_vcpu *fake = of(vcpu);

    fake->completions[fake->completion_count % FAKE_COMPLETIONS_MAX] = (struct fake_completion){*exit, error, value};
    fake->completion_count++;
}

static bool vcpu_pending(struct axvm_vcpu *vcpu)
{
    return atomic_load(&of(vcpu)->pending) != 0 || (vcpu->id == 0 && atomic_load(&fake_vm(vcpu->vm)->wired) != 0);
}

static void set_return_value(struct axvm_vcpu *vcpu, uint64_t value)
{
    of(vcpu)->gpr[0] = value;
}

static void set_gpr(struct axvm_vcpu *vcpu, unsigned reg, uint64_t value)
{
    of(vcpu)->gpr[reg % FAKE_GPRS] = value;
}

/* ---- Interrupts ---- */

static void irq_line(struct axvm *vm, uint32_t irq, bool level)
{
    uint64_t bit = UINT64_C(1) << (irq - FAKE_IRQ_MIN);

    if (level) {
        atomic_fetch_or(&fake_vm(vm)->wired, bit);
        vcpu_request(vm->vcpus[0], VCPU_REQ_IRQ);
    } else {
        atomic_fetch_and(&fake_vm(vm)->wired, ~bit);
    }
}

static int irq_pulse(struct axvm_vcpu *vcpu, uint32_t irq)
{
    if (irq > FAKE_IRQ_MAX) {
        return AXVM_EINVAL;
    }
    fake_vm(vcpu->vm)->pulses++;
    if (irq >= FAKE_IRQ_MIN) {
        irq_line(vcpu->vm, irq, true);
    } else {
        atomic_fetch_or(&of(vcpu)->pending, UINT32_C(1) << irq);
        vcpu_request(vcpu, VCPU_REQ_IRQ);
    }
    return AXVM_OK;
}

/* ---- The device ---- */

static int device_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                       uint64_t *value)
{
    struct fake_device *fake = (struct fake_device *)device;

    (void)vcpu;
    (void)offset;
    fake->last_size = size;
    *value = fake->value;
    return fake->error;
}

static int device_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                        uint64_t value)
{
    struct fake_device *fake = (struct fake_device *)device;

    (void)vcpu;
    (void)offset;
    fake->last_size = size;
    fake->value = value;
    return fake->error;
}

static void device_reset(struct axvm_device *device)
{
    struct fake_device *fake = (struct fake_device *)device;

    fake->value = 0;
    fake->resets++;
}

static size_t device_input(struct axvm_device *device, const char *bytes, size_t count)
{
    struct fake_device *fake = (struct fake_device *)device;

    count = count < sizeof(fake->input) ? count : sizeof(fake->input);
    memcpy(fake->input, bytes, count);
    return count;
}

static int device_create(struct axvm *vm, const struct axvm_emu_config *config)
{
    static const struct axvm_device_ops ops = {
        .name = "fake",
        .read = device_read,
        .write = device_write,
        .reset = device_reset,
        .input = device_input,
    };
    struct fake_device *fake = arena_alloc(&vm->arena, sizeof(*fake));

    if (fake_arch.device_error != AXVM_OK || fake == NULL) {
        return fake == NULL ? AXVM_ENOMEM : fake_arch.device_error;
    }
    fake->base = (struct axvm_device){
        .ops = &ops,
        .space = AXVM_SPACE_MMIO,
        .base = config->base.v,
        .size = config->length,
        .irq = config->irq,
    };
    return axvm_add_device(vm, &fake->base);
}

/* It has no registers. */
static int intc_create(struct axvm *vm, const struct axvm_emu_config *config)
{
    (void)vm;
    (void)config;
    return AXVM_OK;
}

static const struct arch_device_type device_types[] = {
    {AXVM_EMU_CONSOLE, device_create},
    {AXVM_EMU_INTERRUPT_CONTROLLER, intc_create},
};

/* ---- The guest's device tree: it has next to nothing to add ---- */

static int fdt_vm(struct axvm *vm, void *fdt)
{
    (void)vm;
    (void)fdt;
    return 0;
}

/* One cell, its number. */
static int fdt_irq(struct axvm *vm, void *fdt, uint32_t irq)
{
    (void)vm;
    return fdt_property_u32(fdt, "interrupts", irq);
}

static int fdt_cpu(struct axvm_vcpu *vcpu, void *fdt)
{
    (void)vcpu;
    (void)fdt;
    return 0;
}

/* ---- The tables ---- */

static uint64_t phys_id(uint32_t vcpu_id)
{
    return FAKE_PHYS_ID(vcpu_id);
}

static const struct axvm_emu_config devices[] = {
    {.name = "intc", .base = {FAKE_INTC_BASE}, .length = AXVM_PAGE_SIZE, .type = AXVM_EMU_INTERRUPT_CONTROLLER},
    {.name = "console",
     .base = {FAKE_CONSOLE_BASE},
     .length = AXVM_PAGE_SIZE,
     .irq = FAKE_CONSOLE_IRQ,
     .type = AXVM_EMU_CONSOLE},
};

/* The last one has no device_types row, so that a VM which asks for it passes the validator. */
static const enum axvm_emu_type served[] = {AXVM_EMU_CONSOLE, AXVM_EMU_INTERRUPT_CONTROLLER, AXVM_EMU_DUMMY};

const struct axvm_platform axvm_platform_fake = {
    .arch = "fake",
    .ram_base = {FAKE_RAM_START},
    .gpa_bits = 40,
    .irq_min = FAKE_IRQ_MIN,
    .irq_max = FAKE_IRQ_MAX,
    .max_vcpus = AXVM_MAX_VCPUS,
    .phys_id = phys_id,
    .devices = devices,
    .devices_count = sizeof(devices) / sizeof(devices[0]),
    .served = served,
    .served_count = sizeof(served) / sizeof(served[0]),
};

const struct axvm_arch axvm_arch_fake = {
    .name = "fake",
    .platform = &axvm_platform_fake,
    .vm_size = sizeof(struct fake_vm),
    .vcpu_size = sizeof(struct fake_vcpu),
    .devices = device_types,
    .devices_count = sizeof(device_types) / sizeof(device_types[0]),
    .supported = supported,
    .cpu_enable = cpu_enable,
    .cpu_disable = cpu_disable,
    .vm_init = vm_init,
    .vm_fini = vm_fini,
    .vm_reset = vm_reset,
    .vm_boot = vm_boot,
    .vm_time_shift = vm_time_shift,
    .vcpu_init = vcpu_init,
    .vcpu_start = vcpu_start,
    .vcpu_load = vcpu_load,
    .vcpu_save = vcpu_save,
    .vcpu_run = vcpu_run,
    .vcpu_complete = vcpu_complete,
    .vcpu_pending = vcpu_pending,
    .set_return_value = set_return_value,
    .set_gpr = set_gpr,
    .irq_pulse = irq_pulse,
    .irq_line = irq_line,
    .fdt_root = fdt_vm,
    .fdt_cpu = fdt_cpu,
    .fdt_nodes = fdt_vm,
    .fdt_irq = fdt_irq,
};

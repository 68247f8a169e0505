/* SPDX-License-Identifier: Apache-2.0 */
#include "core/vcpu.h"

#include "core/arch.h"
#include "core/pcpu.h"
#include "core/vm.h"
#include "lib/log.h"

/* ---- For the core and the architectures ---- */

/*
 * Whether the calling pCPU is the one that runs this vCPU. Then it isn't in the guest now, and looks at its requests
 * before it enters.
 */
static bool runs_here(const struct axvm_vcpu *vcpu, uint32_t state)
{
    return (state == AXVM_VCPU_RUNNING || state == AXVM_VCPU_READY) &&
           atomic_load_explicit(&vcpu->resident_on, memory_order_relaxed) == (int32_t)hal->pcpu_id();
}

/*
 * Sequentially consistent with vcpu_unclaim(), which stores BLOCKED and then looks for interrupts: of a vCPU that goes
 * to sleep and somebody who makes an interrupt pending and then comes here, at least one sees what the other did.
 */
void vcpu_request(struct axvm_vcpu *vcpu, uint32_t requests)
{
    uint32_t before = atomic_fetch_or(&vcpu->requests, requests);
    uint32_t state = atomic_load(&vcpu->state);

    if ((before & requests) == requests && state != AXVM_VCPU_BLOCKED) {
        return;
    }
    if (!runs_here(vcpu, state)) {
        hal->vcpu_kick(vcpu->vm->id, vcpu->id);
    }
}

struct axvm_vcpu *vcpu_by_phys_id(struct axvm *vm, uint64_t phys_id)
{
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        if (vm->vcpus[i]->phys_id == phys_id) {
            return vm->vcpus[i];
        }
    }
    return NULL;
}

int vcpu_claim(struct axvm_vcpu *vcpu, uint32_t *was)
{
    uint32_t state = atomic_load_explicit(&vcpu->state, memory_order_relaxed);

    if (state != AXVM_VCPU_FREE && state != AXVM_VCPU_BLOCKED) {
        return AXVM_EBUSY;
    }
    if (!atomic_compare_exchange_strong_explicit(&vcpu->state, &state, AXVM_VCPU_READY, memory_order_acquire,
                                                 memory_order_relaxed)) {
        return AXVM_EBUSY;
    }
    *was = state;
    return AXVM_OK;
}

/* Of one that found nothing pending when it began to wait: whatever came since has been requested. */
static bool wait_is_over(struct axvm_vcpu *vcpu)
{
    return atomic_load(&vcpu->requests) != 0 && arch->vcpu_pending(vcpu);
}

void vcpu_unclaim(struct axvm_vcpu *vcpu, uint32_t was)
{
    atomic_store(&vcpu->state, was);
    /* Whoever raised an interrupt until now took the vCPU for one that is being run, and may have left it at that. */
    if (was == AXVM_VCPU_BLOCKED && wait_is_over(vcpu)) {
        hal->vcpu_kick(vcpu->vm->id, vcpu->id);
    }
}

/* A VM may be suspended while its guest asks for this: the vCPU then starts when the VM is resumed. */
static int power_on_locked(struct axvm_vcpu *vcpu, gpa_t entry, uint64_t arg)
{
    enum axvm_state state = axvm_state(vcpu->vm);

    switch (atomic_load_explicit(&vcpu->power, memory_order_acquire)) {
    case VCPU_ON:
        return AXVM_EEXIST;
    case VCPU_ON_PENDING:
        return AXVM_EBUSY;
    default:
        break;
    }
    if (state != AXVM_STATE_RUNNING && state != AXVM_STATE_SUSPENDED) {
        return AXVM_EBADSTATE;
    }
    vcpu->start_entry = entry;
    vcpu->start_arg = arg;
    /* Release: the vCPU's pCPU reads entry and argument when it sees this. */
    atomic_store_explicit(&vcpu->power, VCPU_ON_PENDING, memory_order_release);
    return AXVM_OK;
}

/* The errors are the guest's to see and nothing for the log: it could fill it with them. */
int vcpu_power_on(struct axvm_vcpu *vcpu, gpa_t entry, uint64_t arg)
{
    int error;

    spin_lock(&vcpu->vm->lock);
    error = power_on_locked(vcpu, entry, arg);
    spin_unlock(&vcpu->vm->lock);
    if (error == AXVM_OK) {
        hal->vcpu_kick(vcpu->vm->id, vcpu->id);
    }
    return error;
}

/*
 * From here on another vCPU may power it on again; that start waits in start_entry until this run comes past
 * run_prepare().
 */
void vcpu_power_off(struct axvm_vcpu *vcpu)
{
    atomic_store_explicit(&vcpu->power, VCPU_OFF, memory_order_release);
}

/* ---- For hosts ---- */

enum axvm_vcpu_state axvm_vcpu_state(const struct axvm *vm, uint32_t id)
{
    const struct axvm_vcpu *vcpu = vm_vcpu(vm, id);

    return vcpu == NULL ? AXVM_VCPU_CREATED : (enum axvm_vcpu_state)atomic_load(&vcpu->state);
}

bool axvm_vcpu_runnable(const struct axvm *vm, uint32_t id)
{
    struct axvm_vcpu *vcpu = vm_vcpu(vm, id);

    return vcpu != NULL && axvm_state(vm) == AXVM_STATE_RUNNING &&
           atomic_load_explicit(&vcpu->power, memory_order_acquire) != VCPU_OFF &&
           (atomic_load(&vcpu->state) != AXVM_VCPU_BLOCKED || wait_is_over(vcpu));
}

static int no_such_vcpu(const struct axvm *vm, uint32_t id)
{
    return fail(AXVM_EINVAL, "VM %u: there is no vCPU %u", axvm_id(vm), id);
}

int axvm_vcpu_set_alone(struct axvm *vm, uint32_t id, bool alone)
{
    struct axvm_vcpu *vcpu = vm_vcpu(vm, id);

    if (vcpu == NULL) {
        return no_such_vcpu(vm, id);
    }
    if (atomic_exchange(&vcpu->alone, alone) != alone) {
        /* No kick: the host calls this with its run queues locked, and kicks when it must. */
        atomic_fetch_or(&vcpu->requests, VCPU_REQ_RELOAD);
    }
    return AXVM_OK;
}

int axvm_vcpu_resides_on(const struct axvm *vm, uint32_t id)
{
    const struct axvm_vcpu *vcpu = vm_vcpu(vm, id);
    int32_t pcpu;

    if (vcpu == NULL) {
        return no_such_vcpu(vm, id);
    }
    pcpu = atomic_load_explicit(&vcpu->resident_on, memory_order_acquire);
    return pcpu < 0 ? AXVM_ENOENT : pcpu;
}

/* Nobody needs the vCPU to be claimed for this: on its own pCPU, here, it can't be in the guest. */
int axvm_release_vcpu(struct axvm *vm, uint32_t id)
{
    struct axvm_vcpu *vcpu = vm_vcpu(vm, id);
    struct pcpu *cpu = pcpu_self();

    if (vcpu == NULL) {
        return no_such_vcpu(vm, id);
    }
    if (cpu->resident == vcpu) {
        pcpu_evict(cpu);
    }
    return atomic_load_explicit(&vcpu->resident_on, memory_order_acquire) < 0 ? AXVM_OK : AXVM_EBUSY;
}

/* Claim a vCPU to change its registers: it must be in memory, or in the calling pCPU's hardware. */
static int claim_registers(struct axvm *vm, uint32_t id, struct axvm_vcpu **vcpu, uint32_t *was)
{
    int32_t pcpu;

    *vcpu = vm_vcpu(vm, id);
    if (*vcpu == NULL) {
        return no_such_vcpu(vm, id);
    }
    if (vcpu_claim(*vcpu, was) != AXVM_OK) {
        return fail(AXVM_EBUSY, "VM %u: vCPU %u is running: its registers can't be set", vm->id, id);
    }
    pcpu = atomic_load_explicit(&(*vcpu)->resident_on, memory_order_acquire);
    if (pcpu >= 0 && pcpu != (int32_t)hal->pcpu_id()) {
        vcpu_unclaim(*vcpu, *was);
        return fail(AXVM_EBUSY, "VM %u: vCPU %u is resident on pCPU %d: its registers can't be set", vm->id, id, pcpu);
    }
    return AXVM_OK;
}

int axvm_set_return_value(struct axvm *vm, uint32_t id, uint64_t value)
{
    struct axvm_vcpu *vcpu;
    uint32_t was;
    int error = claim_registers(vm, id, &vcpu, &was);

    if (error == AXVM_OK) {
        arch->set_return_value(vcpu, value);
        vcpu_unclaim(vcpu, was);
    }
    return error;
}

int axvm_set_gpr(struct axvm *vm, uint32_t id, unsigned reg, uint64_t value)
{
    struct axvm_vcpu *vcpu;
    uint32_t was;
    int error = claim_registers(vm, id, &vcpu, &was);

    if (error == AXVM_OK) {
        arch->set_gpr(vcpu, reg, value);
        vcpu_unclaim(vcpu, was);
    }
    return error;
}

/* ---- Interrupts ---- */

static bool is_wired(uint32_t irq)
{
    return irq >= arch->platform->irq_min && irq <= arch->platform->irq_max;
}

static int inject(struct axvm *vm, uint64_t vcpu_mask, uint32_t irq)
{
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        int error = AXVM_OK;

        if (vcpu_mask >> i & 1) {
            error = arch->irq_pulse(vm->vcpus[i], irq);
        }
        if (error != AXVM_OK) {
            return fail(error, "VM %u: there is no interrupt %u to inject", vm->id, irq);
        }
    }
    return AXVM_OK;
}

int axvm_inject_interrupt(struct axvm *vm, uint64_t vcpu_mask, uint32_t irq)
{
    enum axvm_state state = axvm_state(vm);
    uint32_t count = vm->vcpu_count;

    if (state != AXVM_STATE_RUNNING && state != AXVM_STATE_SUSPENDED) {
        return fail(AXVM_EBADSTATE, "VM %u: interrupt %u injected while %s", vm->id, irq, axvm_state_name(state));
    }
    if (vcpu_mask == 0 || (count < AXVM_MAX_VCPUS && vcpu_mask >> count != 0)) {
        return fail(AXVM_EINVAL, "VM %u: interrupt %u for vCPUs 0x%llx, of which some don't exist", vm->id, irq,
                    (unsigned long long)vcpu_mask);
    }
    return inject(vm, is_wired(irq) ? vcpu_mask & -vcpu_mask : vcpu_mask, irq);
}

int axvm_signal_msi(struct axvm *vm, uint64_t address, uint32_t device_id, uint32_t data)
{
    enum axvm_state state = axvm_state(vm);

    if (state != AXVM_STATE_RUNNING && state != AXVM_STATE_SUSPENDED) {
        return fail(AXVM_EBADSTATE, "VM %u: a message-signalled interrupt while %s", vm->id, axvm_state_name(state));
    }
    if (arch->msi == NULL) {
        return fail(AXVM_EINVAL, "VM %u: nothing takes message-signalled interrupts", vm->id);
    }
    return arch->msi(vm, address, device_id, data);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* axvm_run_vcpu(): enter the guest, answer what the library can, and give the rest to the host. */
#include "core/pcpu.h"
#include "core/vm.h"
#include "lib/log.h"
#include <stdio.h>

/* ---- Answers: true if the vCPU goes on, false if the exit is the host's ---- */

/* The low `width` bytes of `value`, sign- or zero-extended to a register of `reg_width` bytes. */
static uint64_t extend(uint64_t value, enum axvm_width width, enum axvm_width reg_width, bool signed_ext)
{
    unsigned unused = 64 - 8 * (unsigned)width;
    unsigned beyond = 64 - 8 * (unsigned)reg_width;

    value <<= unused;
    value = signed_ext ? (uint64_t)((int64_t)value >> unused) : value >> unused;
    return value << beyond >> beyond;
}

static bool answer_mmio_read(struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    uint64_t value = 0;
    int error = bus_read(&vcpu->vm->buses[AXVM_SPACE_MMIO], vcpu, exit->mmio.addr.v, exit->mmio.width, &value);

    vcpu->stats.mmio++;
    value = extend(value, exit->mmio.width, exit->mmio.reg_width, exit->mmio.signed_ext);
    arch->vcpu_complete(vcpu, exit, error, value);
    return true;
}

static bool answer_mmio_write(struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    int error = bus_write(&vcpu->vm->buses[AXVM_SPACE_MMIO], vcpu, exit->mmio.addr.v, exit->mmio.width,
                          exit->mmio.data);

    vcpu->stats.mmio++;
    arch->vcpu_complete(vcpu, exit, error, 0);
    return true;
}

/* An address is a register, whatever its width; so bus_read() and bus_write(), which count in bytes, don't fit. */
static struct axvm_device *sysreg_find(struct axvm_vcpu *vcpu, uint64_t addr)
{
    return bus_find(&vcpu->vm->buses[AXVM_SPACE_SYSREG], addr, 1);
}

static bool answer_sysreg_read(struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    struct axvm_device *device = sysreg_find(vcpu, exit->sysreg.addr);
    uint64_t value = 0;
    int error = AXVM_ENOENT;

    if (device != NULL) {
        error = device->ops->read(device, vcpu, exit->sysreg.addr - device->base, AXVM_QWORD, &value);
    }
    vcpu->stats.sysregs++;
    arch->vcpu_complete(vcpu, exit, error, value);
    return true;
}

static bool answer_sysreg_write(struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    struct axvm_device *device = sysreg_find(vcpu, exit->sysreg.addr);
    int error = AXVM_ENOENT;

    if (device != NULL) {
        error = device->ops->write(device, vcpu, exit->sysreg.addr - device->base, AXVM_QWORD, exit->sysreg.value);
    }
    vcpu->stats.sysregs++;
    arch->vcpu_complete(vcpu, exit, error, 0);
    return true;
}

static bool answer_io_read(struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    uint64_t value = 0;
    int error = bus_read(&vcpu->vm->buses[AXVM_SPACE_PORT], vcpu, exit->io.port, exit->io.width, &value);

    vcpu->stats.mmio++;
    arch->vcpu_complete(vcpu, exit, error, value);
    return true;
}

static bool answer_io_write(struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    int error = bus_write(&vcpu->vm->buses[AXVM_SPACE_PORT], vcpu, exit->io.port, exit->io.width, exit->io.data);

    vcpu->stats.mmio++;
    arch->vcpu_complete(vcpu, exit, error, 0);
    return true;
}

/* The guest can't help it when the host has no memory left for it, and a bus error would only mislead. */
static bool answer_page_fault(struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    int error = addrspace_fault(&vcpu->vm->as, exit->nested_page_fault.addr, exit->nested_page_fault.access);

    vcpu->stats.faults++;
    if (error == AXVM_ENOMEM) {
        axvm_fail(vcpu->vm, "the host has no memory left to populate a page");
    } else if (error != AXVM_OK) {
        arch->vcpu_complete(vcpu, exit, error, 0);
    }
    return true;
}

/* vcpu_unclaim() looks once more, when it has made the vCPU blocked. */
static bool answer_halt(struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    (void)exit;
    if (arch->vcpu_pending(vcpu)) {
        return true;
    }
    vcpu->stats.halts++;
    return false;
}

static bool answer_fail_entry(struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    char reason[64];

    snprintf(reason, sizeof(reason), "vCPU %u: the hardware refuses to enter it, code 0x%llx", vcpu->id,
             (unsigned long long)exit->fail_entry.reason);
    axvm_fail(vcpu->vm, reason);
    return false;
}

/* A request of VCPU_REQ_CORE, or powered off: what to do about it is found where the loop begins again. */
static bool answer_again(struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    (void)vcpu;
    (void)exit;
    return true;
}

/* What isn't here is the host's. */
static bool (*const answers[AXVM_EXIT_KIND_COUNT])(struct axvm_vcpu *vcpu, struct axvm_exit *exit) = {
    [AXVM_EXIT_MMIO_READ] = answer_mmio_read,
    [AXVM_EXIT_MMIO_WRITE] = answer_mmio_write,
    [AXVM_EXIT_SYSREG_READ] = answer_sysreg_read,
    [AXVM_EXIT_SYSREG_WRITE] = answer_sysreg_write,
    [AXVM_EXIT_IO_READ] = answer_io_read,
    [AXVM_EXIT_IO_WRITE] = answer_io_write,
    [AXVM_EXIT_NESTED_PAGE_FAULT] = answer_page_fault,
    [AXVM_EXIT_HALT] = answer_halt,
    [AXVM_EXIT_CPU_DOWN] = answer_again,
    [AXVM_EXIT_FAIL_ENTRY] = answer_fail_entry,
    [AXVM_EXIT_STOPPED] = answer_again,
};

/* ---- The loop ---- */

/*
 * Clear what is asked for, then act on it. LEAVE needs no action but the look at the VM's state that follows: clearing
 * the request with acquire makes visible what its sender did before.
 */
static void run_requests(struct pcpu *cpu, struct axvm_vcpu *vcpu)
{
    uint32_t requests = atomic_fetch_and(&vcpu->requests, ~VCPU_REQ_CORE);

    if ((requests & VCPU_REQ_RELOAD) && cpu->resident == vcpu) {
        pcpu_evict(cpu);
    }
}

/*
 * Make the vCPU ready to enter: started and resident. false: it can't enter; then *error, or else `exit`, says why. An
 * error finds it as it was.
 */
static bool run_prepare(struct pcpu *cpu, struct axvm_vcpu *vcpu, struct axvm_exit *exit, int *error)
{
    uint32_t power = atomic_load_explicit(&vcpu->power, memory_order_acquire);

    if (power != VCPU_ON && cpu->resident == vcpu) {
        pcpu_evict(cpu); /* powered off: it may be started anew, and anywhere */
    }
    if (power == VCPU_OFF) {
        exit->kind = AXVM_EXIT_CPU_DOWN;
        return false;
    }
    if (power == VCPU_ON_PENDING && atomic_load_explicit(&vcpu->resident_on, memory_order_acquire) < 0) {
        arch->vcpu_start(vcpu, vcpu->start_entry, vcpu->start_arg);
        atomic_store_explicit(&vcpu->power, VCPU_ON, memory_order_release);
    }
    *error = pcpu_load(cpu, vcpu);
    return *error == AXVM_OK;
}

static bool is_prepared(const struct pcpu *cpu, const struct axvm_vcpu *vcpu)
{
    return cpu->resident == vcpu && atomic_load_explicit(&vcpu->power, memory_order_relaxed) == VCPU_ON;
}

/* Run a claimed vCPU until there is something for the host. *was: the state to unclaim it in. */
static int run_loop(struct pcpu *cpu, struct axvm_vcpu *vcpu, struct axvm_exit *exit, uint32_t *was)
{
    int error = AXVM_OK;

    do {
        exit->kind = AXVM_EXIT_STOPPED;
        if (atomic_load_explicit(&vcpu->requests, memory_order_relaxed) & VCPU_REQ_CORE) {
            run_requests(cpu, vcpu);
        }
        if (axvm_state(vcpu->vm) != AXVM_STATE_RUNNING ||
            (!is_prepared(cpu, vcpu) && !run_prepare(cpu, vcpu, exit, &error))) {
            return error;
        }
        atomic_store_explicit(&vcpu->state, AXVM_VCPU_RUNNING, memory_order_relaxed);
        arch->vcpu_run(vcpu, exit);
        atomic_store_explicit(&vcpu->state, AXVM_VCPU_READY, memory_order_relaxed);
        *was = AXVM_VCPU_FREE;
    } while (answers[exit->kind] != NULL && answers[exit->kind](vcpu, exit));
    if (exit->kind == AXVM_EXIT_HALT) {
        *was = AXVM_VCPU_BLOCKED;
    }
    return AXVM_OK;
}

/* Of a VM that isn't running nothing stays in the hardware: nobody may come back for it. */
static void evict_if_stopped(struct pcpu *cpu, struct axvm_vcpu *vcpu)
{
    if (axvm_state(vcpu->vm) != AXVM_STATE_RUNNING && cpu->resident == vcpu) {
        pcpu_evict(cpu);
    }
}

static int run_entered(struct pcpu *cpu, struct axvm_vcpu *vcpu, struct axvm_exit *exit)
{
    uint32_t was;
    int error = vcpu_claim(vcpu, &was);

    if (error != AXVM_OK && axvm_state(vcpu->vm) != AXVM_STATE_RUNNING) {
        exit->kind = AXVM_EXIT_STOPPED; /* it failed meanwhile, and whoever resets or destroys it has the claim */
        error = AXVM_OK;
    } else if (error == AXVM_OK) {
        error = run_loop(cpu, vcpu, exit, &was);
        evict_if_stopped(cpu, vcpu);
        vcpu_unclaim(vcpu, was);
    }
    return error;
}

int axvm_run_vcpu(struct axvm *vm, uint32_t id, struct axvm_exit *exit)
{
    struct axvm_vcpu *vcpu = vm_vcpu(vm, id);
    struct pcpu *cpu = pcpu_self();
    int error;

    if (vcpu == NULL) {
        return fail(AXVM_EINVAL, "VM %u: there is no vCPU %u to run", vm->id, id);
    }
    if (!cpu->enabled) {
        return fail(AXVM_EBADSTATE, "VM %u: vCPU %u to run on a pCPU that isn't enabled", vm->id, id);
    }
    if (!vm_enter(vm)) {
        evict_if_stopped(cpu, vcpu);
        exit->kind = AXVM_EXIT_STOPPED;
        return AXVM_OK;
    }
    error = run_entered(cpu, vcpu, exit);
    vm_leave(vm);
    return error;
}

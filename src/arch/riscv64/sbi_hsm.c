/* SPDX-License-Identifier: Apache-2.0 */
/* SBI's extensions for power: HSM (one hart), SRST and SUSP (the whole system). */
#include "arch/riscv64/cpu.h"
#include "arch/riscv64/sbi.h"

/* An address where a hart can begin: an instruction in RAM that the guest may execute. */
static bool is_entry(struct axvm *vm, gpa_t entry)
{
    uint32_t flags;
    int error;

    if ((entry.v & 1) != 0 || !addrspace_is_ram(&vm->as, entry, 2)) {
        return false;
    }
    if (addrspace_translate(&vm->as, entry, NULL, &flags, NULL) == AXVM_OK) {
        return (flags & AXVM_MEM_EXEC) != 0;
    }
    error = addrspace_fault(&vm->as, entry, AXVM_MEM_EXEC); /* not there yet: by what is allowed there */
    return error == AXVM_OK || error == AXVM_ENOMEM;
}

/* ---- HSM --------------------------------------------------------------------------------------------------------- */

static int hart_start(struct rv64_vcpu *v)
{
    struct axvm_vcpu *target = vcpu_by_phys_id(v->base.vm, sbi_arg(v, 0));
    gpa_t entry = gpa(sbi_arg(v, 1));

    if (target == NULL) {
        return sbi_error(v, SBI_ERR_INVALID_PARAM);
    }
    if (!is_entry(v->base.vm, entry)) {
        return sbi_error(v, SBI_ERR_INVALID_ADDRESS);
    }
    switch (vcpu_power_on(target, entry, sbi_arg(v, 2))) {
    case AXVM_OK:
        (void)sbi_error(v, SBI_SUCCESS);
        v->exit->cpu_up.target = target->id;
        return sbi_leave(v, AXVM_EXIT_CPU_UP);
    case AXVM_EEXIST:
    case AXVM_EBUSY:
        return sbi_error(v, SBI_ERR_ALREADY_AVAILABLE);
    default:
        return sbi_error(v, SBI_ERR_FAILED);
    }
}

static int hart_stop(struct rv64_vcpu *v)
{
    vcpu_power_off(&v->base);
    return sbi_leave(v, AXVM_EXIT_CPU_DOWN);
}

static enum hsm_state state_of(struct rv64_vcpu *v)
{
    switch (atomic_load(&v->base.power)) {
    case VCPU_OFF:
        return HSM_STOPPED;
    case VCPU_ON_PENDING:
        return HSM_START_PENDING;
    default:
        return atomic_load(&v->suspended) ? HSM_SUSPENDED : HSM_STARTED;
    }
}

static int hart_get_status(struct rv64_vcpu *v)
{
    struct axvm_vcpu *target = vcpu_by_phys_id(v->base.vm, sbi_arg(v, 0));

    if (target == NULL) {
        return sbi_error(v, SBI_ERR_INVALID_PARAM);
    }
    return sbi_return(v, SBI_SUCCESS, state_of(rv64_vcpu(target)));
}

/* Registers after a suspend that doesn't keep them; those that aren't named there may have any value. */
static void resume_at(struct rv64_vcpu *v, uint64_t entry, uint64_t opaque)
{
    rv64_cpu_sys_write(RV64_VSATP, 0);
    rv64_cpu_sys_write(RV64_VSSTATUS, rv64_cpu_sys_read(RV64_VSSTATUS) & ~SSTATUS_SIE);
    v->frame.x[SBI_A0] = v->base.phys_id;
    v->frame.x[SBI_A1] = opaque;
    v->frame.pc = entry;
}

/* arch.c clears `suspended` when it runs again. */
static int suspend(struct rv64_vcpu *v)
{
    int verdict;

    atomic_store(&v->suspended, true);
    verdict = rv64_wait(v);
    if (verdict == RV64_RESUME) {
        atomic_store(&v->suspended, false);
    }
    return verdict;
}

static int suspend_and_resume_at(struct rv64_vcpu *v, uint64_t entry, uint64_t opaque)
{
    resume_at(v, entry, opaque);
    return suspend(v);
}

static int hart_suspend(struct rv64_vcpu *v)
{
    uint32_t type = (uint32_t)sbi_arg(v, 0);

    if (type == HSM_SUSPEND_RETENTIVE) {
        (void)sbi_error(v, SBI_SUCCESS);
        return suspend(v);
    }
    if (type != HSM_SUSPEND_NON_RETENTIVE) {
        return sbi_error(v, SBI_ERR_INVALID_PARAM); /* reserved, or of a platform */
    }
    if (!is_entry(v->base.vm, gpa(sbi_arg(v, 1)))) {
        return sbi_error(v, SBI_ERR_INVALID_ADDRESS);
    }
    return suspend_and_resume_at(v, sbi_arg(v, 1), sbi_arg(v, 2));
}

static sbi_function *const hsm_functions[] = {
    [HSM_HART_START] = hart_start,
    [HSM_HART_STOP] = hart_stop,
    [HSM_HART_GET_STATUS] = hart_get_status,
    [HSM_HART_SUSPEND] = hart_suspend,
};

const struct sbi_extension sbi_hsm = {SBI_HSM, hsm_functions, sizeof(hsm_functions) / sizeof(hsm_functions[0])};

/* ---- SRST -------------------------------------------------------------------------------------------------------- */

int sbi_system_down(struct rv64_vcpu *v, enum axvm_system_event event)
{
    if (!vm_system_down(&v->base, event)) {
        return sbi_leave(v, AXVM_EXIT_STOPPED);
    }
    v->exit->system_down.event = event;
    return sbi_leave(v, AXVM_EXIT_SYSTEM_DOWN);
}

/* A warm reboot is a cold one; types and reasons of implementations and vendors aren't known here. */
static int system_reset(struct rv64_vcpu *v)
{
    uint32_t type = (uint32_t)sbi_arg(v, 0);
    uint32_t reason = (uint32_t)sbi_arg(v, 1);

    if (type > SRST_WARM_REBOOT || reason > SRST_SYSTEM_FAILURE) {
        return sbi_error(v, SBI_ERR_INVALID_PARAM);
    }
    return sbi_system_down(v, type == SRST_SHUTDOWN ? AXVM_SYSTEM_OFF : AXVM_SYSTEM_RESET);
}

static sbi_function *const srst_functions[] = {[SRST_SYSTEM_RESET] = system_reset};

const struct sbi_extension sbi_srst = {SBI_SRST, srst_functions, 1};

/* ---- SUSP -------------------------------------------------------------------------------------------------------- */

/* Only a running hart could start one, so what this says stays true. */
static bool others_are_stopped(const struct rv64_vcpu *v)
{
    const struct axvm *vm = v->base.vm;

    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        if (vm->vcpus[i] != &v->base && atomic_load(&vm->vcpus[i]->power) != VCPU_OFF) {
            return false;
        }
    }
    return true;
}

static int system_suspend(struct rv64_vcpu *v)
{
    uint64_t entry = sbi_arg(v, 1);

    if ((uint32_t)sbi_arg(v, 0) != SUSP_TO_RAM) {
        return sbi_error(v, SBI_ERR_INVALID_PARAM);
    }
    if (!is_entry(v->base.vm, gpa(entry))) {
        return sbi_error(v, SBI_ERR_INVALID_ADDRESS);
    }
    if (!others_are_stopped(v)) {
        return sbi_error(v, SBI_ERR_DENIED);
    }
    return suspend_and_resume_at(v, entry, sbi_arg(v, 2));
}

static sbi_function *const susp_functions[] = {[SUSP_SYSTEM_SUSPEND] = system_suspend};

const struct sbi_extension sbi_susp = {SBI_SUSP, susp_functions, 1};

/* SPDX-License-Identifier: Apache-2.0 */
/* Second-stage aborts: emulated devices, memory that is populated on first touch, and what nothing answers. */
#include "arch/aarch64/cpu.h"
#include "lib/log.h"

/*
 * The faulting IPA. HPFAR_EL2 holds it for translation and access flag faults and for faults on a stage-1 walk; after a
 * permission fault it is UNKNOWN (Arm ARM D19.2.60), so the guest's own translation is asked. False: the guest has
 * changed its tables meanwhile; entering again makes it take whatever is due.
 */
static bool fault_ipa(uint64_t esr, uint64_t far, uint64_t *ipa)
{
    if (ISS_FSC_TYPE(esr) == FSC_PERMISSION && (esr & ISS_S1PTW) == 0) {
        return a64_cpu_translate(far, ipa);
    }
    *ipa = a64_cpu_fault().ipa;
    return true;
}

static bool is_cache_maintenance(uint64_t esr)
{
    return ESR_EC(esr) == EC_DABT_LOWER && (esr & ISS_CM) != 0;
}

/*
 * What the guest may not do. WnR is always set for cache maintenance, which needs a mapping and only then perhaps the
 * right to write; a stage-1 walk has read a descriptor before it may not set its access flag or dirty state.
 */
static uint32_t access_of(uint64_t esr)
{
    if ((esr & ISS_S1PTW) != 0 || is_cache_maintenance(esr)) {
        return ISS_FSC_TYPE(esr) == FSC_PERMISSION ? AXVM_MEM_WRITE : AXVM_MEM_READ;
    }
    if (ESR_EC(esr) == EC_IABT_LOWER) {
        return AXVM_MEM_EXEC;
    }
    return (esr & ISS_WNR) != 0 ? AXVM_MEM_WRITE : AXVM_MEM_READ;
}

static bool is_stage2_fault(uint64_t esr)
{
    unsigned type = ISS_FSC_TYPE(esr);

    return type == FSC_TRANSLATION || type == FSC_ACCESS_FLAG || type == FSC_PERMISSION;
}

/* More than a plain load or store of one device: whether there is one that it may be meant for. */
static bool device_abort(struct a64_vcpu *v, uint64_t esr, uint64_t far, uint64_t ipa)
{
    if (ESR_EC(esr) != EC_DABT_LOWER || (esr & ISS_S1PTW) != 0 ||
        bus_find(&v->base.vm->buses[AXVM_SPACE_MMIO], ipa, 1) == NULL) {
        return false;
    }
    if ((esr & ISS_CM) != 0) { /* cache maintenance on a device: there is nothing to maintain */
        a64_step_over(v, esr);
    } else if ((esr & ISS_ISV) != 0) {
        a64_mmio_syndrome(v, esr, far, ipa);
    } else {
        a64_mmio_instruction(v, esr, far, ipa);
    }
    return true;
}

/* Memory, which may have to be populated; or a device; or nothing. */
static int other_abort(struct a64_vcpu *v, uint64_t esr)
{
    uint64_t far = a64_cpu_far();
    uint64_t ipa;
    int error;

    v->base.stats.faults++;
    if (!is_stage2_fault(esr)) { /* the machine's own: an external abort of something it was given */
        a64_inject_abort(v, esr, far);
        return A64_RESUME;
    }
    if (!fault_ipa(esr, far, &ipa)) {
        return A64_RESUME;
    }
    error = addrspace_fault(&v->base.vm->as, gpa(ipa), access_of(esr));
    if (error == AXVM_OK) {
        return A64_RESUME;
    }
    if (error == AXVM_ENOMEM) {
        axvm_fail(v->base.vm, "no host memory left for a page that the guest touched");
        v->exit->kind = AXVM_EXIT_STOPPED;
        return A64_LEAVE;
    }
    if (error == AXVM_EFAULT && is_cache_maintenance(esr)) { /* read-only: what caches hold of it is never dirty */
        a64_step_over(v, esr);
        return A64_RESUME;
    }
    if (error == AXVM_ENOENT && device_abort(v, esr, far, ipa)) {
        return A64_RESUME;
    }
    log_debug("vm %u: vcpu %u: nothing answers at %#llx (pc %#llx)", v->base.vm->id, v->base.id,
              (unsigned long long)ipa, (unsigned long long)v->frame.pc);
    a64_inject_abort(v, esr, far);
    return A64_RESUME;
}

int a64_instruction_abort(struct a64_vcpu *v, uint64_t esr)
{
    return other_abort(v, esr);
}

/* ---- Plain loads and stores of devices: every instruction counts ------------------------------------------------- */

#define LOAD_KIND (UINT64_C(3) << 22 | ISS_SSE) /* its size, and whether it extends the sign */
#define LOAD_WORD (UINT64_C(2) << 22)

static inline void load(struct a64_vcpu *v, uint64_t esr, uint64_t value)
{
    uint64_t reg = ISS_SRT(esr);

    if (__builtin_expect((esr & LOAD_KIND) == LOAD_WORD, 1)) {
        value = (uint32_t)value;
    } else {
        value = a64_extend_load(value, ISS_SAS(esr), (esr & ISS_SSE) != 0, (esr & ISS_SF) != 0);
    }
    if (__builtin_expect(reg < 31, 1)) {
        v->frame.x[reg] = value;
    }
}

/* More to it than size, register and direction: big-endian data, AArch32, stepping, what isn't aligned. */
static bool is_special(const struct a64_vcpu *v, struct a64_fault fault, unsigned size)
{
    uint64_t special = (fault.sctlr & (SCTLR_EE | SCTLR_E0E)) | (v->frame.pstate & PSTATE_SPECIAL);

    return (special | (fault.ipa & (size - 1))) != 0;
}

/* Refused; or not finished yet. */
__attribute__((noinline)) static void unanswered(int error, struct a64_vcpu *v, uint64_t esr, uint64_t ipa)
{
    if (error == BUS_AGAIN) {
        v->base.stats.mmio++;
        a64_mmio_syndrome(v, esr, a64_cpu_far(), ipa);
    } else {
        a64_inject_abort(v, esr, a64_cpu_far());
    }
}

int a64_data_abort(struct a64_vcpu *v, uint64_t esr)
{
    const struct a64_fault fault = a64_cpu_fault();
    unsigned size = 1U << ISS_SAS(esr);
    const struct bus_entry *entry;
    struct axvm_device *device;
    uint64_t value = 0;
    int error;

    /* A fault of a stage-1 walk never has a syndrome (D19.2.37). */
    if ((esr & ISS_ISV) == 0 || ISS_FSC_TYPE(esr) != FSC_TRANSLATION) {
        return other_abort(v, esr);
    }
    entry = bus_find_near(v->plain_bus, &v->mmio_hint, fault.ipa, size);
    if (entry == NULL) {
        return other_abort(v, esr);
    }
    if (is_special(v, fault, size)) {
        a64_mmio_syndrome(v, esr, a64_cpu_far(), fault.ipa);
        return A64_RESUME;
    }
    device = entry->device;
    if ((esr & ISS_WNR) != 0) {
        value = bus_narrow(a64_reg_read(v, ISS_SRT(esr)), size);
        error = device->ops->write(device, &v->base, fault.ipa - entry->base, size, value);
    } else {
        error = device->ops->read(device, &v->base, fault.ipa - entry->base, size, &value);
        if (error == AXVM_OK) {
            load(v, esr, value);
        }
    }
    if (error != AXVM_OK) {
        unanswered(error, v, esr, fault.ipa);
        return A64_RESUME;
    }
    v->base.stats.mmio++;
    v->frame.pc += 4;
    return A64_RESUME;
}

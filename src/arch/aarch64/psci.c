/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's firmware calls: SMC Calling Convention 1.1 (Arm DEN 0028) and PSCI 1.1 (Arm DEN 0022), by HVC and by SMC.
 * Nothing here reaches the machine's own firmware.
 */
#include "arch/aarch64/cpu.h"
#include <string.h>

#define SMCCC_FAST 0x80000000U
#define SMCCC_64 0x40000000U
#define SMCCC_NOT_SUPPORTED (-1)
#define SMCCC_1_1 0x10001
#define PSCI_1_1 0x10001

enum psci_error {
    PSCI_SUCCESS = 0,
    PSCI_NOT_SUPPORTED = -1,
    PSCI_INVALID_PARAMETERS = -2,
    PSCI_DENIED = -3,
    PSCI_ALREADY_ON = -4,
    PSCI_ON_PENDING = -5,
    PSCI_INTERNAL_FAILURE = -6,
    PSCI_INVALID_ADDRESS = -9,
};

#define PSCI_AFFINITY_ON 0
#define PSCI_AFFINITY_OFF 1
#define PSCI_AFFINITY_ON_PENDING 2
#define PSCI_MIGRATE_NOT_REQUIRED 2
#define PSCI_POWER_STATE_RESERVED 0xfcfe0000U /* CPU_SUSPEND's power_state, original format: bits that must be zero */

/* A function id is a range and a number in it; the 64-bit bit says how wide the arguments are. */
#define SMCCC_ARCH_RANGE 0x80000000U
#define PSCI_RANGE 0x84000000U

/* Argument `n`, from 1: a 32-bit call has 32-bit arguments (DEN 0028, 2.7). */
static uint64_t argument(const struct a64_vcpu *v, unsigned n)
{
    return (v->frame.x[0] & SMCCC_64) != 0 ? v->frame.x[n] : (uint32_t)v->frame.x[n];
}

/* The arguments are gone once this is called. */
static int answer(struct a64_vcpu *v, int64_t result)
{
    v->frame.x[0] = (uint64_t)result;
    return A64_RESUME;
}

static int leave(struct a64_vcpu *v, enum axvm_exit_kind kind)
{
    v->exit->kind = kind;
    return A64_LEAVE;
}

static int smccc_version(struct a64_vcpu *v)
{
    return answer(v, SMCCC_1_1);
}

static int psci_version(struct a64_vcpu *v)
{
    return answer(v, PSCI_1_1);
}

/* A power-down state may be answered with standby (DEN 0022, 5.4.5): the vCPU waits for an interrupt and goes on. */
static int psci_cpu_suspend(struct a64_vcpu *v)
{
    if ((argument(v, 1) & PSCI_POWER_STATE_RESERVED) != 0) {
        return answer(v, PSCI_INVALID_PARAMETERS);
    }
    (void)answer(v, PSCI_SUCCESS);
    if (vgicv3_pending(&v->gic)) {
        return A64_RESUME;
    }
    a64_timer_wait(v);
    return leave(v, AXVM_EXIT_HALT);
}

static int psci_cpu_off(struct a64_vcpu *v)
{
    vcpu_power_off(&v->base);
    vgicv3_cpu_off(&v->gic);
    return leave(v, AXVM_EXIT_CPU_DOWN);
}

static int psci_cpu_on(struct a64_vcpu *v)
{
    struct axvm_vcpu *target = vcpu_by_phys_id(v->base.vm, argument(v, 1));
    gpa_t entry = gpa(argument(v, 2));

    if (target == NULL) {
        return answer(v, PSCI_INVALID_PARAMETERS);
    }
    if (!addrspace_is_ram(&v->base.vm->as, entry, 4)) {
        return answer(v, PSCI_INVALID_ADDRESS);
    }
    entry.v |= (a64_cpu_sys_read(A64_SCTLR_EL1) & SCTLR_EE) != 0 ? A64_START_BIG_ENDIAN : 0;
    switch (vcpu_power_on(target, entry, argument(v, 3))) {
    case AXVM_OK:
        (void)answer(v, PSCI_SUCCESS);
        v->exit->cpu_up.target = target->id;
        return leave(v, AXVM_EXIT_CPU_UP);
    case AXVM_EEXIST:
        return answer(v, PSCI_ALREADY_ON);
    case AXVM_EBUSY:
        return answer(v, PSCI_ON_PENDING);
    default:
        return answer(v, PSCI_INTERNAL_FAILURE);
    }
}

/* From PSCI 1.0 on, affinity levels above 0 need not be supported (DEN 0022, 5.7.3). */
static int psci_affinity_info(struct a64_vcpu *v)
{
    static const int8_t states[] = {
        [VCPU_OFF] = PSCI_AFFINITY_OFF,
        [VCPU_ON_PENDING] = PSCI_AFFINITY_ON_PENDING,
        [VCPU_ON] = PSCI_AFFINITY_ON,
    };
    const struct axvm_vcpu *target = vcpu_by_phys_id(v->base.vm, argument(v, 1));

    if (target == NULL || (uint32_t)argument(v, 2) != 0) { /* the level is a uint32 in both widths */
        return answer(v, PSCI_INVALID_PARAMETERS);
    }
    return answer(v, states[atomic_load(&target->power)]);
}

static int psci_migrate_info_type(struct a64_vcpu *v)
{
    return answer(v, PSCI_MIGRATE_NOT_REQUIRED);
}

/* Of several vCPUs that ask at once the first decides; the others just stop. */
static int system_down(struct a64_vcpu *v, enum axvm_system_event event)
{
    if (!vm_system_down(&v->base, event)) {
        return leave(v, AXVM_EXIT_STOPPED);
    }
    v->exit->system_down.event = event;
    return leave(v, AXVM_EXIT_SYSTEM_DOWN);
}

static int psci_system_off(struct a64_vcpu *v)
{
    return system_down(v, AXVM_SYSTEM_OFF);
}

static int psci_system_reset(struct a64_vcpu *v)
{
    return system_down(v, AXVM_SYSTEM_RESET);
}

/* Architectural reset type 0 is a warm reset; vendor types (bit 31) are not known here (DEN 0022, 5.11). */
static int psci_system_reset2(struct a64_vcpu *v)
{
    return (uint32_t)argument(v, 1) == 0 ? psci_system_reset(v) : answer(v, PSCI_INVALID_PARAMETERS);
}

static int psci_features(struct a64_vcpu *v);
static int smccc_arch_features(struct a64_vcpu *v);

struct function {
    int (*call)(struct a64_vcpu *v); /* NULL: no such function */
    bool has_64;                     /* callable with 64-bit arguments, too */
};

/* By number, so that finding one takes the same few instructions for all. */
static const struct function psci_functions[] = {
    [0x00] = {psci_version, false},       [0x01] = {psci_cpu_suspend, true},
    [0x02] = {psci_cpu_off, false},       [0x03] = {psci_cpu_on, true},
    [0x04] = {psci_affinity_info, true},  [0x06] = {psci_migrate_info_type, false},
    [0x08] = {psci_system_off, false},    [0x09] = {psci_system_reset, false},
    [0x0a] = {psci_features, false},      [0x12] = {psci_system_reset2, true},
};

static const struct function smccc_functions[] = {
    [0x00] = {smccc_version, false},
    [0x01] = {smccc_arch_features, false},
};

static const struct function *function_in(const struct function *functions, size_t count, uint32_t range, uint32_t id)
{
    uint32_t number = (id & ~SMCCC_64) - range;

    if (number >= count || functions[number].call == NULL || ((id & SMCCC_64) != 0 && !functions[number].has_64)) {
        return NULL;
    }
    return &functions[number];
}

static const struct function *psci_function(uint32_t id)
{
    return function_in(psci_functions, sizeof(psci_functions) / sizeof(psci_functions[0]), PSCI_RANGE, id);
}

static const struct function *smccc_function(uint32_t id)
{
    return function_in(smccc_functions, sizeof(smccc_functions) / sizeof(smccc_functions[0]), SMCCC_ARCH_RANGE, id);
}

/* PSCI_FEATURES also answers for SMCCC_VERSION, so that a guest can find SMCCC 1.1 (DEN 0022, 5.15). */
static int psci_features(struct a64_vcpu *v)
{
    uint32_t id = (uint32_t)argument(v, 1);

    return answer(v, psci_function(id) != NULL || id == SMCCC_ARCH_RANGE ? PSCI_SUCCESS : PSCI_NOT_SUPPORTED);
}

static int smccc_arch_features(struct a64_vcpu *v)
{
    return answer(v, smccc_function((uint32_t)argument(v, 1)) != NULL ? 0 : SMCCC_NOT_SUPPORTED);
}

/* A hypercall of this library's own: number in x0 (no SMCCC id: bit 31 clear), arguments in x1..x6. */
static int hypercall(struct a64_vcpu *v)
{
    v->exit->hypercall.nr = v->frame.x[0];
    memcpy(v->exit->hypercall.args, &v->frame.x[1], sizeof(v->exit->hypercall.args));
    return leave(v, AXVM_EXIT_HYPERCALL);
}

int a64_smccc(struct a64_vcpu *v)
{
    uint32_t id = (uint32_t)v->frame.x[0]; /* the id is W0 (DEN 0028, 2.6) */
    const struct function *function = psci_function(id);

    v->base.stats.calls++;
    if (function != NULL) {
        return function->call(v);
    }
    if ((id & SMCCC_FAST) == 0) {
        return hypercall(v);
    }
    function = smccc_function(id);
    return function != NULL ? function->call(v) : answer(v, SMCCC_NOT_SUPPORTED);
}

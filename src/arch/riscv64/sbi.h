/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's firmware: the RISC-V Supervisor Binary Interface 2.0. Numbers as the specification has them, and what the
 * files sbi*.c share.
 */
#ifndef AXVM_RISCV64_SBI_H
#define AXVM_RISCV64_SBI_H

#include "arch/riscv64/rv64.h"

#define SBI_SPEC_2_0 0x02000000U

enum sbi_error {
    SBI_SUCCESS = 0,
    SBI_ERR_FAILED = -1,
    SBI_ERR_NOT_SUPPORTED = -2,
    SBI_ERR_INVALID_PARAM = -3,
    SBI_ERR_DENIED = -4,
    SBI_ERR_INVALID_ADDRESS = -5,
    SBI_ERR_ALREADY_AVAILABLE = -6,
};

/* Extension ids (a7), and their functions (a6) */
#define SBI_LEGACY_COUNT 9U /* 0 to 8: sbi_legacy.c */

#define SBI_BASE 0x10U
enum {
    BASE_GET_SPEC_VERSION,
    BASE_GET_IMPL_ID,
    BASE_GET_IMPL_VERSION,
    BASE_PROBE_EXTENSION,
    BASE_GET_MVENDORID,
    BASE_GET_MARCHID,
    BASE_GET_MIMPID,
};

#define SBI_TIME 0x54494d45U
enum { TIME_SET_TIMER };

#define SBI_IPI 0x735049U
enum { IPI_SEND };

#define SBI_RFENCE 0x52464e43U
enum { RFENCE_FENCE_I, RFENCE_SFENCE_VMA, RFENCE_SFENCE_VMA_ASID }; /* 3 to 6 are for harts with H */

#define SBI_HSM 0x48534dU
enum { HSM_HART_START, HSM_HART_STOP, HSM_HART_GET_STATUS, HSM_HART_SUSPEND };

enum hsm_state {
    HSM_STARTED = 0,
    HSM_STOPPED = 1,
    HSM_START_PENDING = 2,
    HSM_SUSPENDED = 4,
};

#define HSM_SUSPEND_RETENTIVE 0U /* the default one; and: */
#define HSM_SUSPEND_NON_RETENTIVE 0x80000000U

#define SBI_SRST 0x53525354U
enum { SRST_SYSTEM_RESET };
enum { SRST_SHUTDOWN, SRST_COLD_REBOOT, SRST_WARM_REBOOT };
enum { SRST_NO_REASON, SRST_SYSTEM_FAILURE };

#define SBI_SUSP 0x53555350U
enum { SUSP_SYSTEM_SUSPEND };
#define SUSP_TO_RAM 0U

#define SBI_DBCN 0x4442434eU
enum { DBCN_WRITE, DBCN_READ, DBCN_WRITE_BYTE };

/* "HVC": hypercalls of this library's own. Number in a6, arguments in a0 to a5; the host answers in a0. */
#define SBI_HVC 0x485643U

/* General registers of a call */
enum { SBI_A0 = 10, SBI_A1, SBI_A2, SBI_A3, SBI_A4, SBI_A5, SBI_A6, SBI_A7 };

static inline uint64_t sbi_arg(const struct rv64_vcpu *v, unsigned n)
{
    return v->frame.x[SBI_A0 + n];
}

/* The arguments in a0 and a1 are gone once this is called. */
static inline int sbi_return(struct rv64_vcpu *v, enum sbi_error error, uint64_t value)
{
    v->frame.x[SBI_A0] = (uint64_t)(int64_t)error;
    v->frame.x[SBI_A1] = value;
    return RV64_RESUME;
}

static inline int sbi_error(struct rv64_vcpu *v, enum sbi_error error)
{
    return sbi_return(v, error, 0);
}

static inline int sbi_leave(struct rv64_vcpu *v, enum axvm_exit_kind kind)
{
    v->exit->kind = kind;
    return RV64_LEAVE;
}

/* The functions of an extension by number; NULL: no such function. */
typedef int sbi_function(struct rv64_vcpu *v);

struct sbi_extension {
    uint64_t eid;
    sbi_function *const *functions;
    size_t count;
};

/* sbi_hsm.c: harts and the system; sbi_console.c */
extern const struct sbi_extension sbi_hsm, sbi_srst, sbi_susp, sbi_dbcn;

/* Of several vCPUs that ask at once the first decides; the others just stop. */
int sbi_system_down(struct rv64_vcpu *v, enum axvm_system_event event);

/* sbi_console.c: what is typed (struct axvm_arch); the first byte of it, -1: there is none; and it is forgotten. */
size_t sbi_console_input(struct axvm *vm, const char *bytes, size_t count);
int sbi_console_getchar(struct rv64_vm *vm);
void sbi_console_reset(struct rv64_vm *vm);

/* sbi_legacy.c: extensions 0 to 8, which return nothing in a1. */
int sbi_legacy(struct rv64_vcpu *v, uint64_t eid);

/*
 * sbi.c: the vCPUs (a mask of ids) that a list of harts names ("Hart list parameter"). SBI_ERR_INVALID_PARAM: one of
 * them isn't there.
 */
enum sbi_error sbi_harts(const struct rv64_vcpu *v, uint64_t mask, uint64_t base, uint64_t *vcpus);

/* sbi.c: with the arguments as they came. Harts that are off get no interrupt. */
void sbi_send_ipi(struct rv64_vcpu *v, uint64_t vcpus);
enum sbi_error sbi_fence(struct rv64_vcpu *v, uint64_t vcpus, enum rv64_fence kind, uint64_t start, uint64_t size,
                         uint64_t asid);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/riscv64/aia.h"

#include "arch/riscv64/cpu.h"

/* Indirectly accessed registers (AIA 2.2): priorities of the major interrupts. */
#define IPRIO_FIRST 0x30U
#define IPRIO_LAST 0x3fU

/* What siselect can hold, as vsiselect at least does. */
#define SISELECT_MASK UINT64_C(0x1ff)

#define TOPI_ID_SHIFT 16U

/* A Zicsr instruction: of the register, the bits in `mask` become those of `value`. None: it only reads. */
struct access {
    unsigned csr, rd;
    uint64_t mask, value;
};

/* Fields of Zicsr (Unprivileged ISA, chapter 6) */
#define OPCODE_SYSTEM 0x73U
#define FUNCT3_IMMEDIATE 4U
enum { CSRRW = 1, CSRRS = 2, CSRRC = 3 };

/* CSRRS and CSRRC of x0, or with an immediate of 0, don't write; CSRRW always does. */
static bool decode(const struct rv64_vcpu *v, uint32_t insn, struct access *access)
{
    unsigned funct3 = insn >> 12 & 7, rs1 = insn >> 15 & 0x1f;
    uint64_t operand = (funct3 & FUNCT3_IMMEDIATE) != 0 ? rs1 : rv64_reg_read(v, rs1);

    if ((insn & 0x7f) != OPCODE_SYSTEM) {
        return false;
    }
    *access = (struct access){.csr = insn >> 20, .rd = insn >> 7 & 0x1f};
    switch (funct3 & 3) {
    case CSRRW:
        access->mask = UINT64_MAX;
        access->value = operand;
        return true;
    case CSRRS:
        access->mask = access->value = operand;
        return true;
    case CSRRC:
        access->mask = operand;
        return true;
    default:
        return false;
    }
}

/* Whether the instruction writes at all, be it nothing. */
static bool is_write(uint32_t insn)
{
    return (insn >> 12 & 3) == CSRRW || (insn >> 15 & 0x1f) != 0;
}

static bool has_ssaia(void)
{
    return (rv64_cpu_features() & RV64_AIA) != 0;
}

/* Without Ssaia, no CSR holds it. */
static uint64_t siselect(const struct rv64_vcpu *v)
{
    return has_ssaia() ? rv64_cpu_sys_read(RV64_VSISELECT) : v->sys[RV64_VSISELECT];
}

static void siselect_write(struct rv64_vcpu *v, uint64_t value)
{
    if (has_ssaia()) {
        rv64_cpu_sys_write(RV64_VSISELECT, value);
    } else {
        v->sys[RV64_VSISELECT] = value;
    }
}

static bool siselect_access(struct rv64_vcpu *v, const struct access *access, uint64_t *old)
{
    *old = siselect(v);
    if (access->mask != 0) {
        siselect_write(v, ((*old & ~access->mask) | (access->value & access->mask)) & SISELECT_MASK);
    }
    return true;
}

/* Priorities are all read-only zero; on RV64 there are only even registers of them, too. */
static bool sireg_access(struct rv64_vcpu *v, const struct access *access, uint64_t *old)
{
    uint64_t select = siselect(v);

    if (select >= IPRIO_FIRST && select <= IPRIO_LAST) {
        *old = 0;
        return select % 2 == 0;
    }
    return vimsic_reg_rmw(&v->imsic, select, access->mask, access->value, old);
}

/*
 * The major interrupt that is pending, enabled, and first in the default order: external, software, timer (5.4.2). Its
 * priority is always 1, as all that could be configured are read-only zero.
 */
static uint64_t stopi(const struct rv64_vcpu *v)
{
    static const uint8_t order[] = {9, 1, 5};
    uint64_t ready = rv64_cpu_hip_read() >> 1 & ~IRQ_SE;

    ready |= rv64_external(v) ? IRQ_SE : 0;
    ready &= rv64_cpu_sys_read(RV64_VSIE);
    for (unsigned i = 0; i < sizeof(order); i++) {
        if ((ready >> order[i] & 1) != 0) {
            return (uint64_t)order[i] << TOPI_ID_SHIFT | 1;
        }
    }
    return 0;
}

static bool dispatch(struct rv64_vcpu *v, const struct access *access, bool write, uint64_t *old)
{
    switch (access->csr) {
    case CSR_SISELECT:
        return siselect_access(v, access, old);
    case CSR_SIREG:
        return sireg_access(v, access, old);
    case CSR_STOPEI:
        *old = vimsic_topei(&v->imsic, write);
        return true;
    case CSR_STOPI:
        *old = stopi(v);
        return !write; /* a read-only CSR */
    default:
        return false;
    }
}

bool rv64_aia_csr(struct rv64_vcpu *v, uint32_t insn)
{
    struct access access;
    uint64_t old = 0;

    if (!rv64_vm(v->base.vm)->has_imsic || !rv64_cpu_is_vs() || !decode(v, insn, &access) ||
        !dispatch(v, &access, is_write(insn), &old)) {
        return false;
    }
    rv64_reg_write(v, access.rd, old);
    v->frame.pc += 4;
    return true;
}

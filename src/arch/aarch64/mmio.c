/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses to emulated devices that abort.c doesn't answer at once: what the syndrome doesn't describe (ISV = 0), or
 * not all that matters: big-endian data, AArch32, software step, what isn't aligned.
 *
 * An instruction that moves several elements makes as many accesses, in the order of their addresses. An element that
 * isn't aligned is split into the largest aligned pieces. Before the first access all are checked: each element must
 * lie in one device, else the whole instruction gets an external abort and nothing is done; so also where it touches
 * memory and a device. (When a device itself refuses an access, those before it have been made.) Where a device says
 * BUS_AGAIN, what is done stays done, and is kept until the access goes on; no register has changed until then.
 *
 * The guest's watchpoints are looked at before the first access.
 *
 * Other stated answers:
 *
 *  - Exclusives and atomic read-modify-write: data abort "unsupported Exclusive or atomic access" (DFSC 0x35), as the
 *    architecture has it for locations that don't support them (Arm ARM B2.9.2, B2.10.3, D19.2.37).
 *  - DC ZVA, DC GVA, DC GZVA: alignment fault, as for Device memory (C5.3.8).
 *  - AArch32 instructions without a syndrome, and A64 instructions that decode.c doesn't know: external abort.
 *  - Constrained unpredictable register numbers (K1.2.22): a load into its base register with write-back keeps what was
 *    loaded; a store of it stores what it was before; a pair into one register leaves the second element there.
 *  - An unaligned access with ISV = 1 that begins in memory and ends in a device: the syndrome describes one access of
 *    its full size where it faulted, so that is what the device sees.
 *
 * The instruction is read again from the guest's memory. If it is no longer one that would abort like this, the guest
 * goes on with what is there now.
 */
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/decode.h"
#include "lib/log.h"
#include <string.h>

#define PAGE_OFFSET(addr) ((addr) & (AXVM_PAGE_SIZE - 1))

static void external_abort(struct a64_vcpu *v)
{
    log_debug("vm %u: vcpu %u: nothing answers all of an access at %#llx (pc %#llx)", v->base.vm->id, v->base.id,
              (unsigned long long)v->access.far, (unsigned long long)v->frame.pc);
    a64_inject_abort(v, v->access.esr, v->access.far);
}

/* ---- The guest's registers --------------------------------------------------------------------------------------- */

static enum a64_sys stack_pointer(const struct a64_vcpu *v)
{
    return (v->frame.pstate & PSTATE_MODE_MASK) == PSTATE_EL1H ? A64_SP_EL1 : A64_SP_EL0;
}

static uint64_t base_read(const struct a64_vcpu *v, unsigned rn)
{
    if (rn == A64_BASE_PC) {
        return v->frame.pc;
    }
    return rn == 31 ? a64_cpu_sys_read(stack_pointer(v)) : a64_reg_read(v, rn);
}

static void base_write(struct a64_vcpu *v, unsigned rn, uint64_t value)
{
    if (rn == 31) {
        a64_cpu_sys_write(stack_pointer(v), value);
    } else {
        a64_reg_write(v, rn, value);
    }
}

/* Arm ARM, pseudocode BigEndian(). */
static bool big_endian(const struct a64_vcpu *v)
{
    if ((v->frame.pstate & PSTATE_NRW) != 0) {
        return (v->frame.pstate & PSTATE_AA32_BIG) != 0;
    }
    return (a64_cpu_sys_read(A64_SCTLR_EL1) & (a64_at_el1(v) ? SCTLR_EE : SCTLR_E0E)) != 0;
}

/* ---- Between data and registers ---------------------------------------------------------------------------------- */

static void copy(uint8_t *to, const uint8_t *from, unsigned size, bool reverse)
{
    for (unsigned i = 0; i < size; i++) {
        to[i] = from[reverse ? size - 1 - i : i];
    }
}

static void general_get(struct a64_vcpu *v, unsigned element, uint8_t *data, bool reverse)
{
    const struct a64_insn *insn = &v->access.insn;
    uint64_t value = a64_reg_read(v, a64_insn_register(insn, element));

    copy(data, (const uint8_t *)&value, 1U << insn->size, reverse);
}

static void general_put(struct a64_vcpu *v, unsigned element, const uint8_t *data, bool reverse)
{
    const struct a64_insn *insn = &v->access.insn;
    uint64_t value = 0;

    copy((uint8_t *)&value, data, 1U << insn->size, reverse);
    value = a64_extend_load(value, insn->size, insn->sign, insn->wide);
    a64_reg_write(v, a64_insn_register(insn, element), value);
}

static void vector_get(struct a64_vcpu *v, unsigned element, uint8_t *data, bool reverse)
{
    const struct a64_insn *insn = &v->access.insn;
    unsigned size = 1U << insn->size;
    uint8_t q[16];

    a64_cpu_q_read(a64_insn_register(insn, element), q);
    copy(data, &q[a64_insn_lane(insn, element) * size], size, reverse);
}

static void vector_put(struct a64_vcpu *v, unsigned element, const uint8_t *data, bool reverse)
{
    const struct a64_insn *insn = &v->access.insn;
    unsigned reg = a64_insn_register(insn, element), lane = a64_insn_lane(insn, element), size = 1U << insn->size;
    unsigned last = insn->replicate ? insn->lanes - 1U : lane;
    uint8_t q[16] = {0};

    if (insn->merge || lane != 0) {
        a64_cpu_q_read(reg, q);
    }
    for (; lane <= last; lane++) {
        copy(&q[lane * size], data, size, reverse);
    }
    a64_cpu_q_write(reg, q);
}

static void registers_get(struct a64_vcpu *v)
{
    struct a64_access *a = &v->access;
    bool reverse = big_endian(v);

    for (unsigned i = 0; i < a->insn.elements; i++) {
        (a->insn.vector ? vector_get : general_get)(v, i, &a->data[i << a->insn.size], reverse);
    }
}

static void registers_put(struct a64_vcpu *v)
{
    const struct a64_access *a = &v->access;
    bool reverse = big_endian(v);

    for (unsigned i = 0; i < a->insn.elements; i++) {
        (a->insn.vector ? vector_put : general_put)(v, i, &a->data[i << a->insn.size], reverse);
    }
}

/* ---- Between data and devices ------------------------------------------------------------------------------------ */

static uint64_t ipa_of(const struct a64_access *a, uint64_t va)
{
    return a->page[PAGE_OFFSET(va) < PAGE_OFFSET(a->va)] | PAGE_OFFSET(va);
}

/* How many bytes are left of the element in which byte `at` is. */
static unsigned element_left(const struct a64_access *a, unsigned at)
{
    unsigned step = 1U << a->insn.size;

    return step - at % step;
}

static int piece_check(struct a64_vcpu *v, uint64_t ipa, unsigned size, uint8_t *data)
{
    struct a64_access *a = &v->access;
    struct axvm_device *device = bus_find(&v->base.vm->buses[AXVM_SPACE_MMIO], ipa, size);

    (void)data;
    if (a->done % (1U << a->insn.size) == 0) {
        a->device = device;
    }
    return device != NULL && device == a->device ? AXVM_OK : AXVM_ENOENT;
}

static int piece_read(struct a64_vcpu *v, uint64_t ipa, unsigned size, uint8_t *data)
{
    uint64_t value;
    int error = bus_read(&v->base.vm->buses[AXVM_SPACE_MMIO], &v->base, ipa, size, &value);

    memcpy(data, &value, size);
    return error;
}

static int piece_write(struct a64_vcpu *v, uint64_t ipa, unsigned size, uint8_t *data)
{
    uint64_t value = 0;

    memcpy(&value, data, size);
    return bus_write(&v->base.vm->buses[AXVM_SPACE_MMIO], &v->base, ipa, size, value);
}

typedef int piece_function(struct a64_vcpu *v, uint64_t ipa, unsigned size, uint8_t *data);

/* Do it to each piece of each element that isn't done, until one fails. */
static int each_piece(struct a64_vcpu *v, piece_function *piece)
{
    struct a64_access *a = &v->access;

    while (a->done < a->size) {
        uint64_t va = a->va + a->done;
        unsigned left = element_left(a, a->done), size = 8;
        int error;

        while ((va & (size - 1)) != 0 || size > left) {
            size /= 2;
        }
        error = piece(v, ipa_of(a, va), size, &a->data[a->done]);
        if (error != AXVM_OK) {
            return error;
        }
        a->done += size;
    }
    return AXVM_OK;
}

/* All that may go wrong has been looked at, but what a device itself refuses. */
void a64_mmio_go_on(struct a64_vcpu *v)
{
    const struct a64_access *a = &v->access;
    bool store = a->insn.kind == A64_INSN_STORE;
    int error = each_piece(v, store ? piece_write : piece_read);

    if (error == BUS_AGAIN) {
        atomic_fetch_or_explicit(&v->base.requests, VCPU_REQ_ACCESS, memory_order_relaxed);
        return;
    }
    if (error != AXVM_OK) {
        external_abort(v);
        return;
    }
    if (!store) {
        registers_put(v);
    }
    a64_step_over(v, a->esr);
    if (a->writeback) {
        base_write(v, a->insn.rn, a->base);
    }
}

/* ---- Translation ------------------------------------------------------------------------------------------------- */

/* Bits 55:12: what is above may be a tag (TBI). */
static bool same_page(uint64_t a, uint64_t b)
{
    return ((a ^ b) << 8) >> (AXVM_PAGE_SHIFT + 8) == 0;
}

/* LDTR and STTR are EL0's accesses, but for PSTATE.UAO. */
static bool is_privileged(const struct a64_vcpu *v)
{
    return a64_at_el1(v) && (!v->access.insn.unprivileged || (v->frame.pstate & PSTATE_UAO) != 0);
}

/*
 * A page that the hardware hasn't come to yet: as it would translate it for this access. False: the guest has been
 * given the fault that is due there.
 */
static bool translate(struct a64_vcpu *v, uint64_t va, uint64_t *page)
{
    const struct a64_access *a = &v->access;
    unsigned write = a->insn.kind == A64_INSN_STORE ? A64_AT_WRITE : 0;
    uint64_t par = a64_cpu_at(va, write | (is_privileged(v) ? A64_AT_EL1 : 0));

    if ((par & PAR_F) != 0 && (par & PAR_S) != 0) { /* stage 2's: the guest's tables aren't in its memory */
        external_abort(v);
        return false;
    }
    if ((par & PAR_F) != 0) {
        a64_inject_data_abort(v, a->esr, PAR_FST(par), va);
        return false;
    }
    /* AT S1E1x knows nothing of PSTATE.PAN: what EL0 may read isn't EL1's then (Arm ARM D8.4.1.2.3). */
    if (is_privileged(v) && (v->frame.pstate & PSTATE_PAN) != 0 && (a64_cpu_at(va, 0) & PAR_F) == 0) {
        a64_inject_data_abort(v, a->esr, FSC_PERMISSION | 3U, va);
        return false;
    }
    *page = par & PAR_PA;
    return true;
}

/* `fault_page`: the IPA of the page in which the access faulted. */
static bool translate_pages(struct a64_vcpu *v, uint64_t fault_page)
{
    struct a64_access *a = &v->access;
    uint64_t last = a->va + a->size - 1;

    a->page[0] = a->page[1] = fault_page;
    if (same_page(a->va, last)) {
        return true;
    }
    if (same_page(a->va, a->far)) {
        return translate(v, last & ~(AXVM_PAGE_SIZE - 1), &a->page[1]);
    }
    return translate(v, a->va, &a->page[0]);
}

/* ---- The access -------------------------------------------------------------------------------------------------- */

/* It is made, or the guest has its fault, or tries again. */
static void access_do(struct a64_vcpu *v, uint64_t ipa)
{
    struct a64_access *a = &v->access;

    a->size = (unsigned)a->insn.elements << a->insn.size;
    if (!same_page(a->va, a->far) && !same_page(a->va + a->size - 1, a->far)) {
        return; /* not this instruction, or not with these registers */
    }
    if (!translate_pages(v, ipa & ~(AXVM_PAGE_SIZE - 1))) {
        return;
    }
    if (a64_watch_access(v, is_privileged(v))) {
        return;
    }
    if (each_piece(v, piece_check) != AXVM_OK) {
        external_abort(v);
        return;
    }
    a->done = 0;
    if (a->insn.kind == A64_INSN_STORE) {
        registers_get(v);
    }
    a64_mmio_go_on(v);
}

/* Whether a load puts something else into its base register. */
static bool loads_base(const struct a64_insn *insn)
{
    return insn->kind == A64_INSN_LOAD && !insn->vector && insn->rn != 31 &&
           (insn->rt == insn->rn || (insn->pair && insn->rt2 == insn->rn));
}

static void load_or_store(struct a64_vcpu *v, uint64_t ipa)
{
    struct a64_access *a = &v->access;
    const struct a64_insn *insn = &a->insn;
    uint64_t base = base_read(v, insn->rn);
    uint64_t index = a64_extend(a64_reg_read(v, insn->rm), insn->extend & 3U, (insn->extend & 4U) != 0) << insn->shift;

    if ((insn->kind == A64_INSN_STORE) != ((a->esr & ISS_WNR) != 0)) {
        return;
    }
    a->base = base + (uint64_t)insn->imm + index;
    a->writeback = insn->writeback && !loads_base(insn);
    a->va = insn->indexed ? a->base : base;
    access_do(v, ipa);
}

static void emulate(struct a64_vcpu *v, uint64_t ipa)
{
    const struct a64_access *a = &v->access;

    switch (a->insn.kind) {
    case A64_INSN_LOAD:
    case A64_INSN_STORE:
        load_or_store(v, ipa);
        break;
    case A64_INSN_PREFETCH:
        a64_step_over(v, a->esr);
        break;
    case A64_INSN_ZERO:
        a64_inject_data_abort(v, a->esr, FSC_ALIGNMENT, a->far);
        break;
    case A64_INSN_ATOMIC:
        a64_inject_data_abort(v, a->esr, FSC_UNSUPPORTED_ATOMIC, a->far);
        break;
    case A64_INSN_UNKNOWN:
        external_abort(v);
        break;
    case A64_INSN_OTHER:
        break;
    }
}

void a64_mmio_instruction(struct a64_vcpu *v, uint64_t esr, uint64_t far, uint64_t ipa)
{
    uint64_t pc;
    uint8_t code[4];

    v->access = (struct a64_access){.esr = esr, .far = far};
    if ((v->frame.pstate & PSTATE_NRW) != 0) {
        external_abort(v);
        return;
    }
    if (!a64_cpu_translate(v->frame.pc, &pc)) {
        return;
    }
    if (addrspace_read(&v->base.vm->as, gpa(pc), code, sizeof(code)) != AXVM_OK) {
        external_abort(v);
        return;
    }
    /* Instructions are little-endian, whatever data is. */
    v->access.insn = a64_decode(code[0] | (uint32_t)code[1] << 8 | (uint32_t)code[2] << 16 | (uint32_t)code[3] << 24);
    emulate(v, ipa);
}

void a64_mmio_syndrome(struct a64_vcpu *v, uint64_t esr, uint64_t far, uint64_t ipa)
{
    v->access = (struct a64_access){
        .esr = esr,
        .far = far,
        .va = far,
        .insn = {
            .kind = (esr & ISS_WNR) != 0 ? A64_INSN_STORE : A64_INSN_LOAD,
            .sign = (esr & ISS_SSE) != 0,
            .wide = (esr & ISS_SF) != 0,
            .size = (uint8_t)ISS_SAS(esr),
            .elements = 1,
            .structure = 1,
            .lanes = 1,
            .rt = (uint8_t)ISS_SRT(esr),
        },
    };
    access_do(v, ipa);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest page faults: emulated devices, memory that is populated on first touch, and what nothing answers.
 *
 * To a guest, emulated devices are I/O regions with these attributes (Privileged 1.13, 3.6); the answers are chosen
 * from what the manual leaves open there:
 *  - They take loads and stores of 1 to 8 bytes by general and F registers, aligned naturally and within one device.
 *    What isn't aligned gets an access fault (3.6.3.4), wherever its other part would go.
 *  - AMONone and RsrvNone (3.6.3.3): AMOs and SC get a store/AMO access fault, LR a load access fault.
 *  - No vectors, no cache blocks (CBO), no instructions: access faults. So for instructions that decode.c doesn't know.
 *
 * The instruction is in htinst, or is read again from the guest's memory. If that is no longer one that would fault
 * like this, the guest goes on with what is there now; if it keeps faulting, it has an access fault.
 */
#include "arch/riscv64/cpu.h"
#include "arch/riscv64/decode.h"
#include "lib/host.h"
#include "lib/log.h"

/*
 * htinst (18.6.3): 0 says nothing. A transformed standard instruction has bit 0 set, and bit 1 clear if it was of 16
 * bits; instead of its base register it gives how far stval is from where the access began. What has both clear is of
 * no instruction: the guest's page table was read, or its A and D bits written.
 */
#define TINST_TRANSFORMED RV_BIT(0)
#define TINST_32_BITS RV_BIT(1)
#define TINST_WALK_WRITES RV_BIT(5)

/* Where v->loads and v->stores have it: bits 9:7 and 24:22 are of registers and immediates in all formats. */
#define PLAIN_SLOT(key) (((key) ^ (key) >> 15) >> 7 & (RV64_PLAIN - 1))

static bool is_walk(uint64_t tinst)
{
    return tinst != 0 && (tinst & (TINST_TRANSFORMED | TINST_32_BITS)) == 0;
}

static void inject_access_fault(struct rv64_vcpu *v, uint64_t cause, uint64_t tval)
{
    if (cause == CAUSE_FETCH_GUEST_PAGE) {
        rv64_inject(v, CAUSE_FETCH_ACCESS, tval);
    } else {
        rv64_inject(v, cause == CAUSE_LOAD_GUEST_PAGE ? CAUSE_LOAD_ACCESS : CAUSE_STORE_ACCESS, tval);
    }
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static uint32_t access_of(uint64_t cause, uint64_t tinst)
{
    if (is_walk(tinst)) {
        return (tinst & TINST_WALK_WRITES) != 0 ? AXVM_MEM_WRITE : AXVM_MEM_READ;
    }
    if (cause == CAUSE_FETCH_GUEST_PAGE) {
        return AXVM_MEM_EXEC;
    }
    return cause == CAUSE_LOAD_GUEST_PAGE ? AXVM_MEM_READ : AXVM_MEM_WRITE;
}

/* Memory, which may have to be populated; or nothing that answers. */
static int memory_fault(struct rv64_vcpu *v, uint64_t cause, const struct rv64_fault *fault)
{
    int error;

    v->base.stats.faults++;
    error = addrspace_fault(&v->base.vm->as, gpa(fault->gpa), access_of(cause, fault->tinst));
    if (error == AXVM_OK) {
        rv64_cpu_gstage_flush_local(fault->gpa); /* a TLB may hold that it was invalid (18.5.3, 10.3.2) */
        return RV64_RESUME;
    }
    if (error == AXVM_ENOMEM) {
        axvm_fail(v->base.vm, "no host memory left for a page that the guest touched");
        v->exit->kind = AXVM_EXIT_STOPPED;
        return RV64_LEAVE;
    }
    log_debug("vm %u: vcpu %u: nothing answers at %#llx (pc %#llx)", v->base.vm->id, v->base.id,
              (unsigned long long)fault->gpa, (unsigned long long)v->frame.pc);
    inject_access_fault(v, cause, fault->tval);
    return RV64_RESUME;
}

/* ---- Devices: any access ----------------------------------------------------------------------------------------- */

/* An access, as the instruction describes it. */
struct access {
    struct rv64_vcpu *v;
    uint64_t cause;
    struct rv64_fault fault;
    uint64_t key; /* of the instruction, as in struct rv64_plain */
    struct rv64_insn insn;
    uint64_t va; /* where it begins */
};

/* What pointer masking leaves of an address at least, as the upper bits: it ignores 7 or 16 (Ssnpm). */
#define UNMASKED(va) ((va) << 16)

#define KIND(name) (1U << RV64_INSN_##name)
/* QEMU with one thread for all CPUs lets an AMO load first, and fault as a load. */
#define KINDS_LOAD (KIND(LOAD) | KIND(LOAD_F) | KIND(LR) | KIND(AMO) | KIND(LOAD_V) | KIND(UNKNOWN))
#define KINDS_STORE (KIND(STORE) | KIND(STORE_F) | KIND(AMO) | KIND(STORE_V) | KIND(CBO) | KIND(UNKNOWN))
#define KINDS_WITH_ADDRESS (KIND(LOAD) | KIND(LOAD_F) | KIND(LR) | KIND(STORE) | KIND(STORE_F) | KIND(AMO))
#define KINDS_TAKEN (KIND(LOAD) | KIND(LOAD_F) | KIND(STORE) | KIND(STORE_F))

static bool is_one_of(const struct access *a, unsigned kinds)
{
    return (kinds >> a->insn.kind & 1U) != 0;
}

/* False: it can't be fetched any more. */
static inline bool key_of(struct rv64_vcpu *v, uint64_t tinst, uint64_t *key)
{
    uint32_t word;

    if (tinst != 0) {
        *key = tinst | RV64_PLAIN_TINST;
        return true;
    }
    if (!rv64_cpu_fetch(v->frame.pc, &word)) {
        return false;
    }
    *key = word;
    return true;
}

static bool access_describe(struct access *a)
{
    uint64_t tinst = a->fault.tinst;
    uint32_t word;

    a->key = tinst | RV64_PLAIN_TINST;
    if (tinst == 0) {
        if (!rv64_cpu_fetch_again(a->v->frame.pc, &a->fault, &word)) {
            return false;
        }
        a->key = word;
        a->insn = rv64_decode(word);
        a->va = rv64_reg_read(a->v, a->insn.base) + (uint64_t)(int64_t)a->insn.imm;
    } else {
        a->insn = rv64_decode((uint32_t)(tinst | TINST_32_BITS));
        a->insn.length = (tinst & TINST_32_BITS) != 0 ? 4 : 2;
        a->va = a->fault.tval - a->insn.base;
    }
    return true;
}

/* Whether this instruction would have faulted like this. Of an access in parts, stval is where a part begins. */
static bool access_is_cause(const struct access *a)
{
    if (!is_one_of(a, a->cause == CAUSE_LOAD_GUEST_PAGE ? KINDS_LOAD : KINDS_STORE)) {
        return false;
    }
    return !is_one_of(a, KINDS_WITH_ADDRESS) || UNMASKED(a->fault.tval - a->va) < UNMASKED((uint64_t)a->insn.size);
}

static unsigned unused_bits(const struct access *a)
{
    return 64 - 8U * a->insn.size;
}

static uint64_t shift_signed(uint64_t value, unsigned shift)
{
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

static int access_load(struct access *a)
{
    struct rv64_vcpu *v = a->v;
    uint64_t value;
    int error = bus_read(&v->base.vm->buses[AXVM_SPACE_MMIO], &v->base, a->fault.gpa, a->insn.size, &value);

    if (error != AXVM_OK) {
        return error;
    }
    if (a->insn.kind == RV64_INSN_LOAD_F) {
        /* What is narrower than an F register is NaN-boxed in it (Unprivileged, 21.2); FS becomes dirty. */
        rv64_cpu_f_write(a->insn.reg, value | ~(UINT64_MAX >> unused_bits(a)));
        rv64_cpu_sys_write(RV64_VSSTATUS, rv64_cpu_sys_read(RV64_VSSTATUS) | SSTATUS_FS);
    } else {
        rv64_reg_write(v, a->insn.reg, a->insn.sign ? shift_signed(value, unused_bits(a)) : value);
    }
    return AXVM_OK;
}

static int access_store(struct access *a)
{
    struct rv64_vcpu *v = a->v;
    unsigned reg = a->insn.reg;
    uint64_t value = a->insn.kind == RV64_INSN_STORE_F ? rv64_cpu_f_read(reg) : rv64_reg_read(v, reg);

    return bus_write(&v->base.vm->buses[AXVM_SPACE_MMIO], &v->base, a->fault.gpa, a->insn.size, value);
}

static int access_do(struct access *a)
{
    if (!is_one_of(a, KINDS_TAKEN) || ((a->va | a->fault.gpa) & (a->insn.size - 1U)) != 0) {
        return AXVM_EUNSUPPORTED;
    }
    return a->cause == CAUSE_LOAD_GUEST_PAGE ? access_load(a) : access_store(a);
}

/* It was done, so htinst's address offset was 0. */
static void access_remember(const struct access *a)
{
    const struct rv64_insn *insn = &a->insn;
    bool is_load = insn->kind == RV64_INSN_LOAD;

    if (is_one_of(a, KIND(LOAD) | KIND(STORE))) {
        (is_load ? a->v->loads : a->v->stores)[PLAIN_SLOT(a->key)] = (struct rv64_plain){
            .not_key = ~a->key, .last = (uint8_t)(insn->size - 1),
            .shift = (uint8_t)(!is_load || insn->sign ? unused_bits(a) : 0), .length = insn->length,
            .reg = (uint8_t)(8 * insn->reg), .base = (uint8_t)(8 * insn->base), .imm = insn->imm,
        };
    }
}

static bool is_float_off(const struct access *a)
{
    return is_one_of(a, KIND(LOAD_F) | KIND(STORE_F)) && (rv64_cpu_sys_read(RV64_VSSTATUS) & SSTATUS_FS) == 0;
}

/* No device takes such an access. */
static __attribute__((noinline)) int refused(struct rv64_vcpu *v, uint64_t cause)
{
    const struct rv64_fault fault = rv64_cpu_fault();

    log_debug("vm %u: vcpu %u: no device takes such an access at %#llx (pc %#llx)", v->base.vm->id, v->base.id,
              (unsigned long long)fault.gpa, (unsigned long long)v->frame.pc);
    v->base.stats.faults++;
    inject_access_fault(v, cause, fault.tval);
    return RV64_RESUME;
}

#define MAX_RETRIES 4U /* in a row */

/*
 * Entering again makes the guest take whatever is due, unless the hart goes on with what it fetched or translated
 * before, which it may until the guest's own fence: so it is made to forget that.
 */
__attribute__((noinline)) int rv64_retry(struct rv64_vcpu *v, uint64_t cause, uint64_t tval)
{
    uint64_t self = RV_BIT(hal->pcpu_id());
    bool again = v->retry.pc == v->frame.pc && v->retry.mmio == v->base.stats.mmio;

    v->base.stats.faults++;
    if (again && v->retry.count == MAX_RETRIES) {
        v->retry.count = 0;
        inject_access_fault(v, cause, tval);
    } else {
        v->retry.count = again ? v->retry.count + 1 : 1;
        v->retry.pc = v->frame.pc;
        v->retry.mmio = v->base.stats.mmio;
        rv64_cpu_vstage_flush(self, 0, UINT64_MAX);
        rv64_cpu_fence_i(self);
    }
    return RV64_RESUME;
}

static int device_fault(struct rv64_vcpu *v, uint64_t cause, const struct rv64_fault *fault)
{
    struct access a = {.v = v, .cause = cause, .fault = *fault};

    if (!access_describe(&a) || !access_is_cause(&a)) {
        return rv64_retry(v, cause, a.fault.tval);
    }
    if (is_float_off(&a)) { /* it wasn't this instruction that faulted */
        v->base.stats.faults++;
        rv64_inject(v, CAUSE_ILLEGAL, 0);
        return RV64_RESUME;
    }
    if (access_do(&a) != AXVM_OK) {
        return refused(v, is_one_of(&a, KIND(AMO)) ? CAUSE_STORE_GUEST_PAGE : cause);
    }
    access_remember(&a);
    v->base.stats.mmio++;
    v->frame.pc += a.insn.length;
    return RV64_RESUME;
}

/* The entry becomes v->mmio_hint; not one where htval may be what a hart without it says. */
static bool is_device(struct rv64_vcpu *v, uint64_t gpa)
{
    const struct bus_entry *entry =
        bus_find_from(&v->base.vm->buses[AXVM_SPACE_MMIO], &v->mmio_hint, gpa, 1);

    if (entry != NULL && entry->base < 4) {
        v->mmio_hint = &bus_nothing;
    }
    return entry != NULL;
}

/* by_insn: of the instruction at pc; else no device is asked. */
static __attribute__((noinline)) int fault_of(struct rv64_vcpu *v, uint64_t cause, bool by_insn)
{
    struct rv64_fault fault = rv64_cpu_fault();
    bool walk = is_walk(fault.tinst);

    if (fault.gpa < 4) {
        int error = rv64_vs_stage_find(v, cause, &fault);

        if (error == AXVM_EFAULT) {
            return refused(v, cause);
        }
        if (error == AXVM_ENOENT || (error == AXVM_OK && walk)) { /* of a walk, all is there now */
            return rv64_retry(v, cause, fault.tval);
        }
    }
    if (cause == CAUSE_FETCH_GUEST_PAGE || walk || !by_insn || !is_device(v, fault.gpa)) {
        return memory_fault(v, cause, &fault);
    }
    return device_fault(v, cause, &fault);
}

static int any_fault(struct rv64_vcpu *v, uint64_t cause)
{
    return fault_of(v, cause, true);
}

int rv64_data_fault(struct rv64_vcpu *v)
{
    return fault_of(v, CAUSE_LOAD_GUEST_PAGE, false);
}

/* ---- Devices: what drivers do over and over; every instruction counts -------------------------------------------- */

/*
 * Plain loads and stores of the device that answered last, by an instruction seen before. All else is left to those
 * above, before anything is done.
 */

static uint64_t *reg_at(struct rv64_vcpu *v, unsigned offset)
{
    return (uint64_t *)(void *)((char *)v->frame.x + offset);
}

static inline bool is_plain(struct rv64_vcpu *v, const struct rv64_plain *plain, uint64_t key, uint64_t gpa,
                            uint64_t tval)
{
    if (plain->not_key != ~key || (tval & plain->last) != 0 || v->mmio_hint->last - gpa < plain->last) {
        return false;
    }
    return (key & RV64_PLAIN_TINST) != 0 || *reg_at(v, plain->base) + (uint64_t)(int64_t)plain->imm == tval;
}

static int plain_done(struct rv64_vcpu *v, const struct rv64_plain *plain)
{
    v->base.stats.mmio++;
    v->frame.pc += plain->length;
    return RV64_RESUME;
}

static __attribute__((noinline)) int plain_load(struct rv64_vcpu *v, uint64_t key, uint64_t gpa, uint64_t tval)
{
    const struct rv64_plain *plain = &v->loads[PLAIN_SLOT(key)];
    const struct bus_entry *entry = v->mmio_hint;
    struct axvm_device *device = entry->device;
    uint64_t value;

    if (!is_plain(v, plain, key, gpa, tval)) {
        return any_fault(v, CAUSE_LOAD_GUEST_PAGE);
    }
    if (device->ops->read(device, &v->base, gpa - entry->base, plain->last + 1U, &value) != AXVM_OK) {
        return refused(v, CAUSE_LOAD_GUEST_PAGE);
    }
    *reg_at(v, plain->reg) = shift_signed(value, plain->shift);
    v->frame.x[0] = 0;
    return plain_done(v, plain);
}

static __attribute__((noinline)) int plain_store(struct rv64_vcpu *v, uint64_t key, uint64_t gpa, uint64_t tval)
{
    const struct rv64_plain *plain = &v->stores[PLAIN_SLOT(key)];
    const struct bus_entry *entry = v->mmio_hint;
    struct axvm_device *device = entry->device;
    uint64_t value = *reg_at(v, plain->reg) << plain->shift >> plain->shift;

    if (!is_plain(v, plain, key, gpa, tval)) {
        return any_fault(v, CAUSE_STORE_GUEST_PAGE);
    }
    if (device->ops->write(device, &v->base, gpa - entry->base, plain->last + 1U, value) != AXVM_OK) {
        return refused(v, CAUSE_STORE_GUEST_PAGE);
    }
    return plain_done(v, plain);
}

static __attribute__((noinline)) int fetch_failed(struct rv64_vcpu *v, uint64_t cause, uint64_t gpa, uint64_t tval)
{
    const struct rv64_fault fault = {.gpa = gpa, .tval = tval};

    return device_fault(v, cause, &fault);
}

/* Flat: so that fetching is no call, and this function needs no stack. */
__attribute__((flatten)) int rv64_guest_page_fault(struct rv64_vcpu *v, uint64_t cause)
{
    const struct rv64_fault fault = rv64_cpu_fault();
    const struct bus_entry *entry = v->mmio_hint;
    uint64_t key;

    if (fault.gpa < entry->base || fault.gpa > entry->last || cause == CAUSE_FETCH_GUEST_PAGE) {
        return any_fault(v, cause);
    }
    if (!key_of(v, fault.tinst, &key)) {
        return fetch_failed(v, cause, fault.gpa, fault.tval);
    }
    if (cause == CAUSE_LOAD_GUEST_PAGE) {
        return plain_load(v, key, fault.gpa, fault.tval);
    }
    return plain_store(v, key, fault.gpa, fault.tval);
}

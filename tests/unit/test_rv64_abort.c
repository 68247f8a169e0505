/* SPDX-License-Identifier: Apache-2.0 */
/* Guest page faults in detail: what of test_abort.c's matter is riscv64's own. */
#include "support/places.h"
#include "support/random.h"
#include "support/rv64_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define STVEC UINT64_C(0xffffffff80001000)
#define PC UINT64_C(0xffffffff80123456)
#define VA UINT64_C(0xffffffc812345000)

#define WALK_READ 0x3000U /* htinst's pseudoinstructions (18.6.3) */
#define WALK_WRITE 0x3020U

/* ---- The machine ---- */

static struct axvm *vm;

/* What the guest does: `before` its frame, then a fault, then `after` its frame. */
static struct {
    uint64_t cause, gpa, tval, tinst;
    uint32_t insn;
    struct rv64_frame before, after;
    uint64_t vsstatus;
    uint64_t f[32];
} now;

static int setup(void **state)
{
    int error = rv64_machine_setup(state);

    memset(&now, 0, sizeof(now));
    vm = places_vm();
    random_start("abort");
    now.vsstatus = SSTATUS_FS_INITIAL;
    for (unsigned i = 0; i < 32; i++) {
        now.f[i] = random_u64();
    }
    for (unsigned i = 1; i < 32; i++) {
        now.before.x[i] = random_u64();
    }
    return error;
}

static void guest_faults(struct rv64_frame *frame)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    memcpy(frame->x, now.before.x, sizeof(frame->x));
    frame->pc = PC;
    cpu->sys[RV64_VSTVEC] = STVEC;
    cpu->sys[RV64_VSSTATUS] = now.vsstatus;
    memcpy(cpu->fp.f, now.f, sizeof(cpu->fp.f));
    rv64_guest_fault_at(frame, (enum rv64_cause)now.cause, now.gpa, now.tval, now.tinst, now.insn);
    now.after = *frame;
}

static struct vcpu_stats stats(void)
{
    return rv64_machine_vcpu(vm, 0)->base.stats;
}

static enum axvm_exit_kind run_fault(enum rv64_cause cause, uint64_t addr, uint64_t tval, uint64_t tinst, uint32_t insn)
{
    struct vcpu_stats was = stats();
    enum axvm_exit_kind kind;

    now.cause = cause;
    now.gpa = addr;
    now.tval = tval;
    now.tinst = tinst;
    now.insn = insn;
    rv64_model_forget_flushes();
    kind = rv64_machine_run(vm, 0, guest_faults).kind;
    assert_int_equal(stats().mmio + stats().faults, was.mmio + was.faults + 1);
    return kind;
}

static void fault(enum rv64_cause cause, uint64_t addr, uint64_t tval, uint64_t tinst, uint32_t insn)
{
    assert_int_equal(run_fault(cause, addr, tval, tinst, insn), AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static void check_registers_kept(void)
{
    assert_memory_equal(now.after.x, now.before.x, sizeof(now.after.x));
    assert_memory_equal(rv64_model_cpu()->fp.f, now.f, sizeof(now.f));
}

static void check_injected_value(enum rv64_cause cause, uint64_t tval)
{
    const uint64_t *sys = rv64_model_cpu()->sys;

    assert_int_equal(now.after.pc, STVEC);
    assert_int_equal(sys[RV64_VSCAUSE], cause);
    assert_int_equal(sys[RV64_VSTVAL], tval);
    assert_int_equal(sys[RV64_VSEPC], PC);
    check_registers_kept();
}

static void check_injected(enum rv64_cause cause)
{
    check_injected_value(cause, now.tval);
}

/* The guest does the same again. */
static void check_retried(void)
{
    assert_int_equal(now.after.pc, PC);
    check_registers_kept();
}

static void check_no_access(void)
{
    assert_int_equal(dev.reads + dev.writes, 0);
}

/* ---- Instructions ---- */

struct op {
    bool store, f, sign;
    unsigned size, length, reg, base;
    int imm;
    uint32_t word;
    uint32_t transformed; /* as htinst has it, with an address offset of 0 */
};

static uint32_t funct3_of(const struct op *op)
{
    return (uint32_t)__builtin_ctz(op->size) | (op->store || op->f || op->sign || op->size == 8 ? 0 : 4);
}

static uint32_t full_word(const struct op *op, unsigned base, int imm)
{
    uint32_t field = (uint32_t)imm & 0xfff, opcode = (op->store ? 0x23U : 0x03U) | (op->f ? 0x04U : 0);
    uint32_t common = opcode | base << 15 | funct3_of(op) << 12;

    if (op->store) {
        return common | op->reg << 20 | field >> 5 << 25 | (field & 31) << 7;
    }
    return common | op->reg << 7 | field << 20;
}

/* C.LW, C.LD, C.SW, C.SD, C.FLD, C.FSD */
static uint32_t compressed_word(const struct op *op)
{
    uint32_t imm = (uint32_t)op->imm, funct3 = op->f ? 1 : op->size == 4 ? 2 : 3;
    uint32_t word = funct3 << 13 | (op->store ? 0x8000U : 0) | (imm >> 3 & 7) << 10 | (op->reg - 8) << 2;

    word |= (op->base - 8) << 7;
    return word | (op->size == 4 ? (imm >> 2 & 1) << 6 | (imm >> 6 & 1) << 5 : (imm >> 6 & 3) << 5);
}

static void encode(struct op *op)
{
    op->word = op->length == 2 ? compressed_word(op) : full_word(op, op->base, op->imm);
    op->transformed = full_word(op, 0, 0) & (op->length == 2 ? ~2U : ~0U);
}

static struct op make(bool store, unsigned size, bool sign, unsigned reg, unsigned base, int imm)
{
    struct op op = {.store = store, .size = size, .sign = sign, .length = 4, .reg = reg, .base = base, .imm = imm};

    encode(&op);
    return op;
}

static struct op make_f(bool store, unsigned size, unsigned reg, unsigned base)
{
    struct op op = {.store = store, .f = true, .size = size, .length = 4, .reg = reg, .base = base};

    encode(&op);
    return op;
}

static struct op random_op(void)
{
    struct op op = {.store = random_below(2) != 0, .f = random_below(6) == 0, .sign = random_below(2) != 0};

    if (random_below(2) != 0) {
        op.length = 2;
        op.size = op.f || random_below(2) != 0 ? 8 : 4;
        op.sign = !op.store && !op.f;
        op.reg = 8 + (unsigned)random_below(8);
        op.base = 8 + (unsigned)random_below(8);
        op.imm = (int)(random_below(32) * op.size);
    } else {
        op.length = 4;
        op.size = op.f ? 2U << random_below(3) : 1U << random_below(4);
        op.sign = !op.store && !op.f && (op.sign || op.size == 8);
        op.reg = (unsigned)random_below(32);
        op.base = 1 + (unsigned)random_below(31);
        op.imm = (int)random_below(4096) - 2048;
    }
    encode(&op);
    return op;
}

static enum rv64_cause cause_of(const struct op *op)
{
    return op->store ? CAUSE_STORE_GUEST_PAGE : CAUSE_LOAD_GUEST_PAGE;
}

static enum rv64_cause access_fault_of(const struct op *op)
{
    return op->store ? CAUSE_STORE_ACCESS : CAUSE_LOAD_ACCESS;
}

/* The guest does it at `va`, which is at `addr`. */
static void access_at(const struct op *op, uint64_t addr, uint64_t va, bool transformed)
{
    now.before.x[op->base] = va - (uint64_t)(int64_t)op->imm;
    if (transformed) {
        fault(cause_of(op), addr, va, op->transformed, 0);
    } else {
        fault(cause_of(op), addr, va, 0, op->word);
    }
}

/* ---- What an access does ---- */

static uint64_t narrowed(uint64_t value, unsigned size)
{
    return size == 8 ? value : value & ((UINT64_C(1) << 8 * size) - 1);
}

static uint64_t loaded(const struct op *op, uint64_t answer)
{
    uint64_t value = narrowed(answer, op->size);

    if (op->f) {
        return op->size == 2 ? value | UINT64_C(0xffffffffffff0000)
                             : op->size == 4 ? value | UINT64_C(0xffffffff00000000) : value;
    }
    if (op->sign && (value >> (8 * op->size - 1)) != 0) {
        return op->size == 8 ? value : value - (UINT64_C(1) << 8 * op->size);
    }
    return value;
}

static void check_access(const struct op *op, uint64_t offset)
{
    struct rv64_frame expected = now.before;
    uint64_t f[32];

    memcpy(f, now.f, sizeof(f));
    assert_int_equal(dev.reads, op->store ? 0 : 1);
    assert_int_equal(dev.writes, op->store ? 1 : 0);
    assert_int_equal(dev.offset, offset);
    assert_int_equal(dev.size, op->size);
    if (op->store) {
        assert_int_equal(dev.value, narrowed(op->f ? f[op->reg] : expected.x[op->reg], op->size));
    } else if (op->f) {
        f[op->reg] = loaded(op, dev.answer);
    } else if (op->reg != 0) {
        expected.x[op->reg] = loaded(op, dev.answer);
    }
    assert_memory_equal(now.after.x, expected.x, sizeof(expected.x));
    assert_memory_equal(rv64_model_cpu()->fp.f, f, sizeof(f));
    assert_int_equal(now.after.pc, PC + op->length);
    assert_int_equal(rv64_model_cpu()->sys[RV64_VSSTATUS], now.vsstatus | (op->f && !op->store ? SSTATUS_FS : 0));
    dev.reads = dev.writes = 0;
}

/* Each thrice: an instruction that was seen before goes another way. */
static void do_access(const struct op *op, uint64_t offset, bool transformed)
{
    for (unsigned i = 0; i < 3; i++) {
        dev.answer = random_u64();
        access_at(op, DEVICE + offset, VA + offset, transformed);
        check_access(op, offset);
    }
}

static void test_loads_and_stores_of_all_widths_and_registers(void **state)
{
    (void)state;
    for (unsigned log2_size = 0; log2_size < 4; log2_size++) {
        for (unsigned reg = 0; reg < 32; reg++) {
            for (unsigned how = 0; how < 6; how++) {
                bool store = how % 3 == 2, sign = how % 3 == 1 || (!store && log2_size == 3);
                struct op op = make(store, 1U << log2_size, sign, reg, reg % 2 != 0 ? reg : 9, 0x10 - (int)reg);

                do_access(&op, 0x128, how >= 3);
            }
        }
    }
    assert_int_equal(stats().mmio, 4 * 32 * 6 * 3);
    assert_int_equal(stats().faults, 0);
}

static void test_f_registers_are_nan_boxed_and_make_fs_dirty(void **state)
{
    (void)state;
    for (unsigned size = 2; size <= 8; size *= 2) {
        for (unsigned reg = 0; reg < 32; reg++) {
            struct op load = make_f(false, size, reg, 10), store = make_f(true, size, reg, 10);

            do_access(&load, 0x80, reg % 2 != 0);
            do_access(&store, 0x80, reg % 2 != 0);
        }
    }
}

static void test_f_registers_that_are_off_are_an_illegal_instruction(void **state)
{
    struct op load = make_f(false, 4, 1, 10), store = make_f(true, 8, 1, 10);

    (void)state;
    now.vsstatus = 0;
    access_at(&load, DEVICE, VA, false);
    check_injected_value(CAUSE_ILLEGAL, 0);
    access_at(&store, DEVICE, VA, false);
    check_injected_value(CAUSE_ILLEGAL, 0);
    check_no_access();
}

/* The first time it is fetched again by what knows all instructions. */
static void test_instruction_that_was_seen_before_is_fetched_once(void **state)
{
    (void)state;
    do_access(&(struct op){.size = 4, .sign = true, .length = 4, .reg = 11, .base = 10, .word = 0x00052583}, 0, false);
    for (unsigned i = 0; i < 100; i++) {
        struct op op = random_op();
        unsigned fetches = rv64_model_cpu()->fetch_count;

        access_at(&op, DEVICE, VA, false);
        assert_in_range(rv64_model_cpu()->fetch_count - fetches, 1, 2);
        fetches = rv64_model_cpu()->fetch_count;
        access_at(&op, DEVICE, VA, false);
        assert_int_equal(rv64_model_cpu()->fetch_count - fetches, op.f ? 2 : 1);
    }
}

/* What such a fetch leaves of the trap isn't taken for it. */
static void test_instructions_that_only_the_second_fetch_finds(void **state)
{
    (void)state;
    rv64_model_cpu()->unreadable = true;
    for (unsigned i = 0; i < 100; i++) {
        struct op op = random_op();

        do_access(&op, 8 * random_below(16), false);
        dev.error = AXVM_EUNSUPPORTED;
        for (unsigned again = 0; again < 2; again++) {
            access_at(&op, DEVICE, VA, false);
            check_injected(op.store ? CAUSE_STORE_ACCESS : CAUSE_LOAD_ACCESS);
        }
        dev.error = AXVM_OK;
        dev.reads = dev.writes = 0;
    }
}

static void test_any_instructions_in_any_order(void **state)
{
    static struct op ops[64];

    (void)state;
    for (unsigned i = 0; i < COUNT(ops); i++) {
        ops[i] = random_op();
    }
    for (unsigned i = 0; i < 20000; i++) {
        struct op *op = &ops[random_below(COUNT(ops))];
        uint64_t offset = random_below(DEVICE_SIZE / op->size) * op->size;
        bool other = random_below(8) == 0;

        dev.answer = random_u64();
        for (unsigned r = 1; r < 32; r++) {
            now.before.x[r] = random_u64();
        }
        dev.others = 0;
        access_at(op, (other ? OTHER_DEVICE : DEVICE) + offset, VA + offset, random_below(2) != 0);
        check_access(op, offset);
        assert_int_equal(dev.others, other);
        if (random_below(16) == 0) {
            *op = random_op();
        }
    }
}

static void test_other_compressed_forms(void **state)
{
    static const struct {
        uint32_t word;
        uint64_t address; /* base register's */
        struct op op;
    } forms[] = {
        {0x4522, 8, {.size = 4, .sign = true, .length = 2, .reg = 10, .base = 2}},           /* c.lwsp a0, 8(sp) */
        {0x6522, 8, {.size = 8, .sign = true, .length = 2, .reg = 10, .base = 2}},           /* c.ldsp a0, 8(sp) */
        {0xc42a, 8, {.size = 4, .store = true, .length = 2, .reg = 10, .base = 2}},          /* c.swsp a0, 8(sp) */
        {0x2522, 8, {.size = 8, .f = true, .length = 2, .reg = 10, .base = 2}},              /* c.fldsp fa0, 8(sp) */
        {0x833c, 2, {.size = 1, .length = 2, .reg = 15, .base = 14}},                        /* c.lbu a5, 2(a4) */
        {0x8f3c, 2, {.size = 2, .store = true, .length = 2, .reg = 15, .base = 14}},         /* c.sh a5, 2(a4) */
    };

    (void)state;
    for (unsigned i = 0; i < COUNT(forms); i++) {
        struct op op = forms[i].op;

        op.word = forms[i].word;
        op.imm = (int)forms[i].address;
        do_access(&op, 0x40, false);
    }
}

static void test_upper_bits_that_pointer_masking_ignores(void **state)
{
    struct op op = make(false, 4, true, 11, 10, 0);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        now.before.x[10] = ((VA + 8) & (UINT64_MAX >> 16)) | UINT64_C(0x5a5a) << 48;
        fault(CAUSE_LOAD_GUEST_PAGE, DEVICE + 8, VA + 8, 0, op.word);
        check_access(&op, 8);
    }
}

/* ---- What devices don't take ---- */

static void test_bus_error_of_a_device_is_an_access_fault(void **state)
{
    static const int errors[] = {AXVM_EINVAL, AXVM_EFAULT, AXVM_EUNSUPPORTED, AXVM_ENOENT};

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        struct op op = random_op();

        dev.error = i % 2 != 0 ? AXVM_OK : errors[i / 2 % COUNT(errors)];
        access_at(&op, DEVICE + 0x10, VA + 0x10, i % 4 >= 2);
        access_at(&op, DEVICE + 0x10, VA + 0x10, i % 4 >= 2);
        dev.error = errors[i / 2 % COUNT(errors)];
        access_at(&op, DEVICE + 0x10, VA + 0x10, i % 4 >= 2);
        check_injected(access_fault_of(&op));
    }
    assert_int_equal(axvm_state(vm), AXVM_STATE_RUNNING);
}

static void test_access_that_is_not_aligned_is_an_access_fault(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        struct op op = random_op();
        uint64_t offset = random_below(DEVICE_SIZE - 8);

        if (offset % op.size == 0) {
            access_at(&op, DEVICE + offset, VA + offset, i % 2 != 0);
            dev.reads = dev.writes = 0;
        } else {
            access_at(&op, DEVICE + offset, VA + offset, i % 2 != 0);
            check_injected(access_fault_of(&op));
            check_no_access();
        }
    }
}

/* The first part was memory: stval is where the second begins (18.6.1), and htinst says how far it is. */
static void test_part_of_an_access_is_an_access_fault(void **state)
{
    struct op op = make(false, 8, true, 11, 10, 0);

    (void)state;
    now.before.x[10] = VA - 4;
    for (unsigned i = 0; i < 2; i++) {
        fault(CAUSE_LOAD_GUEST_PAGE, DEVICE, VA, 0, op.word);
        check_injected(CAUSE_LOAD_ACCESS);
        fault(CAUSE_LOAD_GUEST_PAGE, DEVICE, VA, op.transformed | 4U << 15, 0);
        check_injected(CAUSE_LOAD_ACCESS);
    }
    check_no_access();
}

static void test_access_that_sticks_out_of_a_device_is_an_access_fault(void **state)
{
    struct op load = make(false, 8, true, 11, 10, 0), store = make(true, 8, false, 11, 10, 0);

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        do_access(&load, 0, i % 2 != 0);
        do_access(&store, 0, i % 2 != 0);
        access_at(&load, DEVICE + 0xff8, VA + 0xff8, i % 2 != 0);
        check_injected(CAUSE_LOAD_ACCESS);
        access_at(&store, DEVICE + 0xff8, VA + 0xff8, i % 2 != 0);
        check_injected(CAUSE_STORE_ACCESS);
        check_no_access();
    }
}

static void test_instructions_that_devices_do_not_take(void **state)
{
    static const struct {
        uint32_t word;
        enum rv64_cause cause;
    } cases[] = {
        {0x100525af, CAUSE_LOAD_GUEST_PAGE},  /* lr.w a1, (a0) */
        {0x18c525af, CAUSE_STORE_GUEST_PAGE}, /* sc.w a1, a2, (a0) */
        {0x00c525af, CAUSE_STORE_GUEST_PAGE}, /* amoadd.w a1, a2, (a0) */
        {0x08c535af, CAUSE_STORE_GUEST_PAGE}, /* amoswap.d a1, a2, (a0) */
        {0x02050407, CAUSE_LOAD_GUEST_PAGE},  /* vle8.v v8, (a0) */
        {0x02057427, CAUSE_STORE_GUEST_PAGE}, /* vse64.v v8, (a0) */
        {0x0045200f, CAUSE_STORE_GUEST_PAGE}, /* cbo.zero (a0) */
        {0x00054207, CAUSE_LOAD_GUEST_PAGE},  /* flq f4, 0(a0) */
        {0x0000000b, CAUSE_LOAD_GUEST_PAGE},  /* custom-0 */
        {0x0000000b, CAUSE_STORE_GUEST_PAGE},
    };

    (void)state;
    now.before.x[10] = VA;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        fault(cases[i].cause, DEVICE, VA, 0, cases[i].word);
        check_injected(cases[i].cause == CAUSE_LOAD_GUEST_PAGE ? CAUSE_LOAD_ACCESS : CAUSE_STORE_ACCESS);
        fault(cases[i].cause, DEVICE, VA, cases[i].word & ~(31U << 15), 0);
        check_injected(cases[i].cause == CAUSE_LOAD_GUEST_PAGE ? CAUSE_LOAD_ACCESS : CAUSE_STORE_ACCESS);
    }
    check_no_access();
}

/* As QEMU does, unless each CPU has a thread. */
static void test_amo_that_faults_as_a_load_is_one_all_the_same(void **state)
{
    (void)state;
    now.before.x[10] = VA;
    fault(CAUSE_LOAD_GUEST_PAGE, DEVICE, VA, 0, 0x00c525af); /* amoadd.w a1, a2, (a0) */
    check_injected(CAUSE_STORE_ACCESS);
    check_no_access();
}

static void test_instructions_are_not_fetched_from_devices(void **state)
{
    struct op op = make(false, 4, true, 11, 10, 0);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        fault(CAUSE_FETCH_GUEST_PAGE, DEVICE, PC, 0, i != 0 ? op.word : 0);
        check_injected(CAUSE_FETCH_ACCESS);
        check_no_access();
        do_access(&op, 0, false);
    }
}

static void test_page_tables_are_not_read_from_devices(void **state)
{
    static const enum rv64_cause causes[][2] = {{CAUSE_FETCH_GUEST_PAGE, CAUSE_FETCH_ACCESS},
                                                {CAUSE_LOAD_GUEST_PAGE, CAUSE_LOAD_ACCESS},
                                                {CAUSE_STORE_GUEST_PAGE, CAUSE_STORE_ACCESS}};
    struct op op = make(false, 4, true, 11, 10, 0);

    (void)state;
    for (unsigned i = 0; i < 2 * COUNT(causes); i++) {
        fault(causes[i / 2][0], DEVICE, VA, i % 2 != 0 ? WALK_READ : WALK_WRITE, op.word);
        check_injected(causes[i / 2][1]);
        check_no_access();
        do_access(&op, 0, false);
    }
}

/* ---- The guest changes its code, or its tables, meanwhile ---- */

#define INSN_NOP 0x00000013U

/* Tried again; and then it is there. */
static void retried(enum rv64_cause cause, uint64_t base, uint32_t insn)
{
    struct op op = make(false, 4, true, 11, 10, 0);

    now.before.x[10] = base;
    fault(cause, DEVICE, VA, 0, insn);
    check_retried();
    check_no_access();
    do_access(&op, 0, false);
    dev.reads = 0;
}

static void test_instruction_that_would_not_have_faulted_is_left_to_the_guest(void **state)
{
    struct op load = make(false, 4, true, 11, 10, 0), store = make(true, 4, false, 11, 10, 0);
    static const uint32_t others[] = {
        INSN_NOP,
        0x0000006f, /* j . */
        0x00000001, /* c.nop */
        0x02057427, /* vse64.v v8, (a0) */
    };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        retried(CAUSE_STORE_GUEST_PAGE, VA, load.word);
        retried(CAUSE_LOAD_GUEST_PAGE, VA, store.word);
        for (unsigned j = 0; j < COUNT(others); j++) {
            retried(CAUSE_LOAD_GUEST_PAGE, VA, others[j]);
        }
        for (unsigned away = 4; away <= 0x1000; away *= 2) {
            retried(CAUSE_LOAD_GUEST_PAGE, VA - away, load.word);
            retried(CAUSE_STORE_GUEST_PAGE, VA + away, store.word);
        }
        do_access(&store, 0, false);
    }
}

/* The hart may go on with what it translated or fetched before: it forgets that. */
static void test_before_another_try_the_hart_forgets_what_was_there(void **state)
{
    (void)state;
    rv64_machine_run(vm, 0, NULL);
    for (unsigned i = 0; i < 2; i++) {
        fault(CAUSE_LOAD_GUEST_PAGE, DEVICE, VA, 0, i == 0 ? INSN_NOP : 0);
        check_retried();
        assert_int_equal(rv64_model.flush_counts[RV64_FLUSH_VSTAGE], 1);
        assert_int_equal(rv64_model.flush_counts[RV64_FLUSH_FENCE_I], 1);
        assert_int_equal(rv64_model.flush_count, 2);
        for (unsigned k = 0; k < 2; k++) {
            assert_int_equal(rv64_model.flushes[k].pcpus, 1);
            assert_true(k == 1 || rv64_model.flushes[k].size == UINT64_MAX);
        }
    }
}

/* What never is there when it is looked at: an access fault, and the next one has as many tries. */
static void test_who_gets_nowhere_has_an_access_fault(void **state)
{
    static const enum rv64_cause causes[][2] = {{CAUSE_LOAD_GUEST_PAGE, CAUSE_LOAD_ACCESS},
                                                {CAUSE_STORE_GUEST_PAGE, CAUSE_STORE_ACCESS}};

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned k = 0; k < 4; k++) {
            fault(causes[i % 2][0], DEVICE, VA, 0, i % 4 < 2 ? INSN_NOP : 0);
            check_retried();
        }
        fault(causes[i % 2][0], DEVICE, VA, 0, i % 4 < 2 ? INSN_NOP : 0);
        check_injected(causes[i % 2][1]);
        check_no_access();
    }
}

static void test_instruction_that_is_gone_is_tried_again(void **state)
{
    struct op op = make(false, 4, true, 11, 10, 0);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        now.before.x[10] = VA;
        fault(CAUSE_LOAD_GUEST_PAGE, DEVICE, VA, 0, 0);
        check_retried();
        check_no_access();
        do_access(&op, 0, false);
    }
}

/* The same bits mean one thing fetched (C.NOP and its like), another in htinst (LB of what was of 16 bits). */
static void test_htinst_and_words_are_not_mixed_up(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct op op = {.size = 1, .sign = true, .length = 2, .reg = 0, .transformed = 0x00000001};

        access_at(&op, DEVICE, 0, true);
        check_access(&op, 0);
        fault(CAUSE_LOAD_GUEST_PAGE, DEVICE, 0, 0, 0x0001);
        check_retried();
        fault(CAUSE_LOAD_GUEST_PAGE, DEVICE, 0, 0, 0x00010000); /* of 16 bits that are zero */
        check_retried();
        check_no_access();
    }
}

/* ---- Memory ---- */

static void test_first_touch_of_a_lazy_page_populates_that_page(void **state)
{
    static const struct {
        enum rv64_cause cause;
        uint32_t tinst, insn;
    } cases[] = {
        {CAUSE_LOAD_GUEST_PAGE, 0, 0x00053583}, /* ld a1, 0(a0) */
        {CAUSE_STORE_GUEST_PAGE, 0, 0x00b53023},
        {CAUSE_LOAD_GUEST_PAGE, 0, 0},          /* nobody asks for the instruction */
        {CAUSE_STORE_GUEST_PAGE, 0x00b03023, 0},
        {CAUSE_STORE_GUEST_PAGE, 0, 0x00c525af}, /* amoadd.w */
        {CAUSE_FETCH_GUEST_PAGE, 0, 0},
        {CAUSE_FETCH_GUEST_PAGE, WALK_READ, 0},
        {CAUSE_LOAD_GUEST_PAGE, WALK_READ, 0},
        {CAUSE_LOAD_GUEST_PAGE, WALK_WRITE, 0},
        {CAUSE_STORE_GUEST_PAGE, WALK_READ, 0},
    };

    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        uint64_t page = LAZY + i * MIB(2) / 8;

        assert_false(places_mapped(vm, page));
        fault(cases[i].cause, page | 0xff8, VA | 0xff8, cases[i].tinst, cases[i].insn);
        check_retried();
        places_check_populated(vm, page);
        assert_int_equal(rv64_model_last_flush()->kind, RV64_FLUSH_GSTAGE_LOCAL);
        assert_int_equal(rv64_model_last_flush()->start & ~(AXVM_PAGE_SIZE - 1), page);
    }
}

static void test_memory_that_does_not_allow_it_is_an_access_fault(void **state)
{
    (void)state;
    fault(CAUSE_STORE_GUEST_PAGE, ROM, VA, 0, 0x00b52023);
    check_injected(CAUSE_STORE_ACCESS);
    fault(CAUSE_FETCH_GUEST_PAGE, DATA, PC, 0, 0);
    check_injected(CAUSE_FETCH_ACCESS);
    fault(CAUSE_LOAD_GUEST_PAGE, ROM, VA, WALK_WRITE, 0); /* an A bit to be set */
    check_injected(CAUSE_LOAD_ACCESS);
    fault(CAUSE_STORE_GUEST_PAGE, ROM, VA, WALK_READ, 0); /* the table is only read for it */
    check_retried();
}

static void test_writes_to_logged_pages_are_noted_and_go_on(void **state)
{
    static const struct {
        enum rv64_cause cause;
        uint32_t tinst;
        bool dirty;
    } cases[] = {
        {CAUSE_STORE_GUEST_PAGE, 0, true},
        {CAUSE_STORE_GUEST_PAGE, 0x00b02023, true},
        {CAUSE_LOAD_GUEST_PAGE, WALK_WRITE, true},
        {CAUSE_LOAD_GUEST_PAGE, 0, false},
        {CAUSE_STORE_GUEST_PAGE, WALK_READ, false},
    };

    (void)state;
    assert_int_equal(axvm_dirty_log_start(vm), 0);
    for (unsigned i = 0; i < COUNT(cases); i++) {
        uint64_t page = DATA + i * AXVM_PAGE_SIZE;

        fault(cases[i].cause, page, VA, cases[i].tinst, 0);
        check_retried();
        assert_int_equal(places_dirty(vm, page), cases[i].dirty);
        assert_int_equal(rv64_model.flush_counts[RV64_FLUSH_GSTAGE_LOCAL], 1);
    }
    assert_int_equal(axvm_dirty_log_stop(vm), 0);
}

/* ---- Anything at all ---- */

static void test_random_faults_end_in_the_guest(void **state)
{
    static const uint64_t places[] = {DEVICE, OTHER_DEVICE, ROM, LAZY, DATA, RV64_RAM, MACHINE_PLIC, HOLE};
    static const enum rv64_cause causes[] = {CAUSE_FETCH_GUEST_PAGE, CAUSE_LOAD_GUEST_PAGE, CAUSE_STORE_GUEST_PAGE};

    (void)state;
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t offset = random_below(0x2000);
        struct op op = random_op();
        uint32_t word = random_below(2) != 0 ? op.word : (uint32_t)random_u64();
        uint64_t tinst = random_below(2) != 0 ? 0 : random_below(2) != 0 ? op.transformed : random_u64();

        now.before.x[op.base] = VA + offset - (uint64_t)(int64_t)op.imm;
        fault(causes[random_below(3)], places[random_below(COUNT(places))] + offset, VA + offset, tinst, word);
        assert_true(now.after.pc == PC || now.after.pc == PC + 2 || now.after.pc == PC + 4 || now.after.pc == STVEC);
        assert_int_equal(now.after.x[0], 0);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, machine_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_loads_and_stores_of_all_widths_and_registers),
        TEST(test_f_registers_are_nan_boxed_and_make_fs_dirty),
        TEST(test_f_registers_that_are_off_are_an_illegal_instruction),
        TEST(test_instruction_that_was_seen_before_is_fetched_once),
        TEST(test_instructions_that_only_the_second_fetch_finds),
        TEST(test_any_instructions_in_any_order),
        TEST(test_other_compressed_forms),
        TEST(test_upper_bits_that_pointer_masking_ignores),
        TEST(test_bus_error_of_a_device_is_an_access_fault),
        TEST(test_access_that_is_not_aligned_is_an_access_fault),
        TEST(test_part_of_an_access_is_an_access_fault),
        TEST(test_access_that_sticks_out_of_a_device_is_an_access_fault),
        TEST(test_instructions_that_devices_do_not_take),
        TEST(test_amo_that_faults_as_a_load_is_one_all_the_same),
        TEST(test_instructions_are_not_fetched_from_devices),
        TEST(test_page_tables_are_not_read_from_devices),
        TEST(test_instruction_that_would_not_have_faulted_is_left_to_the_guest),
        TEST(test_instruction_that_is_gone_is_tried_again),
        TEST(test_before_another_try_the_hart_forgets_what_was_there),
        TEST(test_who_gets_nowhere_has_an_access_fault),
        TEST(test_htinst_and_words_are_not_mixed_up),
        TEST(test_first_touch_of_a_lazy_page_populates_that_page),
        TEST(test_memory_that_does_not_allow_it_is_an_access_fault),
        TEST(test_writes_to_logged_pages_are_noted_and_go_on),
        TEST(test_random_faults_end_in_the_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

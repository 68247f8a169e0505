/* SPDX-License-Identifier: Apache-2.0 */
/* Guest page faults on a hart whose htval is always 0: where they were is found by the guest's own tables. */
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
#define TABLES (RV64_RAM + MIB(1)) /* a page for each level, the root's first */
#define LAZY UINT64_C(0x60000000)
#define ROM UINT64_C(0x50000000)
#define DEVICE UINT64_C(0x20045000)
#define HOLE UINT64_C(0x40000000)

#define LW_A1_A0 0x00052583U
#define SW_A1_A0 0x00b52023U
#define WALK_READ 0x3000U
#define WALK_WRITE 0x3020U

/* Privileged 1.13, 12.3.1, bit by bit: not by what is tested. */
#define V 0x01U
#define R 0x02U
#define W 0x04U
#define X 0x08U
#define U 0x10U
#define A 0x40U
#define D 0x80U
#define ALL (V | R | W | X | A | D)
#define N (UINT64_C(1) << 63)

/* ---- The machine ---- */

static struct {
    struct axvm_device device, lowest;
    unsigned reads, writes, lowest_reads;
    uint64_t offset;
} dev;

static int dev_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value)
{
    (void)vcpu;
    assert_int_equal(size, 4);
    dev.lowest_reads += device == &dev.lowest;
    dev.reads += device == &dev.device;
    dev.offset = offset;
    *value = 0x1234567;
    return AXVM_OK;
}

static int dev_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value)
{
    (void)device, (void)vcpu, (void)size, (void)value;
    dev.writes++;
    dev.offset = offset;
    return AXVM_OK;
}

static const struct axvm_device_ops dev_ops = {.name = "test", .read = dev_read, .write = dev_write};

static struct axvm *vm;

static struct {
    uint64_t vsatp, cause, tval, tinst;
    uint32_t insn;
    bool user;
    struct rv64_frame after;
} now;

static void add_memory(struct axvm_config *config)
{
    static const struct axvm_mem_config regions[] = {
        {.gpa = {LAZY}, .size = MIB(4), .flags = AXVM_MEM_RWX, .lazy = true},
        {.gpa = {ROM}, .size = KIB(64), .flags = AXVM_MEM_READ},
    };

    assert_int_equal(axvm_config_add_memory_region(config, &regions[0]), 0);
    assert_int_equal(axvm_config_add_memory_region(config, &regions[1]), 0);
}

static int setup(void **state)
{
    int error = rv64_machine_setup(state);

    memset(&dev, 0, sizeof(dev));
    memset(&now, 0, sizeof(now));
    vm = machine_loaded_vm(1, add_memory);
    dev.device = (struct axvm_device){.ops = &dev_ops, .base = DEVICE, .size = 0x1000};
    dev.lowest = (struct axvm_device){.ops = &dev_ops, .base = 0, .size = 0x1000};
    error = error != 0 ? error : axvm_add_device(vm, &dev.device);
    error = error != 0 ? error : axvm_add_device(vm, &dev.lowest);
    random_start("vsstage");
    return error != 0 ? error : axvm_boot(vm);
}

static void guest_faults(struct rv64_frame *frame)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    memset(frame->x, 0, sizeof(frame->x));
    frame->x[10] = now.tval;
    frame->pc = PC;
    cpu->sys[RV64_VSTVEC] = STVEC;
    cpu->sys[RV64_VSATP] = now.vsatp;
    rv64_model_set_vs(!now.user);
    rv64_guest_fault_at(frame, (enum rv64_cause)now.cause, 0, now.tval, now.tinst, now.insn);
    now.after = *frame;
}

static enum axvm_exit_kind run_fault(enum rv64_cause cause, uint64_t tval, uint64_t tinst)
{
    now.cause = cause;
    now.tval = tval;
    now.tinst = tinst;
    now.insn = cause == CAUSE_STORE_GUEST_PAGE ? SW_A1_A0 : LW_A1_A0;
    dev.reads = dev.writes = dev.lowest_reads = 0;
    rv64_model_forget_flushes();
    return rv64_machine_run(vm, 0, guest_faults).kind;
}

static void fault(enum rv64_cause cause, uint64_t tval, uint64_t tinst)
{
    assert_int_equal(run_fault(cause, tval, tinst), AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static void check_read(uint64_t offset)
{
    assert_int_equal(dev.reads, 1);
    assert_int_equal(dev.lowest_reads + dev.writes, 0);
    assert_int_equal(dev.offset, offset);
    assert_int_equal(now.after.x[11], 0x1234567);
    assert_int_equal(now.after.pc, PC + 4);
}

/* The guest does the same again, and no device has seen it. */
static void check_retried(void)
{
    assert_int_equal(dev.reads + dev.lowest_reads + dev.writes, 0);
    assert_int_equal(now.after.pc, PC);
}

static void check_injected(enum rv64_cause cause)
{
    assert_int_equal(dev.reads + dev.lowest_reads + dev.writes, 0);
    assert_int_equal(now.after.pc, STVEC);
    assert_int_equal(rv64_model_cpu()->sys[RV64_VSCAUSE], cause);
    assert_int_equal(rv64_model_cpu()->sys[RV64_VSTVAL], now.tval);
}

/* ---- The guest's tables ---- */

static uint64_t pte(uint64_t address, uint64_t bits)
{
    return address >> 12 << 10 | bits;
}

static void write_u64(uint64_t address, uint64_t value)
{
    assert_int_equal(axvm_write_guest(vm, gpa(address), &value, sizeof(value)), 0);
}

static uint64_t entry_at(uint64_t table, uint64_t va, unsigned level)
{
    return table + (va >> (12 + 9 * level) & 511) * 8;
}

/* From a root of `levels` levels down to `leaf`, an entry of `level`. Each table is `stride` behind the one above. */
static uint64_t map_by(uint64_t tables, uint64_t stride, unsigned levels, uint64_t va, unsigned level, uint64_t leaf)
{
    now.vsatp = (uint64_t)(levels + 5) << 60 | UINT64_C(0xabcd) << 44 | tables >> 12;
    for (unsigned at = levels - 1; at > level; at--, tables += stride) {
        write_u64(entry_at(tables, va, at), pte(tables + stride, V));
    }
    write_u64(entry_at(tables, va, level), leaf);
    return entry_at(tables, va, level);
}

static uint64_t map(unsigned levels, uint64_t va, unsigned level, uint64_t leaf)
{
    return map_by(TABLES, KIB(4), levels, va, level, leaf);
}

/* ---- Tests ---- */

static void without_translation_it_is_stval(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        fault(CAUSE_LOAD_GUEST_PAGE, DEVICE + 0x24, 0);
        check_read(0x24);
    }
    fault(CAUSE_STORE_GUEST_PAGE, LAZY + 0x2004, 0);
    check_retried();
    assert_int_equal(axvm_translate(vm, gpa(LAZY + 0x2000), NULL, NULL), 0);
    fault(CAUSE_LOAD_GUEST_PAGE, HOLE, 0);
    check_injected(CAUSE_LOAD_ACCESS);
}

static void devices_are_found_by_all_modes_and_page_sizes(void **state)
{
    (void)state;
    for (unsigned levels = 3; levels <= 5; levels++) {
        for (unsigned level = 0; level < 3; level++) {
            uint64_t mask = (UINT64_C(4096) << 9 * level) - 1, offset = (DEVICE & mask) + 4 * random_below(1024);
            uint64_t va = (VA & ~mask) | offset;

            map(levels, va, level, pte(DEVICE & ~mask, ALL));
            for (unsigned i = 0; i < 3; i++) {
                fault(CAUSE_LOAD_GUEST_PAGE, va, 0);
                check_read(offset % 4096);
            }
            fault(CAUSE_STORE_GUEST_PAGE, va, 0);
            assert_int_equal(dev.writes, 1);
        }
    }
}

/* Svnapot: the lowest four bits of the page number say how many of them are the virtual address's. */
static void pages_of_64_kib_are_found(void **state)
{
    (void)state;
    map(3, VA, 0, N | pte((DEVICE & ~UINT64_C(0xffff)) | 0x8000, ALL));
    assert_int_equal(DEVICE & 0xf000, VA & 0xf000);
    fault(CAUSE_LOAD_GUEST_PAGE, VA + 0x18, 0);
    check_read(0x18);
}

static void memory_is_populated_where_it_was_touched(void **state)
{
    static const enum rv64_cause causes[] = {CAUSE_FETCH_GUEST_PAGE, CAUSE_LOAD_GUEST_PAGE, CAUSE_STORE_GUEST_PAGE};

    (void)state;
    for (unsigned i = 0; i < COUNT(causes); i++) {
        uint64_t page = LAZY + i * MIB(1);

        map(4, VA, 0, pte(page, ALL));
        fault(causes[i], VA + 0xff8, 0);
        check_retried();
        assert_int_equal(axvm_translate(vm, gpa(page), NULL, NULL), 0);
        assert_int_equal(rv64_model_last_flush()->kind, RV64_FLUSH_GSTAGE_LOCAL);
        assert_int_equal(rv64_model_last_flush()->start, page + 0xff8);
        assert_int_equal(rv64_machine_vcpu(vm, 0)->base.stats.faults, i + 1);
    }
}

static bool is_forgotten(uint64_t address)
{
    bool found = false;

    for (unsigned i = 0; i < rv64_model.flush_count; i++) {
        const struct rv64_model_flush *flush = &rv64_model.flushes[i];

        found |= flush->kind == RV64_FLUSH_GSTAGE_LOCAL && flush->start == address;
    }
    return found;
}

/* Whether htinst tells or not; that it wasn't there, the TLB forgets. */
static void tables_are_populated_too(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t root = LAZY + i * MIB(1);

        now.vsatp = UINT64_C(8) << 60 | root >> 12;
        fault(CAUSE_LOAD_GUEST_PAGE, VA, i != 0 ? WALK_READ : 0);
        check_retried();
        assert_int_equal(axvm_translate(vm, gpa(root), NULL, NULL), 0);
        assert_true(is_forgotten(entry_at(root, VA, 2)));
    }
}

static void tables_that_nothing_answers_for_are_an_access_fault(void **state)
{
    static const enum rv64_cause causes[][2] = {{CAUSE_FETCH_GUEST_PAGE, CAUSE_FETCH_ACCESS},
                                                {CAUSE_LOAD_GUEST_PAGE, CAUSE_LOAD_ACCESS},
                                                {CAUSE_STORE_GUEST_PAGE, CAUSE_STORE_ACCESS}};
    static const uint64_t tables[] = {HOLE, DEVICE & ~UINT64_C(0xfff), UINT64_C(0xfffffffffff) << 12, 0};

    (void)state;
    for (unsigned i = 0; i < COUNT(causes) * COUNT(tables); i++) {
        const enum rv64_cause *cause = causes[i % COUNT(causes)];

        now.vsatp = UINT64_C(8) << 60 | tables[i / COUNT(causes)] >> 12;
        fault(cause[0], VA, 0);
        check_injected(cause[1]);
        fault(cause[0], VA, WALK_READ);
        check_injected(cause[1]);
        map(3, VA, 1, pte(tables[i / COUNT(causes)], V));
        fault(cause[0], VA, 0);
        check_injected(cause[1]);
    }
}

static void a_host_without_memory_fails_the_vm(void **state)
{
    (void)state;
    now.vsatp = UINT64_C(8) << 60 | LAZY >> 12;
    fake_hal_fail_orders_from(0);
    assert_int_equal(run_fault(CAUSE_LOAD_GUEST_PAGE, VA, 0), AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
}

/* Once all that the walk needs is there, it goes on by itself. */
static void faults_of_a_walk_reach_no_device(void **state)
{
    (void)state;
    map(3, VA, 0, pte(DEVICE, ALL));
    fault(CAUSE_LOAD_GUEST_PAGE, VA, WALK_READ);
    check_retried();
    fault(CAUSE_STORE_GUEST_PAGE, VA, WALK_WRITE);
    check_retried();
    now.vsatp = 0; /* changed by the guest meanwhile */
    fault(CAUSE_LOAD_GUEST_PAGE, DEVICE, WALK_READ);
    check_retried();
}

static void what_the_tables_no_longer_allow_is_left_to_the_guest(void **state)
{
    static const struct {
        uint64_t bits;
        enum rv64_cause cause;
        bool user, allowed;
    } cases[] = {
        {ALL & ~V, CAUSE_LOAD_GUEST_PAGE, false, false},
        {V, CAUSE_LOAD_GUEST_PAGE, false, false}, /* a table, below the last level */
        {ALL & ~W, CAUSE_STORE_GUEST_PAGE, false, false},
        {ALL & ~W, CAUSE_LOAD_GUEST_PAGE, false, true},
        {ALL, CAUSE_LOAD_GUEST_PAGE, true, false},
        {ALL, CAUSE_STORE_GUEST_PAGE, true, false},
        {ALL | U, CAUSE_LOAD_GUEST_PAGE, true, true},
        {ALL | U, CAUSE_LOAD_GUEST_PAGE, false, true}, /* SUM */
    };

    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        now.user = cases[i].user;
        map(3, VA, 0, pte(DEVICE, cases[i].bits));
        fault(cases[i].cause, VA, 0);
        if (cases[i].allowed) {
            check_read(0);
        } else {
            check_retried();
        }
    }
    now.user = false;
    map(3, VA, 0, pte(LAZY, ALL & ~X));
    fault(CAUSE_FETCH_GUEST_PAGE, VA, 0);
    check_retried();
    assert_int_not_equal(axvm_translate(vm, gpa(LAZY), NULL, NULL), 0);
}

static bool is_dirty(uint64_t addr)
{
    uint8_t bit = 0;

    assert_int_equal(axvm_dirty_log_fetch(vm, gpa(addr & ~UINT64_C(0xfff)), AXVM_PAGE_SIZE, &bit), 0);
    return (bit & 1) != 0;
}

/* The hart may have been about to write A or D, to a page that is logged, and so can't be written. */
static void entries_without_a_and_d_are_made_writable(void **state)
{
    static const struct {
        uint64_t bits;
        enum rv64_cause cause;
        bool dirty;
    } cases[] = {
        {ALL, CAUSE_LOAD_GUEST_PAGE, false},
        {ALL, CAUSE_STORE_GUEST_PAGE, false},
        {ALL & ~D, CAUSE_LOAD_GUEST_PAGE, false},
        {ALL & ~D, CAUSE_STORE_GUEST_PAGE, true},
        {ALL & ~A, CAUSE_LOAD_GUEST_PAGE, true},
        {ALL & ~A, CAUSE_FETCH_GUEST_PAGE, true},
    };

    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        uint64_t entry = map(3, VA, 0, pte(RV64_RAM + MIB(2), cases[i].bits));

        assert_int_equal(axvm_dirty_log_start(vm), 0);
        fault(cases[i].cause, VA, i % 2 != 0 || !cases[i].dirty ? 0 : WALK_WRITE);
        check_retried();
        assert_int_equal(is_dirty(entry), cases[i].dirty);
        assert_int_equal(axvm_dirty_log_stop(vm), 0);
    }
}

static void entries_that_cannot_be_written_are_an_access_fault(void **state)
{
    const uint64_t leaf = pte(DEVICE, ALL & ~A);

    (void)state;
    map(3, VA, 1, pte(ROM, V));
    assert_int_equal(addrspace_load(&vm->as, gpa(entry_at(ROM, VA, 0)), &leaf, sizeof(leaf)), 0);
    fault(CAUSE_LOAD_GUEST_PAGE, VA, 0);
    check_injected(CAUSE_LOAD_ACCESS);
}

/* A device at address 0 isn't what htval means by 0. */
static void a_device_at_address_0_is_found_by_the_tables_alone(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        map(3, VA, 0, pte(0, ALL));
        fault(CAUSE_LOAD_GUEST_PAGE, VA, 0);
        assert_int_equal(dev.lowest_reads, 1);
        map(3, VA, 0, pte(DEVICE, ALL));
        fault(CAUSE_LOAD_GUEST_PAGE, VA, 0);
        check_read(0);
    }
}

/* Any entries at all: the walk ends, and the guest goes on somewhere. */
static void random_tables_end_in_the_guest(void **state)
{
    static const enum rv64_cause causes[] = {CAUSE_FETCH_GUEST_PAGE, CAUSE_LOAD_GUEST_PAGE, CAUSE_STORE_GUEST_PAGE};

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t va = random_u64() & ~UINT64_C(3), address = random_below(2) != 0 ? TABLES : random_u64();

        now.user = random_below(2) != 0;
        map_by(TABLES, random_below(3) != 0 ? KIB(4) : 0, 3 + (unsigned)random_below(3), va, (unsigned)random_below(3),
               random_below(8) != 0 ? pte(address & ~UINT64_C(0xfff), random_u64() & 0xff) : random_u64());
        if (random_below(16) == 0) {
            now.vsatp = random_u64();
        }
        fault(causes[random_below(3)], va, random_below(4) != 0 ? 0 : random_below(2) != 0 ? WALK_READ : random_u64());
        assert_true(now.after.pc == PC || now.after.pc == PC + 2 || now.after.pc == PC + 4 || now.after.pc == STVEC);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, machine_teardown)
    const struct CMUnitTest tests[] = {
        TEST(without_translation_it_is_stval),
        TEST(devices_are_found_by_all_modes_and_page_sizes),
        TEST(pages_of_64_kib_are_found),
        TEST(memory_is_populated_where_it_was_touched),
        TEST(tables_are_populated_too),
        TEST(tables_that_nothing_answers_for_are_an_access_fault),
        TEST(a_host_without_memory_fails_the_vm),
        TEST(faults_of_a_walk_reach_no_device),
        TEST(what_the_tables_no_longer_allow_is_left_to_the_guest),
        TEST(entries_without_a_and_d_are_made_writable),
        TEST(entries_that_cannot_be_written_are_an_access_fault),
        TEST(a_device_at_address_0_is_found_by_the_tables_alone),
        TEST(random_tables_end_in_the_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

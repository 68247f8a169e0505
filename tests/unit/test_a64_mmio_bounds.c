/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses to emulated devices that reach further than one of them, or are none: pages, faults, stated answers. And
 * what comes after an emulated instruction.
 */
#include "support/a64_access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define A ACCESS_A
#define B ACCESS_B
#define NOTHING ACCESS_NOTHING
#define SS BIT64(21)
#define IL BIT64(25)

/* ---- Alignment, pages, neighbours -------------------------------------------------------------------------------- */

static void test_unaligned_accesses_are_split(void **state)
{
    (void)state;
    access_trap(access_esr(8, 2, 0), A + 0x13);
    assert_done("AR1+013 AR4+014 AR2+018 AR1+01a ");
    assert_int_equal(after.x[2], UINT64_C(0x9a99989796959493));
    before.x[2] = UINT64_C(0xfedcba9876543210);
    access_trap(access_esr(4, 2, ISS_WNR), A + 0x12);
    assert_done("AW2+012=3210 AW2+014=7654 ");
    access_trap(access_esr(2, 2, ISS_SSE), A + 0x11);
    assert_done("AR1+011 AR1+012 ");
    assert_int_equal(after.x[2], 0xffff9291);
    before.x[1] = A + 0x11;
    access_load(0xb8404422, A + 0x11); /* ldr w2, [x1], #4 */
    assert_done("AR1+011 AR2+012 AR1+014 ");
    assert_int_equal(after.x[2], 0x94939291);
}

/* A's second page is at another virtual address than behind its first. */
static bool scattered(uint64_t va, uint64_t *ipa)
{
    *ipa = va >> 12 == 0x50000 ? A + (va & 0xfff) : va >> 12 == 0x50001 ? A + 0x1000 + (va & 0xfff) : va;
    return true;
}

static bool reversed(uint64_t va, uint64_t *ipa)
{
    *ipa = va >> 12 == 0x50000 ? A + 0x1000 + (va & 0xfff) : va >> 12 == 0x50001 ? A + (va & 0xfff) : va;
    return true;
}

static void test_each_page_is_translated(void **state)
{
    (void)state;
    before.x[1] = 0x50000ff8;
    a64_model.translate = scattered;
    access_load(0xa8c10c22, 0x50000ff8); /* ldp x2, x3, [x1], #16 */
    assert_done("AR8+ff8 AR8+1000 ");
    a64_model.translate = reversed;
    access_load(0xa8c10c22, 0x50000ff8);
    assert_done("AR8+1ff8 AR8+000 ");
    access_load(0xa8c10c22, 0x50001000); /* it may be the second page that faults first */
    assert_done("AR8+1ff8 AR8+000 ");
    access_trap(access_esr(8, 2, 0), 0x50000ffc);
    assert_done("AR4+1ffc AR4+000 ");
    assert_int_equal(after.x[2], UINT64_C(0x838281807f7e7d7c));
}

/* What a64_cpu_at() was asked, and what it says about the second page; the first, and code, are there. */
static unsigned asked[4], asked_count;
static uint64_t second_page[4]; /* PAR by access */

static uint64_t at(uint64_t va, unsigned access)
{
    if (va >> 12 != 0x50001) {
        return va >> 12 == 0x50000 ? A : va & PAR_PA;
    }
    assert_true(asked_count < 4);
    asked[asked_count++] = access;
    return second_page[access];
}

/* ldp x2, x3, [x1], #16 or stp x2, x3, [x1], #16, of which the hardware saw only the first page. */
static void cross(uint32_t word, bool write)
{
    before.x[1] = 0x50000ff8;
    a64_model.translate = scattered;
    a64_model.at = at;
    asked_count = 0;
    (write ? access_store : access_load)(word, 0x50000ff8);
}

static void test_second_page_is_translated_as_the_access_would_be(void **state)
{
    static const struct {
        uint32_t word;
        uint64_t pstate;
        bool write;
        unsigned access;
    } cases[] = {
        {0xa8c10c22, EL0T, false, 0},
        {0xa8810c22, EL0T, true, A64_AT_WRITE},
        {0xa8c10c22, EL1H, false, A64_AT_EL1},
        {0xa8810c22, EL1H, true, A64_AT_EL1 | A64_AT_WRITE},
    };

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned access = 0; access < 4; access++) {
            second_page[access] = access == cases[i].access ? A + 0x1000 : PAR_F | 0x0fU << 1;
        }
        before.pstate = cases[i].pstate;
        cross(cases[i].word, cases[i].write);
        assert_int_equal(asked_count, 1);
        assert_int_equal(asked[0], cases[i].access);
        assert_int_equal(after.pc, ACCESS_CODE + 4);
    }
}

static void test_aarch32_accesses_are_those_of_el0(void **state)
{
    (void)state;
    second_page[0] = A + 0x1000;
    second_page[A64_AT_EL1] = PAR_F | 0x0fU << 1;
    a64_model.at = at;
    a64_model.translate = scattered;
    asked_count = 0;
    before.pstate = USER32;
    access_trap(access_esr(4, 2, 0), 0x50000ffe);
    assert_done("AR2+ffe AR2+1000 ");
    assert_int_equal(asked[0], 0);
}

static void test_unprivileged_access_is_translated_as_el0s(void **state)
{
    (void)state;
    second_page[0] = A + 0x1000;
    second_page[A64_AT_EL1] = PAR_F | 0x0fU << 1;
    before.x[1] = 0x50000ffc;
    a64_model.at = at;
    a64_model.translate = scattered;
    asked_count = 0;
    access_load(0xf8400822, 0x50000ffc); /* ldtr x2, [x1] */
    assert_done("AR4+ffc AR4+1000 ");
    before.pstate = EL1H | PSTATE_UAO;
    asked_count = 0;
    access_load(0xf8400822, 0x50000ffc);
    assert_int_equal(asked[0], A64_AT_EL1);
    assert_int_equal(a64_model_cpu()->sys[A64_ESR_EL1] & 0x3f, 0x0f);
}

static void test_fault_of_the_second_page_is_the_guests_and_nothing_is_done(void **state)
{
    (void)state;
    for (unsigned access = 0; access < 4; access++) {
        second_page[access] = PAR_F | 0x07U << 1; /* translation fault, level 3 */
    }
    cross(0xa8c10c22, false);
    assert_abort(0x07, false, 0x50001000, "");
    cross(0xa8810c22, true);
    assert_abort(0x07, true, 0x50001000, "");
    before.pstate = EL0T;
    cross(0xa8810c22, true);
    assert_abort(0x07, true, 0x50001000, "");
    for (unsigned access = 0; access < 4; access++) {
        second_page[access] = PAR_F | PAR_S | 0x05U << 1; /* tables that aren't there */
    }
    cross(0xa8810c22, true);
    assert_abort(0x10, true, 0x50000ff8, "");
}

static void test_pan_keeps_el1_from_a_second_page_of_el0s(void **state)
{
    (void)state;
    for (unsigned access = 0; access < 4; access++) {
        second_page[access] = A + 0x1000;
    }
    before.pstate = EL1H | PSTATE_PAN;
    cross(0xa8c10c22, false);
    assert_int_equal(a64_model_cpu()->sys[A64_ESR_EL1], UINT64_C(0x25) << 26 | IL | 0x0f);
    assert_string_equal(accesses, "");
    second_page[0] = PAR_F | 0x0fU << 1;
    cross(0xa8c10c22, false);
    assert_done("AR8+ff8 AR8+1000 ");
}

static void test_access_that_no_device_answers_wholly_is_not_done_at_all(void **state)
{
    (void)state;
    before.x[1] = NOTHING - 8;
    access_store(0xa8810c22, NOTHING - 8); /* stp x2, x3, [x1], #16: B, then nothing */
    assert_abort(0x10, true, NOTHING - 8, "");
    before.x[1] = A - 8;
    access_store(0xa8810c22, A); /* nothing, then A */
    assert_abort(0x10, true, A, "");
    before.x[1] = B - 4;
    access_load(0xf8400022, B - 4); /* ldr x2, [x1]: half of it A, half B */
    assert_abort(0x10, false, B - 4, "");
    access_trap(access_esr(8, 2, ISS_WNR), B - 4);
    assert_abort(0x10, true, B - 4, "");
    before.x[1] = NOTHING - 0x18;
    access_load(0x4cdf0022, NOTHING - 0x18); /* ld4 {v2.16b - v5.16b}, [x1], #64 */
    assert_abort(0x10, false, NOTHING - 0x18, "");
}

static bool ram_before_a(uint64_t va, uint64_t *ipa)
{
    *ipa = va >> 12 == 0x50000 ? A64_RAM + (va & 0xfff) : va >> 12 == 0x50001 ? A + (va & 0xfff) : va;
    return true;
}

static void test_access_to_memory_and_a_device_is_not_done_at_all(void **state)
{
    uint64_t ram = 0;

    (void)state;
    a64_model.translate = ram_before_a;
    before.x[1] = 0x50000ff8;
    access_store(0xa8810c22, 0x50001000); /* stp x2, x3, [x1], #16 */
    assert_abort(0x10, true, 0x50001000, "");
    assert_int_equal(addrspace_read(&vm->as, gpa(A64_RAM + 0xff8), &ram, 8), 0);
    assert_int_equal(ram, 0);
}

static void test_elements_may_go_to_neighbouring_devices(void **state)
{
    (void)state;
    before.x[1] = B - 8;
    access_store(0xa8810c22, B - 8); /* stp x2, x3, [x1], #16 */
    assert_done("AW8+1ff8=2222222222222222 BW8+000=3333333333333333 ");
}

static void test_device_that_refuses_ends_the_instruction(void **state)
{
    (void)state;
    before.x[1] = A + ACCESS_REFUSED - 8;
    access_load(0xa8c10c22, A + ACCESS_REFUSED - 8); /* ldp x2, x3, [x1], #16 */
    assert_abort(0x10, false, A + ACCESS_REFUSED - 8, "AR8+7f8 AR8+800 ");
    before.x[1] = A + ACCESS_REFUSED;
    access_store(0xa8810c22, A + ACCESS_REFUSED); /* stp x2, x3, [x1], #16 */
    assert_abort(0x10, true, A + ACCESS_REFUSED, "AW8+800=2222222222222222 ");
    before.x[2] = 0x1234;
    access_trap(access_esr(4, 2, 0), A + ACCESS_REFUSED);
    assert_abort(0x10, false, A + ACCESS_REFUSED, "AR4+800 ");
}

static void test_tagged_addresses(void **state)
{
    (void)state;
    before.x[1] = UINT64_C(0xa500000020000010);
    access_load(0xa8c10c22, A + 0x10); /* ldp x2, x3, [x1], #16 */
    assert_done("AR8+010 AR8+018 ");
    assert_int_equal(after.x[1], UINT64_C(0xa500000020000020));
}

/* The plain load takes it for granted: a device's answer goes into the register as it is. */
static void test_no_device_answers_more_than_it_is_asked_for(void **state)
{
    struct axvm_vcpu *vcpu = vm->vcpus[0];
    uint64_t value;

    (void)state;
    for (struct axvm_device *device = vm->devices; device != NULL; device = device->next) {
        for (uint64_t offset = 0; offset + 8 <= device->size && device->space == AXVM_SPACE_MMIO; offset++) {
            for (unsigned size = 8; size != 0; size /= 2) {
                (void)device->ops->write(device, vcpu, offset, size, UINT64_MAX >> (64 - 8 * size));
                value = 0;
                if (device->ops->read(device, vcpu, offset, size, &value) == AXVM_OK && size < 8) {
                    assert_int_equal(value >> 8 * size, 0);
                }
            }
        }
    }
}

/* ---- Stated answers ---------------------------------------------------------------------------------------------- */

static void test_exclusives_and_atomics_are_not_supported_by_devices(void **state)
{
    static const uint32_t loads[] = {0xc85f7c22, 0xc87f8c22};                         /* ldxr, ldaxp */
    static const uint32_t stores[] = {0xc8037c22, 0xf8220023, 0xb8228023, 0xc8a27c23, /* stxr, ldadd, swp, cas */
                                      0x48227c24};                                    /* casp */

    (void)state;
    for (unsigned i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        access_load(loads[i], A + 0x10);
        assert_abort(0x35, false, A + 0x10, "");
    }
    for (unsigned i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
        access_store(stores[i], A + 0x10);
        assert_abort(0x35, true, A + 0x10, "");
    }
}

static void test_zeroing_a_device_by_block_is_an_alignment_fault(void **state)
{
    (void)state;
    access_store(0xd50b7421, A + 0x10); /* dc zva, x1 */
    assert_abort(0x21, true, A + 0x10, "");
}

static void test_cache_maintenance_and_prefetch_have_nothing_to_do(void **state)
{
    (void)state;
    access_trap(a64_esr(EC_DABT_LOWER, ISS_CM | ISS_WNR | FSC_TRANSLATION | 3), A + 0x10);
    assert_done("");
    access_load(0xf9800020, A + 0x10); /* prfm pldl1keep, [x1] */
    assert_done("");
}

static void test_unknown_instruction_is_a_bus_error(void **state)
{
    (void)state;
    access_store(0xd9200821, A + 0x10); /* stg x1, [x1]: an extension that the guest hasn't got */
    assert_abort(0x10, true, A + 0x10, "");
}

/* Another vCPU has written it meanwhile, or changed the tables: the guest tries again. */
static void test_instruction_that_is_not_what_trapped_is_tried_again(void **state)
{
    (void)state;
    access_load(0xd503201f, A + 0x10); /* nop */
    assert_untouched();
    access_store(0xa8c10c22, A + 0x10); /* ldp x2, x3, [x1], #16 */
    assert_untouched();
    access_load(0xa8810c22, A + 0x10); /* stp x2, x3, [x1], #16 */
    assert_untouched();
    access_load(0xa8c10c22, A + 0x1010); /* somewhere else */
    assert_untouched();
    before.x[1] = A + 0x10 + BIT64(40);
    access_load(0xa8c10c22, A + 0x10);
    assert_untouched();
}

static bool no_code(uint64_t va, uint64_t *ipa)
{
    *ipa = va;
    return va != ACCESS_CODE;
}

static bool code_in_a(uint64_t va, uint64_t *ipa)
{
    *ipa = va == ACCESS_CODE ? A : va;
    return true;
}

static void test_instruction_that_cannot_be_read(void **state)
{
    (void)state;
    a64_model.translate = no_code; /* unmapped meanwhile */
    access_load(0xa8c10c22, A + 0x10);
    assert_untouched();
    a64_model.translate = code_in_a; /* where it can't have been executed */
    access_load(0xa8c10c22, A + 0x10);
    assert_abort(0x10, false, A + 0x10, "");
}

static void test_aarch32_instruction_without_a_syndrome_is_a_bus_error(void **state)
{
    (void)state;
    before.pstate = USER32;
    access_load(0xa8c10c22, A + 0x10);
    assert_abort(0x10, false, A + 0x10, "");
}

/* ---- Going on after the instruction ------------------------------------------------------------------------------ */

#define BTYPE (UINT64_C(3) << 10)

static void test_emulated_instruction_is_one_step(void **state)
{
    const uint64_t keep = UINT64_C(0xf) << 28 | EL1H;

    (void)state;
    before.pstate = keep | SS | BTYPE;
    access_trap(access_esr(4, 2, 0), A + 0x10);
    assert_string_equal(accesses, "AR4+010 ");
    assert_int_equal(after.pstate, keep);
    assert_int_equal(after.pc, ACCESS_CODE + 4);
    access_load(0xa8c10c22, A + 0x10); /* ldp x2, x3, [x1], #16 */
    assert_int_equal(after.pstate, keep);
    access_trap(a64_esr_sysreg(3, 0, 0, 4, 0, 2) | ISS_SYS_READ, 0); /* mrs x2, id_aa64pfr0_el1 */
    assert_int_equal(after.pstate, keep);
    assert_int_equal(after.pc, ACCESS_CODE + 4);
    before.x[0] = 0x84000000; /* PSCI_VERSION */
    access_trap(a64_esr(EC_SMC64, 0), 0);
    assert_int_equal(after.pstate, keep);
    assert_int_equal(after.pc, ACCESS_CODE + 4);
}

/* An instruction that has faulted hasn't been stepped over. */
static void test_fault_is_no_step(void **state)
{
    (void)state;
    before.pstate = EL1H | SS;
    before.x[1] = NOTHING;
    access_load(0xa8c10c22, NOTHING);
    assert_int_equal(a64_model_cpu()->sys[A64_SPSR_EL1], before.pstate);
}

/* IT[7:2] and IT[1:0] of SPSR_EL2. */
static uint64_t it(unsigned bits)
{
    return (uint64_t)(bits >> 2) << 10 | (uint64_t)(bits & 3) << 25;
}

/* F1.2.1.1: an IT block's conditions shift out; its last instruction ends it. */
static void test_aarch32_goes_on_after_its_instruction(void **state)
{
    static const struct {
        unsigned before, after;
    } its[] = {
        {0x00, 0x00}, {0x08, 0x00}, {0x04, 0x08}, {0x0c, 0x18}, {0x02, 0x04}, {0x01, 0x02}, {0x1f, 0x1e}, {0xa5, 0xaa},
        {0xe8, 0x00}, {0xf1, 0xe2},
    };
    const uint64_t keep = UINT64_C(0xb) << 28 | USER32 | BIT64(5);

    (void)state;
    for (unsigned i = 0; i < sizeof(its) / sizeof(its[0]); i++) {
        before.pc = 0x8002;
        before.pstate = keep | it(its[i].before) | SS;
        access_trap(access_esr(4, 2, 0) & ~IL, A + 0x10); /* 16 bits */
        assert_string_equal(accesses, "AR4+010 ");
        assert_int_equal(after.x[2], 0x93929190);
        assert_int_equal(after.pc, 0x8004);
        assert_int_equal(after.pstate, keep | it(its[i].after));
        access_trap(access_esr(4, 2, ISS_WNR), A + 0x10); /* 32 bits */
        assert_string_equal(accesses, "AW4+010=22222222 ");
        assert_int_equal(after.pc, 0x8006);
        assert_int_equal(after.pstate, keep | it(its[i].after));
    }
    before.pc = 0xfffffffc;
    before.pstate = USER32;
    access_trap(access_esr(1, 2, ISS_SSE), A + 0x10);
    assert_int_equal(after.x[2], 0xffffff90);
    assert_int_equal((uint32_t)after.pc, 0);
}

static void test_aarch32_has_its_byte_order_in_pstate(void **state)
{
    (void)state;
    before.sctlr = 0;
    before.pstate = USER32 | BIT64(9);
    access_trap(access_esr(4, 2, 0), A + 0x10);
    assert_int_equal(after.x[2], 0x90919293);
    before.sctlr = SCTLR_E0E | SCTLR_EE;
    before.pstate = USER32;
    access_trap(access_esr(4, 2, 0), A + 0x10);
    assert_int_equal(after.x[2], 0x93929190);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, a64_access_setup, machine_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_unaligned_accesses_are_split),
        TEST(test_each_page_is_translated),
        TEST(test_second_page_is_translated_as_the_access_would_be),
        TEST(test_aarch32_accesses_are_those_of_el0),
        TEST(test_unprivileged_access_is_translated_as_el0s),
        TEST(test_fault_of_the_second_page_is_the_guests_and_nothing_is_done),
        TEST(test_pan_keeps_el1_from_a_second_page_of_el0s),
        TEST(test_access_that_no_device_answers_wholly_is_not_done_at_all),
        TEST(test_access_to_memory_and_a_device_is_not_done_at_all),
        TEST(test_elements_may_go_to_neighbouring_devices),
        TEST(test_device_that_refuses_ends_the_instruction),
        TEST(test_no_device_answers_more_than_it_is_asked_for),
        TEST(test_tagged_addresses),
        TEST(test_exclusives_and_atomics_are_not_supported_by_devices),
        TEST(test_zeroing_a_device_by_block_is_an_alignment_fault),
        TEST(test_cache_maintenance_and_prefetch_have_nothing_to_do),
        TEST(test_unknown_instruction_is_a_bus_error),
        TEST(test_instruction_that_is_not_what_trapped_is_tried_again),
        TEST(test_instruction_that_cannot_be_read),
        TEST(test_aarch32_instruction_without_a_syndrome_is_a_bus_error),
        TEST(test_emulated_instruction_is_one_step),
        TEST(test_fault_is_no_step),
        TEST(test_aarch32_goes_on_after_its_instruction),
        TEST(test_aarch32_has_its_byte_order_in_pstate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

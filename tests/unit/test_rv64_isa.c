/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/riscv64/isa.h"

#include "arch/riscv64/rv64.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_isa(const char *machine, uint32_t features, const char *expected)
{
    char isa[RV64_ISA_SIZE];

    memset(isa, 'x', sizeof(isa));
    rv64_isa(isa, machine, features);
    assert_string_equal(isa, expected);
}

/* As QEMU 7.2 describes its harts. */
static void a_guest_has_what_the_machine_has_but_the_hypervisor_extension(void **state)
{
    (void)state;
    assert_isa("rv64imafdch_zicsr_zifencei_zihintpause_zba_zbb_zbc_zbs_sstc", RV64_SSTC | RV64_FLOAT,
               "rv64imafdc_zicsr_zifencei_zihintpause_zba_zbb_zbc_zbs_sstc");
    assert_isa("rv64imafdcvh_zicbom_zicboz_zicsr_zawrs_svpbmt", RV64_VECTOR | RV64_PBMT,
               "rv64imafdcv_zicsr_svpbmt");
}

/* What only the CPU can say counts, whatever the string says. */
static void features_that_need_the_switch_are_told_when_it_makes_it(void **state)
{
    (void)state;
    assert_isa("rv64imacv_sstc_svpbmt", 0, "rv64imac");
    assert_isa("rv64imac", RV64_SSTC | RV64_PBMT | RV64_VECTOR, "rv64imacv_sstc");
    assert_isa("rv64imac_svpbmt", RV64_PBMT, "rv64imac_svpbmt");
}

/* As the metal host writes a list of extensions, in any order. */
static void letters_may_be_apart(void **state)
{
    (void)state;
    assert_isa("rv64_i_m_zicsr_a_f_h_zba_d_c_zifencei", RV64_FLOAT, "rv64imafdc_zicsr_zifencei_zba");
    assert_isa("rv64im_a", 0, "rv64ima");
    assert_isa("rv64_i_zma_zfa", 0, "rv64i_zfa");
}

static void names_are_compared_whole(void **state)
{
    (void)state;
    assert_isa("rv64ima_zbbx_zb_xzba_zbs", 0, "rv64ima_zbs");
    assert_isa("rv64ima_zba", 0, "rv64ima_zba");
    assert_isa("rv64i__zba_", 0, "rv64i_zba");
}

static void without_a_string_there_is_the_least(void **state)
{
    (void)state;
    assert_isa(NULL, 0, "rv64imac_zicsr_zifencei");
    assert_isa("", RV64_SSTC, "rv64imac_zicsr_zifencei_sstc");
    assert_isa("rv32imac", 0, "rv64imac_zicsr_zifencei");
    assert_isa("rv64", 0, "rv64");
}

/* All that can be told fits. */
static void the_longest_fits(void **state)
{
    char isa[RV64_ISA_SIZE], machine[4096] = "rv64imafdcvh";

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        strcat(machine, "_zicond_zicsr_zifencei_zihintntl_zfa");
    }
    strcat(machine, "_zihintpause_zfh_zfhmin_zba_zbb_zbc_zbkb_zbkc_zbkx_zbs_zcb_zknd_zkne_zknh_zksed_zksh_zkt_svinval"
                    "_svnapot_svpbmt");
    rv64_isa(isa, machine, UINT32_MAX);
    assert_non_null(strstr(isa, "_svnapot_sstc_svpbmt"));
    assert_true(strlen(isa) < RV64_ISA_SIZE);
}

/* "riscv,isa-extensions": strings, one behind the other */
static void a_list_has_the_same_extensions(void **state)
{
    static const char expected[] = "i\0m\0c\0v\0zicsr\0zba\0sstc";
    char list[RV64_ISA_LIST_SIZE], isa[RV64_ISA_SIZE] = "rv64imafdcv";

    (void)state;
    assert_int_equal(rv64_isa_list(list, "rv64imcv_zicsr_zba_sstc"), sizeof(expected));
    assert_memory_equal(list, expected, sizeof(expected));
    assert_int_equal(rv64_isa_list(list, "rv64i"), 2);
    assert_memory_equal(list, "i", 2);
    assert_int_equal(rv64_isa_list(list, "rv64"), 0);
    isa[11] = '_';
    memset(isa + 12, 'z', sizeof(isa) - 13);
    assert_int_equal(rv64_isa_list(list, isa), 14 + sizeof(isa) - 13 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_has_what_the_machine_has_but_the_hypervisor_extension),
        cmocka_unit_test(features_that_need_the_switch_are_told_when_it_makes_it),
        cmocka_unit_test(letters_may_be_apart),
        cmocka_unit_test(names_are_compared_whole),
        cmocka_unit_test(without_a_string_there_is_the_least),
        cmocka_unit_test(the_longest_fits),
        cmocka_unit_test(a_list_has_the_same_extensions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The emulated APLIC: registers, the rules for pending bits (AIA 4.7), both ways of delivery. */
#include "support/aia_machine.h"
#include "support/aia_model.h"
#include "support/fake_hal.h"
#include "support/random.h"

#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HART(n) ((uint32_t)(n) << 18)
#define TOPI(irq, priority) ((uint32_t)(irq) << 16 | (priority))

static struct aia_machine *const m = &aia_machine;

static void wire(uint32_t irq, bool level)
{
    assert_int_equal(vaplic_set_line(&m->aplic, irq, level), AXVM_OK);
}

static bool is_pending(uint32_t irq)
{
    return aplic_read(APLIC_SETIP + irq / 32 * 4) >> irq % 32 & 1;
}

static void start_direct(void)
{
    aplic_write(APLIC_DOMAINCFG, DOMAINCFG_ON);
    for (unsigned v = 0; v < AIA_VCPUS; v++) {
        idc_write(v, IDC_IDELIVERY, 1);
    }
}

/* ---- Registers ---- */

static void after_power_on_all_is_off(void **state)
{
    (void)state;
    assert_int_equal(aplic_read(APLIC_DOMAINCFG), 0x80000000);
    for (uint64_t offset = 4; offset < VAPLIC_SIZE; offset += 4) {
        assert_int_equal(aplic_read(offset), 0);
    }
}

static void domaincfg_has_only_its_enable(void **state)
{
    (void)state;
    aplic_write(APLIC_DOMAINCFG, UINT32_MAX);
    assert_int_equal(aplic_read(APLIC_DOMAINCFG), 0x80000100);
    aia_power_on(true);
    aplic_write(APLIC_DOMAINCFG, 0);
    assert_int_equal(aplic_read(APLIC_DOMAINCFG), 0x80000004);
}

static void sourcecfg_takes_the_modes_there_are_and_delegates_nothing(void **state)
{
    static const uint8_t kept[] = {0, 1, 0, 0, 4, 5, 6, 7};

    (void)state;
    for (uint32_t mode = 0; mode < 8; mode++) {
        aplic_write(APLIC_SOURCECFG + 4 * 95, mode);
        assert_int_equal(aplic_read(APLIC_SOURCECFG + 4 * 95), kept[mode]);
    }
    aplic_write(APLIC_SOURCECFG + 4 * 95, 0x400 | SM_LEVEL1);
    assert_int_equal(aplic_read(APLIC_SOURCECFG + 4 * 95), 0);
    aplic_write(APLIC_SOURCECFG + 4 * 96, SM_LEVEL1);
    assert_int_equal(aplic_read(APLIC_SOURCECFG + 4 * 96), 0);
}

static void an_inactive_source_reads_as_zero(void **state)
{
    (void)state;
    aplic_write(APLIC_TARGET + 4 * 5, HART(1) | 3);
    aplic_write(APLIC_SETIENUM, 5);
    aplic_write(APLIC_SETIPNUM, 5);
    wire(5, true);
    assert_int_equal(aplic_read(APLIC_TARGET + 4 * 5), 0);
    assert_int_equal(aplic_read(APLIC_SETIE), 0);
    assert_int_equal(aplic_read(APLIC_SETIP), 0);
    assert_int_equal(aplic_read(APLIC_IN_CLRIP), 0);
    aplic_source(5, SM_DETACHED, HART(1) | 3);
    aplic_write(APLIC_SETIPNUM, 5);
    assert_true(is_pending(5));
    aplic_write(APLIC_SOURCECFG + 4 * 5, SM_INACTIVE);
    aplic_write(APLIC_SOURCECFG + 4 * 5, SM_DETACHED);
    assert_false(is_pending(5));
    assert_int_equal(aplic_read(APLIC_SETIE), 0);
    assert_int_equal(aplic_read(APLIC_TARGET + 4 * 5), 1);
}

static void a_priority_of_zero_becomes_one(void **state)
{
    (void)state;
    aplic_source(1, SM_EDGE1, UINT32_MAX & ~0xffU);
    assert_int_equal(aplic_read(APLIC_TARGET + 4), 0xfffc0001);
    aplic_source(1, SM_EDGE1, UINT32_MAX);
    assert_int_equal(aplic_read(APLIC_TARGET + 4), 0xfffc00ff);
}

static void a_message_target_has_hart_and_identity(void **state)
{
    (void)state;
    aplic_source(1, SM_EDGE1, UINT32_MAX);
    assert_int_equal(aplic_read(APLIC_TARGET + 4), 0xfffc07ff);
    aplic_source(1, SM_EDGE1, 0);
    assert_int_equal(aplic_read(APLIC_TARGET + 4), 0);
}

static void other_than_words_are_faults(void **state)
{
    static const struct {
        uint64_t offset;
        unsigned size;
    } wrong[] = {{0, 1}, {0, 2}, {0, 8}, {2, 4}, {0x4018, 8}, {1, 1}};
    uint64_t value;

    (void)state;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_not_equal(m->aplic.device.ops->read(&m->aplic.device, m->vcpus, wrong[i].offset, wrong[i].size,
                                                       &value), AXVM_OK);
        assert_int_not_equal(m->aplic.device.ops->write(&m->aplic.device, m->vcpus, wrong[i].offset, wrong[i].size,
                                                        UINT64_MAX), AXVM_OK);
    }
    assert_int_equal(aplic_read(APLIC_DOMAINCFG), 0x80000000);
}

static void there_are_ninety_five_sources(void **state)
{
    (void)state;
    assert_int_equal(vaplic_set_line(&m->aplic, 0, true), AXVM_EINVAL);
    assert_int_equal(vaplic_set_line(&m->aplic, 96, true), AXVM_EINVAL);
    assert_int_equal(vaplic_pulse(&m->aplic, UINT32_MAX), AXVM_EINVAL);
    assert_int_equal(vaplic_set_line(&m->aplic, 95, true), AXVM_OK);
    aplic_write(APLIC_SETIENUM, UINT32_MAX);
    aplic_write(APLIC_SETIPNUM, 96);
}

/* ---- Direct delivery ---- */

static void a_wire_interrupts_its_target(void **state)
{
    (void)state;
    start_direct();
    aplic_source(10, SM_LEVEL1, HART(1) | 7);
    assert_false(aia_line(1));
    wire(10, true);
    assert_true(aia_line(1));
    assert_false(aia_line(0));
    assert_int_equal(fake_hal_kicks_of(1, 1), 1);
    assert_int_equal(idc_read(1, IDC_TOPI), TOPI(10, 7));
    assert_int_equal(idc_read(1, IDC_CLAIMI), TOPI(10, 7));
    assert_true(aia_line(1)); /* the device still asserts it */
    wire(10, false);
    assert_false(aia_line(1));
    assert_int_equal(idc_read(1, IDC_CLAIMI), 0);
}

static void an_edge_is_pending_until_it_is_claimed(void **state)
{
    (void)state;
    start_direct();
    aplic_source(33, SM_EDGE1, HART(2) | 1);
    aplic_source(34, SM_EDGE0, HART(2) | 1);
    wire(33, true);
    wire(33, false);
    wire(34, true);
    assert_int_equal(idc_read(2, IDC_CLAIMI), TOPI(33, 1));
    assert_false(aia_line(2));
    wire(34, false);
    assert_true(aia_line(2));
    assert_int_equal(idc_read(2, IDC_CLAIMI), TOPI(34, 1));
    assert_int_equal(idc_read(2, IDC_CLAIMI), 0);
}

static void a_level_is_its_input_whatever_software_writes(void **state)
{
    (void)state;
    aplic_source(3, SM_LEVEL1, 1);
    aplic_write(APLIC_SETIPNUM, 3);
    assert_false(is_pending(3));
    wire(3, true);
    aplic_write(APLIC_CLRIPNUM, 3);
    aplic_write(APLIC_IN_CLRIP, UINT32_MAX);
    assert_true(is_pending(3));
    aplic_write(APLIC_SOURCECFG + 4 * 3, SM_LEVEL0);
    assert_false(is_pending(3));
    wire(3, false);
    assert_true(is_pending(3));
    assert_int_equal(aplic_read(APLIC_IN_CLRIP), 1U << 3);
}

static void the_least_number_is_served_first(void **state)
{
    (void)state;
    start_direct();
    aplic_source(40, SM_DETACHED, HART(0) | 2);
    aplic_source(90, SM_DETACHED, HART(0) | 1);
    aplic_source(20, SM_DETACHED, HART(0) | 2);
    aplic_write(APLIC_SETIP + 4, 1U << 8);
    aplic_write(APLIC_SETIP + 8, 1U << 26);
    aplic_write(APLIC_SETIP, 1U << 20);
    assert_int_equal(idc_read(0, IDC_CLAIMI), TOPI(90, 1));
    assert_int_equal(idc_read(0, IDC_CLAIMI), TOPI(20, 2));
    assert_int_equal(idc_read(0, IDC_CLAIMI), TOPI(40, 2));
    assert_int_equal(idc_read(0, IDC_CLAIMI), 0);
}

static void priorities_from_the_threshold_on_are_held_back(void **state)
{
    (void)state;
    start_direct();
    aplic_source(1, SM_DETACHED, HART(0) | 4);
    aplic_write(APLIC_SETIPNUM, 1);
    idc_write(0, IDC_ITHRESHOLD, 4);
    assert_false(aia_line(0));
    assert_int_equal(idc_read(0, IDC_TOPI), 0);
    idc_write(0, IDC_ITHRESHOLD, 5);
    assert_true(aia_line(0));
    idc_write(0, IDC_ITHRESHOLD, 0);
    assert_true(aia_line(0));
}

static void domain_and_delivery_must_be_on(void **state)
{
    (void)state;
    aplic_source(1, SM_DETACHED, HART(0) | 4);
    aplic_write(APLIC_SETIPNUM, 1);
    assert_int_equal(idc_read(0, IDC_TOPI), TOPI(1, 4)); /* it is shown, and not delivered */
    idc_write(0, IDC_IDELIVERY, 1);
    assert_false(aia_line(0));
    aplic_write(APLIC_DOMAINCFG, DOMAINCFG_ON);
    assert_true(aia_line(0));
    idc_write(0, IDC_IDELIVERY, 0);
    assert_false(aia_line(0));
}

static void a_forced_interrupt_is_spurious_and_goes_with_its_claim(void **state)
{
    (void)state;
    start_direct();
    idc_write(2, IDC_IFORCE, 1);
    assert_true(aia_line(2));
    assert_int_equal(idc_read(2, IDC_TOPI), 0);
    assert_int_equal(idc_read(2, IDC_CLAIMI), 0);
    assert_int_equal(idc_read(2, IDC_IFORCE), 0);
    assert_false(aia_line(2));
}

static void a_pending_interrupt_follows_its_target(void **state)
{
    (void)state;
    start_direct();
    aplic_source(8, SM_LEVEL1, HART(0) | 1);
    wire(8, true);
    assert_true(aia_line(0));
    aplic_write(APLIC_TARGET + 4 * 8, HART(2) | 1);
    assert_false(aia_line(0));
    assert_true(aia_line(2));
    aplic_write(APLIC_TARGET + 4 * 8, HART(200) | 1); /* no such hart */
    assert_false(aia_line(2));
}

static void a_pulse_on_a_level_lasts_until_its_claim(void **state)
{
    (void)state;
    start_direct();
    aplic_source(8, SM_LEVEL1, HART(0) | 1);
    assert_int_equal(vaplic_pulse(&m->aplic, 8), AXVM_OK);
    assert_int_equal(vaplic_pulse(&m->aplic, 8), AXVM_OK);
    assert_true(aia_line(0));
    assert_int_equal(idc_read(0, IDC_CLAIMI), TOPI(8, 1));
    assert_false(aia_line(0));
    wire(8, true);
    assert_int_equal(vaplic_pulse(&m->aplic, 8), AXVM_OK); /* asserted already: nothing new */
    wire(8, false);
    assert_false(aia_line(0));
}

static void directly_delivered_there_are_no_messages(void **state)
{
    (void)state;
    aplic_write(APLIC_GENMSI, HART(1) | 5);
    assert_int_equal(aplic_read(APLIC_GENMSI), 0);
    assert_int_equal(vimsic_topei(&m->files[1], false), 0);
}

/* ---- Messages ---- */

static void a_message_is_sent_once_for_each_assertion(void **state)
{
    (void)state;
    aplic_write(APLIC_DOMAINCFG, DOMAINCFG_ON);
    aplic_source(10, SM_LEVEL1, HART(1) | 77);
    imsic_file_write(1, VIMSIC_EIE0 + 2, UINT64_MAX);
    imsic_file_write(1, VIMSIC_EIDELIVERY, 1);
    wire(10, true);
    assert_false(is_pending(10));
    assert_true(aia_line(1));
    assert_int_equal(vimsic_topei(&m->files[1], true), 77 << 16 | 77);
    assert_false(aia_line(1));
    aplic_write(APLIC_SETIPNUM_LE, 10); /* still asserted: as a handler does before it returns */
    assert_true(aia_line(1));
    assert_int_equal(vimsic_topei(&m->files[1], true), 77 << 16 | 77);
    wire(10, false);
    aplic_write(APLIC_SETIPNUM_LE, 10);
    assert_false(aia_line(1));
    wire(10, true);
    assert_true(aia_line(1));
}

static void what_is_pending_is_sent_when_the_domain_or_the_source_is_enabled(void **state)
{
    (void)state;
    aplic_source(10, SM_EDGE1, HART(0) | 1);
    aplic_source(11, SM_EDGE1, HART(0) | 2);
    aplic_write(APLIC_CLRIENUM, 11);
    wire(10, true);
    wire(11, true);
    assert_true(is_pending(10));
    aplic_write(APLIC_DOMAINCFG, DOMAINCFG_ON);
    assert_false(is_pending(10));
    assert_true(is_pending(11));
    assert_int_equal(imsic_file_read(0, VIMSIC_EIP0), 1U << 1);
    aplic_write(APLIC_SETIE, 1U << 11);
    assert_int_equal(imsic_file_read(0, VIMSIC_EIP0), 3U << 1);
    assert_false(is_pending(11));
}

static void an_extempore_message_needs_no_domain(void **state)
{
    (void)state;
    aplic_write(APLIC_GENMSI, HART(2) | 1U << 12 | 200);
    assert_int_equal(aplic_read(APLIC_GENMSI), HART(2) | 200);
    assert_int_equal(imsic_file_read(2, VIMSIC_EIP0 + 6), UINT64_C(1) << (200 - 192));
    aplic_write(APLIC_GENMSI, HART(3) | 200);
    aplic_write(APLIC_GENMSI, HART(0) | 256);
    aplic_write(APLIC_GENMSI, HART(0) | 0);
}

static void with_messages_there_is_no_delivery_control(void **state)
{
    (void)state;
    idc_write(0, IDC_IDELIVERY, 1);
    assert_int_equal(idc_read(0, IDC_IDELIVERY), 0);
    aplic_write(APLIC_DOMAINCFG, DOMAINCFG_ON);
    idc_write(0, IDC_IFORCE, 1);
    assert_false(aia_line(0));
}

/* ---- As a whole ---- */

static void after_reset_only_the_wires_are_left(void **state)
{
    (void)state;
    start_direct();
    aplic_source(8, SM_LEVEL1, HART(0) | 1);
    wire(8, true);
    assert_true(aia_line(0));
    vaplic_reset(&m->aplic);
    after_power_on_all_is_off(state);
    assert_false(vaplic_output(&m->cpus[0]));
    start_direct();
    aplic_source(8, SM_LEVEL1, HART(0) | 1);
    assert_true(is_pending(8));
    assert_true(vaplic_output(&m->cpus[0]));
}

static int property(const void *fdt, const char *path, const char *name, const fdt32_t **cells)
{
    int length = -1;

    *cells = fdt_getprop(fdt, fdt_path_offset(fdt, path), name, &length);
    return length / 4;
}

static void write_tree(char *fdt, int size)
{
    assert_int_equal(fdt_create(fdt, size), 0);
    assert_int_equal(fdt_finish_reservemap(fdt), 0);
    assert_int_equal(fdt_begin_node(fdt, ""), 0);
    assert_int_equal(vaplic_fdt_irq(fdt, 9), 0);
    if (m->aplic.imsic != NULL) {
        assert_int_equal(m->imsic.device.ops->fdt_node(&m->imsic.device, fdt), 0);
    }
    assert_int_equal(m->aplic.device.ops->fdt_node(&m->aplic.device, fdt), 0);
    assert_int_equal(fdt_end_node(fdt), 0);
    assert_int_equal(fdt_finish(fdt), 0);
}

static void the_tree_says_where_interrupts_go(void **state)
{
    static _Alignas(8) char fdt[4096];
    const fdt32_t *cells;

    (void)state;
    write_tree(fdt, sizeof(fdt));
    assert_int_equal(property(fdt, "/interrupt-controller@d000000", "interrupts-extended", &cells), 2 * AIA_VCPUS);
    assert_int_equal(fdt32_to_cpu(cells[4]), 0x202);
    assert_int_equal(fdt32_to_cpu(cells[5]), 9);
    assert_int_equal(property(fdt, "/interrupt-controller@d000000", "riscv,num-sources", &cells), 1);
    assert_int_equal(fdt32_to_cpu(cells[0]), 95);
    assert_int_equal(property(fdt, "/", "interrupts", &cells), 2);
    assert_int_equal(fdt32_to_cpu(cells[0]), 9);
    assert_int_equal(fdt32_to_cpu(cells[1]), 4);

    aia_power_on(true);
    write_tree(fdt, sizeof(fdt));
    assert_int_equal(property(fdt, "/interrupt-controller@d000000", "interrupts-extended", &cells), 0);
    assert_int_equal(property(fdt, "/interrupt-controller@d000000", "msi-parent", &cells), 1);
    assert_int_equal(fdt32_to_cpu(cells[0]), 3);
    assert_int_equal(property(fdt, "/imsics@28000000", "interrupts-extended", &cells), 2 * AIA_VCPUS);
    assert_int_equal(property(fdt, "/imsics@28000000", "riscv,num-ids", &cells), 1);
    assert_int_equal(fdt32_to_cpu(cells[0]), 255);
    assert_int_equal(property(fdt, "/imsics@28000000", "reg", &cells), 4);
    assert_int_equal(fdt32_to_cpu(cells[3]), 0x3000);
}

/* ---- At random ---- */

#define STEPS 20000U

static void at_random(bool messages)
{
    unsigned before = aia_model_taken();

    aia_model_start(messages);
    for (unsigned i = 0; i < STEPS; i++) {
        uint64_t what = random_u64(), where = random_u64();

        aia_step(what, where, random_u64());
    }
    assert_true(aia_model_taken() - before > STEPS / 100);
}

static void as_a_naive_one_does_directly(void **state)
{
    (void)state;
    random_start("direct");
    at_random(false);
}

static void as_a_naive_one_does_with_messages(void **state)
{
    (void)state;
    random_start("messages");
    at_random(true);
}

#define DIRECT(test) cmocka_unit_test_setup_teardown(test, aia_setup_direct, aia_teardown)
#define MESSAGES(test) cmocka_unit_test_setup_teardown(test, aia_setup_messages, aia_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIRECT(after_power_on_all_is_off),
        DIRECT(domaincfg_has_only_its_enable),
        DIRECT(sourcecfg_takes_the_modes_there_are_and_delegates_nothing),
        DIRECT(an_inactive_source_reads_as_zero),
        DIRECT(a_priority_of_zero_becomes_one),
        MESSAGES(a_message_target_has_hart_and_identity),
        DIRECT(other_than_words_are_faults),
        DIRECT(there_are_ninety_five_sources),
        DIRECT(a_wire_interrupts_its_target),
        DIRECT(an_edge_is_pending_until_it_is_claimed),
        DIRECT(a_level_is_its_input_whatever_software_writes),
        DIRECT(the_least_number_is_served_first),
        DIRECT(priorities_from_the_threshold_on_are_held_back),
        DIRECT(domain_and_delivery_must_be_on),
        DIRECT(a_forced_interrupt_is_spurious_and_goes_with_its_claim),
        DIRECT(a_pending_interrupt_follows_its_target),
        DIRECT(a_pulse_on_a_level_lasts_until_its_claim),
        DIRECT(directly_delivered_there_are_no_messages),
        MESSAGES(a_message_is_sent_once_for_each_assertion),
        MESSAGES(what_is_pending_is_sent_when_the_domain_or_the_source_is_enabled),
        MESSAGES(an_extempore_message_needs_no_domain),
        MESSAGES(with_messages_there_is_no_delivery_control),
        DIRECT(after_reset_only_the_wires_are_left),
        DIRECT(the_tree_says_where_interrupts_go),
        DIRECT(as_a_naive_one_does_directly),
        MESSAGES(as_a_naive_one_does_with_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

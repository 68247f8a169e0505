/* SPDX-License-Identifier: Apache-2.0 */
/* The PLIC as a guest and the devices see it. */
#include "core/guest_fdt.h"
#include "support/fake_hal.h"
#include "support/fake_vm.h"
#include "support/plic_machine.h"

#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct plic_machine *const m = &plic_machine;

/* vCPU `v` wants it, with that priority. */
static void want(unsigned v, uint32_t irq, uint32_t priority)
{
    plic_write(v, PLIC_PRIORITY(irq), priority);
    plic_enable(v, irq, true);
}

static bool pending(uint32_t irq)
{
    return plic_read(0, PLIC_PENDING(irq / 32)) >> irq % 32 & 1;
}

/* ---- Registers ---- */

static void all_is_off_after_power_on(void **state)
{
    (void)state;
    for (uint64_t offset = 0; offset < 0x3000; offset += 4) {
        assert_int_equal(plic_read(0, offset), 0);
    }
    for (unsigned context = 0; context < 2 * PLIC_VCPUS; context++) {
        assert_int_equal(plic_read(0, PLIC_THRESHOLD_OF(context)), 0);
        assert_int_equal(plic_read(0, PLIC_CLAIM_OF(context)), 0);
    }
    assert_false(plic_output(0));
}

static void priorities_have_three_bits_and_source_0_has_none(void **state)
{
    (void)state;
    for (uint32_t irq = 1; irq < VPLIC_SOURCES; irq++) {
        plic_write(0, PLIC_PRIORITY(irq), UINT32_MAX);
        assert_int_equal(plic_read(1, PLIC_PRIORITY(irq)), 7);
        plic_write(0, PLIC_PRIORITY(irq), irq);
        assert_int_equal(plic_read(1, PLIC_PRIORITY(irq)), irq & 7);
    }
    plic_write(0, PLIC_PRIORITY(0), 7);
    assert_int_equal(plic_read(0, PLIC_PRIORITY(0)), 0);
    plic_write(0, PLIC_PRIORITY(VPLIC_SOURCES), 7);
    assert_int_equal(plic_read(0, PLIC_PRIORITY(VPLIC_SOURCES)), 0);
}

static void enables_and_thresholds_are_each_context_s_own(void **state)
{
    (void)state;
    for (unsigned v = 0; v < PLIC_VCPUS; v++) {
        for (unsigned w = 0; w < VPLIC_WORDS; w++) {
            plic_write(0, PLIC_ENABLE_OF(PLIC_S_MODE(v), w), 0x11111111U << v << w);
        }
        plic_write(0, PLIC_THRESHOLD_OF(PLIC_S_MODE(v)), 0x101 + v);
    }
    for (unsigned v = 0; v < PLIC_VCPUS; v++) {
        for (unsigned w = 0; w < VPLIC_WORDS; w++) {
            uint32_t expected = 0x11111111U << v << w;

            assert_int_equal(plic_read(0, PLIC_ENABLE_OF(PLIC_S_MODE(v), w)), w == 0 ? expected & ~1U : expected);
        }
        assert_int_equal(plic_read(0, PLIC_THRESHOLD_OF(PLIC_S_MODE(v))), 1 + v);
    }
}

static void contexts_of_m_mode_and_of_no_vcpu_are_not_there(void **state)
{
    static const unsigned contexts[] = {0, 2, 4, 2 * PLIC_VCPUS, 2 * PLIC_VCPUS + 1, 129, 1023};

    (void)state;
    want(0, 5, 1);
    plic_wire(5, true);
    for (size_t i = 0; i < sizeof(contexts) / sizeof(contexts[0]); i++) {
        plic_write(0, PLIC_ENABLE_OF(contexts[i], 0), UINT32_MAX);
        plic_write(0, PLIC_THRESHOLD_OF(contexts[i]), 7);
        plic_write(0, PLIC_CLAIM_OF(contexts[i]), 5);
        assert_int_equal(plic_read(0, PLIC_ENABLE_OF(contexts[i], 0)), 0);
        assert_int_equal(plic_read(0, PLIC_THRESHOLD_OF(contexts[i])), 0);
        assert_int_equal(plic_read(0, PLIC_CLAIM_OF(contexts[i])), 0);
    }
    assert_true(pending(5));
}

static void what_lies_between_registers_reads_as_zero(void **state)
{
    static const uint64_t offsets[] = {
        4 * VPLIC_SOURCES, 0xffc, PLIC_PENDING(VPLIC_WORDS), 0x1ffc, PLIC_ENABLE_OF(1, VPLIC_WORDS),
        PLIC_ENABLE_OF(1, 31), 0x1ffffc, PLIC_CLAIM_OF(1) + 4, PLIC_THRESHOLD_OF(2) - 4, VPLIC_SIZE - 4,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        plic_write(0, offsets[i], UINT32_MAX);
        assert_int_equal(plic_read(0, offsets[i]), 0);
    }
    for (uint64_t offset = 0; offset < VPLIC_SIZE; offset += 4) {
        assert_int_equal(plic_read(0, offset), 0);
    }
}

static void pending_bits_are_read_only(void **state)
{
    (void)state;
    plic_wire(33, true);
    assert_int_equal(plic_read(0, PLIC_PENDING(1)), 2);
    plic_write(0, PLIC_PENDING(1), 0);
    plic_write(0, PLIC_PENDING(0), UINT32_MAX);
    assert_int_equal(plic_read(0, PLIC_PENDING(0)), 0);
    assert_int_equal(plic_read(0, PLIC_PENDING(1)), 2);
}

static void only_aligned_words_are_accessible(void **state)
{
    struct axvm_device *device = &m->plic.device;
    uint64_t value;

    (void)state;
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (uint64_t offset = 4; offset < 8; offset++) {
            bool right = size == 4 && offset == 4;

            assert_int_equal(device->ops->read(device, &m->vcpus[0], offset, size, &value) == AXVM_OK, right);
            assert_int_equal(device->ops->write(device, &m->vcpus[0], offset, size, 3) == AXVM_OK, right);
            assert_int_equal(plic_read(0, PLIC_PRIORITY(1)), right ? 3 : 0);
            plic_write(0, PLIC_PRIORITY(1), 0);
        }
    }
}

/* ---- Notification ---- */

static void an_interrupt_that_is_wanted_raises_the_output_until_it_is_claimed(void **state)
{
    (void)state;
    want(1, 10, 1);
    plic_wire(10, true);
    assert_true(plic_output(1));
    assert_true(plic_asked(1));
    assert_int_equal(fake_hal_kicks_of(1, 1), 1); /* it is on another pCPU */
    assert_false(plic_output(0));
    assert_false(plic_asked(0));
    assert_int_equal(plic_claim(1), 10);
    assert_false(plic_output(1));
    assert_true(plic_asked(1));
    assert_int_equal(fake_hal_kicks(), 1); /* it looks by itself */
}

static void one_that_is_not_enabled_or_has_no_priority_does_not(void **state)
{
    (void)state;
    plic_write(0, PLIC_PRIORITY(10), 1);
    plic_enable(0, 11, true);
    plic_wire(10, true);
    plic_wire(11, true);
    assert_true(pending(10) && pending(11));
    assert_false(plic_output(0));
    assert_int_equal(plic_claim(0), 0);
    plic_write(0, PLIC_PRIORITY(11), 1);
    assert_true(plic_output(0));
    plic_write(0, PLIC_PRIORITY(11), 0);
    assert_false(plic_output(0));
    plic_enable(0, 10, true);
    assert_true(plic_output(0));
    plic_enable(0, 10, false);
    assert_false(plic_output(0));
    assert_int_equal(fake_hal_kicks(), 0); /* all by the vCPU itself */
    assert_true(plic_asked(0));
}

static void the_threshold_masks_its_own_priority_and_lower_ones(void **state)
{
    (void)state;
    want(0, 64, 4);
    plic_wire(64, true);
    for (uint32_t threshold = 0; threshold < 8; threshold++) {
        plic_write(0, PLIC_THRESHOLD_OF(1), threshold);
        assert_int_equal(plic_output(0), threshold < 4);
    }
    for (uint32_t threshold = 8; threshold-- > 0;) {
        plic_write(0, PLIC_THRESHOLD_OF(1), threshold);
        assert_int_equal(plic_output(0), threshold < 4);
    }
    plic_write(0, PLIC_THRESHOLD_OF(1), 4);
    plic_write(0, PLIC_PRIORITY(64), 5);
    assert_true(plic_output(0));
}

static void a_claim_takes_no_notice_of_the_threshold(void **state)
{
    (void)state;
    want(0, 64, 4);
    plic_write(0, PLIC_THRESHOLD_OF(1), 7);
    plic_wire(64, true);
    assert_false(plic_output(0));
    assert_int_equal(plic_claim(0), 64);
}

static void an_interrupt_may_go_to_several_and_one_of_them_gets_it(void **state)
{
    (void)state;
    want(0, 20, 1);
    want(2, 20, 1);
    plic_wire(20, true);
    assert_true(plic_output(0) && plic_output(2) && !plic_output(1));
    assert_true(plic_asked(0) && plic_asked(2) && !plic_asked(1));
    fake_hal_forget();
    assert_int_equal(plic_claim(2), 20);
    assert_true(!plic_output(0) && !plic_output(2));
    assert_true(plic_asked(0) && plic_asked(2) && !plic_asked(1));
    assert_int_equal(fake_hal_kicks_of(1, 0), 1);
    assert_int_equal(fake_hal_kicks(), 1);
    assert_int_equal(plic_claim(0), 0);
}

static void an_output_that_stays_as_it_is_disturbs_nobody(void **state)
{
    (void)state;
    want(0, 20, 1);
    want(0, 21, 1);
    plic_wire(20, true);
    assert_true(plic_asked(0));
    fake_hal_forget();
    plic_wire(20, true);
    plic_wire(21, true);
    plic_wire(21, false);
    plic_write(0, PLIC_PRIORITY(21), 3);
    assert_int_equal(plic_claim(0), 21);
    plic_complete(0, 21);
    plic_write(0, PLIC_THRESHOLD_OF(1), 0);
    assert_false(plic_asked(0));
    assert_int_equal(fake_hal_kicks(), 0);
    assert_true(plic_output(0));
}

static void a_vcpu_that_waits_is_woken(void **state)
{
    (void)state;
    want(1, 20, 1);
    atomic_store(&m->vcpus[1].state, AXVM_VCPU_BLOCKED);
    plic_wire(20, true);
    assert_int_equal(fake_hal_kicks_of(1, 1), 1);
}

/* ---- Claim and completion ---- */

static void the_highest_priority_comes_first_and_of_those_the_lowest_number(void **state)
{
    static const struct {
        uint32_t irq, priority;
    } order[] = {{95, 7}, {40, 6}, {1, 3}, {31, 3}, {32, 3}, {33, 3}, {63, 3}, {64, 3}, {2, 1}};

    (void)state;
    for (size_t i = sizeof(order) / sizeof(order[0]); i-- > 0;) {
        want(0, order[i].irq, order[i].priority);
        plic_wire(order[i].irq, true);
    }
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        assert_true(plic_output(0));
        assert_int_equal(plic_claim(0), order[i].irq);
        assert_false(pending(order[i].irq));
    }
    assert_false(plic_output(0));
    assert_int_equal(plic_claim(0), 0);
}

static void a_level_is_forwarded_once_until_it_is_completed(void **state)
{
    (void)state;
    want(0, 7, 1);
    plic_wire(7, true);
    assert_int_equal(plic_claim(0), 7);
    plic_wire(7, false);
    plic_wire(7, true);
    assert_false(pending(7));
    assert_int_equal(plic_claim(0), 0);
    plic_complete(0, 7); /* the wire is still up */
    assert_true(pending(7));
    assert_true(plic_output(0));
    assert_int_equal(plic_claim(0), 7);
    plic_wire(7, false);
    plic_complete(0, 7);
    assert_false(pending(7));
    assert_false(plic_output(0));
    plic_wire(7, true);
    assert_true(plic_output(0));
}

static void a_request_stays_although_the_wire_is_lowered(void **state)
{
    (void)state;
    want(0, 7, 1);
    plic_wire(7, true);
    plic_wire(7, false);
    assert_true(pending(7));
    assert_true(plic_output(0));
    assert_int_equal(plic_claim(0), 7);
    plic_complete(0, 7);
    assert_false(pending(7));
}

static void an_edge_while_claimed_is_forwarded_after_completion_and_only_once(void **state)
{
    (void)state;
    want(0, 7, 1);
    plic_pulse(7);
    plic_pulse(7); /* one with the first */
    assert_int_equal(plic_claim(0), 7);
    assert_false(plic_output(0));
    plic_pulse(7);
    plic_pulse(7);
    assert_false(pending(7));
    plic_complete(0, 7);
    assert_true(plic_output(0));
    assert_int_equal(plic_claim(0), 7);
    plic_complete(0, 7);
    assert_false(pending(7));
    assert_int_equal(plic_claim(0), 0);
}

static void a_completion_by_a_context_without_the_source_is_ignored(void **state)
{
    (void)state;
    want(0, 7, 1);
    plic_wire(7, true);
    assert_int_equal(plic_claim(0), 7);
    plic_complete(1, 7);
    assert_false(pending(7));
    plic_enable(0, 7, false);
    plic_complete(0, 7);
    assert_false(pending(7));
    plic_enable(0, 7, true);
    plic_complete(0, 7);
    assert_true(pending(7));
}

static void any_context_that_has_the_source_may_complete_it(void **state)
{
    (void)state;
    want(0, 7, 1);
    want(1, 7, 1);
    plic_wire(7, true);
    assert_int_equal(plic_claim(0), 7);
    plic_complete(1, 7);
    assert_true(pending(7));
}

static void a_completion_of_what_is_not_claimed_does_nothing(void **state)
{
    static const uint32_t wrong[] = {0, 8, 95, 96, 127, 1023, 0x80000007, UINT32_MAX};

    (void)state;
    plic_write(0, PLIC_ENABLE_OF(1, 0), UINT32_MAX);
    plic_write(0, PLIC_ENABLE_OF(1, 1), UINT32_MAX);
    plic_write(0, PLIC_ENABLE_OF(1, 2), UINT32_MAX);
    plic_write(0, PLIC_PRIORITY(7), 1);
    plic_wire(7, true);
    plic_complete(0, 7);
    assert_true(pending(7));
    assert_int_equal(plic_claim(0), 7);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        plic_complete(0, wrong[i]);
        for (unsigned w = 0; w < VPLIC_WORDS; w++) {
            assert_int_equal(plic_read(0, PLIC_PENDING(w)), 0);
        }
    }
}

static void several_may_be_claimed_and_completed_in_any_order(void **state)
{
    (void)state;
    for (uint32_t irq = 1; irq <= 3; irq++) {
        want(0, irq, irq);
        plic_wire(irq, true);
    }
    assert_int_equal(plic_claim(0), 3);
    assert_int_equal(plic_claim(0), 2);
    plic_complete(0, 3);
    assert_true(pending(3) && !pending(2));
    assert_int_equal(plic_claim(0), 3);
    assert_int_equal(plic_claim(0), 1);
    plic_complete(0, 2);
    assert_true(!pending(3) && pending(2));
}

/* ---- The rest ---- */

static void sources_that_are_not_there_are_refused(void **state)
{
    static const uint32_t wrong[] = {0, VPLIC_SOURCES, 1024, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(vplic_set_line(&m->plic, wrong[i], true), AXVM_EINVAL);
        assert_int_equal(vplic_pulse(&m->plic, wrong[i]), AXVM_EINVAL);
    }
    assert_int_equal(plic_read(0, PLIC_PENDING(0)), 0);
}

static void reset_forgets_all_but_the_wires(void **state)
{
    (void)state;
    for (uint32_t irq = 1; irq <= 4; irq++) {
        want(0, irq, 1);
    }
    plic_wire(1, true); /* stays up */
    plic_wire(2, true);
    assert_int_equal(plic_claim(0), 1);
    assert_int_equal(plic_claim(0), 2);
    plic_pulse(2);
    plic_wire(2, false);
    plic_pulse(3);
    plic_write(0, PLIC_THRESHOLD_OF(1), 5);
    plic_wire(4, true);
    plic_wire(4, false);
    vplic_reset(&m->plic);
    assert_false(plic_output(0));
    for (uint64_t offset = 0; offset < VPLIC_SIZE; offset += 4) {
        assert_int_equal(plic_read(0, offset), offset == PLIC_PENDING(0) ? 2 : 0);
    }
    want(0, 1, 1);
    want(0, 2, 1);
    assert_int_equal(plic_claim(0), 1);
    plic_wire(1, false);
    plic_complete(0, 1);
    plic_complete(0, 2);
    assert_int_equal(plic_read(0, PLIC_PENDING(0)), 0);
    plic_wire(2, true);
    assert_int_equal(plic_claim(0), 2);
}

static void the_device_tree_describes_it(void **state)
{
    char fdt[2048];
    const fdt32_t *cells;
    int node, length;

    (void)state;
    m->plic.device.base = 0x0c000000;
    assert_int_equal(fdt_create(fdt, sizeof(fdt)), 0);
    fdt_finish_reservemap(fdt);
    fdt_begin_node(fdt, "");
    assert_int_equal(m->plic.device.ops->fdt_node(&m->plic.device, fdt), 0);
    fdt_end_node(fdt);
    assert_int_equal(fdt_finish(fdt), 0);
    node = fdt_path_offset(fdt, "/interrupt-controller@c000000");
    assert_true(node > 0);
    assert_int_equal(fdt_node_check_compatible(fdt, node, "sifive,plic-1.0.0"), 0);
    assert_int_equal(fdt_node_check_compatible(fdt, node, "riscv,plic0"), 0);
    assert_int_equal(fdt_get_phandle(fdt, node), GUEST_FDT_INTC);
    assert_non_null(fdt_getprop(fdt, node, "interrupt-controller", NULL));
    cells = fdt_getprop(fdt, node, "#interrupt-cells", NULL);
    assert_int_equal(fdt32_to_cpu(*cells), 1);
    cells = fdt_getprop(fdt, node, "#address-cells", NULL);
    assert_int_equal(fdt32_to_cpu(*cells), 0);
    cells = fdt_getprop(fdt, node, "riscv,ndev", NULL);
    assert_int_equal(fdt32_to_cpu(*cells), 95);
    cells = fdt_getprop(fdt, node, "reg", &length);
    assert_int_equal(length, 16);
    assert_int_equal(fdt32_to_cpu(cells[1]), 0x0c000000);
    assert_int_equal(fdt32_to_cpu(cells[3]), VPLIC_SIZE);
    cells = fdt_getprop(fdt, node, "interrupts-extended", &length);
    assert_int_equal(length, PLIC_VCPUS * 16);
    for (unsigned v = 0; v < PLIC_VCPUS; v++) {
        assert_int_equal(fdt32_to_cpu(cells[4 * v]), GUEST_FDT_CPU_INTC0 + v);
        assert_int_equal(fdt32_to_cpu(cells[4 * v + 1]), UINT32_MAX);
        assert_int_equal(fdt32_to_cpu(cells[4 * v + 2]), GUEST_FDT_CPU_INTC0 + v);
        assert_int_equal(fdt32_to_cpu(cells[4 * v + 3]), 9);
    }
}

static void a_device_tree_without_room_is_an_error(void **state)
{
    char fdt[2048];

    (void)state;
    for (int size = 64; size < 512; size += 8) {
        if (fdt_create(fdt, size) == 0 && fdt_finish_reservemap(fdt) == 0 && fdt_begin_node(fdt, "") == 0) {
            int error = m->plic.device.ops->fdt_node(&m->plic.device, fdt);

            assert_true(error == 0 || error == -FDT_ERR_NOSPACE);
        }
    }
}

static void it_takes_its_place_on_the_bus(void **state)
{
    static struct vplic plic;
    struct axvm *vm;
    uint64_t value;

    assert_int_equal(fake_vm_setup(state), 0);
    vm = fake_vm_load(1);
    vplic_init(&plic, vm);
    assert_int_equal(vplic_add_device(&plic, gpa(0x20000000)), AXVM_OK);
    assert_int_equal(bus_read(&vm->buses[AXVM_SPACE_MMIO], vm->vcpus[0], 0x20000000 + VPLIC_SIZE - 4, 4, &value),
                     AXVM_OK);
    assert_int_equal(bus_read(&vm->buses[AXVM_SPACE_MMIO], vm->vcpus[0], 0x20000000 + VPLIC_SIZE, 4, &value),
                     AXVM_ENOENT);
    assert_int_equal(vplic_add_device(&plic, gpa(0x20000000)), AXVM_EEXIST);
    fake_vm_end(vm);
    assert_int_equal(fake_vm_teardown(state), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, plic_setup, plic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_is_off_after_power_on),
        TEST(priorities_have_three_bits_and_source_0_has_none),
        TEST(enables_and_thresholds_are_each_context_s_own),
        TEST(contexts_of_m_mode_and_of_no_vcpu_are_not_there),
        TEST(what_lies_between_registers_reads_as_zero),
        TEST(pending_bits_are_read_only),
        TEST(only_aligned_words_are_accessible),
        TEST(an_interrupt_that_is_wanted_raises_the_output_until_it_is_claimed),
        TEST(one_that_is_not_enabled_or_has_no_priority_does_not),
        TEST(the_threshold_masks_its_own_priority_and_lower_ones),
        TEST(a_claim_takes_no_notice_of_the_threshold),
        TEST(an_interrupt_may_go_to_several_and_one_of_them_gets_it),
        TEST(an_output_that_stays_as_it_is_disturbs_nobody),
        TEST(a_vcpu_that_waits_is_woken),
        TEST(the_highest_priority_comes_first_and_of_those_the_lowest_number),
        TEST(a_level_is_forwarded_once_until_it_is_completed),
        TEST(a_request_stays_although_the_wire_is_lowered),
        TEST(an_edge_while_claimed_is_forwarded_after_completion_and_only_once),
        TEST(a_completion_by_a_context_without_the_source_is_ignored),
        TEST(any_context_that_has_the_source_may_complete_it),
        TEST(a_completion_of_what_is_not_claimed_does_nothing),
        TEST(several_may_be_claimed_and_completed_in_any_order),
        TEST(sources_that_are_not_there_are_refused),
        TEST(reset_forgets_all_but_the_wires),
        TEST(the_device_tree_describes_it),
        TEST(a_device_tree_without_room_is_an_error),
        cmocka_unit_test(it_takes_its_place_on_the_bus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

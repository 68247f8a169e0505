/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host/metal/machine.c. data/qemu-virt-gicv*.dtb are what QEMU 7.2 gives with
 * -M virt,virtualization=on,gic-version=N -cpu cortex-a72 -smp 4 -m 1G, packed.
 */
#include "machine.h"
#include "support/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libfdt.h>

#include <cmocka.h>

static struct machine machine;

/* The machine that QEMU describes, open for changes. */
static int load_gicv3(void **state)
{
    (void)state;
    tree_open("tests/unit/data/qemu-virt-gicv3.dtb");
    return 0;
}

static int discover(void)
{
    return machine_discover(&machine, &machine_aarch64, tree.bytes, tree_size);
}

static void refused_because(const char *text)
{
    assert_true(discover() < 0);
    assert_non_null(machine.problem);
    if (!strstr(machine.problem, text)) {
        fail_msg("\"%s\" has no \"%s\"", machine.problem, text);
    }
}

static void qemu_virt_is_understood(void **state)
{
    (void)state;
    assert_int_equal(discover(), AXVM_OK);
    assert_null(machine.problem);
    assert_string_equal(machine.model, "linux,dummy-virt");
    assert_int_equal(machine.memory.count, 1);
    assert_range(machine.memory.range[0], GIB(1), GIB(2));
    assert_int_equal(machine.mapped.count, 1);
    assert_range(machine.initrd, 0, 0);
    assert_int_equal(machine.cpu_count, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(machine.cpu_id[i], i);
    }
    assert_true(machine.aarch64.psci_smc);
    assert_range(machine.aarch64.gic.dist, 0x8000000, 0x8010000);
    assert_int_equal(machine.aarch64.gic.redist_count, 1);
    assert_range(machine.aarch64.gic.redist[0], 0x80a0000, 0x9000000);
    assert_int_equal(machine.aarch64.gic.redist_stride, 0);
    assert_int_equal(machine.aarch64.gic.maintenance_irq, 25);
    assert_int_equal(machine.aarch64.hyp_timer_irq, 26);
    assert_int_equal(machine.timer_hz, 0);
    assert_range(machine.uart.regs, 0x9000000, 0x9001000);
    assert_int_equal(machine.uart.irq, 33);
    assert_ptr_equal(machine.rtc.read, rtc_pl031_read);
    assert_range(machine.rtc.regs, 0x9010000, 0x9011000);
}

static void a_gicv2_machine_is_refused_by_name_but_has_its_uart(void **state)
{
    (void)state;
    tree_load("tests/unit/data/qemu-virt-gicv2.dtb");
    refused_because("GICv2");
    assert_range(machine.uart.regs, 0x9000000, 0x9001000);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    tree_set_string("/intc@8000000", "status", "disabled");
    refused_because("no GICv3");
    load_gicv3(state);
    tree_delete("/memory@40000000");
    refused_because("no memory");
    load_gicv3(state);
    tree_delete("/cpus");
    refused_because("no CPU");
    load_gicv3(state);
    tree_delete("/timer");
    refused_because("timer");
    load_gicv3(state);
    SET_CELLS("/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 12, 4, 1, 10, 4);
    refused_because("timer");
    load_gicv3(state);
    SET_CELLS("/intc@8000000", "reg", 0, 0x8000000, 0, 0x10000);
    refused_because("redistributors");
}

static void reserved_memory_is_left_out_and_only_some_of_it_is_for_guests(void **state)
{
    (void)state;
    tree_add_node("/", "reserved-memory");
    SET_CELLS("/reserved-memory", "#address-cells", 2);
    SET_CELLS("/reserved-memory", "#size-cells", 2);
    tree_set_empty("/reserved-memory", "ranges");
    tree_add_node("/reserved-memory", "a@48000000");
    SET_CELLS("/reserved-memory/a@48000000", "reg", 0, 0x48000800, 0, 0x1000);
    tree_add_node("/reserved-memory", "b@50000000");
    SET_CELLS("/reserved-memory/b@50000000", "reg", 0, 0x50000000, 0, 0x100000);
    tree_set_empty("/reserved-memory/b@50000000", "no-map");
    tree_add_node("/reserved-memory", "placeless");
    SET_CELLS("/reserved-memory/placeless", "size", 0, 0x100000);
    assert_int_equal(fdt_add_mem_rsv(tree.bytes, 0x60000000, 0x1000), 0);
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.memory.count, 4);
    assert_range(machine.memory.range[0], 0x40000000, 0x48000000);
    assert_range(machine.memory.range[1], 0x48002000, 0x50000000);
    assert_range(machine.memory.range[2], 0x50100000, 0x60000000);
    assert_range(machine.memory.range[3], 0x60001000, 0x80000000);
    assert_int_equal(machine.mapped.count, 2);
    assert_range(machine.mapped.range[0], 0x40000000, 0x50000000);
    assert_range(machine.mapped.range[1], 0x50100000, 0x80000000);
    assert_int_equal(machine.aside.count, 1); /* what is reserved for guests: not `no-map`, nor the reserve map */
    assert_range(machine.aside.range[0], 0x48000000, 0x48002000);
}

static void memory_of_several_nodes_is_merged_and_cut_to_whole_pages(void **state)
{
    (void)state;
    SET_CELLS("/memory@40000000", "reg", 0, 0x40000000, 0, 0x10000000, 0, 0x50000000, 0, 0x1234, 0, 0, 0, 0x2800);
    tree_add_node("/", "memory@880000000");
    tree_set_string("/memory@880000000", "device_type", "memory");
    SET_CELLS("/memory@880000000", "reg", 8, 0x80000010, 0, 0x3000, 0xffffffff, 0xfffff000, 0, 0x1000);
    tree_add_node("/", "memory@900000000");
    tree_set_string("/memory@900000000", "device_type", "memory");
    tree_set_string("/memory@900000000", "status", "disabled");
    SET_CELLS("/memory@900000000", "reg", 9, 0, 0, 0x3000);
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.memory.count, 3);
    assert_range(machine.memory.range[0], 0x1000, 0x2000);
    assert_range(machine.memory.range[1], 0x40000000, 0x50001000);
    assert_range(machine.memory.range[2], 0x880001000, 0x880003000);
}

static void the_initrd_is_found_in_32_and_64_bits(void **state)
{
    (void)state;
    SET_CELLS("/chosen", "linux,initrd-start", 0x48000000);
    SET_CELLS("/chosen", "linux,initrd-end", 1, 0);
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.initrd, 0x48000000, GIB(4));
    SET_CELLS("/chosen", "linux,initrd-end", 0x48000000);
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.initrd, 0, 0);
}

static void the_console_is_found_by_alias_and_options(void **state)
{
    (void)state;
    tree_add_node("/", "aliases");
    tree_set_string("/aliases", "serial0", "/pl011@9000000");
    tree_set_string("/chosen", "stdout-path", "serial0:115200n8");
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.uart.regs.base, 0x9000000);
    tree_set_string("/chosen", "stdout-path", "/pl031@9010000");
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.uart.regs, 0, 0);
    assert_int_equal(machine.uart.irq, 0);
}

static void addresses_are_translated_through_buses(void **state)
{
    static const char uart[] = "/soc/apb@1000/serial@10";

    (void)state;
    tree_add_node("/", "soc");
    SET_CELLS("/soc", "#address-cells", 1);
    SET_CELLS("/soc", "#size-cells", 1);
    SET_CELLS("/soc", "ranges", 0, 0, 0x10000000, 0x1000, 0x1000, 4, 0x20000000, 0x10000);
    tree_add_node("/soc", "apb@1000");
    SET_CELLS("/soc/apb@1000", "#address-cells", 1);
    SET_CELLS("/soc/apb@1000", "#size-cells", 1);
    SET_CELLS("/soc/apb@1000", "ranges", 0, 0x3000, 0x4000);
    tree_add_node("/soc/apb@1000", "serial@10");
    tree_set_string(uart, "compatible", "arm,pl011");
    SET_CELLS(uart, "reg", 0x1000, 0x1000);
    tree_set_string("/chosen", "stdout-path", uart);
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.uart.regs, UINT64_C(0x420003000), UINT64_C(0x420004000));
    SET_CELLS(uart, "reg", 0x3001, 0x1000); /* sticks out of the bus's window */
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.uart.regs, 0, 0);
    SET_CELLS(uart, "reg", 0x1000, 0x1000);
    tree_delete_property("/soc", "ranges");
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.uart.regs, 0, 0);
}

static void cpus_beyond_what_can_be_used_are_counted(void **state)
{
    char path[32];

    (void)state;
    tree_set_string("/cpus/cpu@1", "status", "fail");
    SET_CELLS("/cpus/cpu@3", "reg", 2); /* the same CPU again */
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.cpu_count, 2);
    assert_int_equal(machine.cpu_ignored, 1);
    for (unsigned i = 0x100; i < 0x100 + 64; i++) {
        snprintf(path, sizeof(path), "cpu@%x", i);
        tree_add_node("/cpus", path);
        snprintf(path, sizeof(path), "/cpus/cpu@%x", i);
        tree_set_string(path, "device_type", "cpu");
        SET_CELLS(path, "reg", 0x80000000 | i);
    }
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.cpu_count, 64);
    assert_int_equal(machine.cpu_ignored, 4);
    /* New nodes come first; bit 31 of MPIDR_EL1 is no affinity */
    assert_int_equal(machine.cpu_id[0], 0x13f);
}

static void firmware_that_is_called_by_hvc_starts_no_cpus(void **state)
{
    (void)state;
    tree_set_string("/psci", "method", "hvc");
    assert_int_equal(discover(), AXVM_OK);
    assert_false(machine.aarch64.psci_smc);
    tree_set_string("/psci", "method", "smc");
    tree_set_string("/psci", "compatible", "arm,psci");
    assert_int_equal(discover(), AXVM_OK);
    assert_false(machine.aarch64.psci_smc);
}

static void odd_cell_counts_are_refused_not_followed(void **state)
{
    (void)state;
    SET_CELLS("/", "#address-cells", 4);
    refused_because("no memory");
    SET_CELLS("/", "#address-cells", 5);
    refused_because("no memory");
    SET_CELLS("/", "#address-cells", 2);
    SET_CELLS("/", "#size-cells", 0);
    refused_because("no memory");
}

static void too_many_ranges_are_refused(void **state)
{
    uint32_t cells[4 * 65];

    (void)state;
    for (uint32_t i = 0; i < 65; i++) {
        cells[4 * i] = 1;
        cells[4 * i + 1] = i * 0x10000;
        cells[4 * i + 2] = 0;
        cells[4 * i + 3] = 0x1000;
    }
    tree_set_cells("/memory@40000000", "reg", 4 * 65, cells);
    refused_because("too many ranges");
}

static void no_tree_is_no_tree(void **state)
{
    (void)state;
    memset(tree.bytes, 0, 4096);
    refused_because("no sound device tree");
    load_gicv3(state);
    tree_size = 39;
    refused_because("no sound device tree");
    load_gicv3(state);
    tree_size = TREE_SIZE - 1;
    refused_because("no sound device tree");
}

/* Under the sanitizers: whatever the firmware gives, nothing but the tree is read, and it ends. */
static void damaged_trees_do_no_harm(void **state)
{
    size_t size;
    unsigned understood = 0;

    (void)state;
    tree_load("tests/unit/data/qemu-virt-gicv3.dtb");
    size = tree_size;
    for (unsigned round = 0; round < 20000; round++) {
        char *exact = tree_damaged(tree.bytes, size, round);

        understood += machine_discover(&machine, &machine_aarch64, exact, size) == AXVM_OK;
        for (unsigned i = 0; i < machine.memory.count; i++) {
            assert_true(machine.memory.range[i].base < machine.memory.range[i].end);
        }
        free(exact);
    }
    assert_true(understood > 1000 && understood < 19000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(qemu_virt_is_understood, load_gicv3),
        cmocka_unit_test(a_gicv2_machine_is_refused_by_name_but_has_its_uart),
        cmocka_unit_test_setup(what_is_missing_is_named, load_gicv3),
        cmocka_unit_test_setup(reserved_memory_is_left_out_and_only_some_of_it_is_for_guests, load_gicv3),
        cmocka_unit_test_setup(memory_of_several_nodes_is_merged_and_cut_to_whole_pages, load_gicv3),
        cmocka_unit_test_setup(the_initrd_is_found_in_32_and_64_bits, load_gicv3),
        cmocka_unit_test_setup(the_console_is_found_by_alias_and_options, load_gicv3),
        cmocka_unit_test_setup(addresses_are_translated_through_buses, load_gicv3),
        cmocka_unit_test_setup(cpus_beyond_what_can_be_used_are_counted, load_gicv3),
        cmocka_unit_test_setup(firmware_that_is_called_by_hvc_starts_no_cpus, load_gicv3),
        cmocka_unit_test_setup(odd_cell_counts_are_refused_not_followed, load_gicv3),
        cmocka_unit_test_setup(too_many_ranges_are_refused, load_gicv3),
        cmocka_unit_test_setup(no_tree_is_no_tree, load_gicv3),
        cmocka_unit_test(damaged_trees_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host/metal/machine_riscv64.c. data/qemu-virt-rv64-*.dtb are of QEMU 7.2's -M virt with -cpu rv64 -smp 4 -m 1G,
 * packed: plic, aplic (with aia=aplic) and imsic (aia=aplic-imsic,aia-guests=3) as OpenSBI 1.1 hands them on; 2-plics
 * and 2-groups (aia=aplic-imsic,aia-guests=1) with two NUMA nodes of two harts, as QEMU gives them to OpenSBI.
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

#define TREE(name) "tests/unit/data/qemu-virt-rv64-" name ".dtb"
#define PLIC "/soc/plic@c000000"
#define IMSICS "/soc/imsics@28000000"
#define UART "/soc/serial@10000000"

static struct machine machine;

static int discover(void)
{
    return machine_discover(&machine, &machine_riscv64, tree.bytes, tree_size);
}

static void refused_because(const char *text)
{
    assert_true(discover() < 0);
    assert_non_null(machine.problem);
    if (!strstr(machine.problem, text)) {
        fail_msg("\"%s\" has no \"%s\"", machine.problem, text);
    }
}

static int load_plic(void **state)
{
    (void)state;
    tree_open(TREE("plic"));
    return 0;
}

static int load_imsic(void **state)
{
    (void)state;
    tree_open(TREE("imsic"));
    return 0;
}

static void assert_devices(unsigned count, const struct range *expected)
{
    assert_int_equal(machine.device_count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_range(machine.device[i], expected[i].base, expected[i].end);
    }
}

#define ASSERT_DEVICES(...)                                                                                            \
    assert_devices(sizeof((struct range[]){__VA_ARGS__}) / sizeof(struct range), (const struct range[]){__VA_ARGS__})

static void qemu_virt_with_a_plic_is_understood(void **state)
{
    (void)state;
    assert_int_equal(discover(), AXVM_OK);
    assert_null(machine.problem);
    assert_string_equal(machine.model, "riscv-virtio,qemu");
    assert_int_equal(machine.cpu_count, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(machine.cpu_id[i], i);
        assert_int_equal(machine.riscv64.plic.context[i], 2 * i + 1);
    }
    assert_int_equal(machine.riscv64.plic.context[4], MACHINE_NONE);
    assert_string_equal(machine.isa, "rv64imafdch_zicsr_zifencei_zihintpause_zba_zbb_zbc_zbs_sstc");
    assert_int_equal(machine.timer_hz, 10000000);
    assert_range(machine.riscv64.plic.regs, 0xc000000, 0xc600000);
    assert_int_equal(machine.riscv64.plic.sources, 96);
    assert_range(machine.riscv64.aplic.regs, 0, 0);
    assert_int_equal(machine.riscv64.imsic.regs_count, 0);
    assert_ptr_equal(machine.uart.driver, &uart_ns16550);
    assert_range(machine.uart.regs, 0x10000000, 0x10000100);
    assert_int_equal(machine.uart.irq, 10);
    assert_int_equal(machine.uart.reg_shift, 0);
    assert_int_equal(machine.uart.reg_width, 1);
    assert_ptr_equal(machine.rtc.read, rtc_goldfish_read);
    ASSERT_DEVICES({0x101000, 0x102000}, {0x10000000, 0x10000100}, {0xc000000, 0xc600000});
}

static void opensbis_memory_is_nobodys(void **state)
{
    (void)state;
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.memory.count, 1);
    assert_range(machine.memory.range[0], 0x80080000, 0xc0000000);
    assert_int_equal(machine.mapped.count, 1);
    assert_range(machine.mapped.range[0], 0x80080000, 0xc0000000);
    assert_int_equal(machine.aside.count, 0);
}

static void qemu_virt_with_an_aplic_is_understood(void **state)
{
    (void)state;
    tree_load(TREE("aplic"));
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.riscv64.plic.regs, 0, 0);
    assert_range(machine.riscv64.aplic.regs, 0xd000000, 0xd008000);
    assert_int_equal(machine.riscv64.aplic.sources, 96);
    assert_false(machine.riscv64.aplic.msi);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(machine.riscv64.aplic.idc[i], i);
    }
    assert_int_equal(machine.uart.irq, 10);
}

static void qemu_virt_with_imsics_is_understood(void **state)
{
    (void)state;
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.riscv64.aplic.regs, 0xd000000, 0xd008000);
    assert_true(machine.riscv64.aplic.msi);
    assert_int_equal(machine.riscv64.aplic.idc[0], MACHINE_NONE);
    assert_int_equal(machine.riscv64.imsic.regs_count, 1);
    assert_range(machine.riscv64.imsic.regs[0], 0x28000000, 0x28010000);
    assert_int_equal(machine.riscv64.imsic.ids, 255);
    assert_int_equal(machine.riscv64.imsic.guest_ids, 255);
    assert_int_equal(machine.riscv64.imsic.guest_bits, 2);
    assert_int_equal(machine.riscv64.imsic.hart_bits, 2);
    assert_int_equal(machine.riscv64.imsic.group_bits, 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(machine.riscv64.imsic.file[i], 0x28000000 + 0x4000 * i);
    }
    assert_int_equal(machine.riscv64.imsic.file[4], 0);
    assert_int_equal(machine.uart.irq, 10);
    ASSERT_DEVICES({0x101000, 0x102000}, {0x10000000, 0x10000100}, {0x28000000, 0x28010000}, {0xd000000, 0xd008000});
}

static void of_two_plics_the_consoles_counts(void **state)
{
    (void)state;
    tree_open(TREE("2-plics"));
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.riscv64.plic.regs, 0xc000000, 0xc600000);
    assert_int_equal(machine.riscv64.plic.context[1], 3);
    assert_int_equal(machine.riscv64.plic.context[2], MACHINE_NONE);
    SET_CELLS(UART, "interrupt-parent", 9);
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.riscv64.plic.regs, 0xc600000, 0xcc00000);
    assert_int_equal(machine.riscv64.plic.context[1], MACHINE_NONE);
    assert_int_equal(machine.riscv64.plic.context[2], 1);
    assert_int_equal(machine.uart.irq, 10);
}

/* With M-level controllers in the tree, as it is before OpenSBI */
static void files_of_several_groups_are_found(void **state)
{
    static const uint64_t files[] = {0x28000000, 0x28002000, 0x29000000, 0x29002000};

    (void)state;
    tree_load(TREE("2-groups"));
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.riscv64.aplic.regs, 0xd000000, 0xd008000);
    assert_int_equal(machine.riscv64.imsic.regs_count, 2);
    assert_int_equal(machine.riscv64.imsic.hart_bits, 1);
    assert_int_equal(machine.riscv64.imsic.group_bits, 1);
    assert_int_equal(machine.riscv64.imsic.group_shift, 24);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(machine.riscv64.imsic.file[i], files[i]);
    }
}

static void the_console_inherits_its_interrupt_parent(void **state)
{
    (void)state;
    tree_delete_property(UART, "interrupt-parent");
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.uart.irq, 0);
    SET_CELLS("/", "interrupt-parent", 9);
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.uart.irq, 10);
    SET_CELLS("/soc", "interrupt-parent", 77);
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.uart.irq, 0);
}

static void an_interrupt_that_the_plic_lacks_is_none(void **state)
{
    (void)state;
    SET_CELLS(UART, "interrupts", 96);
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.uart.irq, 96);
    SET_CELLS(UART, "interrupts", 97);
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.uart.irq, 0);
    SET_CELLS(PLIC, "riscv,ndev", 5000);
    SET_CELLS(UART, "interrupts", 1024);
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.riscv64.plic.sources, 1023);
    assert_int_equal(machine.uart.irq, 0);
}

static void contexts_lie_within_the_plic(void **state)
{
    (void)state;
    SET_CELLS(PLIC, "reg", 0, 0xc000000, 0, 0x204000);
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.riscv64.plic.context[1], 3);
    assert_int_equal(machine.riscv64.plic.context[2], MACHINE_NONE);
    SET_CELLS(PLIC, "reg", 0, 0xc000000, 0, 0x203fff);
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.riscv64.plic.context[0], 1);
    assert_int_equal(machine.riscv64.plic.context[1], MACHINE_NONE);
}

static void a_plic_of_m_mode_only_is_none(void **state)
{
    (void)state;
    SET_CELLS(PLIC, "interrupts-extended", 8, 11, 6, 11, 4, 11, 2, 11);
    assert_int_equal(discover(), AXVM_OK);
    assert_range(machine.riscv64.plic.regs, 0, 0);
    assert_int_equal(machine.uart.irq, 0);
    ASSERT_DEVICES({0x101000, 0x102000}, {0x10000000, 0x10000100});
}

static void interrupt_files_lie_within_the_imsics(void **state)
{
    (void)state;
    SET_CELLS(IMSICS, "reg", 0, 0x28000000, 0, 0x6000);
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.riscv64.imsic.file[0], 0x28000000);
    assert_int_equal(machine.riscv64.imsic.file[1], 0); /* the S-level file lies within, but not all of the guests' */
    assert_int_equal(machine.riscv64.imsic.file[2], 0);
}

static void odd_imsics_are_none(void **state)
{
    static const struct {
        const char *property;
        uint32_t value;
    } odd[] = {
        {"riscv,num-ids", 62},         {"riscv,num-ids", 2048},     {"riscv,guest-index-bits", 8},
        {"riscv,group-index-bits", 8}, {"riscv,group-index-shift", 56}, {"riscv,group-index-shift", 11},
    };

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        load_imsic(state);
        SET_CELLS(IMSICS, odd[i].property, odd[i].value);
        assert_int_equal(discover(), AXVM_OK);
        assert_int_equal(machine.riscv64.imsic.regs_count, 0);
        assert_range(machine.riscv64.aplic.regs, 0, 0);
        assert_int_equal(machine.uart.irq, 0);
    }
}

static void harts_that_differ_or_lack_the_extension_are_ignored(void **state)
{
    (void)state;
    tree_set_string("/cpus/cpu@0", "riscv,isa", "rv64imac_zicsr_sha");
    tree_set_string("/cpus/cpu@2", "riscv,isa", "rv64imafdch_zicsr");
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.cpu_count, 2);
    assert_int_equal(machine.cpu_ignored, 2);
    assert_int_equal(machine.cpu_id[0], 1);
    assert_int_equal(machine.cpu_id[1], 3);
    assert_int_equal(machine.riscv64.plic.context[0], 3);
    assert_int_equal(machine.riscv64.plic.context[1], 7);
}

static const char *hart_path(unsigned hart)
{
    static char path[16];

    snprintf(path, sizeof(path), "/cpus/cpu@%u", hart);
    return path;
}

static void set_extensions(unsigned hart, const char *base, const char *list)
{
    if (fdt_getprop(tree.bytes, tree_node(hart_path(hart)), "riscv,isa", NULL)) {
        tree_delete_property(hart_path(hart), "riscv,isa");
    }
    tree_set_string(hart_path(hart), "riscv,isa-base", base);
    tree_set_strings(hart_path(hart), "riscv,isa-extensions", list);
}

static void extensions_may_be_a_list(void **state)
{
    (void)state;
    for (unsigned hart = 0; hart < 4; hart++) {
        set_extensions(hart, "rv64i", "i;m;zicsr;a;f;d;c;h;svinval;sstc;v");
    }
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.cpu_count, 4);
    assert_string_equal(machine.isa, "rv64_i_m_zicsr_a_f_d_c_h_svinval_sstc_v");

    set_extensions(1, "rv64i", "i;m;zicsr;a;f;d;c;h;svinval");    /* another one */
    set_extensions(2, "rv64i", "i;m;zicsr;a;f;d;c;svinval;sstc"); /* without h */
    set_extensions(3, "rv32i", "i;m;zicsr;a;f;d;c;h;svinval;sstc;v");
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.cpu_count, 1);
    assert_int_equal(machine.cpu_ignored, 3);

    tree_set_string("/cpus/cpu@3", "riscv,isa", "rv64imafdch"); /* which counts, and which the first hart hasn't */
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.cpu_count, 1);
    tree_set_string("/cpus/cpu@0", "riscv,isa", "rv64imafdch");
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.cpu_count, 2);
    assert_string_equal(machine.isa, "rv64imafdch");
}

static void odd_lists_are_none(void **state)
{
    static const char *const lists[] = {"", ";;", "i;m;a;sha;shtvala", "imafdch", "rv64imafdch", "H"};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        load_plic(state);
        for (unsigned hart = 0; hart < 4; hart++) {
            set_extensions(hart, "rv64i", lists[i]);
        }
        refused_because("hypervisor extension");
    }
    load_plic(state);
    for (unsigned hart = 0; hart < 4; hart++) {
        set_extensions(hart, "rv64i", "i;h");
        SET_CELLS(hart_path(hart), "riscv,isa-extensions", 0x69006800, 0x6d006831); /* the last one doesn't end */
    }
    assert_int_equal(discover(), AXVM_OK);
    assert_string_equal(machine.isa, "rv64_i_h_m");
    for (unsigned hart = 0; hart < 4; hart++) {
        SET_CELLS(hart_path(hart), "riscv,isa-extensions", 0x69007a68, 0x69006d68); /* nor does this */
    }
    refused_because("hypervisor extension");
}

static void of_a_list_that_is_too_long_whole_names_are_told(void **state)
{
    char list[2000] = "h";

    (void)state;
    for (unsigned i = 0; i < 150; i++) {
        snprintf(list + strlen(list), sizeof(list) - strlen(list), ";zlong%04u", i);
    }
    strcat(list, ";i");
    for (unsigned hart = 0; hart < 4; hart++) {
        set_extensions(hart, "rv64i", list);
    }
    assert_int_equal(discover(), AXVM_OK);
    assert_in_range(strlen(machine.isa), MACHINE_ISA_MAX - 11, MACHINE_ISA_MAX - 1);
    assert_memory_equal(machine.isa, "rv64_h_zlong0000_zlong0001_", 27);
    assert_true(machine.isa[strlen(machine.isa) - 10] == '_');
}

static void what_is_missing_is_named(void **state)
{
    static const char *const isas[] = {"rv64imafdc", "rv32imafdch", "rv64gc_h", "", "rv64gczhinx"};
    char path[16];

    for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++) {
        for (unsigned hart = 0; hart < 4; hart++) {
            snprintf(path, sizeof(path), "/cpus/cpu@%u", hart);
            tree_set_string(path, "riscv,isa", isas[i]);
        }
        refused_because("hypervisor extension");
        assert_int_equal(machine.cpu_ignored, 4);
    }
    load_plic(state);
    tree_delete_property("/cpus", "timebase-frequency");
    refused_because("timebase-frequency");
    SET_CELLS("/cpus/cpu@2", "timebase-frequency", 1000000);
    assert_int_equal(discover(), AXVM_OK);
    assert_int_equal(machine.timer_hz, 1000000);
}

static void a_16550s_registers_may_be_apart_and_wide(void **state)
{
    (void)state;
    tree_set_string(UART, "compatible", "snps,dw-apb-uart");
    SET_CELLS(UART, "reg-shift", 2);
    SET_CELLS(UART, "reg-io-width", 4);
    assert_int_equal(discover(), AXVM_OK);
    assert_ptr_equal(machine.uart.driver, &uart_ns16550);
    assert_int_equal(machine.uart.reg_shift, 2);
    assert_int_equal(machine.uart.reg_width, 4);
    SET_CELLS(UART, "reg-shift", 6); /* the last register would end behind the range */
    assert_int_equal(discover(), AXVM_OK);
    assert_null(machine.uart.driver);
    SET_CELLS(UART, "reg-shift", 0); /* and here they would overlap */
    assert_int_equal(discover(), AXVM_OK);
    assert_null(machine.uart.driver);
    SET_CELLS(UART, "reg-io-width", 3);
    assert_int_equal(discover(), AXVM_OK);
    assert_null(machine.uart.driver);
}

/* Under the sanitizers: whatever the firmware gives, nothing but the tree is read, and it ends. */
static void damaged_trees_do_no_harm(void **state)
{
    unsigned understood = 0;
    size_t size;

    (void)state;
    load_imsic(state);
    set_extensions(1, "rv64i", "i;m;a;f;d;c;h;zicsr;zifencei;sstc");
    assert_int_equal(fdt_pack(tree.bytes), 0);
    size = fdt_totalsize(tree.bytes);
    for (unsigned round = 0; round < 10000; round++) {
        char *exact = tree_damaged(tree.bytes, size, round);

        understood += machine_discover(&machine, &machine_riscv64, exact, size) == AXVM_OK;
        assert_true(!machine.isa || strlen(machine.isa) < size);
        free(exact);
    }
    assert_true(understood > 500 && understood < 9500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(qemu_virt_with_a_plic_is_understood, load_plic),
        cmocka_unit_test_setup(opensbis_memory_is_nobodys, load_plic),
        cmocka_unit_test(qemu_virt_with_an_aplic_is_understood),
        cmocka_unit_test_setup(qemu_virt_with_imsics_is_understood, load_imsic),
        cmocka_unit_test(of_two_plics_the_consoles_counts),
        cmocka_unit_test(files_of_several_groups_are_found),
        cmocka_unit_test_setup(the_console_inherits_its_interrupt_parent, load_plic),
        cmocka_unit_test_setup(an_interrupt_that_the_plic_lacks_is_none, load_plic),
        cmocka_unit_test_setup(contexts_lie_within_the_plic, load_plic),
        cmocka_unit_test_setup(a_plic_of_m_mode_only_is_none, load_plic),
        cmocka_unit_test_setup(interrupt_files_lie_within_the_imsics, load_imsic),
        cmocka_unit_test(odd_imsics_are_none),
        cmocka_unit_test_setup(harts_that_differ_or_lack_the_extension_are_ignored, load_plic),
        cmocka_unit_test_setup(extensions_may_be_a_list, load_plic),
        cmocka_unit_test(odd_lists_are_none),
        cmocka_unit_test_setup(of_a_list_that_is_too_long_whole_names_are_told, load_plic),
        cmocka_unit_test_setup(what_is_missing_is_named, load_plic),
        cmocka_unit_test_setup(a_16550s_registers_may_be_apart_and_wide, load_plic),
        cmocka_unit_test(damaged_trees_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

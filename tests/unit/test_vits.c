/* SPDX-License-Identifier: Apache-2.0 */
/* LPIs and the ITS (IHI 0069 chapter 5): commands and registers, as a guest with four vCPUs sees them. */
#include "arch/aarch64/a64.h"
#include "core/guest_fdt.h"
#include "support/a64_machine.h"
#include "support/its_machine.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <libfdt.h>

#include <cmocka.h>

#define ON 0xa1U  /* priority 0xa0, enabled */
#define OFF 0xa0U
#define DEVICE 0x105U
#define LAST (GIC_VCPUS - 1) /* has LPIs off */

/* Device DEVICE with 16 events; collection n is vCPU n's; event 5 is LPI(5) in collection 1, enabled. */
static void map_usual(void)
{
    its_mapd(DEVICE, 4, true);
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        its_mapc(v, v, true);
    }
    its_configure(5, ON);
    its_mapti(DEVICE, 5, LPI(5), 1);
}

static void interrupt(uint32_t event)
{
    its_event(ITS_INT, DEVICE, event);
}

static void expect_nothing(void)
{
    uint32_t intid;

    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        assert_int_equal(its_take(v, &intid, 1), 0);
    }
}

/* Exactly this one is signalled, to that vCPU only. */
static void expect_only(unsigned v, uint32_t intid)
{
    uint32_t got[2];

    assert_int_equal(its_take(v, got, 2), 1);
    assert_int_equal(got[0], intid);
    expect_nothing();
}

static bool queue_empty(void)
{
    return its_read(0, GITS_CREADR, 8) == its_read(0, GITS_CWRITER, 8);
}

/* ---- Registers --------------------------------------------------------------------------------------------------- */

static void test_what_the_its_has(void **state)
{
    uint64_t typer = its_read(0, GITS_TYPER, 8);

    (void)state;
    assert_int_equal(typer & 3, 1);         /* physical LPIs, no virtual ones */
    assert_int_equal(typer >> 8 & 0x1f, 15);  /* EventIDs of 16 bits */
    assert_int_equal(typer >> 13 & 0x1f, 15); /* DeviceIDs */
    assert_int_equal(typer >> 19 & 1, 0);   /* PTA: targets are processor numbers */
    assert_true((typer >> 24 & 0xff) > GIC_VCPUS); /* collections that need no memory */
    assert_int_equal(typer >> 32, 0);
    assert_int_equal(its_read(0, GITS_TYPER, 4), typer & UINT32_MAX);
    assert_int_equal(its_read(0, GITS_TYPER + 4, 4), 0);
    assert_int_equal(its_read(0, GITS_PIDR2, 4) >> 4 & 0xf, 3);
    assert_true(its_read(0, GITS_IIDR, 4) != 0);
    assert_int_equal(gicd_read(0, GICD_TYPER, 4) >> 17 & 1, 1);    /* LPIS */
    assert_int_equal(gicd_read(0, GICD_TYPER, 4) >> 19 & 0x1f, 13); /* INTIDs of 14 bits */
    assert_int_equal(2U << (gicd_read(0, GICD_TYPER, 4) >> 11 & 0x1f), VGICV3_LPIS);
    assert_int_equal(gicr_read(0, 0, GICR_TYPER, 8) & 0x9, 1); /* PLPIS, no DirectLPI */
}

static void test_base_registers_keep_what_they_have(void **state)
{
    (void)state;
    its_write(0, GITS_CTLR, 4, 0);
    assert_int_equal(its_read(0, GITS_CTLR, 4), 0x80000000); /* quiescent */
    its_write(0, GITS_CBASER, 8, UINT64_MAX);
    assert_int_equal(its_read(0, GITS_CBASER, 8), UINT64_C(0xb8effffffffffcff));
    its_write(0, GITS_CBASER + 4, 4, 0);
    assert_int_equal(its_read(0, GITS_CBASER, 8), UINT64_C(0xfffffcff));
    assert_int_equal(its_read(0, GITS_CBASER + 4, 4), 0);
    its_write(0, GITS_BASER0, 8, UINT64_MAX);
    assert_int_equal(its_read(0, GITS_BASER0, 8), UINT64_C(0xb9e0fffffffffeff)); /* flat, devices, 64 KiB */
    for (unsigned n = 1; n < 8; n++) {
        its_write(0, GITS_BASER0 + 8 * n, 8, UINT64_MAX);
        assert_int_equal(its_read(0, GITS_BASER0 + 8 * n, 8), 0);
    }
    its_write(0, GITS_TYPER, 8, 0);
    assert_true(its_read(0, GITS_TYPER, 8) != 0);
}

static void test_base_registers_are_fixed_while_the_its_is_on(void **state)
{
    uint64_t cbaser = its_read(0, GITS_CBASER, 8), baser = its_read(0, GITS_BASER0, 8);

    (void)state;
    map_usual();
    assert_int_equal(its_read(0, GITS_CTLR, 4), 1);
    its_write(0, GITS_CBASER, 8, 0);
    its_write(0, GITS_BASER0, 8, 0);
    assert_int_equal(its_read(0, GITS_CBASER, 8), cbaser);
    assert_int_equal(its_read(0, GITS_BASER0, 8), baser);
    interrupt(5);
    expect_only(1, LPI(5));
}

static void test_other_widths_and_the_translation_frame_do_nothing(void **state)
{
    uint64_t cwriter;

    (void)state;
    map_usual();
    cwriter = its_read(0, GITS_CWRITER, 8);
    its_write(0, GITS_CWRITER, 1, 0);
    its_write(0, GITS_CWRITER, 2, 0);
    its_write(0, GITS_CWRITER + 4, 8, 0);
    its_write(0, GITS_CTLR + 4, 4, 0);
    its_write(0, GITS_TRANSLATER, 4, 5);
    its_write(0, 0x1fff8, 8, UINT64_MAX);
    assert_int_equal(its_read(0, GITS_CWRITER, 8), cwriter);
    assert_int_equal(its_read(0, GITS_CWRITER, 1), 0);
    assert_int_equal(its_read(0, GITS_CWRITER + 2, 4), 0);
    assert_int_equal(its_read(0, GITS_CTLR, 4), 1);
    assert_int_equal(its_read(0, GITS_TRANSLATER, 4), 0);
    expect_nothing();
}

static void test_lpi_registers_of_a_redistributor(void **state)
{
    (void)state;
    assert_int_equal(gicr_read(0, LAST, GICR_CTLR, 4), 0);
    gicr_write(0, LAST, GICR_PENDBASER, 8, UINT64_MAX);
    assert_int_equal(gicr_read(0, LAST, GICR_PENDBASER, 8), UINT64_C(0x070fffffffff0f80));
    gicr_write(0, LAST, GICR_PENDBASER + 4, 4, 0);
    gicr_write(0, LAST, GICR_PENDBASER, 4, 0x12340000);
    assert_int_equal(gicr_read(0, LAST, GICR_PENDBASER, 8), 0x12340000);
    gicr_write(0, LAST, GICR_PROPBASER, 8, 0); /* all share it, and others use it */
    assert_int_equal(gicr_read(0, LAST, GICR_PROPBASER, 8), ITS_PROPERTIES | 13);
    gicr_write(0, LAST, GICR_CTLR, 4, 1);
    gicr_write(0, LAST, GICR_CTLR, 4, 0);
    assert_int_equal(gicr_read(0, LAST, GICR_CTLR, 4), 1); /* once on, LPIs stay on */
    gicr_write(0, LAST, GICR_PENDBASER, 8, 0);
    assert_int_equal(gicr_read(0, LAST, GICR_PENDBASER, 8), 0x12340000);
}

static void test_without_an_its_there_are_no_lpis(void **state)
{
    (void)state;
    vgicv3_set_its(&gic_machine.gic, NULL);
    vgicv3_reset(&gic_machine.gic);
    gicr_write(0, 0, GICR_PROPBASER, 8, ITS_PROPERTIES | 13);
    gicr_write(0, 0, GICR_PENDBASER, 8, ITS_PENDING(0));
    gicr_write(0, 0, GICR_CTLR, 4, 1);
    assert_int_equal(gicr_read(0, 0, GICR_PROPBASER, 8), 0);
    assert_int_equal(gicr_read(0, 0, GICR_PENDBASER, 8), 0);
    assert_int_equal(gicr_read(0, 0, GICR_CTLR, 4), 0);
    assert_int_equal(gicr_read(0, 0, GICR_TYPER, 8) & 1, 0);
    assert_int_equal(gicd_read(0, GICD_TYPER, 4) >> 17 & 1, 0);
}

static void test_device_tree_node_is_a_child_of_the_gics(void **state)
{
    char fdt[2048];
    const fdt64_t *reg;
    int node, size;

    (void)state;
    assert_int_equal(fdt_create(fdt, sizeof(fdt)), 0);
    fdt_finish_reservemap(fdt);
    fdt_begin_node(fdt, "");
    assert_int_equal(gic_machine.gic.dist.ops->fdt_node(&gic_machine.gic.dist, fdt), 0);
    fdt_end_node(fdt);
    assert_int_equal(fdt_finish(fdt), 0);
    node = fdt_node_offset_by_compatible(fdt, -1, "arm,gic-v3-its");
    assert_true(node > 0);
    assert_int_equal(fdt_parent_offset(fdt, node), fdt_node_offset_by_compatible(fdt, -1, "arm,gic-v3"));
    reg = fdt_getprop(fdt, node, "reg", &size);
    assert_int_equal(size, 16);
    assert_int_equal(fdt64_to_cpu(reg[0]), ITS_BASE);
    assert_int_equal(fdt64_to_cpu(reg[1]), 0x20000);
    assert_non_null(fdt_getprop(fdt, node, "msi-controller", NULL));
    assert_int_equal(fdt_get_phandle(fdt, node), GUEST_FDT_MSI);
    assert_non_null(fdt_getprop(fdt, fdt_parent_offset(fdt, node), "ranges", NULL));
}

/* ---- Delivery ---------------------------------------------------------------------------------------------------- */

static void test_an_event_becomes_its_lpi_at_its_collections_vcpu(void **state)
{
    (void)state;
    map_usual();
    for (unsigned round = 0; round < 3; round++) {
        interrupt(5);
        expect_only(1, LPI(5));
    }
    assert_int_equal(vits_signal_msi(&its, DEVICE, 5), AXVM_OK);
    expect_only(1, LPI(5));
}

static void test_a_pending_lpi_is_pending_once(void **state)
{
    (void)state;
    map_usual();
    interrupt(5);
    interrupt(5);
    gic_serve_all();
    interrupt(5);
    expect_only(1, LPI(5));
}

/* vCPU 1 has acknowledged it. */
static void lpi_is_handled(bool keep_active)
{
    ich_model_keep_lpis_active(keep_active);
    interrupt(5);
    gic_serve_all();
    assert_int_equal(gic_ack(1), LPI(5));
}

static void test_an_lpi_comes_again_while_it_is_handled(void **state)
{
    (void)state;
    map_usual();
    for (unsigned keep = 0; keep < 2; keep++) {
        lpi_is_handled(keep != 0);
        interrupt(5);
        gic_serve_all();
        assert_false(gic_signalled(1)); /* its priority is running */
        gic_eoi(1, LPI(5));
        expect_only(1, LPI(5));
    }
}

/* There is nothing of an LPI left to deactivate when its vCPU left the hardware meanwhile. */
static void test_an_lpi_is_over_when_it_was_acknowledged(void **state)
{
    (void)state;
    map_usual();
    for (unsigned keep = 0; keep < 2; keep++) {
        lpi_is_handled(keep != 0);
        gic_save(1);
        assert_false(vgicv3_pending(&gic_machine.cpus[1]));
        gic_load(1, 1);
        gic_eoi(1, LPI(5));
        expect_nothing();
        interrupt(5);
        expect_only(1, LPI(5));
    }
}

/* Nor does its being handled in one place hold it up in another. */
static void test_an_lpi_comes_elsewhere_while_it_is_handled(void **state)
{
    (void)state;
    map_usual();
    for (unsigned keep = 0; keep < 2; keep++) {
        lpi_is_handled(keep != 0);
        gic_save(1);
        its_movi(DEVICE, 5, 2);
        interrupt(5);
        gic_serve_all();
        assert_true(gic_signalled(2));
        gic_load(1, 1);
        gic_eoi(1, LPI(5));
        expect_only(2, LPI(5));
        its_movi(DEVICE, 5, 1);
    }
}

static void test_a_vcpu_without_a_pcpu_wakes_for_an_lpi(void **state)
{
    (void)state;
    map_usual();
    gic_enter(1);
    assert_false(vgicv3_pending(&gic_machine.cpus[1]));
    gic_save(1);
    assert_false(vgicv3_pending(&gic_machine.cpus[1]));
    interrupt(5);
    assert_true(vgicv3_pending(&gic_machine.cpus[1]));
    assert_false(vgicv3_pending(&gic_machine.cpus[2]));
    gic_load(1, 5);
    expect_only(1, LPI(5));
}

static void test_lpis_come_by_priority(void **state)
{
    uint32_t got[16];

    (void)state;
    map_usual();
    for (unsigned n = 0; n < 12; n++) { /* more than there are list registers */
        its_configure(n, (uint8_t)((n * 5 % 12) << 4 | 1));
        its_mapti(DEVICE, n, LPI(n), 2);
    }
    for (unsigned n = 0; n < 12; n++) {
        interrupt(n);
    }
    assert_int_equal(its_take(2, got, 16), 12);
    for (unsigned n = 0; n < 12; n++) {
        assert_int_equal((got[n] - 8192) * 5 % 12, n);
    }
}

static void test_lpis_are_of_group_1(void **state)
{
    (void)state;
    map_usual();
    gicd_write(0, GICD_CTLR, 4, 1);
    interrupt(5);
    expect_nothing();
    gicd_write(0, GICD_CTLR, 4, 2);
    expect_only(1, LPI(5));
}

/* ---- Configuration ----------------------------------------------------------------------------------------------- */

static void test_a_disabled_lpi_stays_pending(void **state)
{
    (void)state;
    map_usual();
    its_configure(5, OFF);
    its_event(ITS_INV, DEVICE, 5);
    interrupt(5);
    expect_nothing();
    its_configure(5, ON);
    expect_nothing(); /* nobody told the ITS */
    its_event(ITS_INV, DEVICE, 5);
    expect_only(1, LPI(5));
}

static void test_configuration_is_read_when_an_event_is_mapped(void **state)
{
    (void)state;
    map_usual();
    its_configure(6, ON);
    its_mapti(DEVICE, 6, LPI(6), 0);
    interrupt(6);
    expect_only(0, LPI(6));
}

static void test_invall_reads_all_of_a_collection(void **state)
{
    (void)state;
    map_usual();
    its_mapti(DEVICE, 6, LPI(255), 1);
    its_configure(255, ON);
    interrupt(6);
    its_command(0, ITS_INVALL, 0, 60, 0); /* maps to nobody: ignored */
    expect_nothing();
    its_command(0, ITS_INVALL, 0, 1, 0);
    expect_only(1, LPI(255));
}

static void test_a_disabled_lpi_leaves_the_list_register_before_sync_is_over(void **state)
{
    uint64_t sync;

    (void)state;
    map_usual();
    interrupt(5);
    gic_serve_all();
    assert_true(gic_signalled(1));
    its_configure(5, OFF);
    its_event(ITS_INV, DEVICE, 5);
    sync = its_read(0, GITS_CREADR, 8);
    its_command(0, ITS_SYNC, 0, 2 << 16, 0); /* of another vCPU: over at once */
    assert_true(queue_empty());
    its_command(0, ITS_SYNC, 0, 1 << 16, 0);
    assert_int_equal(its_read(0, GITS_CREADR, 8), sync + 32);
    assert_int_equal(gicr_read(0, 1, GICR_CTLR, 4), 1 | 8); /* RWP */
    gic_serve_all();
    assert_true(queue_empty());
    expect_nothing();
}

static void test_sync_does_not_wait_for_a_vcpu_that_is_off(void **state)
{
    (void)state;
    map_usual();
    interrupt(5);
    gic_serve_all();
    atomic_store(&gic_machine.vcpus[1].power, VCPU_OFF);
    its_event(ITS_CLEAR, DEVICE, 5);
    its_command(0, ITS_SYNC, 0, 1 << 16, 0);
    assert_true(queue_empty());
}

static void test_pending_tables_are_loaded_with_enable_lpis(void **state)
{
    static const uint8_t pending[] = {0x20};

    (void)state;
    map_usual();
    its_store(ITS_PENDING(LAST) + 8192 / 8, pending, 1);
    gicr_write(0, LAST, GICR_PENDBASER, 8, ITS_PENDING(LAST));
    expect_nothing();
    gicr_write(0, LAST, GICR_CTLR, 4, 1);
    expect_only(LAST, LPI(5));
}

static void test_a_pending_table_said_to_be_zero_is_not_read(void **state)
{
    static const uint8_t pending[] = {0x20};

    (void)state;
    map_usual();
    its_store(ITS_PENDING(LAST) + 8192 / 8, pending, 1);
    gicr_write(0, LAST, GICR_PENDBASER, 8, ITS_PENDING(LAST) | UINT64_C(1) << 62);
    assert_int_equal(gicr_read(0, LAST, GICR_PENDBASER, 8), ITS_PENDING(LAST));
    gicr_write(0, LAST, GICR_CTLR, 4, 1);
    expect_nothing();
}

static void test_lpis_that_are_off_are_dropped(void **state)
{
    (void)state;
    map_usual();
    its_movi(DEVICE, 5, LAST);
    interrupt(5);
    gicr_write(0, LAST, GICR_PENDBASER, 8, ITS_PENDING(LAST));
    gicr_write(0, LAST, GICR_CTLR, 4, 1);
    expect_nothing();
    interrupt(5);
    expect_only(LAST, LPI(5));
}

/* The VM is reset, and its guest has set up all of the GIC but LPIs. */
static void restart(void)
{
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        gic_save(v);
    }
    its.device.ops->reset(&its.device);
    vgicv3_reset(&gic_machine.gic);
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        gic_load(v, v);
        ich_model_set_pmr(0xf8);
        ich_model_set_group(1, true);
    }
    gicd_write(0, GICD_CTLR, 4, 3);
}

/* LPIs are on at vCPU 1 only, with these tables. */
static void restart_with(uint64_t propbaser, uint64_t pendbaser)
{
    restart();
    gicr_write(0, 1, GICR_PROPBASER, 8, propbaser);
    gicr_write(0, 1, GICR_PENDBASER, 8, pendbaser);
    gicr_write(0, 1, GICR_CTLR, 4, 1);
    its_start();
}

static void test_tables_that_are_no_ram_hold_nothing(void **state)
{
    (void)state;
    restart_with(UINT64_C(0xffffffff000) | 13, UINT64_C(0xffffffff0000));
    map_usual();
    interrupt(5);
    expect_nothing();
}

static void test_a_pending_table_that_is_no_ram(void **state)
{
    (void)state;
    restart_with(ITS_PROPERTIES | 13, UINT64_C(0xffffffff0000));
    map_usual();
    expect_nothing();
    interrupt(5);
    expect_only(1, LPI(5));
}

static void test_lpis_need_intids_of_14_bits(void **state)
{
    (void)state;
    restart_with(ITS_PROPERTIES | 12, ITS_PENDING(1));
    map_usual();
    interrupt(5);
    expect_nothing();
    assert_int_equal(vits_signal_msi(&its, DEVICE, 5), AXVM_ENOENT);
}

/* ---- Mapping ----------------------------------------------------------------------------------------------------- */

static void test_mapi_takes_the_eventid_for_the_intid(void **state)
{
    (void)state;
    map_usual();
    its_mapd(7, 16, true);
    its_configure(9, ON);
    its_command(0, (uint64_t)7 << 32 | ITS_MAPI, LPI(9), 2, 0);
    its_event(ITS_INT, 7, LPI(9));
    expect_only(2, LPI(9));
}

static void test_mapping_again_replaces(void **state)
{
    (void)state;
    map_usual();
    its_configure(6, ON);
    its_mapti(DEVICE, 5, LPI(6), 2);
    interrupt(5);
    expect_only(2, LPI(6));
    its_mapc(2, 0, true);
    interrupt(5);
    expect_only(0, LPI(6));
    its_mapd(DEVICE, 4, true); /* a new table: no events */
    interrupt(5);
    expect_nothing();
}

static void test_an_unmapped_collection_or_device_drops_events(void **state)
{
    (void)state;
    map_usual();
    its_mapc(1, 1, false);
    interrupt(5);
    assert_int_equal(vits_signal_msi(&its, DEVICE, 5), AXVM_ENOENT);
    expect_nothing();
    its_mapc(1, 1, true);
    interrupt(5);
    expect_only(1, LPI(5));
    its_mapd(DEVICE, 4, false);
    interrupt(5);
    expect_nothing();
    its_mapti(DEVICE, 5, LPI(5), 1);
    interrupt(5);
    expect_nothing();
}

static void test_only_the_devices_own_events_go_with_it(void **state)
{
    (void)state;
    map_usual();
    its_configure(6, ON);
    its_configure(7, ON);
    its_mapd(DEVICE - 1, 16, true);
    its_mapd(DEVICE + 1, 16, true);
    its_mapti(DEVICE - 1, 0xffff, LPI(6), 0);
    its_mapti(DEVICE + 1, 0, LPI(7), 0);
    its_mapd(DEVICE, 4, false);
    its_event(ITS_INT, DEVICE - 1, 0xffff);
    expect_only(0, LPI(6));
    its_event(ITS_INT, DEVICE + 1, 0);
    expect_only(0, LPI(7));
}

static void test_movi_takes_the_pending_state_along(void **state)
{
    (void)state;
    map_usual();
    its_configure(5, OFF);
    its_event(ITS_INV, DEVICE, 5);
    interrupt(5);
    its_movi(DEVICE, 5, 2);
    its_configure(5, ON);
    its_event(ITS_INV, DEVICE, 5);
    expect_only(2, LPI(5));
    interrupt(5);
    expect_only(2, LPI(5));
    interrupt(5);
    gic_serve_all(); /* it is in a list register of vCPU 2 */
    its_movi(DEVICE, 5, 0);
    expect_only(0, LPI(5));
}

static void test_movi_to_a_collection_of_nobody_is_ignored(void **state)
{
    (void)state;
    map_usual();
    its_movi(DEVICE, 5, 60);
    its_movi(DEVICE, 5, 0xffff);
    its_movi(DEVICE, 6, 2);
    interrupt(5);
    expect_only(1, LPI(5));
}

static void test_nothing_moves_to_where_lpis_are_off(void **state)
{
    (void)state;
    map_usual();
    interrupt(5);
    its_movi(DEVICE, 5, LAST);
    its_command(0, ITS_MOVALL, 0, 1 << 16, LAST << 16);
    expect_only(1, LPI(5));
}

static void test_movall_takes_what_is_pending(void **state)
{
    (void)state;
    map_usual();
    its_configure(6, ON);
    its_mapti(DEVICE, 6, LPI(6), 2);
    interrupt(5);
    interrupt(6);
    gic_serve_all();
    its_command(0, ITS_MOVALL, 0, 1 << 16, 0 << 16);
    assert_int_equal(gic_signalled(2), true);
    gic_serve_all();
    assert_int_equal(gic_ack(0), LPI(5));
    gic_eoi(0, LPI(5));
    expect_only(2, LPI(6));
    interrupt(5);
    expect_only(1, LPI(5)); /* its collection is what it was */
}

static void test_clear_and_discard_take_the_pending_state_away(void **state)
{
    (void)state;
    map_usual();
    interrupt(5);
    its_event(ITS_CLEAR, DEVICE, 5);
    expect_nothing();
    interrupt(5);
    gic_serve_all();
    its_event(ITS_CLEAR, DEVICE, 5);
    expect_nothing();
    interrupt(5);
    its_event(ITS_DISCARD, DEVICE, 5);
    expect_nothing();
    interrupt(5);
    expect_nothing();
    its_mapti(DEVICE, 5, LPI(5), 1);
    interrupt(5);
    expect_only(1, LPI(5));
}

/* ---- Hostile commands -------------------------------------------------------------------------------------------- */

static void test_commands_that_name_nothing_are_ignored(void **state)
{
    uint64_t device = (uint64_t)DEVICE << 32;

    (void)state;
    map_usual();
    its_command(0, device | ITS_MAPTI, (uint64_t)LPI(0) << 32 | 16, 1, 0);    /* EventID of 5 bits */
    its_command(0, device | ITS_MAPTI, (uint64_t)LPI(0) << 32 | 0x10005, 1, 0);
    its_command(0, device | ITS_MAPTI, (uint64_t)8191 << 32 | 6, 1, 0);       /* no LPI */
    its_command(0, device | ITS_MAPTI, (uint64_t)LPI(256) << 32 | 6, 1, 0);   /* none of ours */
    its_command(0, device | ITS_MAPTI, (uint64_t)LPI(6) << 32 | 6, 65, 0);    /* no collection */
    its_command(0, device | ITS_MAPI, 6, 1, 0);
    its_mapti(DEVICE + 1, 5, LPI(6), 1);
    its_mapti(DEVICE | 0x10000, 5, LPI(6), 1);
    its_mapd(0x10000 | DEVICE, 4, true);
    its_mapd(0x77, 17, true);
    its_mapti(0x77, 5, LPI(6), 1);
    its_mapc(1, GIC_VCPUS, true);
    its_mapc(65, 0, true);
    its_mapc(0xffff, 0, false);
    its_command(0, ITS_MAPC, 0, ITS_VALID | UINT64_C(0x7ffffffff) << 16 | 1, 0);
    its_command(0, ITS_MOVALL, 0, 1 << 16, GIC_VCPUS << 16);
    its_command(0, ITS_MOVALL, 0, GIC_VCPUS << 16, 0);
    its_command(0, ITS_SYNC, 0, UINT64_MAX, 0);
    its_command(0, ITS_INVALL, 0, UINT64_MAX, 0);
    for (unsigned command = 0; command < 256; command++) {
        its_command(0, UINT64_C(0xffffffff00000000) | command, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    }
    assert_true(queue_empty());
    assert_int_equal(its.event_count, 1);
    its_configure(6, ON);
    for (uint32_t event = 0; event < 16; event++) {
        interrupt(event);
    }
    expect_only(1, LPI(5));
}

static void test_devices_are_those_of_the_device_table(void **state)
{
    (void)state;
    its_write(0, GITS_CTLR, 4, 0);
    its_write(0, GITS_BASER0, 8, ITS_VALID | ITS_RAM); /* one page of 4 KiB */
    its_write(0, GITS_CTLR, 4, 1);
    map_usual();
    its_mapd(0xfff, 4, true);
    its_mapd(0x1000, 4, true);
    its_mapti(0xfff, 0, LPI(5), 1);
    its_mapti(0x1000, 0, LPI(5), 1);
    assert_int_equal(vits_signal_msi(&its, 0xfff, 0), AXVM_OK);
    assert_int_equal(vits_signal_msi(&its, 0x1000, 0), AXVM_ENOENT);
    its_write(0, GITS_CTLR, 4, 0);
    its_write(0, GITS_BASER0, 8, 0);
    its_write(0, GITS_CTLR, 4, 1);
    its_mapd(1, 4, true);
    its_mapti(1, 0, LPI(5), 1);
    assert_int_equal(vits_signal_msi(&its, 1, 0), AXVM_ENOENT);
    assert_int_equal(vits_signal_msi(&its, 0xfff, 0), AXVM_ENOENT);
}

static void test_full_tables_refuse_more(void **state)
{
    (void)state;
    its_mapc(0, 0, true);
    for (uint32_t device = 0; device < VITS_DEVICES + 3; device++) {
        its_mapd(device, 16, true);
    }
    for (uint32_t event = 0; event < VITS_EVENTS; event++) {
        its_mapti(1, event ^ 0x5555, LPI(event), 0);
    }
    its_mapti(2, 0, LPI(0), 0);
    its_mapti(VITS_DEVICES, 0, LPI(0), 0);
    assert_int_equal(its.event_count, VITS_EVENTS);
    assert_int_equal(vits_signal_msi(&its, 2, 0), AXVM_ENOENT);
    for (uint32_t event = 0; event < VITS_EVENTS; event++) {
        assert_int_equal(vits_signal_msi(&its, 1, event ^ 0x5555), AXVM_OK);
    }
    its_mapti(1, 0x5555, LPI(7), 0); /* replaces */
    its_event(ITS_DISCARD, 1, 0x5555);
    its_mapd(3, 16, false);
    its_mapd(VITS_DEVICES, 16, true);
    its_mapti(VITS_DEVICES, 0, LPI(0), 0);
    assert_int_equal(vits_signal_msi(&its, VITS_DEVICES, 0), AXVM_OK);
}

/* ---- The queue --------------------------------------------------------------------------------------------------- */

static void test_the_queue_wraps(void **state)
{
    (void)state;
    map_usual();
    for (unsigned n = 0; n < 700; n++) { /* of 256 */
        interrupt(5);
        expect_only(1, LPI(5));
    }
    assert_true(queue_empty());
}

/* A clock that goes on while commands are carried out. */
#define READING 1000U

static uint64_t slow_ticks(void)
{
    uint64_t now = fake_hal.ticks();

    fake_hal_set_ticks(now + READING);
    return now;
}

static void test_the_timer_takes_a_small_part_of_the_time(void **state)
{
    struct axvm_hal slow = fake_hal;
    uint64_t began;

    (void)state;
    map_usual();
    began = hal->ticks();
    slow.ticks = slow_ticks;
    for (unsigned i = 0; i < 200; i++) {
        its_queue(ITS_INVALL, 0, 1, 0);
    }
    hal = &slow;
    its_submit(0);
    hal = &fake_hal;
    for (unsigned batches = 0; batches < 5; batches++) {
        assert_int_equal(fake_hal_next_deadline(0), began + 50 * READING);
        began = fake_hal_next_deadline(0);
        hal = &slow;
        fake_hal_advance(began - fake_hal.ticks());
        hal = &fake_hal;
    }
    while (!queue_empty()) {
    }
}

static void test_a_long_queue_is_worked_off_slice_by_slice(void **state)
{
    uint64_t start, read;

    (void)state;
    map_usual();
    start = its_read(0, GITS_CREADR, 8);
    for (unsigned n = 0; n < 200; n++) {
        its_queue((uint64_t)DEVICE << 32 | ITS_INV, 5, 0, 0);
    }
    its_submit(0);
    assert_true(its.creadr != its.cwriter);
    read = its_read(0, GITS_CREADR, 8);
    assert_true(read > start && !queue_empty());
    for (unsigned n = 0; n < 10; n++) {
        fake_hal_advance(FAKE_TICK_HZ / 1000); /* the guest doesn't ask */
    }
    assert_int_equal(its.creadr, its.cwriter);
    assert_int_equal(fake_hal_timers(0), 0);
}

static void test_commands_wait_for_enabled_and_a_valid_queue(void **state)
{
    (void)state;
    map_usual();
    its_write(0, GITS_CTLR, 4, 0);
    assert_int_equal(vits_signal_msi(&its, DEVICE, 5), AXVM_ENOENT);
    interrupt(5);
    expect_nothing();
    assert_false(queue_empty());
    its_write(0, GITS_CTLR, 4, 1);
    assert_true(queue_empty());
    expect_only(1, LPI(5));
    its_write(0, GITS_CTLR, 4, 0);
    its_write(0, GITS_CBASER, 8, ITS_QUEUE | 1);
    assert_int_equal(its_read(0, GITS_CREADR, 8), 0);
    its_write(0, GITS_CTLR, 4, 1);
    its_write(0, GITS_CWRITER, 8, 0x40);
    assert_int_equal(its_read(0, GITS_CREADR, 8), 0);
}

static void test_a_queue_that_is_no_ram_or_ends_early(void **state)
{
    (void)state;
    its_write(0, GITS_CTLR, 4, 0);
    its_write(0, GITS_CBASER, 8, ITS_VALID | UINT64_C(0xffffffffff000) | 0xff);
    its_write(0, GITS_CTLR, 4, 1);
    its_write(0, GITS_CWRITER, 8, UINT64_MAX);
    assert_int_equal(its_read(0, GITS_CWRITER, 8), 0xfffe0);
    for (unsigned n = 0; n < 2000; n++) {
        fake_hal_advance(FAKE_TICK_HZ / 1000);
    }
    assert_true(queue_empty());
    its_write(0, GITS_CTLR, 4, 0);
    its_write(0, GITS_CBASER, 8, ITS_VALID | ITS_QUEUE); /* CWRITER is outside */
    its_write(0, GITS_CTLR, 4, 1);
    assert_int_equal(its_read(0, GITS_CREADR, 8), 0);
    assert_int_equal(fake_hal_timers(0), 0);
    its_write(0, GITS_CWRITER, 8, 0xfe0);
    fake_hal_advance(FAKE_TICK_HZ);
    assert_true(queue_empty());
}

/* A host's cancellation that has to wait: another pCPU was just firing the timer. */
static const struct axvm_hal *quiet_host;

static void cancel_what_is_firing(struct axvm_timer *timer)
{
    quiet_host->timer_cancel(timer);
    timer->fire(timer);
}

static void test_one_that_fires_while_the_its_goes_does_not_arm_itself_again(void **state)
{
    struct axvm_hal host = *hal;

    (void)state;
    map_usual();
    for (unsigned n = 0; n < 200; n++) {
        its_queue((uint64_t)DEVICE << 32 | ITS_INV, 5, 0, 0);
    }
    its_submit(0);
    assert_int_equal(fake_hal_timers(0), 1);
    quiet_host = hal;
    host.timer_cancel = cancel_what_is_firing;
    hal = &host;
    its.device.ops->removed(&its.device);
    hal = quiet_host;
    assert_int_equal(fake_hal_timers(0), 0);
}

static void test_reset_forgets_everything(void **state)
{
    (void)state;
    map_usual();
    interrupt(5);
    for (unsigned n = 0; n < 100; n++) {
        its_queue((uint64_t)DEVICE << 32 | ITS_INT, 5, 0, 0);
    }
    its_submit(0);
    assert_int_equal(fake_hal_timers(0), 1);
    restart();
    assert_int_equal(fake_hal_timers(0), 0);
    assert_int_equal(its_read(0, GITS_CTLR, 4), 0x80000000);
    assert_int_equal(its_read(0, GITS_CBASER, 8) | its_read(0, GITS_CWRITER, 8) | its_read(0, GITS_CREADR, 8), 0);
    assert_int_equal(gicr_read(0, 1, GICR_CTLR, 4), 0);
    assert_int_equal(gicr_read(0, 1, GICR_PENDBASER, 8) | gicr_read(0, 1, GICR_PROPBASER, 8), 0);
    its_start();
    expect_nothing();
    interrupt(5);
    expect_nothing();
    map_usual();
    interrupt(5);
    expect_only(1, LPI(5));
}

/* ---- Against a naive model --------------------------------------------------------------------------------------- */

#define DEVICES 3U
#define EVENTS 4U
#define LPIS 6U

static struct {
    bool device[DEVICES];
    struct {
        bool mapped;
        unsigned lpi, collection;
    } event[DEVICES][EVENTS];
    int collection[GIC_VCPUS]; /* its vCPU, or -1 */
    struct {
        bool pending, enabled;
        unsigned target;
    } lpi[LPIS];
    uint8_t table[LPIS];
} ref;

static void ref_reload(unsigned lpi)
{
    ref.lpi[lpi].enabled = (ref.table[lpi] & 1) != 0;
}

static void random_event(unsigned command, unsigned device, unsigned event)
{
    bool mapped = ref.event[device][event].mapped;
    unsigned lpi = ref.event[device][event].lpi;
    int target = ref.collection[ref.event[device][event].collection];

    its_event(command, device, event);
    if (!mapped) {
        return;
    }
    if (command == ITS_INV) {
        ref_reload(lpi);
    } else if (command == ITS_INT && target >= 0) {
        ref.lpi[lpi].pending = true;
        ref.lpi[lpi].target = (unsigned)target;
    } else if (command == ITS_CLEAR || command == ITS_DISCARD) {
        ref.lpi[lpi].pending = false;
        ref.event[device][event].mapped = command == ITS_CLEAR;
    }
}

static void random_map(unsigned device, unsigned event, unsigned collection)
{
    unsigned lpi = (unsigned)random_below(LPIS);

    its_mapti(device, event, LPI(lpi * 50), collection);
    if (ref.device[device]) {
        ref.event[device][event].mapped = true;
        ref.event[device][event].lpi = lpi;
        ref.event[device][event].collection = collection;
        ref_reload(lpi);
    }
}

static void random_move(unsigned device, unsigned event, unsigned collection)
{
    its_movi(device, event, collection);
    if (ref.event[device][event].mapped && ref.collection[collection] >= 0) {
        ref.event[device][event].collection = collection;
        ref.lpi[ref.event[device][event].lpi].target = (unsigned)ref.collection[collection];
    }
}

static void random_collection(unsigned collection, bool valid)
{
    unsigned target = (unsigned)random_below(LAST);

    its_mapc(collection, target, valid);
    ref.collection[collection] = valid ? (int)target : -1;
}

static void random_device(unsigned device, bool valid)
{
    its_mapd(device, 2, valid);
    ref.device[device] = valid;
    memset(ref.event[device], 0, sizeof(ref.event[device]));
}

static void random_movall(unsigned source, unsigned target)
{
    its_command(0, ITS_MOVALL, 0, source << 16, target << 16);
    for (unsigned lpi = 0; lpi < LPIS; lpi++) {
        if (ref.lpi[lpi].target == source) {
            ref.lpi[lpi].target = target;
        }
    }
}

static void random_configure(unsigned lpi)
{
    ref.table[lpi] = (uint8_t)random_below(0x80); /* not masked */
    its_configure(lpi * 50, ref.table[lpi]);
}

static void random_step(void)
{
    static const uint8_t events[] = {ITS_INT, ITS_INT, ITS_INT, ITS_INV, ITS_CLEAR, ITS_DISCARD};
    unsigned device = (unsigned)random_below(DEVICES), event = (unsigned)random_below(EVENTS);
    unsigned collection = (unsigned)random_below(GIC_VCPUS);

    switch (random_below(20)) {
    case 0:
        random_device(device, random_below(4) != 0);
        break;
    case 1:
    case 2:
        random_collection(collection, random_below(4) != 0);
        break;
    case 3:
    case 4:
    case 5:
        random_map(device, event, collection);
        break;
    case 6:
    case 7:
        random_move(device, event, collection);
        break;
    case 8:
        random_movall((unsigned)random_below(LAST), (unsigned)random_below(LAST));
        break;
    case 9:
    case 10:
        random_configure((unsigned)random_below(LPIS));
        break;
    case 11:
        gic_serve_all();
        break;
    default:
        random_event(events[random_below(sizeof(events))], device, event);
        break;
    }
}

static void random_check(void)
{
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        uint32_t got[LPIS + 1];
        unsigned count = its_take(v, got, LPIS + 1);

        for (unsigned i = 0; i < count; i++) {
            unsigned lpi = (got[i] - 8192) / 50;

            assert_true(got[i] >= 8192 && lpi < LPIS && ref.lpi[lpi].pending && ref.lpi[lpi].enabled);
            assert_int_equal(ref.lpi[lpi].target, v);
            ref.lpi[lpi].pending = false;
        }
    }
    for (unsigned lpi = 0; lpi < LPIS; lpi++) {
        assert_false(ref.lpi[lpi].pending && ref.lpi[lpi].enabled);
    }
    assert_true(queue_empty());
}

static void test_random_commands_against_a_naive_model(void **state)
{
    (void)state;
    random_start("its");
    memset(&ref, 0, sizeof(ref));
    for (unsigned collection = 0; collection < GIC_VCPUS; collection++) {
        ref.collection[collection] = -1;
    }
    for (unsigned lpi = 0; lpi < LPIS; lpi++) {
        ref.lpi[lpi].target = LAST;
    }
    for (unsigned n = 0; n < 30000; n++) {
        random_step();
        if (random_below(3) == 0) {
            random_check();
        }
    }
}

/* Any write to any register, with any content of the queue. */
static void test_random_registers_and_queues_do_no_harm(void **state)
{
    static uint8_t page[0x1000];
    static const uint16_t regs[] = {GITS_CTLR, GITS_CBASER, GITS_CWRITER, GITS_CREADR, GITS_BASER0, GITS_TYPER};

    (void)state;
    random_start("its registers");
    for (unsigned n = 0; n < 3000; n++) {
        unsigned v = (unsigned)random_below(GIC_VCPUS);

        for (size_t i = 0; i < sizeof(page); i++) {
            page[i] = (uint8_t)random_u64() & (random_below(2) != 0 ? 0x0f : 0xff);
        }
        its_store(ITS_QUEUE, page, sizeof(page));
        its_write(v, GITS_CTLR, 4, random_u64());
        its_write(v, regs[random_below(6)], 4U << random_below(2), random_u64());
        its_write(v, GITS_CBASER, 8, ITS_VALID | ITS_QUEUE);
        its_write(v, GITS_BASER0, 8, ITS_VALID);
        its_write(v, GITS_CTLR, 4, 1);
        its_write(v, GITS_CWRITER, 8, random_u64() & 0xfe0);
        gicr_write(v, v, random_below(0x80), 4U << random_below(2), random_u64());
        fake_hal_advance(FAKE_TICK_HZ / 1000);
        gic_serve_all();
    }
}

/* ---- By the public interface ------------------------------------------------------------------------------------- */

#define MACHINE_ITS UINT64_C(0x08080000)
#define MACHINE_GICR UINT64_C(0x080a0000)
#define TABLES (A64_RAM + 0x100000)

static void guest_write(struct a64_frame *frame, uint64_t address, uint64_t value)
{
    frame->x[1] = value;
    a64_guest_store(frame, address, 8, 1);
}

static void msi_guest(struct a64_frame *frame)
{
    guest_write(frame, MACHINE_GICR + GICR_PROPBASER, TABLES | 13);
    guest_write(frame, MACHINE_GICR + GICR_PENDBASER, (TABLES + 0x10000) | UINT64_C(1) << 62);
    frame->x[1] = 1;
    a64_guest_store(frame, MACHINE_GICR + GICR_CTLR, 4, 1);
    guest_write(frame, MACHINE_ITS + GITS_BASER0, ITS_VALID);
    guest_write(frame, MACHINE_ITS + GITS_CBASER, ITS_VALID | (TABLES + 0x20000));
    guest_write(frame, MACHINE_ITS + GITS_CTLR, 1);
    guest_write(frame, MACHINE_ITS + GITS_CWRITER, 3 * 32);
    frame->x[1] = 2;
    a64_guest_store(frame, UINT64_C(0x08000000), 4, 1);
    ich_model_set_pmr(0xf8);
    ich_model_set_group(1, true);
    a64_guest_hvc(frame, 0xc6000000, 0, 0, 0); /* to the host */
}

static void test_an_embedder_signals_a_devices_message(void **state)
{
    static const uint64_t commands[][4] = {
        {UINT64_C(9) << 32 | ITS_MAPD, 1, ITS_VALID, 0},
        {ITS_MAPC, 0, ITS_VALID, 0},
        {UINT64_C(9) << 32 | ITS_MAPTI, (uint64_t)LPI(3) << 32 | 1, 0, 0},
    };
    static const uint8_t on = ON;
    struct axvm *vm = machine_loaded_vm(1, NULL);

    (void)state;
    assert_int_equal(axvm_signal_msi(vm, MACHINE_ITS + GITS_TRANSLATER, 9, 1), AXVM_EBADSTATE);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    assert_int_equal(axvm_write_guest(vm, gpa(TABLES + 0x20000), commands, sizeof(commands)), AXVM_OK);
    assert_int_equal(axvm_write_guest(vm, gpa(TABLES + 3), &on, 1), AXVM_OK);
    assert_int_equal(axvm_signal_msi(vm, MACHINE_ITS + GITS_TRANSLATER, 9, 1), AXVM_ENOENT);
    (void)a64_machine_run(vm, 0, msi_guest);
    assert_int_equal(axvm_signal_msi(vm, MACHINE_ITS + 0x40, 9, 1), AXVM_EINVAL);
    assert_int_equal(axvm_signal_msi(vm, MACHINE_ITS + GITS_TRANSLATER, 9, 0), AXVM_ENOENT);
    assert_false(vgicv3_pending(&a64_machine_vcpu(vm, 0)->gic));
    assert_int_equal(axvm_signal_msi(vm, MACHINE_ITS + GITS_TRANSLATER, 9, 1), AXVM_OK);
    assert_true(vgicv3_pending(&a64_machine_vcpu(vm, 0)->gic));
}

static void only_redistributors(struct axvm_config *config)
{
    static const struct axvm_emu_config gic = {.name = "gic", .base = {0x08000000}, .length = 0x10000,
                                               .type = AXVM_EMU_INTERRUPT_CONTROLLER, .cfg = {MACHINE_GICR},
                                               .cfg_count = 1};

    assert_int_equal(axvm_config_add_emu_device(config, &gic), AXVM_OK);
}

static void test_a_vm_without_an_its_takes_no_messages(void **state)
{
    struct axvm *vm = machine_vm(1, only_redistributors);

    (void)state;
    assert_null(a64_vm(vm)->gic.its);
    assert_int_equal(axvm_signal_msi(vm, MACHINE_ITS + GITS_TRANSLATER, 0, 0), AXVM_EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, its_setup, its_teardown)
#define MACHINE_TEST(f) cmocka_unit_test_setup_teardown(f, a64_machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_the_its_has),
        TEST(test_base_registers_keep_what_they_have),
        TEST(test_base_registers_are_fixed_while_the_its_is_on),
        TEST(test_other_widths_and_the_translation_frame_do_nothing),
        TEST(test_lpi_registers_of_a_redistributor),
        TEST(test_without_an_its_there_are_no_lpis),
        TEST(test_device_tree_node_is_a_child_of_the_gics),
        TEST(test_an_event_becomes_its_lpi_at_its_collections_vcpu),
        TEST(test_a_pending_lpi_is_pending_once),
        TEST(test_an_lpi_comes_again_while_it_is_handled),
        TEST(test_an_lpi_is_over_when_it_was_acknowledged),
        TEST(test_an_lpi_comes_elsewhere_while_it_is_handled),
        TEST(test_a_vcpu_without_a_pcpu_wakes_for_an_lpi),
        TEST(test_lpis_come_by_priority),
        TEST(test_lpis_are_of_group_1),
        TEST(test_a_disabled_lpi_stays_pending),
        TEST(test_configuration_is_read_when_an_event_is_mapped),
        TEST(test_invall_reads_all_of_a_collection),
        TEST(test_a_disabled_lpi_leaves_the_list_register_before_sync_is_over),
        TEST(test_sync_does_not_wait_for_a_vcpu_that_is_off),
        TEST(test_pending_tables_are_loaded_with_enable_lpis),
        TEST(test_a_pending_table_said_to_be_zero_is_not_read),
        TEST(test_lpis_that_are_off_are_dropped),
        TEST(test_tables_that_are_no_ram_hold_nothing),
        TEST(test_a_pending_table_that_is_no_ram),
        TEST(test_lpis_need_intids_of_14_bits),
        TEST(test_mapi_takes_the_eventid_for_the_intid),
        TEST(test_mapping_again_replaces),
        TEST(test_an_unmapped_collection_or_device_drops_events),
        TEST(test_only_the_devices_own_events_go_with_it),
        TEST(test_movi_takes_the_pending_state_along),
        TEST(test_movi_to_a_collection_of_nobody_is_ignored),
        TEST(test_nothing_moves_to_where_lpis_are_off),
        TEST(test_movall_takes_what_is_pending),
        TEST(test_clear_and_discard_take_the_pending_state_away),
        TEST(test_commands_that_name_nothing_are_ignored),
        TEST(test_devices_are_those_of_the_device_table),
        TEST(test_full_tables_refuse_more),
        TEST(test_the_queue_wraps),
        TEST(test_the_timer_takes_a_small_part_of_the_time),
        TEST(test_a_long_queue_is_worked_off_slice_by_slice),
        TEST(test_commands_wait_for_enabled_and_a_valid_queue),
        TEST(test_a_queue_that_is_no_ram_or_ends_early),
        TEST(test_reset_forgets_everything),
        TEST(test_one_that_fires_while_the_its_goes_does_not_arm_itself_again),
        TEST(test_random_commands_against_a_naive_model),
        TEST(test_random_registers_and_queues_do_no_harm),
        MACHINE_TEST(test_an_embedder_signals_a_devices_message),
        MACHINE_TEST(test_a_vm_without_an_its_takes_no_messages),
    };

    return cmocka_run_group_tests_name("vits", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of distributor and redistributors (IHI 0069 12.8 to 12.11), and what any access at all may do: no harm.
 */
#include "core/guest_fdt.h"
#include "support/fake_vm.h"
#include "support/gic_machine.h"
#include "support/random.h"

#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SGI_BASE ((uint64_t)GICR_SGI_BASE)

static struct gic_machine *const m = &gic_machine;

static int setup(void **state)
{
    int error = fake_hal_setup(state);

    gic_power_on(4);
    return error;
}

static void the_distributor_says_what_it_is(void **state)
{
    uint64_t typer = gicd_read(0, GICD_TYPER, 4);

    (void)state;
    assert_int_equal(typer & 0x1f, VGICV3_WORDS - 1);
    assert_int_equal(typer >> 5 & 7, 0);     /* CPUNumber: affinity routing only */
    assert_int_equal(typer >> 8 & 1, 0);     /* ESPI */
    assert_int_equal(typer >> 10 & 1, 0);    /* SecurityExtn */
    assert_int_equal(typer >> 16 & 7, 0);    /* MBIS, LPIS, DVIS */
    assert_int_equal(typer >> 19 & 0x1f, 9); /* ten bits of INTID */
    assert_int_equal(typer >> 25 & 1, 0);    /* No1N: 1-of-N is supported */
    assert_int_not_equal(gicd_read(0, GICD_IIDR, 4), 0);
    assert_int_equal(gicd_read(0, GIC_PIDR2, 4), 0x3b);
    assert_int_equal(gicd_read(0, 0xfff0, 4), 0x0d);
    assert_int_equal(gicd_read(0, 0xfff4, 4), 0xf0);
    assert_int_equal(gicd_read(0, 0xfff8, 4), 0x05);
    assert_int_equal(gicd_read(0, 0xfffc, 4), 0xb1);
}

static void affinity_routing_and_one_security_state_are_fixed(void **state)
{
    (void)state;
    assert_int_equal(gicd_read(0, GICD_CTLR, 4), 0x50);
    gicd_write(0, GICD_CTLR, 4, UINT32_MAX);
    assert_int_equal(gicd_read(0, GICD_CTLR, 4), 0x53);
    gicd_write(0, GICD_CTLR, 4, 0);
    assert_int_equal(gicd_read(0, GICD_CTLR, 4), 0x50);
}

static void a_redistributor_says_whose_it_is(void **state)
{
    (void)state;
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        uint64_t typer = gicr_read(0, v, GICR_TYPER, 8);

        assert_int_equal(typer >> 32, v);
        assert_int_equal(typer >> 8 & 0xffff, v);
        assert_int_equal(typer >> 4 & 1, v == GIC_VCPUS - 1); /* Last */
        assert_int_equal(typer & 0xf, 0);                     /* no LPIs */
        assert_int_equal(gicr_read(0, v, GICR_TYPER, 4), (uint32_t)typer);
        assert_int_equal(gicr_read(0, v, GICR_TYPER + 4, 4), typer >> 32);
        assert_int_equal(gicr_read(0, v, GIC_PIDR2, 4), 0x3b);
        assert_int_equal(gicr_read(0, v, GICR_IIDR, 4), gicd_read(0, GICD_IIDR, 4));
    }
}

static void after_power_on_nothing_is_enabled_pending_or_active(void **state)
{
    (void)state;
    for (unsigned w = 0; w < VGICV3_WORDS; w++) {
        for (unsigned reg = GIC_ISENABLER; reg < GIC_IPRIORITYR; reg += 0x80) {
            uint64_t value = w == 0 ? gicr_read(0, 0, SGI_BASE + reg, 4) : gicd_read(0, reg + 4 * w, 4);

            assert_int_equal(value, 0);
        }
    }
    assert_int_equal(gicr_read(0, 0, SGI_BASE + GIC_ICFGR, 4), 0xaaaaaaaa);
    assert_int_equal(gicr_read(0, 0, SGI_BASE + GIC_ICFGR + 4, 4), 0);
    assert_int_equal(gicr_read(0, 0, GICR_WAKER, 4), 0);
    assert_int_equal(gicr_read(0, 0, GICR_CTLR, 4), 0);
}

static void set_and_clear_registers_work_bit_by_bit(void **state)
{
    static const unsigned pairs[][2] = {
        {GIC_ISENABLER, GIC_ICENABLER}, {GIC_ISPENDR, GIC_ICPENDR}, {GIC_ISACTIVER, GIC_ICACTIVER}};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned w = 1; w < VGICV3_WORDS; w++) {
            unsigned set = pairs[i][0] + 4 * w, clear = pairs[i][1] + 4 * w;

            gicd_write(0, set, 4, 0xf0f0f0f0);
            gicd_write(0, set, 4, 0x0000ffff);
            assert_int_equal(gicd_read(0, set, 4), 0xf0f0ffff);
            assert_int_equal(gicd_read(0, clear, 4), 0xf0f0ffff);
            gicd_write(0, clear, 4, 0x0f0f0f0f);
            assert_int_equal(gicd_read(0, set, 4), 0xf0f0f0f0);
            gicd_write(0, clear, 4, UINT32_MAX);
            assert_int_equal(gicd_read(0, clear, 4), 0);
        }
    }
}

static void private_interrupts_are_each_vcpus_own(void **state)
{
    (void)state;
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        gicr_write(0, v, SGI_BASE + GIC_ISENABLER, 4, 1U << v);
        gicr_write(0, v, SGI_BASE + GIC_IPRIORITYR + 4, 4, 0x08080808 * v);
    }
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        assert_int_equal(gicr_read(0, v, SGI_BASE + GIC_ISENABLER, 4), 1U << v);
        assert_int_equal(gicr_read(0, v, SGI_BASE + GIC_IPRIORITYR + 4, 4), 0x08080808 * v);
    }
}

/* Affinity routing is on: the distributor has none of them (IHI 0069 12.9). */
static void the_distributor_has_no_private_interrupts(void **state)
{
    static const unsigned regs[] = {GIC_IGROUPR, GIC_ISENABLER, GIC_ISPENDR, GIC_ISACTIVER, GIC_IPRIORITYR,
                                    GIC_IPRIORITYR + 28, GIC_ICFGR, GIC_ICFGR + 4, GICD_IROUTER, GICD_IROUTER + 31 * 8};

    (void)state;
    for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
        gicd_write(0, regs[i], 4, UINT32_MAX);
        assert_int_equal(gicd_read(0, regs[i], 4), 0);
    }
    assert_int_equal(gicr_read(0, 0, SGI_BASE + GIC_ISENABLER, 4), 0);
}

static void priorities_have_five_bits_and_are_accessible_by_byte_and_word(void **state)
{
    (void)state;
    gicd_write(0, GIC_IPRIORITYR + 40, 4, 0x12345678);
    assert_int_equal(gicd_read(0, GIC_IPRIORITYR + 40, 4), 0x10305078);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(gicd_read(0, GIC_IPRIORITYR + 40 + i, 1), 0x10305078 >> 8 * i & 0xff);
    }
    gicd_write(0, GIC_IPRIORITYR + 42, 1, 0xff);
    assert_int_equal(gicd_read(0, GIC_IPRIORITYR + 40, 4), 0x10f85078);
    gicr_write(0, 1, SGI_BASE + GIC_IPRIORITYR + 31, 1, 0xa7);
    assert_int_equal(gicr_read(0, 1, SGI_BASE + GIC_IPRIORITYR + 28, 4), 0xa0000000);
}

static void triggers_are_configurable_but_for_sgis(void **state)
{
    (void)state;
    gicd_write(0, GIC_ICFGR + 8, 4, UINT32_MAX);
    assert_int_equal(gicd_read(0, GIC_ICFGR + 8, 4), 0xaaaaaaaa);
    assert_int_equal(gicd_read(0, GIC_ICFGR + 12, 4), 0);
    gicd_write(0, GIC_ICFGR + 12, 4, 0x80000002);
    assert_int_equal(gicd_read(0, GIC_ICFGR + 12, 4), 0x80000002);
    assert_int_equal(gicd_read(0, GIC_ICFGR + 8, 4), 0xaaaaaaaa);
    for (unsigned n = 0; n < 16; n++) {
        gicd_write(0, GIC_ICFGR + 16, 4, UINT32_C(2) << 2 * n);
        assert_int_equal(gicd_read(0, GIC_ICFGR + 16, 4), UINT32_C(2) << 2 * n);
    }
    gicr_write(0, 0, SGI_BASE + GIC_ICFGR, 4, 0);
    assert_int_equal(gicr_read(0, 0, SGI_BASE + GIC_ICFGR, 4), 0xaaaaaaaa);
    gicr_write(0, 0, SGI_BASE + GIC_ICFGR + 4, 4, 0xaaaa0000);
    assert_int_equal(gicr_read(0, 0, SGI_BASE + GIC_ICFGR + 4, 4), 0xaaaa0000);
}

static void groups_are_configurable(void **state)
{
    (void)state;
    gicd_write(0, GIC_IGROUPR + 4, 4, 0x12345678);
    assert_int_equal(gicd_read(0, GIC_IGROUPR + 4, 4), 0x12345678);
    gicr_write(1, 0, SGI_BASE + GIC_IGROUPR, 4, 0x0f0f0f0f);
    assert_int_equal(gicr_read(0, 0, SGI_BASE + GIC_IGROUPR, 4), 0x0f0f0f0f);
}

static void routes_have_their_bits_and_are_accessible_by_halves(void **state)
{
    uint64_t irouter = GICD_IROUTER + 8 * 319;

    (void)state;
    gicd_write(0, irouter, 8, UINT64_MAX);
    assert_int_equal(gicd_read(0, irouter, 8), UINT64_C(0xff80ffffff));
    gicd_write(0, irouter, 4, 0x1234);
    assert_int_equal(gicd_read(0, irouter, 8), UINT64_C(0xff00001234));
    gicd_write(0, irouter + 4, 4, 0x11);
    assert_int_equal(gicd_read(0, irouter, 8), UINT64_C(0x1100001234));
    assert_int_equal(gicd_read(0, irouter, 4), 0x1234);
    assert_int_equal(gicd_read(0, irouter + 4, 4), 0x11);
}

static void what_is_not_there_reads_as_zero_and_ignores_writes(void **state)
{
    static const unsigned dist[] = {
        0x0c, 0x10, 0x40, 0x48, 0x50, 0x58,               /* TYPER2, STATUSR, SETSPI and CLRSPI */
        GIC_ISENABLER + 4 * VGICV3_WORDS,                 /* beyond the interrupts there are */
        GIC_IPRIORITYR + VGICV3_MAX_IRQS, 0x7fc,          /* likewise */
        GICD_IROUTER + 8 * VGICV3_MAX_IRQS, 0x7fd8,       /* likewise */
        0x800, 0xbfc, 0xd04, 0xe08, 0xf00, 0xf10, 0xf20,  /* ITARGETSR, IGRPMODR, NSACR, SGIR, CPENDSGIR, SPENDSGIR */
        0x1000, 0x5ffc, 0x8000, 0xffcc,
    };
    static const unsigned redist[] = {0x10, 0x40, 0x70, 0x78, 0xa0, 0xc0, 0x110, 0xffcc,
                                      GICR_SGI_BASE, GICR_SGI_BASE + GIC_ISENABLER + 4, GICR_SGI_BASE + 0xd00,
                                      GICR_SGI_BASE + 0xe00, GICR_SGI_BASE + 0x1000, GICR_SGI_BASE + 0xffe8};

    (void)state;
    for (size_t i = 0; i < sizeof(dist) / sizeof(dist[0]); i++) {
        gicd_write(0, dist[i], 4, UINT32_MAX);
        assert_int_equal(gicd_read(0, dist[i], 4), 0);
    }
    for (size_t i = 0; i < sizeof(redist) / sizeof(redist[0]); i++) {
        gicr_write(0, 0, redist[i], 4, UINT32_MAX);
        assert_int_equal(gicr_read(0, 0, redist[i], 4), 0);
    }
}

static void wrong_widths_and_unaligned_accesses_do_nothing(void **state)
{
    static const struct {
        unsigned offset, size;
    } wrong[] = {{GICD_TYPER, 1}, {GICD_TYPER, 2}, {GICD_TYPER, 8}, {GICD_CTLR, 1}, {GICD_CTLR, 8}, {GIC_PIDR2, 1},
                 {GIC_PIDR2 + 1, 4}, {GIC_ISENABLER + 4, 1}, {GIC_ISENABLER + 4, 2}, {GIC_ISENABLER + 8, 8},
                 {GIC_ISENABLER + 6, 4}, {GIC_IPRIORITYR + 40, 2}, {GIC_IPRIORITYR + 40, 8}, {GIC_IPRIORITYR + 41, 4},
                 {GICD_IROUTER + 320, 1}, {GICD_IROUTER + 320, 2}, {GICD_IROUTER + 324, 8}, {GICD_IROUTER + 322, 4}};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        gicd_write(0, wrong[i].offset, wrong[i].size, UINT64_MAX);
        assert_int_equal(gicd_read(0, wrong[i].offset, wrong[i].size), 0);
    }
    assert_int_equal(gicd_read(0, GICD_CTLR, 4), 0x50);
    assert_int_equal(gicd_read(0, GIC_ISENABLER + 4, 4), 0);
    assert_int_equal(gicd_read(0, GIC_IPRIORITYR + 40, 4), 0);
    assert_int_equal(gicd_read(0, GICD_IROUTER + 320, 8), 0);
    gicr_write(0, 0, GICR_WAKER, 1, 2);
    gicr_write(0, 0, GICR_WAKER, 8, 2);
    assert_int_equal(gicr_read(0, 0, GICR_WAKER, 4), 0);
    assert_int_equal(gicr_read(0, 0, GICR_TYPER + 4, 8), 0);
    assert_int_equal(gicr_read(0, 0, GICR_TYPER, 2), 0);
}

/* As Linux's driver brings up distributor, redistributor and CPU interface (Documentation/devicetree: arm,gic-v3). */
static void a_driver_can_bring_it_up(void **state)
{
    (void)state;
    assert_int_equal(gicd_read(0, GIC_PIDR2, 4) & 0xf0, 0x30);
    gicd_write(0, GICD_CTLR, 4, 0);
    assert_int_equal(gicd_read(0, GICD_CTLR, 4) >> 31, 0);
    for (unsigned irq = 32; irq < VGICV3_MAX_IRQS; irq += 32) {
        gicd_write(0, GIC_IGROUPR + irq / 8, 4, UINT32_MAX);
        gicd_write(0, GIC_ICACTIVER + irq / 8, 4, UINT32_MAX);
        gicd_write(0, GIC_ICENABLER + irq / 8, 4, UINT32_MAX);
    }
    for (unsigned irq = 32; irq < VGICV3_MAX_IRQS; irq += 4) {
        gicd_write(0, GIC_IPRIORITYR + irq, 4, 0xa0a0a0a0);
    }
    gicd_write(0, GICD_CTLR, 4, 0x13);
    for (unsigned irq = 32; irq < VGICV3_MAX_IRQS; irq++) {
        gicd_write(0, GICD_IROUTER + 8 * irq, 8, 0);
    }
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        gicr_write(v, v, GICR_WAKER, 4, gicr_read(v, v, GICR_WAKER, 4) & ~2U);
        assert_int_equal(gicr_read(v, v, GICR_WAKER, 4) & 4, 0);
        gicr_write(v, v, SGI_BASE + GIC_IGROUPR, 4, UINT32_MAX);
        gicr_write(v, v, SGI_BASE + GIC_ICACTIVER, 4, UINT32_MAX);
        gicr_write(v, v, SGI_BASE + GIC_ICENABLER, 4, 0xffff0000);
        gicr_write(v, v, SGI_BASE + GIC_ISENABLER, 4, 0x0000ffff);
        assert_int_equal(gicr_read(v, v, GICR_CTLR, 4) & 8, 0);
        ich_model_set_pmr(0xf0);
        ich_model_set_group(1, true);
    }
    gicd_write(0, GIC_ISENABLER + 4, 4, 1U << 8);
    gic_wire(40, true);
    assert_int_equal(gic_ack(0), 40);
    gic_send_sgi(0, 3, 1);
    assert_int_equal(gic_ack(3), 1);
}

/* ---- Any access ---- */

static void any_access(unsigned v)
{
    unsigned size = 1U << random_below(4);
    uint64_t value = random_below(3) != 0 ? random_u64() & random_u64() : UINT64_MAX;
    bool dist = random_below(2) != 0;
    uint64_t offset = random_below((dist ? VGICV3_DIST_SIZE : GIC_VCPUS * VGICV3_REDIST_SIZE) - size + 1);

    if (random_below(4) != 0) { /* where registers are; mostly aligned */
        offset = (offset & ~(uint64_t)0xffff) | random_below(0x1000 - 8);
        offset &= random_below(8) != 0 ? ~(uint64_t)3 : UINT64_MAX;
    }
    if (random_below(2) != 0) {
        (void)(dist ? gicd_read(v, offset, size) : gicr_read(v, 0, offset, size));
    } else if (dist) {
        gicd_write(v, offset, size, value);
    } else {
        gicr_write(v, 0, offset, size, value);
    }
}

/* The guest's CPU interface, used without sense. */
static void any_step(unsigned v)
{
    unsigned group = (unsigned)random_below(2);

    gic_enter(v);
    switch (random_below(8)) {
    case 0:
    case 1:
        (void)ich_model_ack(group);
        break;
    case 2:
        ich_model_eoi(group, (uint32_t)random_below(340));
        break;
    case 3:
        gic_dir(v, (uint32_t)random_below(340));
        break;
    case 4:
        gic_sgi(v, random_u64(), (enum vgicv3_sgi_group)random_below(3));
        break;
    case 5:
        ich_model_set_group(group, random_below(2) != 0);
        break;
    case 6:
        ich_model_set_eoi_mode(random_below(2) != 0);
        break;
    default:
        gic_wire(32 + (uint32_t)random_below(288), random_below(2) != 0);
        break;
    }
    gic_enter(v);
}

/* gic_machine aborts if a vCPU can't get back into its guest, or two keep each other busy. */
static void guests_that_write_anything_anywhere_hurt_nobody(void **state)
{
    (void)state;
    random_start("vgicv3 registers");
    for (int i = 0; i < 200000; i++) {
        unsigned v = (unsigned)random_below(GIC_VCPUS);

        if (random_below(4) == 0) {
            any_step(v);
        } else {
            any_access(v);
        }
        if (random_below(4) == 0) {
            gic_serve_all();
        }
        if (random_below(1000) == 0) {
            gic_save(v);
            gic_load(v, v);
        }
        assert_int_equal(ich_model_faults(), 0);
        fake_hal_forget();
    }
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        gic_save(v);
    }
    vgicv3_reset(&m->gic);
    for (uint32_t irq = 32; irq < VGICV3_MAX_IRQS; irq++) {
        gic_wire(irq, false);
    }
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        gic_load(v, v);
    }
    a_driver_can_bring_it_up(state);
}

static void every_offset_can_be_accessed_in_every_width(void **state)
{
    (void)state;
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (uint64_t offset = 0; offset + size <= VGICV3_DIST_SIZE; offset++) {
            gicd_write(1, offset, size, UINT64_MAX);
            (void)gicd_read(1, offset, size);
        }
        for (uint64_t offset = 0; offset + size <= VGICV3_REDIST_SIZE; offset++) {
            gicr_write(1, 3, offset, size, UINT64_MAX);
            (void)gicr_read(1, 3, offset, size);
        }
        fake_hal_forget();
    }
    gic_serve_all();
}

/* ---- On the bus and in the device tree ---- */

static int setup_vm(void **state)
{
    int error = fake_vm_setup(state);

    ich_model_reset(4);
    return error;
}

static void its_devices_are_added_where_they_are_wanted(void **state)
{
    static struct vgicv3 gic;
    static struct vgicv3_cpu cpus[2];
    struct axvm *vm = fake_vm_load(2);
    struct bus *bus = &vm->buses[AXVM_SPACE_MMIO];
    char fdt[1024];
    const fdt64_t *reg;
    int node, length;
    uint64_t value;

    (void)state;
    vgicv3_init(&gic, vm);
    vgicv3_attach(&gic, &cpus[0], vm->vcpus[0]);
    vgicv3_attach(&gic, &cpus[1], vm->vcpus[1]);
    assert_int_equal(vgicv3_add_devices(&gic, gpa(0x8000000), gpa(0x80a0000)), AXVM_OK);
    assert_int_equal(bus_read(bus, vm->vcpus[0], 0x8000000 + GIC_PIDR2, 4, &value), AXVM_OK);
    assert_int_equal(value, 0x3b);
    assert_int_equal(bus_read(bus, vm->vcpus[0], 0x80c0000 + GICR_TYPER, 8, &value), AXVM_OK);
    assert_int_equal(value >> 8 & 0xffff, 1);
    assert_null(bus_find(bus, 0x80e0000, 4));
    assert_int_equal(vgicv3_add_devices(&gic, gpa(0x8000000), gpa(0x80a0000)), AXVM_EEXIST);

    assert_int_equal(fdt_create(fdt, sizeof(fdt)), 0);
    fdt_finish_reservemap(fdt);
    fdt_begin_node(fdt, "");
    assert_int_equal(gic.dist.ops->fdt_node(&gic.dist, fdt), 0);
    assert_null(gic.redist.ops->fdt_node);
    fdt_end_node(fdt);
    assert_int_equal(fdt_finish(fdt), 0);
    node = fdt_path_offset(fdt, "/interrupt-controller@8000000");
    assert_true(node > 0);
    assert_int_equal(fdt_node_check_compatible(fdt, node, "arm,gic-v3"), 0);
    assert_int_equal(fdt_get_phandle(fdt, node), GUEST_FDT_INTC);
    assert_non_null(fdt_getprop(fdt, node, "interrupt-controller", NULL));
    assert_int_equal(fdt32_ld(fdt_getprop(fdt, node, "#interrupt-cells", NULL)), 3);
    reg = fdt_getprop(fdt, node, "reg", &length);
    assert_int_equal(length, 32);
    assert_int_equal(fdt64_ld(&reg[0]), 0x8000000);
    assert_int_equal(fdt64_ld(&reg[1]), 0x10000);
    assert_int_equal(fdt64_ld(&reg[2]), 0x80a0000);
    assert_int_equal(fdt64_ld(&reg[3]), 0x40000);
    fake_vm_end(vm);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, gic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_distributor_says_what_it_is),
        TEST(affinity_routing_and_one_security_state_are_fixed),
        TEST(a_redistributor_says_whose_it_is),
        TEST(after_power_on_nothing_is_enabled_pending_or_active),
        TEST(set_and_clear_registers_work_bit_by_bit),
        TEST(private_interrupts_are_each_vcpus_own),
        TEST(the_distributor_has_no_private_interrupts),
        TEST(priorities_have_five_bits_and_are_accessible_by_byte_and_word),
        TEST(triggers_are_configurable_but_for_sgis),
        TEST(groups_are_configurable),
        TEST(routes_have_their_bits_and_are_accessible_by_halves),
        TEST(what_is_not_there_reads_as_zero_and_ignores_writes),
        TEST(wrong_widths_and_unaligned_accesses_do_nothing),
        TEST(a_driver_can_bring_it_up),
        TEST(guests_that_write_anything_anywhere_hurt_nobody),
        TEST(every_offset_can_be_accessed_in_every_width),
        cmocka_unit_test_setup_teardown(its_devices_are_added_where_they_are_wanted, setup_vm, fake_vm_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

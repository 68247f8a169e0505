/* SPDX-License-Identifier: Apache-2.0 */
/* Delivery of interrupts to guests, as IHI 0069 has it, seen by guests that acknowledge and complete them. */
#include "lib/host.h"
#include "support/fake_hal.h"
#include "support/gic_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SPI 40U
#define OTHER_SPI 41U
#define PPI 20U
#define TIMER 27U

static struct gic_machine *const m = &gic_machine;

static void ack_and_eoi(unsigned v, uint32_t irq)
{
    assert_int_equal(gic_ack(v), irq);
    gic_eoi(v, irq);
}

static void nothing_left(unsigned v)
{
    assert_false(gic_signalled(v));
    assert_int_equal(gic_ack(v), GIC_SPURIOUS);
    assert_false(vgicv3_pending(&m->cpus[v]));
}

/* ---- Edges and levels ---- */

static void an_edge_is_delivered_once(void **state)
{
    (void)state;
    gic_set_edge(0, SPI, true);
    gic_wire(SPI, true);
    assert_true(gic_signalled(0));
    assert_int_equal(gic_ack(0), SPI);
    assert_int_equal(gic_ack(0), GIC_SPURIOUS);
    gic_eoi(0, SPI);
    nothing_left(0);
    gic_wire(SPI, false);
    nothing_left(0);
}

static void edges_before_the_acknowledgement_are_one_interrupt(void **state)
{
    (void)state;
    gic_set_edge(0, SPI, true);
    for (int i = 0; i < 3; i++) {
        gic_wire(SPI, true);
        assert_true(gic_signalled(0));
        gic_wire(SPI, false);
    }
    ack_and_eoi(0, SPI);
    nothing_left(0);
}

static void an_edge_while_active_is_delivered_after_the_eoi(void **state)
{
    (void)state;
    gic_set_edge(0, SPI, true);
    gic_pulse(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
    gic_pulse(0, SPI);
    assert_false(gic_signalled(0));
    gic_eoi(0, SPI);
    ack_and_eoi(0, SPI);
    nothing_left(0);
}

static void a_level_is_delivered_again_until_it_falls(void **state)
{
    (void)state;
    gic_wire(SPI, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(gic_ack(0), SPI);
        assert_int_equal(gic_ack(0), GIC_SPURIOUS);
        gic_eoi(0, SPI);
    }
    assert_int_equal(gic_ack(0), SPI);
    gic_wire(SPI, false);
    gic_eoi(0, SPI);
    nothing_left(0);
}

static void a_level_that_falls_before_it_is_taken_is_withdrawn(void **state)
{
    (void)state;
    gic_wire(SPI, true);
    assert_true(gic_signalled(0));
    gic_wire(SPI, false);
    nothing_left(0);
}

static void a_level_that_rises_while_active_is_delivered_after_the_eoi(void **state)
{
    (void)state;
    gic_wire(SPI, true);
    assert_int_equal(gic_ack(0), SPI);
    gic_wire(SPI, false);
    gic_wire(SPI, true);
    gic_eoi(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
    gic_wire(SPI, false);
    gic_eoi(0, SPI);
    nothing_left(0);
}

/* Once when the wire rises, once when it falls: none for the EOI. */
static void a_device_that_is_quieted_in_its_handler_costs_no_exit_for_the_eoi(void **state)
{
    unsigned before;

    (void)state;
    gic_wire(SPI, true);
    assert_int_equal(gic_ack(0), SPI);
    gic_wire(SPI, false);
    gic_enter(0);
    before = m->exits;
    gic_eoi(0, SPI);
    assert_int_equal(m->exits, before);
}

static void a_private_level_works_like_a_shared_one(void **state)
{
    (void)state;
    gic_private_wire(2, PPI, true);
    assert_false(gic_signalled(0));
    ack_and_eoi(2, PPI);
    assert_int_equal(gic_ack(2), PPI);
    gic_private_wire(2, PPI, false);
    gic_eoi(2, PPI);
    nothing_left(2);
}

static void a_level_sensitive_interrupt_set_pending_is_delivered_once(void **state)
{
    (void)state;
    gic_bit_write(0, GIC_ISPENDR, SPI);
    ack_and_eoi(0, SPI);
    nothing_left(0);
    gic_bit_write(0, GIC_ISPENDR, SPI);
    gic_wire(SPI, true);
    gic_wire(SPI, false);
    ack_and_eoi(0, SPI); /* still, by the write */
    nothing_left(0);
}

static void clearing_pending_takes_an_edge_back_but_not_a_level(void **state)
{
    (void)state;
    gic_set_edge(0, SPI, true);
    gic_pulse(0, SPI);
    gic_wire(OTHER_SPI, true);
    gic_bit_write(0, GIC_ICPENDR, SPI);
    gic_bit_write(0, GIC_ICPENDR, OTHER_SPI);
    assert_int_equal(gic_ack(0), OTHER_SPI);
    gic_wire(OTHER_SPI, false);
    gic_eoi(0, OTHER_SPI);
    nothing_left(0);
}

static void pending_and_active_read_as_the_guest_made_them(void **state)
{
    (void)state;
    gic_set_edge(0, SPI, true);
    assert_false(gic_bit_read(0, GIC_ISPENDR, SPI));
    gic_pulse(0, SPI);
    assert_true(gic_bit_read(0, GIC_ISPENDR, SPI));
    assert_true(gic_bit_read(0, GIC_ICPENDR, SPI));
    assert_false(gic_bit_read(0, GIC_ISACTIVER, SPI));
    assert_int_equal(gic_ack(0), SPI);
    assert_false(gic_bit_read(0, GIC_ISPENDR, SPI));
    assert_true(gic_bit_read(0, GIC_ISACTIVER, SPI));
    assert_true(gic_bit_read(0, GIC_ICACTIVER, SPI));
    gic_pulse(0, SPI);
    assert_true(gic_bit_read(0, GIC_ISPENDR, SPI));
    assert_true(gic_bit_read(0, GIC_ISACTIVER, SPI));
    gic_eoi(0, SPI);
    assert_true(gic_bit_read(0, GIC_ISPENDR, SPI));
    assert_false(gic_bit_read(0, GIC_ISACTIVER, SPI));
}

/* ---- Priorities ---- */

static void the_highest_priority_comes_first(void **state)
{
    static const uint8_t priorities[] = {0x80, 0x20, 0xe0, 0x40, 0xa0, 0x60, 0x00, 0xc0};

    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        gic_set_priority(0, SPI + i, priorities[i]);
        gic_pulse(0, SPI + i);
    }
    for (uint32_t priority = 0; priority <= 0xe0; priority += 0x20) {
        uint32_t irq = gic_ack(0);

        assert_in_range(irq, SPI, SPI + 7);
        assert_int_equal(priorities[irq - SPI], priority);
        gic_eoi(0, irq);
    }
    nothing_left(0);
}

static void a_higher_priority_preempts_and_an_equal_one_does_not(void **state)
{
    (void)state;
    gic_pulse(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
    gic_pulse(0, SPI + 1);
    assert_false(gic_signalled(0));
    gic_set_priority(0, SPI + 2, 0x90);
    gic_pulse(0, SPI + 2);
    assert_int_equal(gic_ack(0), SPI + 2);
    gic_eoi(0, SPI + 2);
    assert_false(gic_signalled(0));
    gic_eoi(0, SPI);
    ack_and_eoi(0, SPI + 1);
    nothing_left(0);
}

static void a_new_priority_counts_for_what_is_pending_already(void **state)
{
    (void)state;
    gic_pulse(0, SPI);
    gic_pulse(0, OTHER_SPI);
    gic_set_priority(0, OTHER_SPI, 0x10);
    assert_int_equal(gic_ack(0), OTHER_SPI);
    gic_eoi(0, OTHER_SPI);
    ack_and_eoi(0, SPI);
}

static void the_guests_mask_holds_back(void **state)
{
    (void)state;
    gic_enter(0);
    ich_model_set_pmr(0xa0);
    gic_pulse(0, SPI);
    assert_false(gic_signalled(0));
    ich_model_set_pmr(0xa8);
    ack_and_eoi(0, SPI);
}

/* ---- Enables and groups ---- */

static void a_disabled_interrupt_stays_pending_and_comes_when_enabled(void **state)
{
    (void)state;
    gic_bit_write(0, GIC_ICENABLER, SPI);
    gic_pulse(0, SPI);
    assert_false(gic_signalled(0));
    assert_true(gic_bit_read(0, GIC_ISPENDR, SPI));
    gic_bit_write(0, GIC_ISENABLER, SPI);
    ack_and_eoi(0, SPI);
    nothing_left(0);
}

static void disabling_takes_back_what_was_about_to_be_taken(void **state)
{
    (void)state;
    gic_pulse(0, SPI);
    assert_true(gic_signalled(0));
    gic_bit_write(0, GIC_ICENABLER, SPI);
    assert_false(gic_signalled(0));
    assert_int_equal(gic_ack(0), GIC_SPURIOUS);
    assert_int_equal(gicd_read(0, GICD_CTLR, 4) >> 31, 0);
    gic_bit_write(0, GIC_ISENABLER, SPI);
    ack_and_eoi(0, SPI);
}

static void rwp_tells_when_another_vcpu_can_no_longer_take_a_disabled_interrupt(void **state)
{
    (void)state;
    gic_route(0, SPI, 1);
    gic_pulse(0, SPI);
    gic_serve_all();
    gic_bit_write(0, GIC_ICENABLER, SPI);
    assert_int_equal(gicd_read(0, GICD_CTLR, 4) >> 31, 1);
    assert_int_equal(gicr_read(0, 1, GICR_CTLR, 4), 1U << 3);
    gic_serve_all();
    assert_int_equal(gicd_read(0, GICD_CTLR, 4) >> 31, 0);
    assert_int_equal(gicr_read(0, 1, GICR_CTLR, 4), 0);
    assert_int_equal(gic_ack(1), GIC_SPURIOUS);
}

static void an_active_interrupt_may_be_disabled_and_still_be_completed(void **state)
{
    (void)state;
    gic_pulse(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
    gic_bit_write(0, GIC_ICENABLER, SPI);
    gic_pulse(0, SPI);
    gic_eoi(0, SPI);
    assert_false(gic_bit_read(0, GIC_ISACTIVER, SPI));
    assert_false(gic_signalled(0));
    gic_bit_write(0, GIC_ISENABLER, SPI);
    ack_and_eoi(0, SPI);
}

static void turning_a_group_off_at_the_distributor_takes_everything_back(void **state)
{
    (void)state;
    gic_pulse(0, SPI);
    gic_send_sgi(0, 1, 3);
    gic_serve_all();
    gicd_write(0, GICD_CTLR, 4, 1);
    assert_int_equal(gicd_read(0, GICD_CTLR, 4) >> 31, 1);
    gic_serve_all();
    assert_int_equal(gicd_read(0, GICD_CTLR, 4) >> 31, 0);
    assert_false(gic_signalled(0));
    assert_false(gic_signalled(1));
    assert_false(vgicv3_pending(&m->cpus[1]));
    gicd_write(0, GICD_CTLR, 4, 3);
    gic_serve_all();
    ack_and_eoi(0, SPI);
    ack_and_eoi(1, 3);
}

static void a_group_0_interrupt_is_an_fiq(void **state)
{
    (void)state;
    gic_pulse(0, SPI);
    gicd_write(0, GIC_IGROUPR + SPI / 32 * 4, 4, 0);
    assert_false(gic_signalled(0));
    assert_true(ich_model_signalled(0));
    assert_int_equal(ich_model_ack(1), GIC_SPURIOUS);
    assert_int_equal(ich_model_ack(0), SPI);
    ich_model_eoi(0, SPI);
    nothing_left(0);
}

/* ---- Routing ---- */

static void a_shared_interrupt_goes_to_the_vcpu_it_is_routed_to(void **state)
{
    (void)state;
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        gic_route(0, SPI, v);
        gic_pulse(0, SPI);
        for (unsigned other = 0; other < GIC_VCPUS; other++) {
            assert_int_equal(gic_signalled(other), other == v);
        }
        ack_and_eoi(v, SPI);
    }
}

static void what_is_pending_follows_a_new_route(void **state)
{
    (void)state;
    gic_pulse(0, SPI);
    assert_true(gic_signalled(0));
    gic_route(2, SPI, 1);
    gic_serve_all();
    assert_false(gic_signalled(0));
    ack_and_eoi(1, SPI);
    nothing_left(1);
}

static void what_is_active_stays_and_what_comes_next_goes_the_new_way(void **state)
{
    (void)state;
    gic_pulse(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
    gic_route(0, SPI, 1);
    gic_pulse(0, SPI);
    gic_serve_all();
    assert_false(gic_signalled(1)); /* active on one vCPU, it isn't forwarded to another */
    gic_eoi(0, SPI);
    assert_false(gic_signalled(0));
    gic_serve_all();
    ack_and_eoi(1, SPI);
    nothing_left(0);
    nothing_left(1);
}

static void an_interrupt_for_nobody_waits_for_a_route(void **state)
{
    (void)state;
    gic_route(0, SPI, 99);
    gic_pulse(0, SPI);
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        nothing_left(v);
    }
    assert_true(gic_bit_read(0, GIC_ISPENDR, SPI));
    gic_route(0, SPI, 3);
    ack_and_eoi(3, SPI);
}

static void one_of_n_goes_to_a_vcpu_that_is_on(void **state)
{
    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, UINT64_C(1) << 31);
    assert_int_equal(gicd_read(0, GICD_IROUTER + 8 * SPI, 8), UINT64_C(1) << 31);
    atomic_store(&m->vcpus[0].power, VCPU_OFF);
    atomic_store(&m->vcpus[1].power, VCPU_OFF);
    gic_pulse(0, SPI);
    assert_false(gic_signalled(0));
    assert_false(gic_signalled(1));
    assert_int_equal(gic_signalled(2) + gic_signalled(3), 1);
}

/* ---- SGIs ---- */

static void an_sgi_goes_to_those_in_the_list(void **state)
{
    (void)state;
    gic_sgi(0, UINT64_C(5) << 24 | 0xfffeU, VGICV3_SGI1); /* bits of vCPUs that don't exist are ignored */
    assert_false(gic_signalled(0));
    for (unsigned v = 1; v < GIC_VCPUS; v++) {
        ack_and_eoi(v, 5);
        nothing_left(v);
    }
}

static void an_sgi_may_go_to_oneself(void **state)
{
    size_t kicks = fake_hal_kicks();

    (void)state;
    for (int i = 0; i < 10; i++) {
        gic_send_sgi(0, 0, 7);
        ack_and_eoi(0, 7);
        nothing_left(0);
    }
    assert_int_equal(fake_hal_kicks(), kicks);
}

static void an_sgi_may_go_to_all_but_oneself(void **state)
{
    (void)state;
    gic_sgi(2, UINT64_C(1) << 40 | 0xffffU, VGICV3_SGI1);
    assert_false(gic_signalled(2));
    ack_and_eoi(0, 0);
    ack_and_eoi(1, 0);
    ack_and_eoi(3, 0);
}

static void sgis_of_one_number_collapse_until_taken(void **state)
{
    (void)state;
    gic_send_sgi(0, 1, 2);
    gic_send_sgi(2, 1, 2);
    assert_int_equal(gic_ack(1), 2);
    gic_send_sgi(0, 1, 2);
    gic_send_sgi(2, 1, 2);
    assert_false(gic_signalled(1));
    assert_true(gic_bit_read(1, GIC_ISACTIVER, 2));
    assert_true(gic_bit_read(1, GIC_ISPENDR, 2));
    gic_eoi(1, 2);
    ack_and_eoi(1, 2);
    nothing_left(1);
}

static void an_sgi_names_its_target_by_all_its_affinities(void **state)
{
    static const uint64_t wrong[] = {UINT64_C(1) << 16, UINT64_C(1) << 32, UINT64_C(1) << 48, UINT64_C(1) << 44};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        gic_sgi(0, wrong[i] | 0xf, VGICV3_SGI1);
        for (unsigned v = 0; v < GIC_VCPUS; v++) {
            nothing_left(v);
        }
    }
    gic_sgi(0, 0, VGICV3_SGI1);
    gic_sgi(0, 0x10, VGICV3_SGI1);
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        nothing_left(v);
    }
}

/* Affinity 3.2.1 and 37 at level 0: range 2, bit 5. */
static void an_sgi_finds_a_vcpu_with_an_unusual_affinity(void **state)
{
    struct axvm vm = {.id = 2};
    static struct vgicv3 gic;
    static struct vgicv3_cpu cpus[2];
    struct axvm_vcpu vcpus[2] = {{.vm = &vm, .phys_id = UINT64_C(0x0300020125)}, {.vm = &vm, .id = 1, .phys_id = 0x11}};
    uint64_t irouter;

    (void)state;
    vgicv3_init(&gic, &vm);
    vgicv3_attach(&gic, &cpus[0], &vcpus[0]);
    vgicv3_attach(&gic, &cpus[1], &vcpus[1]);
    atomic_store(&vcpus[0].resident_on, -1);
    atomic_store(&vcpus[1].resident_on, -1);
    vgicv3_send_sgi(&cpus[1], UINT64_C(3) << 48 | UINT64_C(2) << 44 | UINT64_C(2) << 32 | 1 << 16 | 1 << 5,
                    VGICV3_SGI1);
    assert_int_equal(atomic_load(&cpus[0].inbox), 1);
    assert_int_equal(atomic_load(&cpus[1].inbox), 0);
    vgicv3_send_sgi(&cpus[0], UINT64_C(1) << 44 | 1 << 1, VGICV3_SGI1);
    assert_int_equal(atomic_load(&cpus[0].inbox), 1);
    assert_int_equal(atomic_load(&cpus[1].inbox), 1);
    assert_int_equal(gic.dist.ops->read(&gic.dist, &vcpus[1], GICD_IROUTER + 8 * SPI, 8, &irouter), AXVM_OK);
    assert_int_equal(irouter, UINT64_C(0x0300020125)); /* SPIs go to the first until the guest says otherwise */
}

static void group_0_sgis_reach_only_group_0_interrupts(void **state)
{
    (void)state;
    gic_sgi(0, 2, VGICV3_SGI0);
    gic_sgi(0, 2, VGICV3_ASGI1);
    nothing_left(1);
    gicr_write(1, 1, GICR_SGI_BASE + GIC_IGROUPR, 4, 0xfffffffe);
    gic_sgi(0, 2, VGICV3_SGI0);
    gic_enter(1);
    assert_true(ich_model_signalled(0));
    assert_int_equal(ich_model_ack(0), 0);
    ich_model_eoi(0, 0);
    gic_sgi(0, 2, VGICV3_SGI1); /* reaches both groups: there is one security state */
    gic_enter(1);
    assert_int_equal(ich_model_ack(0), 0);
}

static void an_sgi_is_pending_at_once_and_can_be_cleared(void **state)
{
    (void)state;
    gic_send_sgi(0, 1, 4);
    assert_int_equal(gicr_read(0, 1, GICR_SGI_BASE + GIC_ISPENDR, 4), 1U << 4);
    gic_send_sgi(0, 1, 5);
    gicr_write(0, 1, GICR_SGI_BASE + GIC_ICPENDR, 4, 3U << 4);
    gic_serve_all();
    nothing_left(1);
}

/* ---- More interrupts than list registers ---- */

static void all_get_through_in_order_of_priority(void **state)
{
    unsigned exits;

    (void)state;
    for (uint32_t i = 0; i < 32; i++) {
        gic_set_priority(0, SPI + i, (uint8_t)(0xf0 - 8 * (i % 30)));
    }
    for (uint32_t i = 0; i < 32; i++) {
        gic_pulse(0, SPI + i);
    }
    gic_enter(0);
    exits = m->exits;
    for (uint32_t last = 0, i = 0; i < 32; i++) {
        uint32_t irq = gic_ack(0);
        uint32_t priority = irq < SPI + 32 ? 0xf0 - 8 * ((irq - SPI) % 30) : 0;

        assert_in_range(irq, SPI, SPI + 31);
        assert_true(priority >= last);
        last = priority;
        gic_eoi(0, irq);
    }
    nothing_left(0);
    assert_true(m->exits - exits <= 32 / (m->lrs - 1) + 1); /* refilled by many at a time */
}

/* Handlers nested deeper than there are list registers, completed from the innermost outwards. */
static void deeply_nested_handlers_are_completed_in_order(void **state)
{
    (void)state;
    gic_start(2);
    for (uint32_t i = 0; i < 20; i++) {
        gic_set_priority(0, SPI + i, (uint8_t)(0xe8 - 8 * i));
        gic_pulse(0, SPI + i);
        assert_int_equal(gic_ack(0), SPI + i);
    }
    for (uint32_t i = 0; i < 20; i++) {
        assert_true(gic_bit_read(0, GIC_ISACTIVER, SPI + i));
    }
    for (uint32_t i = 20; i > 0; i--) {
        gic_pulse(0, SPI + i - 1);
        gic_eoi(0, SPI + i - 1);
        if (i > 1) {
            assert_int_equal(gic_ack(0), SPI + i - 1); /* its priority is above what it had interrupted */
            gic_eoi(0, SPI + i - 1);
        }
        assert_false(gic_bit_read(0, GIC_ISACTIVER, SPI + i - 1));
    }
    ack_and_eoi(0, SPI);
    nothing_left(0);
}

static void eois_without_a_list_register_are_counted_only_for_those_that_have_none(void **state)
{
    (void)state;
    gic_start(2);
    for (uint32_t i = 0; i < 3; i++) {
        gic_set_priority(0, SPI + i, (uint8_t)(0x80 - 8 * i));
        gic_pulse(0, SPI + i);
        assert_int_equal(gic_ack(0), SPI + i);
    }
    gic_eoi(0, SPI + 2);
    gic_eoi(0, SPI + 1);
    assert_true(gic_bit_read(0, GIC_ISACTIVER, SPI));
    assert_false(gic_bit_read(0, GIC_ISACTIVER, SPI + 1));
    assert_false(gic_bit_read(0, GIC_ISACTIVER, SPI + 2));
    gic_eoi(0, SPI);
    assert_false(gic_bit_read(0, GIC_ISACTIVER, SPI));
}

/* ---- EOImode 1: priority drop and deactivation apart ---- */

static void dropped_interrupts_do_not_hold_back_others(void **state)
{
    (void)state;
    gic_enter(0);
    ich_model_set_eoi_mode(true);
    for (uint32_t i = 0; i < 10; i++) { /* more than list registers */
        gic_pulse(0, SPI + i);
        assert_int_equal(gic_ack(0), SPI + i);
        gic_eoi(0, SPI + i);
        assert_true(gic_bit_read(0, GIC_ISACTIVER, SPI + i));
    }
    for (uint32_t i = 0; i < 10; i++) {
        gic_pulse(0, SPI + i);
        assert_false(gic_signalled(0));
        gic_dir(0, SPI + i);
        ack_and_eoi(0, SPI + i);
        gic_dir(0, SPI + i);
    }
    nothing_left(0);
}

/* It is active in no list register when its priority is dropped: those have all that its priority holds back. */
static void is_active_after_a_drop_without_a_list_register(bool drops_count)
{
    ich_model_count_drops(drops_count);
    gic_enter(0);
    ich_model_set_eoi_mode(true);
    gic_set_priority(0, SPI, 0x40);
    gic_pulse(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
    for (uint32_t i = 1; i < 10; i++) {
        gic_pulse(0, SPI + i);
    }
    gic_eoi(0, SPI);
    assert_true(gic_bit_read(0, GIC_ISACTIVER, SPI));
    for (uint32_t i = 1; i < 10; i++) {
        assert_int_equal(gic_ack(0), SPI + i);
        gic_eoi(0, SPI + i);
        gic_dir(0, SPI + i);
        assert_true(gic_bit_read(0, GIC_ISACTIVER, SPI));
    }
    gic_dir(0, SPI);
    nothing_left(0);
}

static void a_priority_drop_deactivates_nothing(void **state)
{
    (void)state;
    is_active_after_a_drop_without_a_list_register(false);
}

static void a_priority_drop_deactivates_nothing_though_it_is_counted(void **state)
{
    (void)state;
    is_active_after_a_drop_without_a_list_register(true);
}

static void another_vcpu_may_deactivate_a_shared_interrupt(void **state)
{
    (void)state;
    gic_enter(0);
    ich_model_set_eoi_mode(true);
    gic_enter(1);
    ich_model_set_eoi_mode(true);
    gic_pulse(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
    gic_eoi(0, SPI);
    gic_dir(1, SPI);
    gic_serve_all();
    assert_false(gic_bit_read(2, GIC_ISACTIVER, SPI));
    gic_pulse(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
}

static void deactivation_is_ignored_where_it_means_nothing(void **state)
{
    static const uint32_t bogus[] = {0, 31, 319, 320, 1019, 1023, 8192, 0xffffff};

    (void)state;
    gic_pulse(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
    gic_dir(0, SPI); /* EOImode 0 */
    assert_true(gic_bit_read(0, GIC_ISACTIVER, SPI));
    ich_model_set_eoi_mode(true);
    for (size_t i = 0; i < sizeof(bogus) / sizeof(bogus[0]); i++) {
        gic_dir(0, bogus[i]);
    }
    assert_true(gic_bit_read(0, GIC_ISACTIVER, SPI));
}

/* ---- Active states that the guest writes ---- */

static void setting_active_holds_an_interrupt_back_and_clearing_lets_it_go(void **state)
{
    (void)state;
    gic_bit_write(0, GIC_ISACTIVER, SPI);
    assert_int_equal(gic_ack(0), GIC_SPURIOUS);
    gic_pulse(0, SPI);
    assert_false(gic_signalled(0));
    assert_true(gic_bit_read(0, GIC_ISACTIVER, SPI));
    gic_bit_write(0, GIC_ICACTIVER, SPI);
    assert_false(gic_bit_read(0, GIC_ISACTIVER, SPI));
    ack_and_eoi(0, SPI);
    gic_pulse(0, SPI);
    assert_true(gic_signalled(0));
    gic_bit_write(0, GIC_ISACTIVER, SPI); /* of one that waits in a list register */
    assert_false(gic_signalled(0));
    gic_bit_write(0, GIC_ICACTIVER, SPI);
    ack_and_eoi(0, SPI);
}

static void an_interrupt_set_active_is_the_vcpus_that_would_have_got_it(void **state)
{
    (void)state;
    gic_route(0, SPI, 1);
    fake_hal_forget();
    gic_bit_write(2, GIC_ISACTIVER, SPI);
    assert_int_equal(fake_hal_kicks_of(1, 1), 1);
    assert_int_equal(fake_hal_kicks(), 1);
}

static void active_states_of_another_vcpus_interrupts_can_be_written(void **state)
{
    (void)state;
    gic_pulse(1, PPI);
    assert_int_equal(gic_ack(1), PPI);
    gicr_write(0, 1, GICR_SGI_BASE + GIC_ICACTIVER, 4, 1U << PPI);
    gic_serve_all();
    assert_int_equal(gicr_read(0, 1, GICR_SGI_BASE + GIC_ISACTIVER, 4), 0);
    gic_enter(1);
    ich_model_eoi(1, PPI); /* finds nothing to deactivate */
    gicr_write(0, 1, GICR_SGI_BASE + GIC_ISACTIVER, 4, 1U << PPI);
    gic_pulse(1, PPI);
    assert_false(gic_signalled(1));
    gicr_write(0, 1, GICR_SGI_BASE + GIC_ICACTIVER, 4, UINT32_MAX);
    gic_serve_all();
    assert_int_equal(gic_ack(1), PPI);
}

/* ---- 1-of-N: the GIC chooses among those that are powered on and awake, and have the group on ---- */

#define IRM (UINT64_C(1) << 31)

static void put_to_sleep(unsigned v, bool asleep)
{
    gicr_write(v, v, GICR_WAKER, 4, asleep ? 2 : 0);
    gic_serve_all();
}

static void power_off(unsigned v)
{
    atomic_store(&m->vcpus[v].power, VCPU_OFF);
    vgicv3_cpu_off(&m->cpus[v]);
    gic_save(v);
    gic_serve_all();
}

static void who_is_off_leaves_1_of_n_interrupts_to_others(void **state)
{
    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, IRM);
    gic_wire(SPI, true);
    gic_serve_all();
    assert_true(gic_signalled(0));
    power_off(0);
    assert_true(gic_signalled(1));
    assert_false(gic_signalled(2));
    power_off(1);
    assert_int_equal(gic_ack(2), SPI);
    gic_wire(SPI, false);
    gic_eoi(2, SPI);
    nothing_left(2);
}

static void who_sleeps_gets_no_1_of_n_interrupt(void **state)
{
    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, IRM);
    put_to_sleep(0, true);
    gic_wire(SPI, true);
    gic_serve_all();
    assert_true(gic_signalled(1));
    put_to_sleep(1, true);
    assert_false(gic_signalled(1));
    assert_true(gic_signalled(2));
    put_to_sleep(2, true);
    put_to_sleep(3, true);
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        assert_false(gic_signalled(v));
    }
    put_to_sleep(1, false);
    assert_int_equal(gic_ack(1), SPI);
}

static void one_that_was_taken_stays_with_who_sleeps(void **state)
{
    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, IRM);
    gic_wire(SPI, true);
    assert_int_equal(gic_ack(0), SPI);
    put_to_sleep(0, true);
    assert_false(gic_signalled(1));
    gic_eoi(0, SPI);
    gic_serve_all();
    assert_int_equal(gic_ack(1), SPI);
}

static void turn_group(unsigned v, unsigned group, bool on)
{
    gic_enter(v);
    ich_model_set_group(group, on);
    gic_enter(v);
}

/* The GIC is asked whether there is anything to wait for. */
static void wait(unsigned v)
{
    gic_enter(v);
    assert_false(vgicv3_pending(&m->cpus[v]));
}

static bool group0_signalled(unsigned v)
{
    gic_enter(v);
    return ich_model_signalled(0);
}

static void who_turns_the_group_off_leaves_1_of_n_interrupts_to_others(void **state)
{
    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, IRM);
    gic_wire(SPI, true);
    gic_serve_all();
    assert_true(gic_signalled(0));
    turn_group(0, 0, false); /* not its group */
    assert_true(gic_signalled(0));
    turn_group(0, 1, false);
    assert_true(gic_signalled(1));
    turn_group(0, 1, true);
    nothing_left(0);
    turn_group(1, 1, false);
    assert_int_equal(gic_ack(0), SPI);
    gic_wire(SPI, false);
    gic_eoi(0, SPI);
    nothing_left(0);
}

static void so_of_group_0(void **state)
{
    (void)state;
    gicd_write(0, GIC_IGROUPR + SPI / 32 * 4, 4, 0);
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, IRM);
    gic_wire(SPI, true);
    gic_serve_all();
    assert_true(group0_signalled(0));
    turn_group(0, 0, false);
    assert_true(group0_signalled(1));
    assert_false(gic_signalled(1));
}

static void who_has_turned_the_group_off_gets_none(void **state)
{
    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, IRM);
    for (unsigned v = 0; v < 3; v++) {
        turn_group(v, 1, false);
    }
    gic_wire(SPI, true);
    gic_serve_all();
    assert_int_equal(gic_ack(3), SPI);
    turn_group(3, 1, false); /* it has it, and keeps it */
    gic_serve_all();
    assert_true(gic_bit_read(0, GIC_ISACTIVER, SPI));
    turn_group(2, 1, true);
    gic_eoi(3, SPI);
    gic_serve_all();
    assert_int_equal(gic_ack(2), SPI);
}

static void one_that_is_pending_again_goes_to_others(void **state)
{
    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, IRM);
    gic_set_edge(0, SPI, true);
    gic_pulse(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
    gic_pulse(0, SPI);
    gic_enter(0);
    turn_group(0, 1, false);
    gic_serve_all();
    assert_false(gic_signalled(1)); /* active */
    gic_eoi(0, SPI);
    gic_serve_all();
    assert_int_equal(gic_ack(1), SPI);
}

static void who_sleeps_gets_none_that_waits_for_the_distributor(void **state)
{
    (void)state;
    gicd_write(1, GICD_CTLR, 4, 0);
    gicd_write(1, GICD_IROUTER + 8 * SPI, 8, IRM);
    gicd_write(1, GICD_IROUTER + 8 * (SPI + 1), 8, IRM | 0xff); /* there is no such vCPU */
    put_to_sleep(0, true);
    gic_wire(SPI, true);
    gic_wire(SPI + 1, true);
    gicd_write(1, GICD_CTLR, 4, 3);
    gic_serve_all();
    assert_int_equal(gic_ack(1), SPI);
    gic_wire(SPI, false);
    gic_eoi(1, SPI);
    assert_int_equal(gic_ack(1), SPI + 1);
}

static void who_turns_the_group_on_first_gets_what_waits(void **state)
{
    unsigned before;

    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, IRM);
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        turn_group(v, 1, false);
    }
    gic_wire(SPI, true);
    gic_serve_all();
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        assert_false(gic_signalled(v));
    }
    turn_group(2, 1, true);
    gic_serve_all();
    assert_int_equal(gic_ack(2), SPI);
    turn_group(3, 1, true); /* it notices, once */
    turn_group(3, 1, false);
    put_to_sleep(3, true);
    put_to_sleep(3, false);
    before = m->exits;
    turn_group(3, 1, true);
    assert_int_equal(m->exits, before);
}

/* When nothing waits, a group is turned on and off without an exit. */
static void nobody_is_taken_for_off_whose_group_is_on(void **state)
{
    unsigned before;

    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, IRM);
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        turn_group(v, 1, false);
        wait(v);
    }
    before = m->exits;
    turn_group(2, 1, true);
    turn_group(2, 1, false);
    turn_group(3, 1, true);
    assert_int_equal(m->exits, before);
    gic_wire(SPI, true);
    gic_serve_all();
    assert_int_equal(gic_ack(3), SPI);
}

/* It is asked while it waits, and won't come here for what doesn't wake it. */
static void who_waits_with_its_group_off_is_known_to(void **state)
{
    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, IRM);
    wait(0);
    wait(1);
    turn_group(0, 1, false);
    wait(0);
    gic_wire(SPI, true);
    assert_int_equal(atomic_load(&m->vcpus[0].requests), 0);
    gic_serve_all();
    assert_true(gic_signalled(1));
}

static void who_loses_its_pcpu_with_its_group_off_is_known_to(void **state)
{
    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, IRM);
    gic_wire(SPI, true);
    gic_serve_all();
    assert_true(gic_signalled(0));
    ich_model_set_group(1, false);
    gic_save(0);
    gic_serve_all();
    assert_true(gic_signalled(1));
}

static void groups_are_turned_without_an_exit(void **state)
{
    unsigned before;

    (void)state;
    gicd_write(0, GICD_IROUTER + 8 * (SPI + 1), 8, IRM);
    gic_wire(SPI, true);
    gic_serve_all();
    assert_true(gic_signalled(0));
    before = m->exits;
    turn_group(0, 1, false);
    turn_group(0, 1, true);
    assert_int_equal(m->exits, before);
    assert_int_equal(gic_ack(0), SPI);
    gic_eoi(0, SPI);
    gic_wire(SPI, false);
    gic_wire(SPI + 1, true);
    assert_int_equal(gic_ack(0), SPI + 1);
    gic_wire(SPI + 1, false);
    turn_group(0, 1, false); /* it has been taken, but that isn't known */
    before = m->exits;
    turn_group(0, 1, true);
    assert_int_equal(m->exits, before);
}

/* ---- Interrupts linked to the hardware ---- */

static bool physically_active(unsigned v)
{
    return fake_hal_irq_active((unsigned)m->pcpu[v], TIMER);
}

static void the_guests_eoi_deactivates_the_physical_interrupt(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        gic_physical_irq(0, TIMER);
        assert_true(physically_active(0));
        assert_int_equal(gic_ack(0), TIMER);
        assert_true(physically_active(0));
        gic_eoi(0, TIMER);
        assert_false(physically_active(0));
        nothing_left(0);
    }
}

static void delivering_it_again_costs_one_register_write(void **state)
{
    unsigned before;

    (void)state;
    gic_physical_irq(0, TIMER);
    ack_and_eoi(0, TIMER);
    before = ich_model_accesses();
    hal->irq_set_active(TIMER, true);
    vgicv3_hardware_irq(&m->cpus[0], TIMER);
    assert_int_equal(ich_model_accesses() - before, 1);
    ack_and_eoi(0, TIMER);
    assert_false(physically_active(0));
}

static void a_disabled_one_stays_active_until_the_guest_has_had_it(void **state)
{
    (void)state;
    gic_bit_write(0, GIC_ICENABLER, TIMER);
    gic_physical_irq(0, TIMER);
    assert_false(gic_signalled(0));
    assert_true(physically_active(0));
    gic_bit_write(0, GIC_ISENABLER, TIMER);
    ack_and_eoi(0, TIMER);
    assert_false(physically_active(0));
}

static void clearing_its_state_lets_the_hardware_fire_again(void **state)
{
    (void)state;
    gic_physical_irq(0, TIMER);
    gic_bit_write(0, GIC_ICPENDR, TIMER);
    assert_false(physically_active(0));
    nothing_left(0);
    gic_physical_irq(0, TIMER);
    assert_int_equal(gic_ack(0), TIMER);
    gic_bit_write(0, GIC_ICACTIVER, TIMER);
    assert_false(physically_active(0));
    gic_eoi(0, TIMER);
    nothing_left(0);
}

static void another_vcpu_may_clear_its_state(void **state)
{
    (void)state;
    gic_bit_write(1, GIC_ICENABLER, TIMER);
    gic_physical_irq(1, TIMER);
    gicr_write(0, 1, GICR_SGI_BASE + GIC_ICPENDR, 4, 1U << TIMER);
    gic_serve_all();
    assert_false(physically_active(1));
}

/* It can't be pending and active in a linked list register: the link is then made by hand. */
static void set_pending_while_active_it_is_delivered_twice_and_deactivated(void **state)
{
    (void)state;
    gic_physical_irq(0, TIMER);
    assert_int_equal(gic_ack(0), TIMER);
    gic_bit_write(0, GIC_ISPENDR, TIMER);
    assert_true(physically_active(0));
    gic_eoi(0, TIMER);
    ack_and_eoi(0, TIMER);
    assert_false(physically_active(0));
    nothing_left(0);
}

static void set_pending_while_active_it_wakes_a_vcpu_that_sleeps(void **state)
{
    (void)state;
    gic_physical_irq(0, TIMER);
    assert_int_equal(gic_ack(0), TIMER);
    put_to_sleep(0, true);
    gic_bit_write(0, GIC_ISPENDR, TIMER);
    gic_eoi(0, TIMER);
    gic_enter(0);
    assert_true(vgicv3_pending(&m->cpus[0]));
    assert_true(physically_active(0));
    put_to_sleep(0, false);
    ack_and_eoi(0, TIMER);
    assert_false(physically_active(0));
    nothing_left(0);
}

/* Two list registers have interrupts that are pending again behind their handlers, and whose group goes off. */
static void what_is_pending_again_does_not_keep_others_out(void **state)
{
    (void)state;
    gic_start(2);
    gicd_write(0, GIC_IGROUPR + SPI / 32 * 4, 4, ~(1U << (SPI + 2) % 32));
    for (uint32_t i = 0; i < 3; i++) {
        gic_set_priority(0, SPI + i, (uint8_t)(0x80 + (i == 2 ? 0x10 : -8 * (int)i)));
    }
    for (uint32_t i = 0; i < 2; i++) {
        gic_pulse(0, SPI + i);
        assert_int_equal(gic_ack(0), SPI + i);
    }
    for (uint32_t i = 0; i < 3; i++) {
        gic_pulse(0, SPI + i);
    }
    gic_enter(0);
    ich_model_set_group(1, false);
    gic_eoi(0, SPI + 1);
    gic_eoi(0, SPI);
    gic_enter(0);
    assert_true(ich_model_signalled(0));
    assert_int_equal(ich_model_ack(0), SPI + 2);
    ich_model_eoi(0, SPI + 2);
    ich_model_set_group(1, true);
    ack_and_eoi(0, SPI + 1);
    ack_and_eoi(0, SPI);
    nothing_left(0);
}

static void with_eoimode_1_the_deactivation_is_passed_on(void **state)
{
    (void)state;
    gic_enter(0);
    ich_model_set_eoi_mode(true);
    gic_physical_irq(0, TIMER);
    assert_int_equal(gic_ack(0), TIMER);
    gic_eoi(0, TIMER);
    assert_true(physically_active(0));
    gic_dir(0, TIMER);
    assert_false(physically_active(0));
}

static void it_moves_with_its_vcpu(void **state)
{
    (void)state;
    gic_physical_irq(0, TIMER);
    gic_save(0);
    assert_true(vgicv3_hardware_active(&m->cpus[0], TIMER));
    assert_false(vgicv3_hardware_active(&m->cpus[0], PPI));
    assert_false(vgicv3_hardware_active(&m->cpus[0], 64));
    gic_load(0, 5);
    assert_true(fake_hal_irq_active(5, TIMER));
    assert_int_equal(gic_ack(0), TIMER);
    gic_save(0);
    assert_true(vgicv3_hardware_active(&m->cpus[0], TIMER));
    gic_load(0, 6);
    gic_eoi(0, TIMER);
    assert_false(fake_hal_irq_active(6, TIMER));
    gic_save(0);
    assert_false(vgicv3_hardware_active(&m->cpus[0], TIMER));
}

/* ---- The wire of a physical interrupt, which may fall before the guest takes it ---- */

static void not_pending_any_more(unsigned v)
{
    assert_false(gic_signalled(v));
    assert_int_equal(gic_ack(v), GIC_SPURIOUS);
    assert_false(physically_active(v));
    gic_physical_irq(v, TIMER);
    ack_and_eoi(v, TIMER);
}

static void pending_state_as_read_follows_the_physical_wire(void **state)
{
    (void)state;
    gic_physical_irq(0, TIMER);
    assert_true(gic_bit_read(0, GIC_ISPENDR, TIMER));
    assert_true(gic_signalled(0));
    gic_physical_wire_falls(0, TIMER);
    assert_false(gic_bit_read(0, GIC_ISPENDR, TIMER));
    not_pending_any_more(0);
}

static void so_it_does_when_disabled(void **state)
{
    (void)state;
    gic_bit_write(0, GIC_ICENABLER, TIMER);
    gic_physical_irq(0, TIMER);
    assert_true(gic_bit_read(0, GIC_ISPENDR, TIMER));
    gic_physical_wire_falls(0, TIMER);
    assert_false(gic_bit_read(0, GIC_ISPENDR, TIMER));
    gic_bit_write(0, GIC_ISENABLER, TIMER);
    not_pending_any_more(0);
}

static void so_another_vcpu_reads_it(void **state)
{
    (void)state;
    for (int enabled = 0; enabled < 2; enabled++) {
        gic_bit_write(1, enabled ? GIC_ISENABLER : GIC_ICENABLER, TIMER);
        gic_physical_irq(1, TIMER);
        assert_int_equal(gicr_read(0, 1, GICR_SGI_BASE + GIC_ISPENDR, 4), 1U << TIMER);
        gic_physical_wire_falls(1, TIMER);
        assert_int_equal(gicr_read(0, 1, GICR_SGI_BASE + GIC_ISPENDR, 4), 0);
        assert_false(physically_active(1));
    }
    not_pending_any_more(1);
}

static void the_wire_is_looked_at_when_anything_else_changes(void **state)
{
    (void)state;
    gic_physical_irq(0, TIMER);
    gic_physical_wire_falls(0, TIMER);
    gic_pulse(0, PPI);
    ack_and_eoi(0, PPI);
    not_pending_any_more(0);
}

static void it_ends_no_wait_when_its_wire_has_fallen(void **state)
{
    (void)state;
    gic_physical_irq(0, TIMER);
    assert_true(vgicv3_pending(&m->cpus[0]));
    gic_physical_wire_falls(0, TIMER);
    assert_false(vgicv3_pending(&m->cpus[0]));
    not_pending_any_more(0);
}

static void a_wire_that_fell_is_forgotten_with_residence(void **state)
{
    (void)state;
    gic_physical_irq(0, TIMER);
    gic_physical_wire_falls(0, TIMER);
    gic_save(0);
    assert_false(vgicv3_hardware_active(&m->cpus[0], TIMER));
    gic_load(0, 5);
    not_pending_any_more(0);
}

static void one_that_was_taken_stays_active_when_its_wire_falls(void **state)
{
    (void)state;
    gic_physical_irq(0, TIMER);
    assert_int_equal(gic_ack(0), TIMER);
    gic_physical_wire_falls(0, TIMER);
    assert_true(gic_bit_read(0, GIC_ISACTIVER, TIMER));
    assert_true(physically_active(0));
    gic_eoi(0, TIMER);
    not_pending_any_more(0);
}

/* GICR_ISPENDR0 (IHI 0069 12.11): what was set pending is until it is taken or cleared. */
static void what_the_guest_set_pending_stays_so_without_the_wire(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        gic_physical_irq(0, TIMER);
        gic_bit_write(0, GIC_ISPENDR, TIMER);
        gic_physical_wire_falls(0, TIMER);
        assert_true(gic_bit_read(0, GIC_ISPENDR, TIMER));
        ack_and_eoi(0, TIMER);
        not_pending_any_more(0);
    }
    gic_bit_write(0, GIC_ISPENDR, TIMER);
    gic_physical_irq(0, TIMER);
    gic_physical_wire_falls(0, TIMER);
    assert_true(gic_bit_read(0, GIC_ISPENDR, TIMER));
    gic_bit_write(0, GIC_ICPENDR, TIMER);
    not_pending_any_more(0);
}

static void one_that_cannot_be_the_guests_is_ignored(void **state)
{
    (void)state;
    vgicv3_hardware_irq(&m->cpus[0], 32);
    vgicv3_hardware_irq(&m->cpus[0], UINT32_MAX);
    nothing_left(0);
}

/* ---- Residence ---- */

static void everything_survives_a_move_to_another_pcpu(void **state)
{
    (void)state;
    gic_set_priority(0, 9, 0x98);
    gic_set_priority(0, SPI + 1, 0x40);
    gic_set_priority(0, SPI + 2, 0x20);
    gic_pulse(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
    gic_pulse(0, SPI + 1);
    assert_int_equal(gic_ack(0), SPI + 1);
    gic_pulse(0, SPI);
    gic_save(0);
    gic_pulse(0, SPI + 2);
    gic_send_sgi(1, 0, 9);
    gic_load(0, 7);
    assert_int_equal(ich_model_running_priority(), 0x40);
    assert_int_equal(gic_ack(0), SPI + 2);
    gic_eoi(0, SPI + 2);
    assert_false(gic_signalled(0));
    gic_eoi(0, SPI + 1);
    gic_eoi(0, SPI);
    assert_int_equal(gic_ack(0), 9);
    gic_eoi(0, 9);
    ack_and_eoi(0, SPI);
    nothing_left(0);
}

static void another_vcpu_on_the_same_pcpu_sees_none_of_it(void **state)
{
    (void)state;
    gic_pulse(0, PPI);
    gic_save(1);
    gic_save(0);
    gic_load(1, 0);
    nothing_left(1);
    gic_save(1);
    gic_load(0, 0);
    ack_and_eoi(0, PPI);
}

static void a_waiting_vcpu_is_woken_by_what_it_would_be_given(void **state)
{
    (void)state;
    gic_enter(1);
    assert_false(vgicv3_pending(&m->cpus[1]));
    gic_pulse(1, PPI);
    assert_true(vgicv3_pending(&m->cpus[1]));
    gic_serve_all();
    assert_true(vgicv3_pending(&m->cpus[1])); /* now in a list register */
    fake_hal_set_pcpu(0);
    ich_model_select(0);
    assert_true(vgicv3_pending(&m->cpus[1])); /* asked elsewhere */
    assert_int_equal(gic_ack(1), PPI);
    assert_false(vgicv3_pending(&m->cpus[1]));
    gic_eoi(1, PPI);
    assert_false(vgicv3_pending(&m->cpus[1]));
    gic_save(1);
    assert_false(vgicv3_pending(&m->cpus[1]));
    gic_send_sgi(0, 1, 0);
    assert_true(vgicv3_pending(&m->cpus[1]));
    gicr_write(0, 1, GICR_SGI_BASE + GIC_ICENABLER, 4, 1);
    assert_false(vgicv3_pending(&m->cpus[1]));
    gic_route(0, SPI, 1);
    gic_wire(SPI, true);
    assert_true(vgicv3_pending(&m->cpus[1]));
    gic_wire(SPI, false);
    assert_false(vgicv3_pending(&m->cpus[1]));
}

/* Whether vCPU 1 would wake, wherever it is: in a list register or not, asked on its pCPU or elsewhere. */
static void expect_waking(bool expected)
{
    gic_enter(1);
    assert_int_equal(vgicv3_pending(&m->cpus[1]), expected);
    fake_hal_set_pcpu(0);
    ich_model_select(0);
    assert_int_equal(vgicv3_pending(&m->cpus[1]), expected);
    gic_save(1);
    assert_int_equal(vgicv3_pending(&m->cpus[1]), expected);
    gic_load(1, 1);
    assert_int_equal(vgicv3_pending(&m->cpus[1]), expected);
}

static void what_its_cpu_interface_masks_wakes_nobody(void **state)
{
    (void)state;
    gic_set_priority(1, PPI, 0x80);
    gic_pulse(1, PPI);
    expect_waking(true);
    gic_enter(1);
    ich_model_set_pmr(0x80);
    expect_waking(false);
    gic_enter(1);
    ich_model_set_pmr(0x88);
    expect_waking(true);
    gic_enter(1);
    ich_model_set_group(1, false);
    expect_waking(false);
    gic_enter(1);
    ich_model_set_group(0, true); /* not its own */
    expect_waking(false);
    gic_enter(1);
    ich_model_set_group(1, true);
    expect_waking(true);
}

static void what_cannot_preempt_wakes_nobody(void **state)
{
    (void)state;
    gic_set_priority(1, PPI, 0x48);
    gic_set_priority(1, PPI + 1, 0x48);
    gic_pulse(1, PPI);
    assert_int_equal(gic_ack(1), PPI);
    gic_pulse(1, PPI + 1);
    expect_waking(false);
    gic_set_priority(1, PPI + 1, 0x40);
    expect_waking(true);
    gic_enter(1);
    ich_model_set_bpr(1, 4); /* 0x40 and 0x48 are of one group of priorities */
    expect_waking(false);
    gic_set_priority(1, PPI + 1, 0x38);
    expect_waking(true);
    gic_set_priority(1, PPI + 1, 0x48);
    gic_eoi(1, PPI);
    expect_waking(true);
}

static void interrupts_kick_the_vcpu_they_are_for_and_no_other(void **state)
{
    (void)state;
    fake_hal_forget();
    fake_hal_set_pcpu(0);
    gic_pulse(3, PPI);
    assert_int_equal(fake_hal_kicks_of(1, 3), 1);
    assert_int_equal(fake_hal_kicks(), 1);
    gic_bit_write(0, GIC_ICENABLER, SPI);
    gic_pulse(0, SPI);
    assert_int_equal(fake_hal_kicks(), 1);
}

static void nothing_is_touched_when_there_is_nothing_to_do(void **state)
{
    unsigned before;

    (void)state;
    gic_pulse(0, SPI);
    assert_int_equal(gic_ack(0), SPI);
    before = ich_model_accesses();
    vgicv3_sync(&m->cpus[0]);
    assert_int_equal(ich_model_accesses(), before);
}

/* ---- Sleep and reset ---- */

static void a_sleeping_redistributor_holds_interrupts_back_and_asks_to_be_woken(void **state)
{
    (void)state;
    gic_pulse(1, PPI);
    gicr_write(1, 1, GICR_WAKER, 4, 2);
    assert_int_equal(gicr_read(1, 1, GICR_WAKER, 4), 6);
    assert_false(gic_signalled(1));
    assert_true(vgicv3_pending(&m->cpus[1]));
    gicr_write(1, 1, GICR_WAKER, 4, 0);
    assert_int_equal(gicr_read(1, 1, GICR_WAKER, 4), 0);
    ack_and_eoi(1, PPI);
}

static void reset_forgets_everything_but_the_wires(void **state)
{
    (void)state;
    gic_wire(SPI, true);
    gic_pulse(0, PPI);
    gic_send_sgi(0, 1, 1);
    assert_int_equal(gic_ack(0), PPI);
    gic_route(0, SPI, 3);
    gicr_write(0, 0, GICR_WAKER, 4, 2);
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        gic_save(v);
    }
    vgicv3_reset(&m->gic);
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        gic_load(v, v);
        nothing_left(v);
        assert_int_equal(ich_model_running_priority(), 0xff);
        assert_int_equal(gicr_read(v, v, GICR_SGI_BASE + GIC_ISACTIVER, 4), 0);
        assert_int_equal(gicr_read(v, v, GICR_SGI_BASE + GIC_ISPENDR, 4), 0);
        assert_int_equal(gicr_read(v, v, GICR_SGI_BASE + GIC_ISENABLER, 4), 0);
        ich_model_set_pmr(0xf8);
        ich_model_set_group(1, true);
    }
    assert_true(gic_bit_read(0, GIC_ISPENDR, SPI));
    gicd_write(0, GICD_CTLR, 4, 2);
    gic_bit_write(0, GIC_ISENABLER, SPI);
    assert_int_equal(gic_ack(0), SPI);
}

static void powering_a_vcpu_on_resets_its_cpu_interface_alone(void **state)
{
    (void)state;
    gic_pulse(1, PPI);
    assert_int_equal(gic_ack(1), PPI);
    gic_save(1);
    vgicv3_cpu_reset(&m->cpus[1]);
    gic_load(1, 1);
    assert_int_equal(ich_model_running_priority(), 0xff);
    assert_true(gic_bit_read(1, GIC_ISACTIVER, PPI));
    assert_true(gic_bit_read(1, GIC_ISENABLER, PPI));
    gic_pulse(1, PPI + 1);
    assert_false(gic_signalled(1)); /* masked by priority, and the group is off */
    ich_model_set_pmr(0xf8);
    assert_false(gic_signalled(1));
    ich_model_set_group(1, true);
    assert_true(gic_signalled(1));
}

static void interrupts_that_do_not_exist_are_refused(void **state)
{
    (void)state;
    assert_int_equal(vgicv3_pulse(&m->cpus[0], VGICV3_MAX_IRQS), AXVM_EINVAL);
    assert_int_equal(vgicv3_pulse(&m->cpus[0], UINT32_MAX), AXVM_EINVAL);
    assert_int_equal(vgicv3_set_line(&m->gic, 31, true), AXVM_EINVAL);
    assert_int_equal(vgicv3_set_line(&m->gic, VGICV3_MAX_IRQS, true), AXVM_EINVAL);
    assert_true(fake_hal_logged("no interrupt 320"));
    assert_int_equal(vgicv3_set_line(&m->gic, VGICV3_MAX_IRQS - 1, true), AXVM_OK);
    ack_and_eoi(0, VGICV3_MAX_IRQS - 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, gic_setup, gic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_edge_is_delivered_once),
        TEST(edges_before_the_acknowledgement_are_one_interrupt),
        TEST(an_edge_while_active_is_delivered_after_the_eoi),
        TEST(a_level_is_delivered_again_until_it_falls),
        TEST(a_level_that_falls_before_it_is_taken_is_withdrawn),
        TEST(a_level_that_rises_while_active_is_delivered_after_the_eoi),
        TEST(a_device_that_is_quieted_in_its_handler_costs_no_exit_for_the_eoi),
        TEST(a_private_level_works_like_a_shared_one),
        TEST(a_level_sensitive_interrupt_set_pending_is_delivered_once),
        TEST(clearing_pending_takes_an_edge_back_but_not_a_level),
        TEST(pending_and_active_read_as_the_guest_made_them),
        TEST(the_highest_priority_comes_first),
        TEST(a_higher_priority_preempts_and_an_equal_one_does_not),
        TEST(a_new_priority_counts_for_what_is_pending_already),
        TEST(the_guests_mask_holds_back),
        TEST(a_disabled_interrupt_stays_pending_and_comes_when_enabled),
        TEST(disabling_takes_back_what_was_about_to_be_taken),
        TEST(rwp_tells_when_another_vcpu_can_no_longer_take_a_disabled_interrupt),
        TEST(an_active_interrupt_may_be_disabled_and_still_be_completed),
        TEST(turning_a_group_off_at_the_distributor_takes_everything_back),
        TEST(a_group_0_interrupt_is_an_fiq),
        TEST(a_shared_interrupt_goes_to_the_vcpu_it_is_routed_to),
        TEST(what_is_pending_follows_a_new_route),
        TEST(what_is_active_stays_and_what_comes_next_goes_the_new_way),
        TEST(an_interrupt_for_nobody_waits_for_a_route),
        TEST(one_of_n_goes_to_a_vcpu_that_is_on),
        TEST(an_sgi_goes_to_those_in_the_list),
        TEST(an_sgi_may_go_to_oneself),
        TEST(an_sgi_may_go_to_all_but_oneself),
        TEST(sgis_of_one_number_collapse_until_taken),
        TEST(an_sgi_names_its_target_by_all_its_affinities),
        TEST(an_sgi_finds_a_vcpu_with_an_unusual_affinity),
        TEST(group_0_sgis_reach_only_group_0_interrupts),
        TEST(an_sgi_is_pending_at_once_and_can_be_cleared),
        TEST(all_get_through_in_order_of_priority),
        TEST(deeply_nested_handlers_are_completed_in_order),
        TEST(eois_without_a_list_register_are_counted_only_for_those_that_have_none),
        TEST(dropped_interrupts_do_not_hold_back_others),
        TEST(a_priority_drop_deactivates_nothing),
        TEST(a_priority_drop_deactivates_nothing_though_it_is_counted),
        TEST(another_vcpu_may_deactivate_a_shared_interrupt),
        TEST(deactivation_is_ignored_where_it_means_nothing),
        TEST(setting_active_holds_an_interrupt_back_and_clearing_lets_it_go),
        TEST(an_interrupt_set_active_is_the_vcpus_that_would_have_got_it),
        TEST(active_states_of_another_vcpus_interrupts_can_be_written),
        TEST(the_guests_eoi_deactivates_the_physical_interrupt),
        TEST(delivering_it_again_costs_one_register_write),
        TEST(a_disabled_one_stays_active_until_the_guest_has_had_it),
        TEST(clearing_its_state_lets_the_hardware_fire_again),
        TEST(another_vcpu_may_clear_its_state),
        TEST(set_pending_while_active_it_is_delivered_twice_and_deactivated),
        TEST(what_is_pending_again_does_not_keep_others_out),
        TEST(set_pending_while_active_it_wakes_a_vcpu_that_sleeps),
        TEST(with_eoimode_1_the_deactivation_is_passed_on),
        TEST(it_moves_with_its_vcpu),
        TEST(who_is_off_leaves_1_of_n_interrupts_to_others),
        TEST(who_sleeps_gets_no_1_of_n_interrupt),
        TEST(who_turns_the_group_off_leaves_1_of_n_interrupts_to_others),
        TEST(so_of_group_0),
        TEST(who_has_turned_the_group_off_gets_none),
        TEST(one_that_is_pending_again_goes_to_others),
        TEST(who_sleeps_gets_none_that_waits_for_the_distributor),
        TEST(who_turns_the_group_on_first_gets_what_waits),
        TEST(nobody_is_taken_for_off_whose_group_is_on),
        TEST(who_waits_with_its_group_off_is_known_to),
        TEST(who_loses_its_pcpu_with_its_group_off_is_known_to),
        TEST(groups_are_turned_without_an_exit),
        TEST(one_that_was_taken_stays_with_who_sleeps),
        TEST(pending_state_as_read_follows_the_physical_wire),
        TEST(so_it_does_when_disabled),
        TEST(so_another_vcpu_reads_it),
        TEST(the_wire_is_looked_at_when_anything_else_changes),
        TEST(it_ends_no_wait_when_its_wire_has_fallen),
        TEST(a_wire_that_fell_is_forgotten_with_residence),
        TEST(one_that_was_taken_stays_active_when_its_wire_falls),
        TEST(what_the_guest_set_pending_stays_so_without_the_wire),
        TEST(one_that_cannot_be_the_guests_is_ignored),
        TEST(everything_survives_a_move_to_another_pcpu),
        TEST(another_vcpu_on_the_same_pcpu_sees_none_of_it),
        TEST(a_waiting_vcpu_is_woken_by_what_it_would_be_given),
        TEST(what_its_cpu_interface_masks_wakes_nobody),
        TEST(what_cannot_preempt_wakes_nobody),
        TEST(interrupts_kick_the_vcpu_they_are_for_and_no_other),
        TEST(nothing_is_touched_when_there_is_nothing_to_do),
        TEST(a_sleeping_redistributor_holds_interrupts_back_and_asks_to_be_woken),
        TEST(reset_forgets_everything_but_the_wires),
        TEST(powering_a_vcpu_on_resets_its_cpu_interface_alone),
        TEST(interrupts_that_do_not_exist_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

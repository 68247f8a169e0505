/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests, wires and a hypervisor that moves vCPUs about, at random, against a naive model of the GIC that knows nothing
 * of list registers. After every step each vCPU must be signalled exactly what the model says, and registers must read
 * so.
 */
#include "support/fake_hal.h"
#include "support/gic_machine.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define IRQS VGICV3_MAX_IRQS
#define PCPUS 6U
#define NOBODY (-1)
#define TIMER 27U /* the one interrupt that is linked to the hardware */

/* ---- The naive GIC ---- */

struct irq {
    bool enabled, group1, edge, latch, level, active;
    uint8_t priority;
    int target, owner;
};

struct stack {
    uint32_t irq[IRQS];
    unsigned count;
};

static struct {
    unsigned ctlr;
    struct irq private[GIC_VCPUS][32], spi[IRQS];
    bool asleep[GIC_VCPUS], group_on[GIC_VCPUS][2], split_eoi[GIC_VCPUS];
    uint32_t pmr[GIC_VCPUS];
    uint32_t running[GIC_VCPUS][2];             /* active priorities by group, a bit each */
    struct stack taken[GIC_VCPUS][2];           /* acknowledged, priority not yet dropped, by group */
    struct stack dropped[GIC_VCPUS];            /* priority dropped, still active */
    unsigned last_group[GIC_VCPUS][IRQS];       /* group of each nested acknowledgement */
    unsigned depth[GIC_VCPUS];
} ref;

static uint32_t pool[16]; /* the interrupts that take part */
static unsigned pool_size;
static bool strange; /* the guests write active states */

static struct irq *ref_irq(unsigned v, uint32_t irq)
{
    return irq < 32 ? &ref.private[v][irq] : &ref.spi[irq];
}

static bool ref_pending(const struct irq *i)
{
    return i->latch || (i->level && !i->edge);
}

static bool ref_forwarded(const struct irq *i)
{
    return ref_pending(i) && i->enabled && !i->active && (ref.ctlr & (i->group1 ? 2U : 1U)) != 0;
}

static bool ref_deliverable(unsigned v, uint32_t irq)
{
    const struct irq *i = ref_irq(v, irq);

    return ref_forwarded(i) && i->target == (int)v && !ref.asleep[v] && ref.group_on[v][i->group1];
}

static uint32_t ref_running(unsigned v)
{
    uint32_t bits = ref.running[v][0] | ref.running[v][1];

    return bits == 0 ? 0xff : (uint32_t)__builtin_ctz(bits) << 3;
}

/* The best priority that is deliverable, and which groups have it. */
static uint32_t ref_best(unsigned v, bool groups[2])
{
    uint32_t best = 0xff;

    groups[0] = groups[1] = false;
    for (unsigned n = 0; n < pool_size; n++) {
        const struct irq *i = ref_irq(v, pool[n]);

        if (ref_deliverable(v, pool[n]) && i->priority <= best) {
            if (i->priority < best) {
                groups[0] = groups[1] = false;
            }
            best = i->priority;
            groups[i->group1] = true;
        }
    }
    return best;
}

static bool ref_can_signal(unsigned v, uint32_t priority)
{
    return priority < ref.pmr[v] && priority < ref_running(v);
}

static void ref_deactivate(unsigned v, uint32_t irq)
{
    ref_irq(v, irq)->active = false;
}

/* ---- Both at once ---- */

static bool resident(unsigned v)
{
    return gic_machine.pcpu[v] >= 0;
}

static unsigned some_vcpu(void)
{
    unsigned v;

    do {
        v = (unsigned)random_below(GIC_VCPUS);
    } while (!resident(v));
    return v;
}

static uint32_t some_irq(void)
{
    return pool[random_below(pool_size)];
}

static void field(unsigned by, unsigned of, uint32_t irq, unsigned reg, bool write, uint64_t *value, unsigned size)
{
    if (irq < 32) {
        if (write) {
            gicr_write(by, of, GICR_SGI_BASE + reg, size, *value);
        } else {
            *value = gicr_read(by, of, GICR_SGI_BASE + reg, size);
        }
    } else if (write) {
        gicd_write(by, reg, size, *value);
    } else {
        *value = gicd_read(by, reg, size);
    }
}

static void set_bit(unsigned by, unsigned of, uint32_t irq, unsigned reg)
{
    uint64_t value = UINT64_C(1) << irq % 32;

    field(by, of, irq, reg + irq / 32 * 4, true, &value, 4);
}

static bool get_bit(unsigned by, unsigned of, uint32_t irq, unsigned reg)
{
    uint64_t value;

    field(by, of, irq, reg + irq / 32 * 4, false, &value, 4);
    return value >> irq % 32 & 1;
}

static void do_enable(unsigned by, unsigned of, uint32_t irq)
{
    set_bit(by, of, irq, GIC_ISENABLER);
    ref_irq(of, irq)->enabled = true;
}

static void do_disable(unsigned by, unsigned of, uint32_t irq)
{
    set_bit(by, of, irq, GIC_ICENABLER);
    ref_irq(of, irq)->enabled = false;
    gic_serve_all();
    assert_int_equal(gicd_read(by, GICD_CTLR, 4) >> 31, 0); /* RWP */
}

static void do_pend(unsigned by, unsigned of, uint32_t irq)
{
    set_bit(by, of, irq, GIC_ISPENDR);
    ref_irq(of, irq)->latch = true;
}

static void do_unpend(unsigned by, unsigned of, uint32_t irq)
{
    if (irq == TIMER && !resident(of)) {
        return; /* the hardware fires it again when it is resident; the model knows no such thing */
    }
    set_bit(by, of, irq, GIC_ICPENDR);
    ref_irq(of, irq)->latch = false;
}

static void do_priority(unsigned by, unsigned of, uint32_t irq)
{
    uint64_t value = random_below(256);

    field(by, of, irq, GIC_IPRIORITYR + irq, true, &value, 1);
    ref_irq(of, irq)->priority = value & 0xf8;
}

static void do_group(unsigned by, unsigned of, uint32_t irq)
{
    uint64_t value;
    unsigned reg = GIC_IGROUPR + irq / 32 * 4;

    field(by, of, irq, reg, false, &value, 4);
    value ^= UINT64_C(1) << irq % 32;
    field(by, of, irq, reg, true, &value, 4);
    ref_irq(of, irq)->group1 = !ref_irq(of, irq)->group1;
}

static void do_config(unsigned by, unsigned of, uint32_t irq)
{
    uint64_t value;
    unsigned reg = GIC_ICFGR + irq / 16 * 4;

    if (irq < 16 || irq == TIMER) {
        return;
    }
    field(by, of, irq, reg, false, &value, 4);
    value ^= UINT64_C(2) << irq % 16 * 2;
    field(by, of, irq, reg, true, &value, 4);
    ref_irq(of, irq)->edge = !ref_irq(of, irq)->edge;
}

static void do_route(unsigned by, unsigned of, uint32_t irq)
{
    uint64_t target = random_below(GIC_VCPUS + 1);

    (void)of;
    if (irq >= 32) {
        gicd_write(by, GICD_IROUTER + 8 * irq, 8, target);
        ref.spi[irq].target = target < GIC_VCPUS ? (int)target : NOBODY;
    }
}

static void do_activate(unsigned by, unsigned of, uint32_t irq)
{
    if (strange && irq != TIMER) { /* that one goes quiet only in its handler, which must have run */
        struct irq *i = ref_irq(of, irq);

        set_bit(by, of, irq, GIC_ISACTIVER);
        i->owner = i->active ? i->owner : i->target;
        i->active = true;
    }
}

static void do_inactivate(unsigned by, unsigned of, uint32_t irq)
{
    if (strange && !(irq == TIMER && !resident(of))) {
        set_bit(by, of, irq, GIC_ICACTIVER);
        ref_deactivate(of, irq);
    }
}

static void do_wire(unsigned by, unsigned of, uint32_t irq)
{
    struct irq *i = ref_irq(of, irq);
    bool level = random_below(2) != 0;

    (void)by;
    if (irq < 16 || irq == TIMER) {
        return;
    }
    i->latch = i->latch || (i->edge && level && !i->level);
    i->level = level;
    if (irq < 32) {
        gic_private_wire(of, irq, level);
    } else {
        gic_wire(irq, level);
    }
}

static void do_pulse(unsigned by, unsigned of, uint32_t irq)
{
    (void)by;
    gic_pulse(of, irq);
    ref_irq(of, irq)->latch = true;
}

static void do_sgi(unsigned by, unsigned of, uint32_t irq)
{
    bool others = random_below(4) == 0;
    enum vgicv3_sgi_group group = (enum vgicv3_sgi_group)random_below(3);
    uint64_t list = random_below(1U << GIC_VCPUS);

    (void)of;
    if (irq >= 16) {
        return;
    }
    gic_sgi(by, (uint64_t)irq << 24 | (others ? UINT64_C(1) << 40 : 0) | list, group);
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        struct irq *i = &ref.private[v][irq];

        if ((others ? v != by : list >> v & 1) && (group == VGICV3_SGI1 || !i->group1)) {
            i->latch = true;
        }
    }
}

/* The timer's output rises while its vCPU is resident, and falls in the handler. */
static void do_timer(unsigned by, unsigned of, uint32_t irq)
{
    (void)of;
    (void)irq;
    if (!ref.private[by][TIMER].active) {
        ref.private[by][TIMER].level = true;
    } else {
        ref.private[by][TIMER].level = false;
    }
}

static void do_ack(unsigned by, unsigned of, uint32_t unused)
{
    unsigned group = random_below(4) != 0;
    bool groups[2];
    uint32_t best = ref_best(by, groups), irq;

    (void)of;
    (void)unused;
    gic_enter(by);
    irq = ich_model_ack(group);
    gic_enter(by);
    if (irq == GIC_SPURIOUS) {
        assert_true(!groups[group] || groups[!group] || !ref_can_signal(by, best));
        return;
    }
    assert_true(ref_deliverable(by, irq));
    assert_int_equal(ref_irq(by, irq)->group1, group);
    assert_int_equal(ref_irq(by, irq)->priority, best);
    assert_true(ref_can_signal(by, best));
    ref_irq(by, irq)->active = true;
    ref_irq(by, irq)->owner = (int)by;
    ref_irq(by, irq)->latch = false;
    ref.running[by][group] |= 1U << (best >> 3);
    ref.last_group[by][ref.depth[by]++] = group;
    ref.taken[by][group].irq[ref.taken[by][group].count++] = irq;
}

/* The innermost handler ends. */
static void do_eoi(unsigned by, unsigned of, uint32_t unused)
{
    unsigned group;
    uint32_t irq;
    struct stack *stack;

    (void)of;
    (void)unused;
    if (ref.depth[by] == 0) {
        return;
    }
    group = ref.last_group[by][--ref.depth[by]];
    stack = &ref.taken[by][group];
    irq = stack->irq[--stack->count];
    ref.running[by][group] &= ref.running[by][group] - 1;
    gic_enter(by);
    ich_model_eoi(group, irq);
    gic_enter(by);
    if (!ref.split_eoi[by]) {
        if (ref_irq(by, irq)->owner == (int)by) {
            ref_deactivate(by, irq);
        }
    } else {
        ref.dropped[by].irq[ref.dropped[by].count++] = irq;
    }
}

/* In any order, and of SPIs by any vCPU. */
static void do_dir(unsigned by, unsigned of, uint32_t unused)
{
    struct stack *stack;
    unsigned at;
    uint32_t irq;

    (void)unused;
    of = random_below(2) != 0 ? of : by;
    stack = &ref.dropped[of];
    if (!ref.split_eoi[by] || stack->count == 0) {
        return;
    }
    at = (unsigned)random_below(stack->count);
    irq = stack->irq[at];
    if (irq < 32 && of != by) {
        return;
    }
    stack->irq[at] = stack->irq[--stack->count];
    gic_dir(by, irq);
    ref_deactivate(of, irq);
}

static void do_eoi_mode(unsigned by, unsigned of, uint32_t irq)
{
    (void)of;
    (void)irq;
    if (ref.depth[by] == 0 && ref.dropped[by].count == 0) {
        ref.split_eoi[by] = !ref.split_eoi[by];
        gic_enter(by);
        ich_model_set_eoi_mode(ref.split_eoi[by]);
    }
}

static void do_pmr(unsigned by, unsigned of, uint32_t irq)
{
    (void)of;
    (void)irq;
    ref.pmr[by] = random_below(3) != 0 ? 0xf8 : (uint32_t)random_below(32) << 3;
    gic_enter(by);
    ich_model_set_pmr(ref.pmr[by]);
}

static void do_group_on(unsigned by, unsigned of, uint32_t irq)
{
    unsigned group = (unsigned)random_below(2);

    (void)of;
    (void)irq;
    ref.group_on[by][group] = !ref.group_on[by][group];
    gic_enter(by);
    ich_model_set_group(group, ref.group_on[by][group]);
}

static void do_ctlr(unsigned by, unsigned of, uint32_t irq)
{
    (void)of;
    (void)irq;
    ref.ctlr = random_below(2) != 0 ? 3 : (unsigned)random_below(4);
    gicd_write(by, GICD_CTLR, 4, ref.ctlr);
}

static void do_waker(unsigned by, unsigned of, uint32_t irq)
{
    (void)irq;
    ref.asleep[of] = random_below(3) == 0;
    gicr_write(by, of, GICR_WAKER, 4, ref.asleep[of] ? 2 : 0);
}

static void do_move(unsigned by, unsigned of, uint32_t irq)
{
    unsigned pcpu = (unsigned)random_below(PCPUS);

    (void)by;
    (void)irq;
    if (resident(of) && of != by) {
        gic_enter(of);
        (void)vgicv3_pending(&gic_machine.cpus[of]); /* it waits */
        gic_save(of);
        if (random_below(2) != 0) {
            return;
        }
    }
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        if (gic_machine.pcpu[v] == (int)pcpu) {
            return;
        }
    }
    if (!resident(of)) {
        gic_load(of, pcpu);
    }
}

#define STEP(name) {#name, do_##name}

static const struct step {
    const char *name;
    void (*run)(unsigned by, unsigned of, uint32_t irq);
} steps[] = {
    STEP(ack), STEP(ack), STEP(ack), STEP(ack), STEP(eoi), STEP(eoi), STEP(eoi), STEP(eoi), STEP(dir),
    STEP(dir), STEP(pend), STEP(unpend), STEP(pulse), STEP(wire), STEP(wire), STEP(sgi), STEP(sgi),
    STEP(timer), STEP(enable), STEP(enable), STEP(disable), STEP(priority), STEP(group), STEP(config),
    STEP(route), STEP(activate), STEP(inactivate), STEP(eoi_mode), STEP(pmr), STEP(group_on), STEP(ctlr),
    STEP(waker), STEP(move), STEP(move),
};

/* ---- Checking ---- */

/* A physical timer whose output is up fires as soon as it isn't active. */
static void run_timers(void)
{
    for (int round = 0; round < 3; round++) {
        for (unsigned v = 0; v < GIC_VCPUS; v++) {
            if (resident(v) && ref.private[v][TIMER].level &&
                !fake_hal_irq_active((unsigned)gic_machine.pcpu[v], TIMER)) {
            gic_physical_irq(v, TIMER);
            }
        }
        gic_serve_all();
    }
}

static void check_signals(unsigned v)
{
    bool groups[2];
    uint32_t best = ref_best(v, groups);
    bool can = ref_can_signal(v, best);

    gic_enter(v);
    if (groups[0] && groups[1]) {
        assert_int_equal(ich_model_signalled(0) + ich_model_signalled(1), can);
        return;
    }
    assert_int_equal(ich_model_signalled(0), groups[0] && can);
    assert_int_equal(ich_model_signalled(1), groups[1] && can);
}

/* A vCPU that waits is woken for what its CPU interface would signal. */
static void check_waking(unsigned v)
{
    bool expected = false;

    if (!resident(v) && ref.private[v][TIMER].level) {
        return;
    }
    for (unsigned n = 0; n < pool_size; n++) {
        const struct irq *i = ref_irq(v, pool[n]);

        expected |= ref_forwarded(i) && i->target == (int)v &&
                    (ref.asleep[v] || (ref.group_on[v][i->group1] && ref_can_signal(v, i->priority)));
    }
    if (resident(v)) {
        gic_enter(v);
        assert_int_equal(vgicv3_pending(&gic_machine.cpus[v]), expected);
    }
    fake_hal_set_pcpu(PCPUS); /* and then asked elsewhere */
    ich_model_select(PCPUS);
    assert_int_equal(vgicv3_pending(&gic_machine.cpus[v]), expected);
}

static void check_registers(unsigned by)
{
    unsigned of = (unsigned)random_below(GIC_VCPUS);
    uint32_t irq = some_irq();
    const struct irq *i = ref_irq(of, irq);

    assert_int_equal(get_bit(by, of, irq, GIC_ISENABLER), i->enabled);
    if (irq == TIMER && !resident(of)) {
        return;
    }
    assert_int_equal(get_bit(by, of, irq, GIC_ISACTIVER), i->active);
    if (!(irq == TIMER && i->active)) { /* its level isn't known while it can't fire */
        assert_int_equal(get_bit(by, of, irq, GIC_ISPENDR), ref_pending(i));
    }
}

/* Physically active exactly while it is the guest's to handle. */
static void check_hardware(unsigned v)
{
    const struct irq *i = &ref.private[v][TIMER];

    if (resident(v) && i->level) {
        assert_true(fake_hal_irq_active((unsigned)gic_machine.pcpu[v], TIMER));
    }
    if (resident(v) && !i->active && !ref_pending(i)) {
        assert_false(fake_hal_irq_active((unsigned)gic_machine.pcpu[v], TIMER));
    }
}

static void start(unsigned lrs)
{
    gic_start(lrs);
    memset(&ref, 0, sizeof(ref));
    ref.ctlr = 3;
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        ref.pmr[v] = 0xf8;
        ref.group_on[v][0] = ref.group_on[v][1] = true;
        for (unsigned irq = 0; irq < 32; irq++) {
            ref.private[v][irq] = (struct irq){.enabled = true, .group1 = true, .edge = irq < 16, .priority = 0xa0,
                                               .target = (int)v};
        }
    }
    for (unsigned irq = 32; irq < IRQS; irq++) {
        ref.spi[irq] = (struct irq){.enabled = true, .group1 = true, .priority = 0xa0};
    }
}

/* SGIs, the timer and another PPI, and SPIs of two words. */
static void fill_pool(unsigned size)
{
    static const uint32_t all[16] = {0, 27, 40, 41, 64, 1, 20, 319, 42, 43, 65, 5, 66, 44, 45, 46};

    memcpy(pool, all, sizeof(pool));
    pool_size = size;
}

/* AXVM_TRACE in the environment shows the steps. */
static void run(const char *what, unsigned lrs, unsigned interrupts, bool active_writes, int count)
{
    bool trace;

    fake_hal_reset();
    fill_pool(interrupts);
    strange = active_writes;
    start(lrs);
    random_start(what);
    trace = getenv("AXVM_TRACE") != NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < count; i++) {
        unsigned by = some_vcpu(), of = (unsigned)random_below(GIC_VCPUS);
        const struct step *step = &steps[random_below(sizeof(steps) / sizeof(steps[0]))];
        uint32_t irq = some_irq();

        if (trace) {
            printf("%d: vCPU %u: %s of %u, interrupt %u\n", i, by, step->name, of, irq);
        }
        step->run(by, of, irq);
        gic_serve_all();
        run_timers();
        for (unsigned v = 0; v < GIC_VCPUS; v++) {
            if (resident(v)) {
                check_signals(v);
            }
            check_waking(v);
            check_hardware(v);
        }
        if (random_below(4) == 0) { /* not always: looking folds list registers */
            check_registers(some_vcpu());
        }
        gic_serve_all();
        assert_int_equal(ich_model_faults(), 0);
        fake_hal_forget();
    }
}

#define STEPS 60000

static void with_list_registers_for_all(void **state)
{
    (void)state;
    run("16 list registers", 16, 14, true, STEPS);
}

static void with_four_list_registers(void **state)
{
    (void)state;
    run("4 list registers", 4, 16, false, STEPS);
}

static void with_two_list_registers(void **state)
{
    (void)state;
    run("2 list registers", 2, 16, false, STEPS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_hal_setup, gic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(with_list_registers_for_all),
        TEST(with_four_list_registers),
        TEST(with_two_list_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

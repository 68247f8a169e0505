/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPUs on real threads that interrupt each other, change and read each other's registers and serve their own requests
 * only: nothing is lost, nobody waits for ever, and what is read as active is so. The environment's sanitizer sees to
 * the rest.
 */
#include "device/bus.h"
#include "lib/host.h"
#include "support/fake_hal.h"
#include "support/gic_machine.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define THREADS 2U /* a ticket lock and more threads than CPUs make each hand-over cost a time slice */
#define STEPS 2000U
#define SGIS 8U
#define FIRST_SPI 40U
#define SPIS 8U
#define IROUTER_ANY (UINT64_C(1) << 31)
#define DONE_ALL ((1U << THREADS) - 1)

static struct gic_machine *const m = &gic_machine;

static _Thread_local unsigned self;
static _Atomic bool expected[THREADS][SGIS]; /* set before an SGI is sent, cleared when it is taken */
static _Atomic bool expected_spi[SPIS];
static _Atomic unsigned done;   /* vCPUs that send no more */
static _Atomic unsigned taken, spurious;

/* What each has active, of which only it knows: an INTID, NONE, or UNSURE, in the low bits; it counts above them. */
#define NONE 0xfffU
#define UNSURE 0xffeU
static _Atomic uint32_t handling[THREADS];
static _Atomic unsigned compared, wrong;

static unsigned self_pcpu(void)
{
    return self;
}

static void no_kick(uint32_t vm, uint32_t vcpu)
{
    (void)vm;
    (void)vcpu;
}

static void no_set_active(uint32_t irq, bool active)
{
    (void)irq;
    (void)active;
}

static const struct axvm_hal threads_hal = {
    .pcpu_id = self_pcpu,
    .vcpu_kick = no_kick,
    .irq_set_active = no_set_active,
};

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void serve(void)
{
    while ((atomic_exchange(&m->vcpus[self].requests, 0) & VCPU_REQ_IRQ) != 0 || ich_model_maintenance()) {
        vgicv3_sync(&m->cpus[self]);
    }
}

static bool again(int result)
{
    if (result != BUS_AGAIN) {
        return false;
    }
    serve();
    sched_yield();
    return true;
}

static void write_reg(struct axvm_device *device, uint64_t offset, uint64_t value)
{
    while (again(device->ops->write(device, &m->vcpus[self], offset, 4, value))) {
    }
}

static uint32_t read_reg(struct axvm_device *device, uint64_t offset)
{
    uint64_t value;

    while (again(device->ops->read(device, &m->vcpus[self], offset, 4, &value))) {
    }
    return (uint32_t)value;
}

static void now_handles(uint32_t irq)
{
    atomic_store(&handling[self], ((handling[self] | 0xfffU) + 1) | irq);
}

/* The other's private interrupts and, of the SPIs, the one that it is sure of: unless something changed meanwhile. */
static void compare_active(unsigned other)
{
    uint32_t before = atomic_load(&handling[other]), irq = before & 0xfffU;
    uint32_t private = read_reg(&m->gic.redist, other * VGICV3_REDIST_SIZE + GICR_SGI_BASE + GIC_ISACTIVER);
    uint32_t shared = read_reg(&m->gic.dist, GIC_ISACTIVER + 4);

    if (irq != UNSURE && atomic_load(&handling[other]) == before) {
        compared++;
        wrong += private != (irq < 32 ? 1U << irq : 0);
        wrong += irq >= 32 && irq != NONE && (shared >> irq % 32 & 1) == 0;
    }
}

static void send(unsigned to, unsigned sgi)
{
    atomic_store(&expected[to][sgi], true);
    vgicv3_send_sgi(&m->cpus[self], (uint64_t)sgi << 24 | UINT64_C(1) << to, VGICV3_SGI1);
}

static void handle(void)
{
    uint32_t irq;

    now_handles(UNSURE);
    irq = ich_model_ack(1);
    if (irq == GIC_SPURIOUS) {
        now_handles(NONE);
        spurious++;
        return;
    }
    now_handles(irq);
    if (irq < SGIS) {
        atomic_store(&expected[self][irq], false);
    } else if (irq >= FIRST_SPI && irq < FIRST_SPI + SPIS) {
        atomic_store(&expected_spi[irq - FIRST_SPI], false);
    }
    taken++;
    sched_yield();
    if (taken % 4 == 0) { /* not always: it tells the others what is active */
        serve();
    }
    now_handles(UNSURE);
    ich_model_eoi(1, irq);
    now_handles(NONE);
}

static void step(uint32_t r)
{
    unsigned to = r % THREADS, n = r / 16 % SGIS;

    switch (r / 256 % 10) {
    case 0:
    case 1:
        send(to, n);
        break;
    case 2:
        atomic_store(&expected_spi[n % SPIS], true);
        (void)vgicv3_pulse(&m->cpus[self], FIRST_SPI + n % SPIS);
        break;
    case 3: /* off and on again: both of another vCPU's SGIs and of SPIs */
        write_reg(&m->gic.redist, to * VGICV3_REDIST_SIZE + GICR_SGI_BASE + GIC_ICENABLER, 1U << n);
        write_reg(&m->gic.redist, to * VGICV3_REDIST_SIZE + GICR_SGI_BASE + GIC_ISENABLER, 1U << n);
        write_reg(&m->gic.dist, GIC_ICENABLER + 4, 1U << (FIRST_SPI + n - 32));
        write_reg(&m->gic.dist, GIC_ISENABLER + 4, 1U << (FIRST_SPI + n - 32));
        break;
    case 4:
        write_reg(&m->gic.dist, GICD_IROUTER + 8 * (FIRST_SPI + n), r / 8192 % 2 != 0 ? to : IROUTER_ANY);
        break;
    case 5:
        compare_active(to);
        break;
    case 6:
        (void)vgicv3_pending(&m->cpus[to]);
        break;
    case 7:
        atomic_store(&expected_spi[n % SPIS], true);
        write_reg(&m->gic.dist, GIC_ISPENDR + 4, 1U << (FIRST_SPI + n % SPIS - 32));
        break;
    case 8: /* what it has of the 1-of-N interrupts is another's meanwhile */
        ich_model_set_group(1, false);
        serve();
        sched_yield();
        serve();
        ich_model_set_group(1, true);
        break;
    default:
        vgicv3_save(&m->cpus[self]);
        vgicv3_load(&m->cpus[self]);
        break;
    }
}

static void take_all(void)
{
    serve();
    while (ich_model_signalled(1)) {
        handle();
        serve();
    }
}

static bool quiet(void)
{
    return !vgicv3_pending(&m->cpus[self]) && atomic_load(&m->vcpus[self].requests) == 0;
}

/* All go on taking interrupts until nobody sends any more and nothing is pending. */
static void *guest(void *argument)
{
    uint32_t random = 12345 + (uint32_t)(uintptr_t)argument;

    self = (unsigned)(uintptr_t)argument;
    ich_model_select(self);
    for (unsigned i = 0; i < STEPS; i++) {
        step(next_random(&random));
        take_all();
    }
    atomic_fetch_or(&done, 1U << self);
    while (atomic_load(&done) != DONE_ALL || !quiet()) {
        take_all();
        sched_yield();
    }
    return NULL;
}

static void vcpus_on_their_own_threads_lose_nothing(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    for (uint32_t i = 0; i < SPIS; i++) {
        gic_set_edge(0, FIRST_SPI + i, true);
    }
    for (unsigned v = THREADS; v < GIC_VCPUS; v++) {
        atomic_store(&m->vcpus[v].power, VCPU_OFF);
    }
    hal = &threads_hal;
    for (unsigned v = 0; v < THREADS; v++) {
        handling[v] = NONE;
    }
    for (uintptr_t v = 0; v < THREADS; v++) {
        assert_int_equal(pthread_create(&threads[v], NULL, guest, (void *)v), 0);
    }
    for (unsigned v = 0; v < THREADS; v++) {
        assert_int_equal(pthread_join(threads[v], NULL), 0);
    }
    for (unsigned i = 0; i < 2 * THREADS; i++) { /* what the last to leave handed over to one that had left */
        self = i % THREADS;
        ich_model_select(self);
        take_all();
    }
    hal = &fake_hal;
    for (unsigned v = 0; v < THREADS; v++) {
        for (unsigned n = 0; n < SGIS; n++) {
            assert_false(expected[v][n]);
        }
    }
    for (unsigned n = 0; n < SPIS; n++) {
        assert_false(expected_spi[n]);
    }
    assert_true(taken > STEPS / 10);
    assert_true(compared > STEPS / 10);
    assert_int_equal(wrong, 0);
    assert_int_equal(spurious, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(vcpus_on_their_own_threads_lose_nothing, gic_setup, gic_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

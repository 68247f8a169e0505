/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPUs on real threads that claim, complete and reconfigure while devices on others raise interrupts: none is lost,
 * none is taken twice, and no vCPU is left with an output that it doesn't know of.
 */
#include "lib/host.h"
#include "support/fake_hal.h"
#include "support/plic_machine.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define GUESTS 2U
#define SOURCES 8U /* 1 to SOURCES / 2 are edges, the rest levels */
#define EDGES (SOURCES / 2)
#define ROUNDS 3000U

static struct plic_machine *const m = &plic_machine;

static _Thread_local unsigned self;
static _Atomic unsigned raised[SOURCES + 1], taken[SOURCES + 1];
static _Atomic bool in_service[SOURCES + 1], wire_up[SOURCES + 1];
static _Atomic unsigned twice;
static _Atomic bool done;

static unsigned self_pcpu(void)
{
    return self;
}

static void no_kick(uint32_t vm, uint32_t vcpu)
{
    (void)vm;
    (void)vcpu;
}

static const struct axvm_hal threads_hal = {.pcpu_id = self_pcpu, .vcpu_kick = no_kick};

static uint32_t rd(uint64_t offset)
{
    uint64_t value = 0;

    (void)m->plic.device.ops->read(&m->plic.device, &m->vcpus[self], offset, 4, &value);
    return (uint32_t)value;
}

static void wr(uint64_t offset, uint32_t value)
{
    (void)m->plic.device.ops->write(&m->plic.device, &m->vcpus[self], offset, 4, value);
}

static void handle(uint32_t irq)
{
    if (atomic_exchange(&in_service[irq], true)) {
        twice++;
    }
    atomic_fetch_add(&taken[irq], 1);
    if (irq > EDGES) {
        (void)vplic_set_line(&m->plic, irq, false);
        atomic_store(&wire_up[irq], false);
    }
    atomic_store(&in_service[irq], false);
    wr(PLIC_CLAIM_OF(PLIC_S_MODE(self)), irq);
}

/* What hvip would have: the guest looks at that, and it changes only when the vCPU was asked. */
static void *guest(void *argument)
{
    bool line = false;

    self = (unsigned)(uintptr_t)argument;
    while (!atomic_load(&done)) {
        if ((atomic_exchange(&m->vcpus[self].requests, 0) & VCPU_REQ_IRQ) != 0) {
            line = vplic_output(&m->cpus[self]);
        }
        if (line) {
            uint32_t irq = rd(PLIC_CLAIM_OF(PLIC_S_MODE(self)));

            if (irq != 0) {
                handle(irq);
            }
        } else {
            wr(PLIC_THRESHOLD_OF(PLIC_S_MODE(self)), 7);
            wr(PLIC_PRIORITY(1 + taken[1] % SOURCES), 1 + taken[2] % 7);
            wr(PLIC_THRESHOLD_OF(PLIC_S_MODE(self)), 0);
            sched_yield();
        }
    }
    return NULL;
}

/* An edge that finds one pending, or a second one in service, is one with that: so each waits for the one before. */
static void device(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t irq = 1 + i % SOURCES;

        while (atomic_load(&taken[irq]) != atomic_load(&raised[irq]) || atomic_load(&wire_up[irq])) {
            sched_yield();
        }
        atomic_fetch_add(&raised[irq], 1);
        if (irq > EDGES) {
            atomic_store(&wire_up[irq], true);
            (void)vplic_set_line(&m->plic, irq, true);
        } else {
            (void)vplic_pulse(&m->plic, irq);
        }
    }
    for (uint32_t irq = 1; irq <= SOURCES; irq++) {
        while (atomic_load(&taken[irq]) != atomic_load(&raised[irq])) {
            sched_yield();
        }
    }
}

static void vcpus_on_their_own_threads_lose_nothing(void **state)
{
    pthread_t threads[GUESTS];

    (void)state;
    for (uint32_t irq = 1; irq <= SOURCES; irq++) {
        plic_write(0, PLIC_PRIORITY(irq), 1);
        plic_enable(0, irq, true);
        plic_enable(1, irq, true);
    }
    hal = &threads_hal;
    self = GUESTS;
    for (uintptr_t v = 0; v < GUESTS; v++) {
        assert_int_equal(pthread_create(&threads[v], NULL, guest, (void *)v), 0);
    }
    device();
    atomic_store(&done, true);
    for (unsigned v = 0; v < GUESTS; v++) {
        assert_int_equal(pthread_join(threads[v], NULL), 0);
    }
    hal = &fake_hal;
    for (uint32_t irq = 1; irq <= SOURCES; irq++) {
        assert_int_equal(taken[irq], raised[irq]);
    }
    assert_int_equal(twice, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(vcpus_on_their_own_threads_lose_nothing, plic_setup, plic_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

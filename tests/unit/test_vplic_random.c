/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests and devices that do anything, against a naive model of the PLIC that keeps a list of sources, and decodes
 * addresses by comparing with each register's. After every step each output must be what the model says, whoever's
 * changed has been asked, and registers read as the model has them.
 */
#include "support/fake_hal.h"
#include "support/plic_machine.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define STEPS 200000
#define NOTHING_MORE 0x600000U

/* ---- The naive PLIC ---- */

static struct {
    struct source {
        enum { QUIET, REQUESTED, IN_SERVICE } gateway;
        bool wire, another_edge;
        unsigned priority;
    } sources[96];
    struct context {
        bool enabled[96];
        unsigned threshold;
    } contexts[PLIC_VCPUS];
} ref;

static bool ref_output(const struct context *context)
{
    for (unsigned irq = 1; irq < 96; irq++) {
        const struct source *source = &ref.sources[irq];

        if (source->gateway == REQUESTED && context->enabled[irq] && source->priority > context->threshold) {
            return true;
        }
    }
    return false;
}

static uint32_t ref_claim(const struct context *context)
{
    for (unsigned priority = 7; priority > 0; priority--) {
        for (unsigned irq = 1; irq < 96; irq++) {
            struct source *source = &ref.sources[irq];

            if (source->gateway == REQUESTED && context->enabled[irq] && source->priority == priority) {
                source->gateway = IN_SERVICE;
                return irq;
            }
        }
    }
    return 0;
}

static void ref_complete(const struct context *context, uint32_t irq)
{
    struct source *source = &ref.sources[irq < 96 ? irq : 0];

    if (irq < 96 && context->enabled[irq] && source->gateway == IN_SERVICE) {
        source->gateway = source->wire || source->another_edge ? REQUESTED : QUIET;
        source->another_edge = false;
    }
}

static void ref_wire(uint32_t irq, bool level)
{
    struct source *source = &ref.sources[irq];

    source->wire = level;
    if (level && source->gateway == QUIET) {
        source->gateway = REQUESTED;
    }
}

static void ref_edge(uint32_t irq)
{
    struct source *source = &ref.sources[irq];

    if (source->gateway == IN_SERVICE) {
        source->another_edge = true;
    } else {
        source->gateway = REQUESTED;
    }
}

static uint32_t ref_read(uint64_t offset)
{
    uint32_t value = 0;

    for (unsigned irq = 1; irq < 96; irq++) {
        if (offset == 4 * irq) {
            return ref.sources[irq].priority;
        }
        if (offset == 0x1000 + irq / 32 * 4) {
            value |= ref.sources[irq].gateway == REQUESTED ? 1U << irq % 32 : 0;
        }
        for (unsigned v = 0; v < PLIC_VCPUS; v++) {
            if (offset == 0x2080 + 0x100 * v + irq / 32 * 4) {
                value |= ref.contexts[v].enabled[irq] ? 1U << irq % 32 : 0;
            }
        }
    }
    for (unsigned v = 0; v < PLIC_VCPUS; v++) {
        if (offset == 0x201000 + 0x2000 * v) {
            return ref.contexts[v].threshold;
        }
        if (offset == 0x201004 + 0x2000 * v) {
            return ref_claim(&ref.contexts[v]);
        }
    }
    return value;
}

static void ref_write(uint64_t offset, uint32_t value)
{
    for (unsigned irq = 1; irq < 96; irq++) {
        if (offset == 4 * irq) {
            ref.sources[irq].priority = value % 8;
        }
        for (unsigned v = 0; v < PLIC_VCPUS; v++) {
            if (offset == 0x2080 + 0x100 * v + irq / 32 * 4) {
                ref.contexts[v].enabled[irq] = (value >> irq % 32 & 1) != 0;
            }
        }
    }
    for (unsigned v = 0; v < PLIC_VCPUS; v++) {
        if (offset == 0x201000 + 0x2000 * v) {
            ref.contexts[v].threshold = value % 8;
        }
        if (offset == 0x201004 + 0x2000 * v) {
            ref_complete(&ref.contexts[v], value);
        }
    }
}

/* ---- Both at once ---- */

static uint32_t pool[8]; /* of the sources, those that devices use */

static uint32_t some_irq(void)
{
    return random_below(8) != 0 ? pool[random_below(8)] : 1 + (uint32_t)random_below(95);
}

static uint64_t some_offset(void)
{
    uint64_t v = random_below(PLIC_VCPUS + 1); /* sometimes one that isn't there */
    uint64_t context = random_below(8) != 0 ? PLIC_S_MODE(v) : random_below(2 * PLIC_VCPUS + 4);

    switch (random_below(6)) {
    case 0:
        return PLIC_PRIORITY(some_irq());
    case 1:
        return PLIC_PENDING(random_below(4));
    case 2:
        return PLIC_ENABLE_OF(context, random_below(4));
    case 3:
        return PLIC_THRESHOLD_OF(context);
    case 4:
        return PLIC_CLAIM_OF(context);
    default:
        return random_below(NOTHING_MORE / 4) * 4;
    }
}

static uint32_t some_value(uint64_t offset)
{
    if (offset >= 0x200000 && offset % 8 == 4) {
        return random_below(16) != 0 ? some_irq() : (uint32_t)random_u64();
    }
    if (offset >= 0x2000 && offset < 0x200000) {
        return (uint32_t)(random_u64() | random_u64());
    }
    return random_below(2) != 0 ? (uint32_t)random_u64() : (uint32_t)random_below(4);
}

static void step(void)
{
    unsigned v = (unsigned)random_below(PLIC_VCPUS);
    uint32_t irq = some_irq();
    uint64_t offset = some_offset();
    uint32_t value = some_value(offset);
    bool level = random_below(2) != 0;

    switch (random_below(8)) {
    case 0:
    case 1:
        plic_wire(irq, level);
        ref_wire(irq, level);
        break;
    case 2:
        plic_pulse(irq);
        ref_edge(irq);
        break;
    case 3:
        assert_int_equal(plic_read(v, PLIC_CLAIM_OF(PLIC_S_MODE(v))), ref_claim(&ref.contexts[v]));
        break;
    case 4:
        plic_complete(v, irq);
        ref_complete(&ref.contexts[v], irq);
        break;
    case 5:
        assert_int_equal(plic_read(v, offset), ref_read(offset));
        break;
    default:
        plic_write(v, offset, value);
        ref_write(offset, value);
        break;
    }
}

static void it_does_what_a_naive_model_does(void **state)
{
    bool output[PLIC_VCPUS] = {false};
    unsigned raised = 0;

    (void)state;
    memset(&ref, 0, sizeof(ref));
    random_start("vplic");
    for (unsigned i = 0; i < 8; i++) {
        pool[i] = 1 + (uint32_t)random_below(95);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        step();
        for (unsigned v = 0; v < PLIC_VCPUS; v++) {
            bool expected = ref_output(&ref.contexts[v]);

            assert_int_equal(plic_output(v), expected);
            assert_int_equal(plic_asked(v), expected != output[v]);
            raised += expected && !output[v];
            output[v] = expected;
        }
        for (unsigned w = 0; w < 3 && i % 16 == 0; w++) {
            assert_int_equal(plic_read(0, PLIC_PENDING(w)), ref_read(PLIC_PENDING(w)));
        }
        if (i % 1024 == 0) {
            fake_hal_forget();
        }
    }
    assert_true(raised > STEPS / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_does_what_a_naive_model_does, plic_setup, plic_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

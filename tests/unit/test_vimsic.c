/* SPDX-License-Identifier: Apache-2.0 */
/* The emulated IMSICs: messages, and a vCPU's interrupt file (AIA chapter 3). test_vaplic.c has the naive model. */
#include "lib/host.h"
#include "support/aia_machine.h"
#include "support/fake_hal.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct aia_machine *const m = &aia_machine;

static void enable(unsigned v, uint32_t id)
{
    uint64_t old;

    assert_true(vimsic_reg_rmw(&m->files[v], VIMSIC_EIE0 + id / 64 * 2, UINT64_C(1) << id % 64, UINT64_MAX, &old));
}

static uint32_t claim(unsigned v)
{
    return (uint32_t)vimsic_topei(&m->files[v], true) >> 16;
}

static void a_message_interrupts_the_vcpu_of_its_page(void **state)
{
    (void)state;
    imsic_file_write(1, VIMSIC_EIDELIVERY, 1);
    enable(1, 255);
    imsic_write(1, 0, 255);
    assert_true(aia_line(1));
    assert_false(aia_line(0));
    assert_int_equal(fake_hal_kicks_of(1, 1), 1);
    assert_int_equal(vimsic_topei(&m->files[1], false), 255 << 16 | 255);
    assert_int_equal(claim(1), 255);
    assert_false(aia_line(1));
    assert_int_equal(claim(1), 0);
}

static void a_big_endian_message_does_too(void **state)
{
    (void)state;
    imsic_write(2, 4, 0x05000000);
    assert_int_equal(imsic_file_read(2, VIMSIC_EIP0), 1U << 5);
}

static void only_what_is_enabled_and_delivered_kicks(void **state)
{
    (void)state;
    imsic_write(0, 0, 1);
    imsic_file_write(0, VIMSIC_EIDELIVERY, 1);
    imsic_write(0, 0, 2);
    enable(0, 9);
    imsic_file_write(0, VIMSIC_EITHRESHOLD, 9);
    imsic_write(0, 0, 9);
    assert_int_equal(fake_hal_kicks(), 0);
    assert_false(aia_line(0));
    imsic_file_write(0, VIMSIC_EITHRESHOLD, 10);
    assert_true(aia_line(0));
}

static void identities_that_do_not_exist_are_ignored(void **state)
{
    (void)state;
    imsic_write(0, 0, 0);
    imsic_write(0, 0, 256);
    imsic_write(0, 0, UINT32_MAX);
    imsic_write(0, 4, 1);
    imsic_write(0, 8, 1);
    for (uint64_t n = 0; n < 64; n += 2) {
        assert_int_equal(imsic_file_read(0, VIMSIC_EIP0 + n), 0);
    }
}

static void the_lowest_identity_comes_first(void **state)
{
    (void)state;
    for (uint32_t id = 250; id >= 50; id -= 50) {
        enable(0, id);
        imsic_write(0, 0, id);
    }
    for (uint32_t id = 50; id <= 250; id += 50) {
        assert_int_equal(claim(0), id);
    }
}

static void a_claim_without_delivery_is_a_claim(void **state)
{
    (void)state;
    enable(0, 7);
    imsic_write(0, 0, 7);
    assert_false(aia_line(0));
    assert_int_equal(claim(0), 7);
}

static void the_threshold_hides_from_stopei(void **state)
{
    (void)state;
    enable(0, 7);
    imsic_write(0, 0, 7);
    imsic_file_write(0, VIMSIC_EITHRESHOLD, 7);
    assert_int_equal(claim(0), 0);
    imsic_file_write(0, VIMSIC_EITHRESHOLD, 0x108); /* eight bits of it */
    assert_int_equal(imsic_file_read(0, VIMSIC_EITHRESHOLD), 8);
    assert_int_equal(claim(0), 7);
}

static void odd_registers_do_not_exist(void **state)
{
    uint64_t old;

    (void)state;
    for (uint64_t select = 0; select < 0x200; select++) {
        bool exists = select >= 0x70 && select <= 0xff && (select < 0x80 || select % 2 == 0);

        assert_int_equal(vimsic_reg_rmw(&m->files[0], select, UINT64_MAX, UINT64_MAX, &old), exists);
    }
    assert_int_equal(imsic_file_read(0, 0x71), 0);
    assert_int_equal(imsic_file_read(0, VIMSIC_EIP0), UINT64_MAX - 1);
    assert_int_equal(imsic_file_read(0, VIMSIC_EIE0), UINT64_MAX - 1);
    assert_int_equal(imsic_file_read(0, VIMSIC_EIP0 + 6), UINT64_MAX);
    assert_int_equal(imsic_file_read(0, VIMSIC_EIP0 + 8), 0);
    assert_int_equal(imsic_file_read(0, VIMSIC_EIDELIVERY), 0); /* neither 0 nor 1 was written */
}

static void other_than_words_are_faults(void **state)
{
    struct axvm_device *device = &m->imsic.device;
    uint64_t value = 1;

    (void)state;
    assert_int_not_equal(device->ops->write(device, m->vcpus, 0, 8, 1), AXVM_OK);
    assert_int_not_equal(device->ops->write(device, m->vcpus, 0, 2, 1), AXVM_OK);
    assert_int_not_equal(device->ops->write(device, m->vcpus, 2, 4, 1), AXVM_OK);
    assert_int_not_equal(device->ops->read(device, m->vcpus, 0, 1, &value), AXVM_OK);
    assert_int_equal(device->ops->read(device, m->vcpus, 0, 4, &value), AXVM_OK);
    assert_int_equal(value, 0);
    assert_int_equal(imsic_file_read(0, VIMSIC_EIP0), 0);
}

static void devices_send_to_addresses(void **state)
{
    (void)state;
    assert_int_equal(vimsic_signal_msi(&m->imsic, AIA_IMSIC_BASE + 0x2000, 3), AXVM_OK);
    assert_int_equal(imsic_file_read(2, VIMSIC_EIP0), 1U << 3);
    assert_int_equal(vimsic_signal_msi(&m->imsic, AIA_IMSIC_BASE + 0x3000, 3), AXVM_EINVAL);
    assert_int_equal(vimsic_signal_msi(&m->imsic, AIA_IMSIC_BASE - 0x1000, 3), AXVM_EINVAL);
    assert_int_equal(vimsic_signal_msi(&m->imsic, AIA_IMSIC_BASE + 0x10, 3), AXVM_EINVAL);
}

static void reset_forgets(void **state)
{
    (void)state;
    imsic_file_write(0, VIMSIC_EIDELIVERY, 1);
    enable(0, 7);
    imsic_write(0, 0, 7);
    vimsic_reset(&m->imsic);
    assert_int_equal(imsic_file_read(0, VIMSIC_EIDELIVERY), 0);
    assert_int_equal(imsic_file_read(0, VIMSIC_EIE0), 0);
    assert_int_equal(imsic_file_read(0, VIMSIC_EIP0), 0);
    assert_false(vimsic_output(&m->files[0]));
}

/* ---- Threads: one sends, the other turns its interrupts on and off and takes them ---- */

#define MESSAGES 20000U

static _Atomic unsigned sent; /* message n has identity 1 + n % 8, and is sent when n - 1 was taken */
static _Atomic unsigned took;

static void no_kick(uint32_t vm, uint32_t vcpu)
{
    (void)vm;
    (void)vcpu;
}

static unsigned pcpu_seven(void)
{
    return 7;
}

static const struct axvm_hal threads_hal = {.pcpu_id = pcpu_seven, .vcpu_kick = no_kick};

static void *sender(void *argument)
{
    (void)argument;
    for (unsigned n = 0; n < MESSAGES; n++) {
        while (atomic_load(&took) != n) {
            sched_yield();
        }
        atomic_store(&sent, n + 1);
        vimsic_send(&m->files[0], 1 + n % 8);
    }
    return NULL;
}

static bool requested(void)
{
    return (atomic_exchange(&m->vcpus[0].requests, 0) & VCPU_REQ_IRQ) != 0;
}

/* As with a guest interrupt file: what comes while it has the state is collected when that is requested. */
static void take_elsewhere(unsigned id)
{
    struct vimsic_state file;

    vimsic_move_out(&m->files[0], &file);
    while ((file.eip[0] >> id & 1) == 0) {
        if (requested()) {
            file.eip[0] |= vimsic_collect(&m->files[0], 0);
        } else {
            sched_yield();
        }
    }
    file.eip[0] = 0;
    vimsic_move_in(&m->files[0], &file);
    atomic_fetch_or(&m->vcpus[0].requests, VCPU_REQ_IRQ);
}

static void no_message_is_lost_on_its_way_elsewhere_and_back(void **state)
{
    pthread_t thread;

    (void)state;
    hal = &threads_hal;
    sent = took = 0;
    imsic_file_write(0, VIMSIC_EIDELIVERY, 1);
    imsic_file_write(0, VIMSIC_EIE0, 0x1fe);
    assert_int_equal(pthread_create(&thread, NULL, sender, NULL), 0);
    while (atomic_load(&took) < MESSAGES) {
        if (took % 2 == 0) {
            take_elsewhere(1 + took % 8);
        } else {
            while (!aia_line(0)) {
                sched_yield();
            }
            assert_int_equal(claim(0), 1 + took % 8);
        }
        atomic_fetch_add(&took, 1);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    hal = &fake_hal;
}

static void what_has_moved_asserts_nothing(void **state)
{
    struct vimsic_state file;

    (void)state;
    imsic_file_write(0, VIMSIC_EIDELIVERY, 1);
    enable(0, 7);
    imsic_write(0, 0, 7);
    assert_true(vimsic_output(&m->files[0]));
    vimsic_move_out(&m->files[0], &file);
    assert_false(vimsic_output(&m->files[0]));
    assert_int_equal(file.eip[0], 1U << 7);
    assert_int_equal(file.eie[0], 1U << 7);
    assert_int_equal(file.delivery, 1);
    atomic_store(&m->vcpus[0].requests, 0);
    imsic_write(0, 0, 100); /* not enabled, as far as is known here */
    assert_true((atomic_load(&m->vcpus[0].requests) & VCPU_REQ_IRQ) != 0);
    assert_int_equal(vimsic_collect(&m->files[0], 1), UINT64_C(1) << (100 - 64));
    assert_int_equal(vimsic_collect(&m->files[0], 1), 0);
    imsic_write(0, 0, 3);
    vimsic_move_in(&m->files[0], &file);
    assert_true(vimsic_output(&m->files[0]));
    assert_int_equal(imsic_file_read(0, VIMSIC_EIP0), 1U << 7 | 1U << 3);
}

static void no_message_is_lost_while_its_identity_is_enabled(void **state)
{
    pthread_t thread;

    (void)state;
    hal = &threads_hal;
    imsic_file_write(0, VIMSIC_EIDELIVERY, 1);
    atomic_store(&m->vcpus[0].requests, 0);
    assert_int_equal(pthread_create(&thread, NULL, sender, NULL), 0);
    for (unsigned n = 0; atomic_load(&took) < MESSAGES; n++) {
        imsic_file_write(0, n % 2 == 0 ? VIMSIC_EIE0 : VIMSIC_EIDELIVERY, 0);
        imsic_file_write(0, n % 2 == 0 ? VIMSIC_EIE0 : VIMSIC_EIDELIVERY, n % 2 == 0 ? 0x1fe : 1);
        while (!aia_line(0)) { /* only what was requested gets it out of here */
            sched_yield();
        }
        assert_int_equal(claim(0), 1 + took % 8);
        atomic_fetch_add(&took, 1);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    hal = &fake_hal;
    assert_int_equal(sent, MESSAGES);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, aia_setup_messages, aia_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_interrupts_the_vcpu_of_its_page),
        TEST(a_big_endian_message_does_too),
        TEST(only_what_is_enabled_and_delivered_kicks),
        TEST(identities_that_do_not_exist_are_ignored),
        TEST(the_lowest_identity_comes_first),
        TEST(a_claim_without_delivery_is_a_claim),
        TEST(the_threshold_hides_from_stopei),
        TEST(odd_registers_do_not_exist),
        TEST(other_than_words_are_faults),
        TEST(devices_send_to_addresses),
        TEST(reset_forgets),
        TEST(no_message_is_lost_while_its_identity_is_enabled),
        TEST(what_has_moved_asserts_nothing),
        TEST(no_message_is_lost_on_its_way_elsewhere_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

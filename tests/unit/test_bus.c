/* SPDX-License-Identifier: Apache-2.0 */
#include "device/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct probe {
    struct axvm_device device;
    uint64_t offset;
    unsigned size;
    uint64_t written;
    uint64_t answer;
    int error;
};

static int probe_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                      uint64_t *value)
{
    struct probe *probe = (struct probe *)device;

    (void)vcpu;
    probe->offset = offset;
    probe->size = size;
    *value = probe->answer;
    return probe->error;
}

static int probe_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                       uint64_t value)
{
    struct probe *probe = (struct probe *)device;

    (void)vcpu;
    probe->offset = offset;
    probe->size = size;
    probe->written = value;
    return probe->error;
}

static const struct axvm_device_ops probe_ops = {.name = "probe", .read = probe_read, .write = probe_write};

static struct probe probe(uint64_t base, uint64_t size)
{
    return (struct probe){.device = {.ops = &probe_ops, .base = base, .size = size}};
}

static int add(struct bus *bus, struct probe *p)
{
    struct axvm_device *other = NULL;

    return bus_add(bus, &p->device, &other);
}

static void devices_are_found_whatever_the_order_they_came_in(void **state)
{
    static const uint64_t order[] = {0x5000, 0x1000, 0x9000, 0x3000, 0x7000};
    struct bus bus = {0};
    struct probe probes[5];

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        probes[i] = probe(order[i], 0x1000);
        assert_int_equal(add(&bus, &probes[i]), AXVM_OK);
    }
    for (size_t i = 0; i < 5; i++) {
        assert_ptr_equal(bus_find(&bus, order[i], 8), &probes[i].device);
        assert_ptr_equal(bus_find(&bus, order[i] + 0xff8, 8), &probes[i].device);
        assert_null(bus_find(&bus, order[i] - 1, 1));
        assert_null(bus_find(&bus, order[i] + 0x1000, 1));
    }
    for (unsigned i = 1; i < bus.count; i++) {
        assert_true(bus.entries[i].base > bus.entries[i - 1].last);
    }
}

static void an_access_that_sticks_out_of_a_device_finds_nothing(void **state)
{
    struct bus bus = {0};
    struct probe a = probe(0x1000, 0x1000), b = probe(0x2000, 0x1000);

    (void)state;
    add(&bus, &a);
    add(&bus, &b);
    assert_null(bus_find(&bus, 0x1ffd, 4));
    assert_null(bus_find(&bus, 0xfff, 2));
    assert_null(bus_find(&bus, 0x1000, 0));
    assert_ptr_equal(bus_find(&bus, 0x1ffc, 4), &a.device);
}

static void ranges_up_to_the_last_address_work(void **state)
{
    struct bus bus = {0};
    struct probe top = probe(UINT64_MAX - 0xfff, 0x1000);

    (void)state;
    assert_int_equal(add(&bus, &top), AXVM_OK);
    assert_ptr_equal(bus_find(&bus, UINT64_MAX, 1), &top.device);
    assert_ptr_equal(bus_find(&bus, UINT64_MAX - 7, 8), &top.device);
    assert_null(bus_find(&bus, UINT64_MAX, 2));
}

static void overlap_is_refused_and_names_the_other(void **state)
{
    static const struct {
        uint64_t base, size;
    } bad[] = {{0x1000, 0x1000}, {0x1fff, 1}, {0x1000, 1}, {0xfff, 2}, {0, 0x10000}, {0x1800, 0x1000}};
    struct bus bus = {0};
    struct probe there = probe(0x1000, 0x1000);

    (void)state;
    add(&bus, &there);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct probe p = probe(bad[i].base, bad[i].size);
        struct axvm_device *other = NULL;

        assert_int_equal(bus_add(&bus, &p.device, &other), AXVM_EEXIST);
        assert_ptr_equal(other, &there.device);
        assert_int_equal(bus.count, 1);
    }
}

static void empty_wrapping_and_mute_devices_are_refused(void **state)
{
    static const struct axvm_device_ops no_read = {.name = "x", .write = probe_write};
    static const struct axvm_device_ops no_write = {.name = "x", .read = probe_read};
    struct bus bus = {0};
    struct probe empty = probe(0x1000, 0), wraps = probe(UINT64_MAX - 1, 3), mute = probe(0, 1);

    (void)state;
    assert_int_equal(add(&bus, &empty), AXVM_EINVAL);
    assert_int_equal(add(&bus, &wraps), AXVM_EINVAL);
    mute.device.ops = NULL;
    assert_int_equal(add(&bus, &mute), AXVM_EINVAL);
    mute.device.ops = &no_read;
    assert_int_equal(add(&bus, &mute), AXVM_EINVAL);
    mute.device.ops = &no_write;
    assert_int_equal(add(&bus, &mute), AXVM_EINVAL);
    assert_int_equal(bus.count, 0);
}

static void a_full_bus_refuses_one_more(void **state)
{
    struct bus bus = {0};
    struct probe probes[BUS_MAX_DEVICES + 1];

    (void)state;
    for (unsigned i = 0; i <= BUS_MAX_DEVICES; i++) {
        probes[i] = probe(i * 0x1000, 0x1000);
        assert_int_equal(add(&bus, &probes[i]), i < BUS_MAX_DEVICES ? AXVM_OK : AXVM_ENOMEM);
    }
}

static void a_removed_device_answers_no_more_and_the_others_do(void **state)
{
    struct bus bus = {0};
    struct probe a = probe(0x1000, 0x1000), b = probe(0x2000, 0x1000), c = probe(0x3000, 0x1000);

    (void)state;
    add(&bus, &a);
    add(&bus, &b);
    add(&bus, &c);
    assert_int_equal(bus_remove(&bus, &b.device), AXVM_OK);
    assert_int_equal(bus_remove(&bus, &b.device), AXVM_ENOENT);
    assert_null(bus_find(&bus, 0x2000, 1));
    assert_ptr_equal(bus_find(&bus, 0x1000, 1), &a.device);
    assert_ptr_equal(bus_find(&bus, 0x3000, 1), &c.device);
    assert_int_equal(add(&bus, &b), AXVM_OK);
}

static void a_device_sees_the_offset_and_only_the_bits_of_the_access(void **state)
{
    struct bus bus = {0};
    struct probe p = probe(0x1000, 0x1000);
    uint64_t value = 0;

    (void)state;
    add(&bus, &p);
    p.answer = UINT64_MAX;
    for (unsigned size = 1; size <= 8; size *= 2) {
        uint64_t mask = size == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size)) - 1;

        assert_int_equal(bus_read(&bus, NULL, 0x1010, size, &value), AXVM_OK);
        assert_int_equal(value, mask);
        assert_int_equal(bus_write(&bus, NULL, 0x1018, size, UINT64_MAX), AXVM_OK);
        assert_int_equal(p.written, mask);
        assert_int_equal(p.offset, 0x18);
        assert_int_equal(p.size, size);
    }
}

static void what_the_device_returns_is_passed_on(void **state)
{
    struct bus bus = {0};
    struct probe p = probe(0x1000, 0x1000);
    uint64_t value;

    (void)state;
    add(&bus, &p);
    p.error = AXVM_EFAULT;
    assert_int_equal(bus_read(&bus, NULL, 0x1000, 4, &value), AXVM_EFAULT);
    assert_int_equal(bus_write(&bus, NULL, 0x1000, 4, 0), AXVM_EFAULT);
    assert_int_equal(bus_read(&bus, NULL, 0x4000, 4, &value), AXVM_ENOENT);
    assert_int_equal(bus_write(&bus, NULL, 0x4000, 4, 0), AXVM_ENOENT);
}

static void a_hint_is_only_a_hint(void **state)
{
    struct bus bus = {0};
    struct probe a = probe(0, 0x1000), b = probe(0x2000, 0x1000), c = probe(0x3000, 0x1000);
    const struct bus_entry *hint = &bus_nothing;

    (void)state;
    assert_null(bus_find_near(&bus, &hint, 0, 1));
    add(&bus, &b);
    add(&bus, &c);
    assert_ptr_equal(bus_find_near(&bus, &hint, 0x3ffc, 4)->device, &c.device);
    assert_ptr_equal(hint, &bus.entries[1]);
    assert_ptr_equal(bus_find_near(&bus, &hint, 0x3000, 8)->device, &c.device);
    assert_null(bus_find_near(&bus, &hint, 0x3ffd, 4));
    assert_null(bus_find_near(&bus, &hint, 0x1000, 4));
    assert_ptr_equal(hint, &bus.entries[1]); /* what answered last */
    add(&bus, &a); /* the hint now means another */
    assert_ptr_equal(bus_find_near(&bus, &hint, 0x3000, 4)->device, &c.device);
    assert_ptr_equal(hint, &bus.entries[2]);
    bus_remove(&bus, &c.device); /* and now none */
    assert_null(bus_find_near(&bus, &hint, 0x3000, 4));
    assert_null(bus_find_near(&bus, &hint, 0x3000, 0));
    assert_ptr_equal(bus_find_near(&bus, &hint, 0, 1)->device, &a.device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_found_whatever_the_order_they_came_in),
        cmocka_unit_test(an_access_that_sticks_out_of_a_device_finds_nothing),
        cmocka_unit_test(ranges_up_to_the_last_address_work),
        cmocka_unit_test(overlap_is_refused_and_names_the_other),
        cmocka_unit_test(empty_wrapping_and_mute_devices_are_refused),
        cmocka_unit_test(a_full_bus_refuses_one_more),
        cmocka_unit_test(a_removed_device_answers_no_more_and_the_others_do),
        cmocka_unit_test(a_device_sees_the_offset_and_only_the_bits_of_the_access),
        cmocka_unit_test(what_the_device_returns_is_passed_on),
        cmocka_unit_test(a_hint_is_only_a_hint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

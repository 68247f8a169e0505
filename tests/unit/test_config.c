/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/config_schema.h"

static const struct axvm_platform *const platform = &axvm_platform_aarch64;

static struct axvm_config empty(void)
{
    struct axvm_config config;

    axvm_config_init(&config);
    return config;
}

static struct axvm_config completed(void)
{
    struct axvm_config config = empty();

    config.memory = MIB(256);
    axvm_config_complete(&config, platform);
    return config;
}

/* ---- Completing -------------------------------------------------------------------------------------------------- */

static void test_memory_becomes_ram_at_the_usual_place(void **state)
{
    struct axvm_config config = empty();

    (void)state;
    config.memory = MIB(256);
    config.lazy = true;
    axvm_config_complete(&config, platform);
    assert_int_equal(config.memory_regions_count, 1);
    assert_int_equal(config.memory_regions[0].gpa.v, 0x40000000);
    assert_int_equal(config.memory_regions[0].size, MIB(256));
    assert_int_equal(config.memory_regions[0].flags, AXVM_MEM_RWX);
    assert_int_equal(config.memory_regions[0].map_type, AXVM_MAP_ALLOC);
    assert_true(config.memory_regions[0].lazy);
}

static void test_absent_devices_are_the_usual_ones(void **state)
{
    struct axvm_config config = completed();

    (void)state;
    assert_int_equal(config.emu_devices_count, 3);
    assert_int_equal(config.emu_devices[0].type, AXVM_EMU_INTERRUPT_CONTROLLER);
    assert_int_equal(config.emu_devices[0].base.v, 0x08000000);
    assert_int_equal(config.emu_devices[0].cfg[0], 0x080a0000);
    assert_int_equal(config.emu_devices[1].type, AXVM_EMU_CONSOLE);
    assert_int_equal(config.emu_devices[1].irq, 33);
    assert_int_equal(config.emu_devices[2].type, AXVM_EMU_RTC);
    assert_int_equal(config.emu_devices[2].irq, 34);
    assert_int_equal(config.interrupt_mode, AXVM_IRQ_MODE_EMULATED);
}

static void test_completing_twice_changes_nothing(void **state)
{
    struct axvm_config config = completed();
    struct axvm_config again = config;

    (void)state;
    axvm_config_complete(&again, platform);
    assert_memory_equal(&again, &config, sizeof(config));
}

static void test_an_empty_device_list_stays_empty(void **state)
{
    struct axvm_config config = empty();

    (void)state;
    config.default_devices = false;
    axvm_config_complete(&config, platform);
    assert_int_equal(config.emu_devices_count, 0);
    assert_int_equal(config.interrupt_mode, AXVM_IRQ_MODE_NONE);
}

static void test_usual_devices_without_interrupts(void **state)
{
    struct axvm_config config = empty();

    (void)state;
    config.interrupt_mode = AXVM_IRQ_MODE_NONE;
    axvm_config_complete(&config, platform);
    assert_int_equal(config.emu_devices_count, 2);
    assert_int_equal(config.emu_devices[0].type, AXVM_EMU_CONSOLE);
    assert_int_equal(config.emu_devices[0].irq, 0);
    assert_int_equal(config.emu_devices[1].irq, 0);
}

static void test_the_interrupt_mode_follows_from_the_devices_unless_given(void **state)
{
    struct axvm_config config = empty();

    (void)state;
    assert_int_equal(axvm_config_add_emu_device(&config, &(struct axvm_emu_config){.type = AXVM_EMU_CONSOLE}), AXVM_OK);
    axvm_config_complete(&config, platform);
    assert_int_equal(config.interrupt_mode, AXVM_IRQ_MODE_NONE);
    assert_int_equal(config.emu_devices[0].cfg_count, 0);
    config.interrupt_mode = AXVM_IRQ_MODE_PASSTHROUGH;
    axvm_config_complete(&config, platform);
    assert_int_equal(config.interrupt_mode, AXVM_IRQ_MODE_PASSTHROUGH);
}

static void test_memory_stays_when_there_is_no_room_for_its_region(void **state)
{
    struct axvm_config config = empty();

    (void)state;
    config.memory = MIB(1);
    config.memory_regions_count = AXVM_MAX_MEMORY_REGIONS;
    axvm_config_complete(&config, platform);
    assert_int_equal(config.memory_regions_count, AXVM_MAX_MEMORY_REGIONS);
    assert_int_equal(config.memory, MIB(1));
}

static void test_a_controller_without_cfg_gets_the_usual_one(void **state)
{
    struct axvm_config config = empty();
    struct axvm_emu_config gic = {
        .name = "vgic", .base = {0x08000000}, .length = 0x10000, .type = AXVM_EMU_INTERRUPT_CONTROLLER};

    (void)state;
    assert_int_equal(axvm_config_add_emu_device(&config, &gic), AXVM_OK);
    axvm_config_complete(&config, platform);
    assert_int_equal(config.emu_devices_count, 1);
    assert_int_equal(config.emu_devices[0].cfg_count, 2);
    assert_int_equal(config.emu_devices[0].cfg[0], 0x080a0000);
    assert_int_equal(config.emu_devices[0].cfg[1], 0x08080000);
}

/* ---- Getters and setters ----------------------------------------------------------------------------------------- */

static void test_affinities_default_to_any_cpu_and_the_usual_numbers(void **state)
{
    struct axvm_config config = empty();
    struct axvm_vcpu_affinity affinities[AXVM_MAX_VCPUS];

    (void)state;
    config.cpu_num = 18;
    assert_int_equal(axvm_config_get_vcpu_affinities(&config, platform, affinities), 18);
    assert_int_equal(affinities[17].vcpu_id, 17);
    assert_true(affinities[17].pcpu_set == UINT64_MAX);
    assert_int_equal(affinities[15].phys_id, 0x00f);
    assert_int_equal(affinities[17].phys_id, 0x101);
}

static void test_affinities_are_as_configured(void **state)
{
    struct axvm_config config = empty();
    struct axvm_vcpu_affinity affinities[AXVM_MAX_VCPUS];
    const uint64_t sets[] = {1, 6};

    (void)state;
    config.cpu_num = 2;
    axvm_config_set_guest_cpu_sets(&config, sets, 2);
    config.phys_cpu_ids[0] = 0x100;
    config.phys_cpu_ids[1] = 0x200;
    config.phys_cpu_ids_count = 2;
    assert_int_equal(axvm_config_get_vcpu_affinities(&config, platform, affinities), 2);
    assert_int_equal(affinities[0].pcpu_set, 1);
    assert_int_equal(affinities[1].pcpu_set, 6);
    assert_int_equal(affinities[1].phys_id, 0x200);
}

static void test_absurd_counts_stay_within_the_arrays(void **state)
{
    struct axvm_config config = empty();
    struct axvm_vcpu_affinity affinities[AXVM_MAX_VCPUS];
    uint64_t sets[AXVM_MAX_VCPUS + 8] = {0};

    (void)state;
    config.cpu_num = UINT32_MAX;
    assert_int_equal(axvm_config_get_vcpu_affinities(&config, platform, affinities), AXVM_MAX_VCPUS);
    axvm_config_set_guest_cpu_sets(&config, sets, AXVM_MAX_VCPUS + 8);
    assert_int_equal(config.phys_cpu_sets_count, AXVM_MAX_VCPUS);
}

static void add_region(struct axvm_config *config, uint64_t start, uint64_t size)
{
    struct axvm_mem_config region = {.gpa = {start}, .size = size, .flags = AXVM_MEM_RWX};

    assert_int_equal(axvm_config_add_memory_region(config, &region), AXVM_OK);
}

static void test_contains_ranges_that_adjacent_regions_cover(void **state)
{
    struct axvm_config config = empty();

    (void)state;
    add_region(&config, 0x2000, 0x1000);
    add_region(&config, 0x1000, 0x1000);
    add_region(&config, 0x4000, 0x1000);
    assert_true(axvm_config_contains_memory_range(&config, gpa(0x1000), 0x2000));
    assert_true(axvm_config_contains_memory_range(&config, gpa(0x1fff), 2));
    assert_false(axvm_config_contains_memory_range(&config, gpa(0x1000), 0x2001));
    assert_false(axvm_config_contains_memory_range(&config, gpa(0xfff), 2));
    assert_false(axvm_config_contains_memory_range(&config, gpa(0x1000), 0x4000));
    assert_false(axvm_config_contains_memory_range(&config, gpa(0x1000), 0));
    assert_false(axvm_config_contains_memory_range(&config, gpa(0x4000), UINT64_MAX));
}

static void test_contains_a_range_at_the_end_of_the_address_space(void **state)
{
    struct axvm_config config = empty();

    (void)state;
    add_region(&config, UINT64_MAX - 0xfff, 0x1000);
    assert_true(axvm_config_contains_memory_range(&config, gpa(UINT64_MAX - 0xfff), 0x1000));
    assert_true(axvm_config_contains_memory_range(&config, gpa(UINT64_MAX), 1));
    assert_false(axvm_config_contains_memory_range(&config, gpa(UINT64_MAX), 2));
}

static void test_full_lists_refuse_more(void **state)
{
    struct axvm_config config = empty();
    struct axvm_mem_config region = {.size = 0x1000};
    struct axvm_emu_config emu = {.name = "x"};
    struct axvm_passthrough_config passthrough = {.name = "/x"};

    (void)state;
    for (unsigned i = 0; i < AXVM_MAX_MEMORY_REGIONS; i++) {
        assert_int_equal(axvm_config_add_memory_region(&config, &region), AXVM_OK);
    }
    assert_int_equal(axvm_config_add_memory_region(&config, &region), AXVM_ENOMEM);
    for (unsigned i = 0; i < AXVM_MAX_EMU_DEVICES; i++) {
        assert_int_equal(axvm_config_add_emu_device(&config, &emu), AXVM_OK);
    }
    assert_int_equal(axvm_config_add_emu_device(&config, &emu), AXVM_ENOMEM);
    for (unsigned i = 0; i < AXVM_MAX_PASSTHROUGH_DEVICES; i++) {
        assert_int_equal(axvm_config_add_passthrough_device(&config, &passthrough), AXVM_OK);
    }
    assert_int_equal(axvm_config_add_passthrough_device(&config, &passthrough), AXVM_ENOMEM);
    for (unsigned i = 0; i < AXVM_MAX_PASSTHROUGH_ADDRESSES; i++) {
        assert_int_equal(axvm_config_add_passthrough_address(&config, gpa(i), 1), AXVM_OK);
    }
    assert_int_equal(axvm_config_add_passthrough_address(&config, gpa(0), 1), AXVM_ENOMEM);
    for (unsigned i = 0; i < AXVM_MAX_EXCLUDED_DEVICES; i++) {
        assert_int_equal(axvm_config_add_excluded_device(&config, "/x"), AXVM_OK);
    }
    assert_int_equal(axvm_config_add_excluded_device(&config, "/x"), AXVM_ENOMEM);
}

static void test_removing_a_passthrough_device_keeps_the_others(void **state)
{
    struct axvm_config config = empty();

    (void)state;
    for (const char *const *name = (const char *const[]){"/a", "/b", "/c", NULL}; *name; name++) {
        struct axvm_passthrough_config device = {.name = *name};

        assert_int_equal(axvm_config_add_passthrough_device(&config, &device), AXVM_OK);
    }
    assert_int_equal(axvm_config_remove_passthrough_device(&config, "/b"), AXVM_OK);
    assert_int_equal(config.passthrough_devices_count, 2);
    assert_string_equal(config.passthrough_devices[0].name, "/a");
    assert_string_equal(config.passthrough_devices[1].name, "/c");
    assert_int_equal(axvm_config_remove_passthrough_device(&config, "/b"), AXVM_ENOENT);
    axvm_config_clear_passthrough_devices(&config);
    assert_int_equal(config.passthrough_devices_count, 0);
}

/* ---- The schema -------------------------------------------------------------------------------------------------- */

static const char *path_of(const struct axvm_config *config, const void *member)
{
    static char path[64];

    schema_path(config, member, path, sizeof(path));
    return path;
}

static void test_members_are_named_as_a_person_would(void **state)
{
    struct axvm_config config = empty();

    (void)state;
    assert_string_equal(path_of(&config, &config.cpu_num), "cpu_num");
    assert_string_equal(path_of(&config, &config.entry_point), "entry_point");
    assert_string_equal(path_of(&config, &config.phys_cpu_sets[2]), "phys_cpu_sets[2]");
    assert_string_equal(path_of(&config, &config.phys_cpu_sets_count), "phys_cpu_sets");
    assert_string_equal(path_of(&config, &config.memory_regions[15].size), "memory_regions[15].size");
    assert_string_equal(path_of(&config, &config.memory_regions[1].lazy), "memory_regions[1].lazy");
    assert_string_equal(path_of(&config, &config.emu_devices[3].cfg[7]), "emu_devices[3].cfg[7]");
    assert_string_equal(path_of(&config, &config.emu_devices[3].cfg_count), "emu_devices[3].cfg");
    assert_string_equal(path_of(&config, &config.excluded_devices[1]), "excluded_devices[1]");
    assert_string_equal(path_of(&config, &config.interrupt_mode), "interrupt_mode");
}

static void test_what_is_no_member_has_no_name(void **state)
{
    struct axvm_config config = empty();
    char path[4];

    (void)state;
    assert_string_equal(path_of(&config, NULL), "");
    assert_string_equal(path_of(&config, &config + 1), "");
    assert_string_equal(path_of(&config, path), "");
    schema_path(&config, &config.memory_regions[1].size, path, sizeof(path));
    assert_string_equal(path, "mem");
}

/* Every byte of the structure that a key has belongs to that key alone. */
static void test_keys_do_not_share_fields(void **state)
{
    static uint8_t owner[sizeof(struct axvm_config)];

    (void)state;
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct schema_field *field = &schema_keys[i].field;
        size_t extent = field->type == SCHEMA_LIST ? (size_t)field->size * field->max : field->size;

        assert_non_null(schema_keys[i].doc);
        assert_ptr_equal(schema_find(schema_keys[i].section, field->name), &schema_keys[i]);
        for (size_t at = 0; field->type != SCHEMA_UNSERVED && at < extent; at++) {
            assert_int_equal(owner[field->offset + at], 0);
            owner[field->offset + at] = 1;
        }
    }
}

static void test_values_that_do_not_fit_are_refused(void **state)
{
    struct axvm_config config = empty();
    const struct schema_field *cpu_num = &schema_find("base", "cpu_num")->field;
    const struct schema_field *lazy = &schema_find("kernel", "lazy")->field;

    (void)state;
    assert_true(schema_set(cpu_num, &config, UINT32_MAX));
    assert_int_equal(config.cpu_num, UINT32_MAX);
    assert_false(schema_set(cpu_num, &config, UINT64_C(1) << 32));
    assert_true(schema_set(lazy, &config, 1));
    assert_true(config.lazy);
    assert_false(schema_set(lazy, &config, 2));
}

static void test_unknown_keys_are_not_found(void **state)
{
    (void)state;
    assert_null(schema_find("base", "memory"));
    assert_null(schema_find("bases", "id"));
    assert_null(schema_find("", ""));
}

/* ---- Copying ----------------------------------------------------------------------------------------------------- */

struct pool {
    char *blocks[32];
    unsigned count, limit;
};

static void *pool_alloc(void *context, size_t size)
{
    struct pool *pool = context;

    if (pool->count == pool->limit) {
        return NULL;
    }
    pool->blocks[pool->count] = malloc(size);
    return pool->blocks[pool->count++];
}

static void pool_free(struct pool *pool)
{
    while (pool->count) {
        free(pool->blocks[--pool->count]);
    }
}

static struct axvm_config with_strings(char *text)
{
    struct axvm_config config = empty();

    config.name = text;
    config.kernel_path = text;
    config.cmdline = text;
    config.excluded_devices[0] = text;
    config.excluded_devices_count = 1;
    assert_int_equal(axvm_config_add_emu_device(&config, &(struct axvm_emu_config){.name = text}), AXVM_OK);
    assert_int_equal(axvm_config_add_passthrough_device(&config, &(struct axvm_passthrough_config){.name = text}), 0);
    return config;
}

static void test_a_copy_has_its_own_strings(void **state)
{
    char text[] = "text";
    struct axvm_config from = with_strings(text);
    struct axvm_config to;
    struct pool pool = {.limit = 32};

    (void)state;
    assert_int_equal(config_copy(&to, &from, pool_alloc, &pool), AXVM_OK);
    memset(text, 'x', 4);
    assert_int_equal(pool.count, 6);
    assert_string_equal(to.name, "text");
    assert_string_equal(to.kernel_path, "text");
    assert_string_equal(to.cmdline, "text");
    assert_string_equal(to.excluded_devices[0], "text");
    assert_string_equal(to.emu_devices[0].name, "text");
    assert_string_equal(to.passthrough_devices[0].name, "text");
    assert_null(to.dtb_path);
    assert_int_equal(to.emu_devices_count, 1);
    pool_free(&pool);
}

static void test_a_copy_that_runs_out_of_memory_says_so(void **state)
{
    char text[] = "text";
    struct axvm_config from = with_strings(text);
    struct axvm_config to;

    (void)state;
    for (unsigned limit = 0; limit < 6; limit++) {
        struct pool pool = {.limit = limit};

        assert_int_equal(config_copy(&to, &from, pool_alloc, &pool), AXVM_ENOMEM);
        pool_free(&pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_becomes_ram_at_the_usual_place),
        cmocka_unit_test(test_absent_devices_are_the_usual_ones),
        cmocka_unit_test(test_completing_twice_changes_nothing),
        cmocka_unit_test(test_an_empty_device_list_stays_empty),
        cmocka_unit_test(test_usual_devices_without_interrupts),
        cmocka_unit_test(test_the_interrupt_mode_follows_from_the_devices_unless_given),
        cmocka_unit_test(test_memory_stays_when_there_is_no_room_for_its_region),
        cmocka_unit_test(test_a_controller_without_cfg_gets_the_usual_one),
        cmocka_unit_test(test_affinities_default_to_any_cpu_and_the_usual_numbers),
        cmocka_unit_test(test_affinities_are_as_configured),
        cmocka_unit_test(test_absurd_counts_stay_within_the_arrays),
        cmocka_unit_test(test_contains_ranges_that_adjacent_regions_cover),
        cmocka_unit_test(test_contains_a_range_at_the_end_of_the_address_space),
        cmocka_unit_test(test_full_lists_refuse_more),
        cmocka_unit_test(test_removing_a_passthrough_device_keeps_the_others),
        cmocka_unit_test(test_members_are_named_as_a_person_would),
        cmocka_unit_test(test_what_is_no_member_has_no_name),
        cmocka_unit_test(test_keys_do_not_share_fields),
        cmocka_unit_test(test_values_that_do_not_fit_are_refused),
        cmocka_unit_test(test_unknown_keys_are_not_found),
        cmocka_unit_test(test_a_copy_has_its_own_strings),
        cmocka_unit_test(test_a_copy_that_runs_out_of_memory_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct guest_machine machine;

static unsigned failures;

/* ---- Console ---- */

static unsigned print_lock;

void print(const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    while (__atomic_exchange_n(&print_lock, 1, __ATOMIC_ACQUIRE) != 0) {
    }
    for (const char *c = text; *c != '\0'; c++) {
        console_put((uint8_t)*c);
    }
    __atomic_store_n(&print_lock, 0, __ATOMIC_RELEASE);
}

void check_failed(const char *file, int line, const char *what, uint64_t got, uint64_t wanted)
{
    __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
    print("FAIL %s:%d: %s: got %#llx, wanted %#llx\n", file, line, what, (unsigned long long)got,
          (unsigned long long)wanted);
}

/* ---- The command line ---- */

const char *option(const char *name)
{
    for (const char *at = machine.args; *at != '\0'; at++) {
        if ((at == machine.args || at[-1] == ' ') && strncmp(at, name, strlen(name)) == 0) {
            return at + strlen(name);
        }
    }
    return NULL;
}

uint64_t option_number(const char *name, uint64_t otherwise)
{
    const char *text = option(name);
    uint64_t number = 0;

    if (text == NULL) {
        return otherwise;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        number = number * 10 + (uint64_t)(*text - '0');
    }
    return number;
}

bool word_is(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0 && (text[strlen(word)] & ~' ') == 0;
}

/* ---- CPUs ---- */

static void (*volatile cpu_function[MAX_CPUS])(void);

void cpu_begins_with(unsigned cpu, void (*function)(void))
{
    cpu_function[cpu] = function;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

int64_t cpu_start(unsigned cpu, void (*function)(void))
{
    cpu_begins_with(cpu, function);
    return cpu_on(cpu);
}

void guest_secondary(unsigned cpu)
{
    irq_init_cpu();
    cpu_function[cpu]();
    cpu_off();
}

/* ---- Exceptions ---- */

static volatile struct {
    bool expected;
    struct caught caught;
} catching[MAX_CPUS];

void catch_begin(void)
{
    catching[cpu_id()].caught.happened = false;
    catching[cpu_id()].expected = true;
    barrier(INSN_BARRIER);
}

struct caught catch_end(void)
{
    barrier(INSN_BARRIER);
    catching[cpu_id()].expected = false;
    return catching[cpu_id()].caught;
}

bool catch_take(struct caught caught)
{
    if (catching[cpu_id()].expected) {
        catching[cpu_id()].caught = caught;
    }
    return catching[cpu_id()].expected;
}

/* ---- The machine, from its device tree ---- */

uint64_t fdt_number(const void *cells, int count)
{
    uint64_t value = 0;

    for (int i = 0; i < count; i++) {
        value = value << 32 | fdt32_to_cpu(((const fdt32_t *)cells)[i]);
    }
    return value;
}

bool fdt_reg(const void *fdt, int node, int n, uint64_t *base, uint64_t *size)
{
    int parent = fdt_parent_offset(fdt, node);
    int ac = fdt_address_cells(fdt, parent);
    int sc = fdt_size_cells(fdt, parent);
    int length;
    const fdt32_t *reg = fdt_getprop(fdt, node, "reg", &length);

    if (reg == NULL || length < 4 * (n + 1) * (ac + sc)) {
        return false;
    }
    *base = fdt_number(reg + n * (ac + sc), ac);
    *size = fdt_number(reg + n * (ac + sc) + ac, sc);
    return true;
}

static bool overlaps(uint64_t page, uint64_t base, uint64_t size)
{
    return page + 4096 > base && page < base + size;
}

bool page_is_free(uint64_t page)
{
    extern char __image_start[], __bss_end[];
    uint64_t image = (uint64_t)(uintptr_t)__image_start;

    for (unsigned i = 0; i < machine.reserved_count; i++) {
        if (overlaps(page, machine.reserved[i].base, machine.reserved[i].size)) {
            return false;
        }
    }
    return !overlaps(page, image, (uint64_t)(uintptr_t)__bss_end - image) &&
           !overlaps(page, machine.fdt_base, machine.fdt_size);
}

static void discover_reserved(const void *fdt)
{
    int parent = fdt_path_offset(fdt, "/reserved-memory");
    int node;

    fdt_for_each_subnode(node, fdt, parent)
    {
        unsigned i = machine.reserved_count;

        if (i < COUNT(machine.reserved) &&
            fdt_reg(fdt, node, 0, &machine.reserved[i].base, &machine.reserved[i].size)) {
            machine.reserved_count++;
        }
    }
}

static void discover_cpus(const void *fdt)
{
    int cpus = fdt_path_offset(fdt, "/cpus");
    int node;

    machine.cpu_ids[0] = boot_cpu_id();
    machine.cpu_count = 1;
    fdt_for_each_subnode(node, fdt, cpus)
    {
        const fdt32_t *reg = fdt_getprop(fdt, node, "reg", NULL);
        const char *type = fdt_getprop(fdt, node, "device_type", NULL);

        if (reg != NULL && type != NULL && strcmp(type, "cpu") == 0 && machine.cpu_count < MAX_CPUS) {
            uint64_t id = fdt_number(reg, fdt_address_cells(fdt, cpus));

            if (id != machine.cpu_ids[0]) {
                machine.cpu_ids[machine.cpu_count++] = id;
            }
        }
    }
}

static void discover(const void *fdt)
{
    int chosen = fdt_path_offset(fdt, "/chosen");
    int memory = fdt_node_offset_by_prop_value(fdt, -1, "device_type", "memory", 7);

    (void)fdt_reg(fdt, memory, 0, &machine.memory_base, &machine.memory_size);
    machine.fdt_base = (uint64_t)(uintptr_t)fdt;
    machine.fdt_size = fdt_totalsize(fdt);
    machine.args = fdt_getprop(fdt, chosen, "bootargs", NULL);
    machine.args = machine.args != NULL ? machine.args : "";
    discover_reserved(fdt);
    discover_cpus(fdt);
    discover_arch(fdt);
}

void guest_main(const void *fdt)
{
    discover(fdt);
    irq_init_cpu();
    test_main();
    guest_end();
}

_Noreturn void guest_end(void)
{
    print("%s: %u failed\n", failures == 0 ? "GUEST PASS" : "GUEST FAIL", failures);
    power_off();
}

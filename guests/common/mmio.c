/* SPDX-License-Identifier: Apache-2.0 */
#include "mmio.h"

#define WINDOW_BYTES 64U

static uint8_t memory[64 + WINDOW_BYTES + 64] __attribute__((aligned(64)));

static uint64_t window_memory(void)
{
    return (uint64_t)(uintptr_t)&memory[64];
}

uint64_t pattern(unsigned i)
{
    return (i + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ UINT64_C(0x80808080808080);
}

void window_fill(const struct window *window, uint64_t at)
{
    for (unsigned i = 0; i < window->size; i += window->unit) {
        unit_write(at + i, window->unit, pattern(i) & window->mask);
    }
}

static void registers_fill(struct registers *registers, uint64_t address)
{
    for (unsigned i = 0; i < 8; i++) {
        registers->x[i] = pattern(100 + i);
        registers->f[2 * i] = pattern(200 + i);
        registers->f[2 * i + 1] = pattern(300 + i);
    }
    registers->x[1] = address;
    registers->x[4] = 8;
    registers->x[5] = UINT64_C(0x12345678ffffffff);
}

static void compare(const struct instruction *insn, const struct registers *wanted, const struct registers *got)
{
    for (unsigned i = 0; i < 8; i++) {
        if (wanted->x[i] != got->x[i]) {
            check_failed(insn->text, (int)i, "general register", got->x[i], wanted->x[i]);
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        if (wanted->f[i] != got->f[i]) {
            check_failed(insn->text, (int)i, "FP register, in words of 8 bytes", got->f[i], wanted->f[i]);
        }
    }
}

/* What differs; printed only when the device is its own again. */
static bool windows_differ(const struct window *window, uint64_t *wanted, uint64_t *got)
{
    for (unsigned i = 0; i < window->size; i += window->unit) {
        *wanted = unit_read(window_memory() + i, window->unit) & window->mask;
        *got = unit_read(window->device + i, window->unit) & window->mask;
        if (*wanted != *got) {
            return true;
        }
    }
    return false;
}

static bool run_at(const struct instruction *insn, const struct level *level, uint64_t window,
                   struct registers *registers)
{
    registers_fill(registers, window + (uint64_t)insn->offset);
    return level->run(registers, insn->code);
}

static void test_instruction(const struct instruction *insn, const struct level *level)
{
    static struct registers on_memory, on_device;
    const struct window window = window_get(insn->window);
    uint64_t here = window_memory() + level->memory, there = window.device + level->device;
    uint64_t wanted, got;
    bool done, differ;

    window_open(insn->window);
    window_fill(&window, window_memory());
    window_fill(&window, window.device);
    done = run_at(insn, level, here, &on_memory) && run_at(insn, level, there, &on_device);
    differ = windows_differ(&window, &wanted, &got);
    window_close(insn->window);
    if (!done) {
        check_failed(insn->text, (int)(level - levels), "trapped", 1, 0);
        return;
    }
    if (differ) {
        check_failed(insn->text, (int)(level - levels), "content", got, wanted);
    }
    on_memory.x[1] += there - here;
    compare(insn, &on_memory, &on_device);
}

void test_instructions(void)
{
    for (const struct level *level = levels; level->name != NULL; level++) {
        const struct instruction *insn = instructions;

        for (; insn->text != NULL; insn++) {
            test_instruction(insn, level);
        }
        print("mmio: %u instructions do at %s on devices what they do on memory\n", (unsigned)(insn - instructions),
              level->name);
    }
}

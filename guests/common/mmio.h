/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that accesses emulated devices by every kind of instruction. What it has to do the CPU itself shows: each one
 * is executed on memory and on a device that holds the same, and must leave the same registers and contents.
 *
 * Here: what the common part and an architecture's ask of each other.
 */
#ifndef MMIO_H
#define MMIO_H

#include "guest.h"

/* What an instruction finds in the registers, and leaves there. x[1] is the address, x[4] 8, x[5] a number. */
struct registers {
    uint64_t x[8];
    uint64_t f[16]; /* FP and SIMD */
} __attribute__((aligned(16)));

/* The same in memory and in a device. */
struct window {
    unsigned unit, size;
    uint64_t mask;   /* of the bits of a unit that are there */
    uint64_t device; /* its address */
};

struct instruction {
    const char *text;
    const char *code;
    unsigned window;
    int offset; /* of the address in the window */
};

/* A privilege, or a way to get at memory, by which all instructions are executed. */
struct level {
    const char *name;
    uint64_t memory, device; /* what virtual addresses are more than physical ones */
    bool (*run)(struct registers *registers, const void *code); /* false: it has trapped */
};

/* Of the architecture. Lists end with one that has no name or text. */
extern struct instruction instructions[];
extern const struct level levels[];
struct window window_get(unsigned window);
/* The device holds the window until window_close(); nothing is printed meanwhile. */
void window_open(unsigned window);
void window_close(unsigned window);

/* mmio_entry.S: load the registers, execute what is there, which returns, and store them. Runs at any address. */
void mmio_run(struct registers *registers, const void *instruction);

/* mmio.c */
void test_instructions(void);
uint64_t pattern(unsigned i);
void window_fill(const struct window *window, uint64_t at);
uint64_t unit_read(uint64_t at, unsigned unit);
void unit_write(uint64_t at, unsigned unit, uint64_t value);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM of the fake architecture with one device more, at DEVICE_BASE, whose test this is:
 *
 *     static int setup(void **state)
 *     {
 *         return one_device_setup(state, pl011_create, &config, 4);
 *     }
 *     ...
 *     cmocka_unit_test_setup_teardown(test_x, setup, one_device_teardown)
 */
#ifndef AXVM_TEST_ONE_DEVICE_H
#define AXVM_TEST_ONE_DEVICE_H

#include "support/fake_vm.h"

#define DEVICE_BASE UINT64_C(0x20000000)
#define DEVICE_IRQ 50U

extern struct axvm *device_vm;

/* Some time after the host's start. `config` is completed with place and interrupt. `width`: of registers, in bytes. */
int one_device_setup(void **state, int (*create)(struct axvm *vm, const struct axvm_emu_config *config),
                     struct axvm_emu_config config, unsigned width);
int one_device_teardown(void **state);

struct axvm_device *device(void);

/* A register; fails the test if there is an error. */
uint32_t rd(unsigned offset);
void wr(unsigned offset, uint32_t value);

/* Any access; the bus's answer. */
int rd_sized(uint64_t offset, unsigned size, uint64_t *value);
int wr_sized(uint64_t offset, unsigned size, uint64_t value);

bool line(void);               /* its interrupt line */
size_t type(const char *text); /* console input: how many characters it took */
void device_reset(void);

/*
 * It describes itself in a device tree as `name`, with its place, its interrupt, and `compatible`: that node. Then, in
 * this tree: a cell of a property, which has `count`; whether a list of strings has this one there.
 */
int described(const char *name, const char *compatible);
uint32_t described_cell(int node, const char *property, int index, int count);
bool described_string(int node, const char *property, int index, const char *string);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the test guest for riscv64. */
#ifndef TEST_PARTS_H
#define TEST_PARTS_H

#include "test.h"

/*
 * Addresses that nothing answers, on QEMU's "virt" machine and in VMs like it; and virtual ones that nothing is mapped
 * to.
 */
#define HOLE UINT64_C(0x18000000)
#define FAR_HOLE UINT64_C(0x2000000000)
#define UNMAPPED UINT64_C(0xffffffd000001000)

/*
 * OpenSBI doesn't check all arguments, and QEMU's devices are simpler than specified: what only a hypervisor of ours
 * must do is checked where the firmware isn't OpenSBI.
 */
bool is_strict(void);

/* Execute `code`, which is to fault, by a call; what it did. */
struct caught run_at(uint64_t address);
/* Execute these two words, then return. a0 goes in and comes out. */
uint64_t run_words(uint32_t first, uint32_t second, uint64_t a0, struct caught *caught);
#define INSN_NOP 0x00000013U

void check_caught(const char *what, struct caught caught, uint64_t cause, uint64_t tval);

/* A load, a store, an AMO and a fetch there have these causes. */
void faults_at(uint64_t address, uint64_t load, uint64_t store, uint64_t fetch);

void test_sbi(void);     /* test_sbi.c */
void test_alarms(void);
void test_console(void);
void test_typed(void);
void test_legacy(void);
void test_hsm(void);     /* test_hsm.c */
void test_fences(void);
void test_suspend(void);
void test_plic(void);    /* test_plic.c */
void test_vectors(void); /* test_state.c */
void test_far(void);     /* test_map.c */
void test_unreadable(void);

#endif

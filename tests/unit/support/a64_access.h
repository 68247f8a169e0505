/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One instruction of a guest that accesses an emulated device: what the device sees, what the registers hold, where the
 * guest goes on. Encodings are the assembler's.
 *
 *     cmocka_unit_test_setup_teardown(test_x, a64_access_setup, machine_teardown)
 */
#ifndef AXVM_TEST_A64_ACCESS_H
#define AXVM_TEST_A64_ACCESS_H

#include "support/a64_machine.h"

/* Where the instruction is, by IPA. */
#define ACCESS_CODE (A64_RAM + 0x1000)

/* Two devices, one after the other, and nothing behind. Bytes read as their offset's low byte plus 0x80. */
#define ACCESS_A UINT64_C(0x20000000)
#define ACCESS_A_SIZE UINT64_C(0x2000)
#define ACCESS_B (ACCESS_A + ACCESS_A_SIZE)
#define ACCESS_B_SIZE UINT64_C(0x1000)
#define ACCESS_NOTHING (ACCESS_B + ACCESS_B_SIZE)
#define ACCESS_REFUSED 0x800U /* offset at which both give an error */
#define ACCESS_SLOW 0x7f0U    /* offset at which both aren't done yet, access_slow times: "AR4+7f0~" */

/* PSTATE */
#define EL0T UINT64_C(0x0)
#define EL1T UINT64_C(0x4)
#define EL1H UINT64_C(0x5)
#define USER32 UINT64_C(0x10)

struct a64_access_state {
    uint64_t x[31], pc, pstate, sp_el0, sp_el1, sctlr;
    uint64_t q[64];
};

/* What the guest has before it traps, the test's to set; and after. */
extern struct a64_access_state before, after;

/* What the devices saw: "AR4+010 " is A's offset 0x10 read as 4 bytes, "BW1+010=9a " B's written. */
extern char accesses[4096];

extern unsigned access_slow;

extern struct axvm *vm;

/* `before`: EL1h, PC at ACCESS_CODE, x1 = A + 0x10, other registers all different. Stage 1 is a64_model.translate. */
int a64_access_setup(void **state);

/* Trap with this syndrome at virtual address `far`, and give the guest what it is due. */
void access_trap(uint64_t esr, uint64_t far);

/* The same, a translation fault of a load or store that the syndrome doesn't describe: `word`, put where the PC is. */
void access_load(uint32_t word, uint64_t far);
void access_store(uint32_t word, uint64_t far);

/* Syndrome of a translation fault at a load or (ISS_WNR) store of `size` bytes by register `reg`. */
uint64_t access_esr(unsigned size, unsigned reg, uint64_t flags);

/* These accesses were made, and the guest goes on after the instruction. */
void assert_done(const char *what);

/* Nothing happened at all: the guest tries again. */
void assert_untouched(void);

/* The guest has got a data abort; no register changed; these accesses were made. */
void assert_abort(unsigned fsc, bool write, uint64_t far, const char *what);

#endif

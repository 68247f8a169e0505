/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A naive APLIC and naive IMSICs, written from the specification's text one source and one identity at a time, beside
 * the emulated ones of aia_machine. aia_step() does one thing to both, and fails (aborts, saying where) if they differ
 * in what it gives, in a register, or in what a vCPU has as its external interrupt.
 */
#ifndef AXVM_TEST_AIA_MODEL_H
#define AXVM_TEST_AIA_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* A naive interrupt file. */
#define AIA_IDS 256U
struct aia_file {
    bool pending[AIA_IDS], enabled[AIA_IDS];
    uint64_t delivery, threshold;
};

/* As siselect names its registers; false: there is none. And stopei. */
bool aia_file_rmw(struct aia_file *f, uint64_t select, uint64_t mask, uint64_t value, uint64_t *old);
uint32_t aia_file_topei(const struct aia_file *f);

/* Both as after power-on. */
void aia_model_start(bool messages);

/* The step that these numbers, of any value, choose. */
void aia_step(uint64_t what, uint64_t where, uint64_t value);

/* For a test that wants to know that it did something: interrupts that guests have taken. */
unsigned aia_model_taken(void);

#endif

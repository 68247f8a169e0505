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

/* Both as after power-on. */
void aia_model_start(bool messages);

/* The step that these numbers, of any value, choose. */
void aia_step(uint64_t what, uint64_t where, uint64_t value);

/* For a test that wants to know that it did something: interrupts that guests have taken. */
unsigned aia_model_taken(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The guest interrupt file that hstatus.VGEIN selects, through vsiselect and vsireg (AIA 6.1). */
#include "arch/riscv64/cpu.h"
#include "arch/riscv64/cpu_csr.h"

static uint64_t file_read(uint64_t reg)
{
    csr_write(CSR_VSISELECT, reg);
    return csr_read(CSR_VSIREG);
}

static void file_write(uint64_t reg, uint64_t value)
{
    csr_write(CSR_VSISELECT, reg);
    csr_write(CSR_VSIREG, value);
}

/* Nothing is delivered, and nothing is left of another guest. What is beyond the last identity may trap (QEMU). */
static void file_clear(uint32_t ids)
{
    file_write(VIMSIC_EIDELIVERY, 0);
    for (uint32_t i = 0; i < (ids + 1) / 64; i++) {
        file_write(VIMSIC_EIE0 + 2 * i, 0);
        file_write(VIMSIC_EIP0 + 2 * i, 0);
    }
}

void rv64_cpu_file_load(const struct vimsic_state *state, uint32_t ids)
{
    uint64_t selected = csr_read(CSR_VSISELECT);

    file_clear(ids);
    file_write(VIMSIC_EITHRESHOLD, state->threshold);
    for (unsigned i = 0; i < VIMSIC_WORDS; i++) {
        file_write(VIMSIC_EIE0 + 2 * i, state->eie[i]);
        file_write(VIMSIC_EIP0 + 2 * i, state->eip[i]);
    }
    file_write(VIMSIC_EIDELIVERY, state->delivery);
    csr_write(CSR_VSISELECT, selected);
}

void rv64_cpu_file_save(struct vimsic_state *state)
{
    uint64_t selected = csr_read(CSR_VSISELECT);

    state->delivery = (uint32_t)file_read(VIMSIC_EIDELIVERY);
    state->threshold = (uint32_t)file_read(VIMSIC_EITHRESHOLD);
    for (unsigned i = 0; i < VIMSIC_WORDS; i++) {
        state->eie[i] = file_read(VIMSIC_EIE0 + 2 * i);
        state->eip[i] = file_read(VIMSIC_EIP0 + 2 * i);
    }
    file_write(VIMSIC_EIDELIVERY, 0);
    csr_write(CSR_VSISELECT, selected);
}

/* Messages may arrive meanwhile: bits are set, not written. */
void rv64_cpu_file_pend(unsigned word, uint64_t messages)
{
    uint64_t selected = csr_read(CSR_VSISELECT);

    csr_write(CSR_VSISELECT, VIMSIC_EIP0 + 2 * word);
    csr_set(CSR_VSIREG, messages);
    csr_write(CSR_VSISELECT, selected);
}

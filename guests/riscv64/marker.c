/* SPDX-License-Identifier: Apache-2.0 */
/* Where the marker guest has its marks on riscv64. */
#include "marker.h"

#define COUNTEREN 5U

static uint64_t vector_image[VECTOR_WORDS];

/* In the vector registers, too. */
static void mark_vectors(uint64_t mark)
{
    for (unsigned i = 0; i < vector_words(); i++) {
        vector_image[i] = mark;
    }
    csr_write(0x8 /* vstart */, 0);
    vectors_load(vector_image);
    csr_write(0xf /* vcsr */, 7);
}

static void check_vectors(uint64_t mark)
{
    unsigned i = 0;

    check_equal(csr_read(0xf), 7);
    vectors_store(vector_image);
    while (i < vector_words() && vector_image[i] == mark) {
        i++;
    }
    check_equal(i, vector_words());
}

/* scause, sepc and stval are its own interrupts', too: they are there to be found, not to be kept. */
void mark_registers(uint64_t mark)
{
    csr_write(sepc, mark);
    csr_write(stval, mark);
    csr_write(scause, mark >> 32);
    csr_write(scounteren, COUNTEREN | 2); /* time, which others may be without */
    csr_write(fcsr, 0x7f);
    if (machine.arch.vector) {
        mark_vectors(mark);
    }
}

void check_registers(uint64_t mark)
{
    check_equal(csr_read(scounteren), COUNTEREN | 2);
    check_equal(csr_read(fcsr), 0x7f);
    if (machine.arch.vector) {
        check_vectors(mark);
    }
}

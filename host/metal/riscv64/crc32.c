/* SPDX-License-Identifier: Apache-2.0 */
#include "crc32.h"

#include "core/bundle.h"
#include "host_cpu.h"
#include <stdbool.h>

/*
 * Eight bytes a step by carry-less multiplication (Zbc): Barrett's reduction of polynomials. Bit 0 is the highest
 * power, as in the CRC. P = x^32 + p; MU: floor(x^96 / P) - x^64.
 *
 *     q = floor(s * x^32 / P) = s + floor(s * MU / x^64)      s * x^32 mod P = q * p mod x^32
 */
#define P_LOW UINT64_C(0xedb88320)
#define MU UINT64_C(0x5a72d812fb808b20)

/* .insn: CLMUL and CLMULR (the product's bits from 63 on), which not every assembler knows. */
static uint64_t clmul(uint64_t a, uint64_t b)
{
    __asm__(".insn r 0x33, 1, 5, %0, %0, %1" : "+r"(a) : "r"(b));
    return a;
}

static uint64_t clmulr(uint64_t a, uint64_t b)
{
    __asm__(".insn r 0x33, 2, 5, %0, %0, %1" : "+r"(a) : "r"(b));
    return a;
}

/* Only while no vCPU is resident: a trap spoils what of its state is in the hardware. */
static bool has_clmul(void)
{
    uint64_t vec, there = 0;

    __asm__ volatile(GUARD_BEGIN ".insn r 0x33, 1, 5, zero, zero, zero\n\tli %[ok], 1\n\t" GUARD_END
                     : [vec] "=&r"(vec), [ok] "+&r"(there)
                     :
                     : "memory");
    return there != 0;
}

uint32_t crc32(const void *data, size_t size)
{
    const uint64_t *word = data, *end = word + (has_clmul() ? size / 8 : 0);
    uint64_t crc = UINT32_MAX;

    for (; word != end; word++) {
        uint64_t s = crc ^ *word;

        crc = clmulr(s ^ clmul(s, MU) << 1, P_LOW);
    }
    return bundle_crc32(~(uint32_t)crc, end, size - (size_t)(end - (const uint64_t *)data) * 8);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "crc32.h"

#include "arch/aarch64/cpu_insn.h"
#include "core/bundle.h"

/* ID_AA64ISAR0_EL1.CRC32: optional in Armv8.0, later always there. */
static bool has_crc32(void)
{
    return (sysreg_read(ID_AA64ISAR0_EL1) >> 16 & 0xfU) != 0;
}

static uint32_t crc32x(uint32_t crc, uint64_t word)
{
    __asm__(".arch_extension crc\n\tcrc32x %w0, %w0, %1" : "+r"(crc) : "r"(word));
    return crc;
}

uint32_t crc32(const void *data, size_t size)
{
    const uint64_t *word = data, *end = word + (has_crc32() ? size / 32 * 4 : 0);
    uint32_t crc = UINT32_MAX;

    for (; word != end; word += 4) {
        crc = crc32x(crc32x(crc32x(crc32x(crc, word[0]), word[1]), word[2]), word[3]);
    }
    return bundle_crc32(~crc, end, size - (size_t)(end - (const uint64_t *)data) * 8);
}

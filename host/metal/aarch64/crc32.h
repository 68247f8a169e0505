/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METAL_AARCH64_CRC32_H
#define METAL_AARCH64_CRC32_H

#include <stddef.h>
#include <stdint.h>

/*
 * bundle_crc32() of `data`, aligned to 8 bytes, with the CPU's own instructions if it has them: a third of one for a
 * byte.
 */
uint32_t crc32(const void *data, size_t size);

#endif

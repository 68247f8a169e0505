/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METAL_RISCV64_CRC32_H
#define METAL_RISCV64_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* bundle_crc32() of `data`, aligned to 8 bytes. */
uint32_t crc32(const void *data, size_t size);

#endif

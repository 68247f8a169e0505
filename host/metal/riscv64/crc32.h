/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METAL_RISCV64_CRC32_H
#define METAL_RISCV64_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* bundle_crc32() of `data`, aligned to 8 bytes, while no vCPU is resident: with Zbc, at one instruction a byte. */
uint32_t crc32(const void *data, size_t size);

#endif

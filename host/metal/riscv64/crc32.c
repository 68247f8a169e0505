/* SPDX-License-Identifier: Apache-2.0 */
#include "crc32.h"

#include "core/bundle.h"

uint32_t crc32(const void *data, size_t size)
{
    return bundle_crc32(0, data, size);
}

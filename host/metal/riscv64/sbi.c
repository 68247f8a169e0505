/* SPDX-License-Identifier: Apache-2.0 */
#include "sbi.h"

bool sbi_has(uint64_t extension)
{
    struct sbi_result result = sbi_call(SBI_BASE, SBI_BASE_PROBE, extension, 0, 0);

    return result.error == 0 && result.value != 0;
}

const char *sbi_error_name(int64_t error)
{
    static const char *const names[] = {
        "success",         "failed",          "not supported",   "invalid parameter", "denied",
        "invalid address", "already available", "already started", "already stopped",   "no shared memory",
    };

    return error <= 0 && error > -(int64_t)(sizeof(names) / sizeof(names[0])) ? names[-error] : "unknown error";
}

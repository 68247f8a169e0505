/* SPDX-License-Identifier: Apache-2.0 */
/* The device tree that the hypervisor finds its machine in. */
#include "fuzz.h"
#include "machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct machine machine;
    uint8_t *copy = exact_copy(data, size);

    if (machine_discover(&machine, &machine_aarch64, copy, size) == 0) {
        require(machine.cpu_count >= 1 && machine.cpu_count <= AXVM_MAX_PCPUS);
    }
    free(copy);
    return 0;
}

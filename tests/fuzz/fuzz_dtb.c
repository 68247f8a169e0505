/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's own device tree, which the library brings up to date: what comes out is sound, and nothing else is touched.
 */
#include "fuzz.h"
#include "core/guest_fdt.h"
#include "lib/fdt_check.h"
#include "support/a64_machine.h"
#include <libfdt.h>

#define ROOM KIB(64)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct axvm *vm;
    static _Alignas(8) uint8_t buffer[ROOM];
    uint8_t *copy = exact_copy(data, size);

    if (vm == NULL) {
        void *state = NULL;

        require(a64_machine_setup(&state) == 0);
        vm = machine_vm(2, NULL);
    }
    if (guest_fdt_patch(vm, copy, size, buffer, sizeof(buffer)) == AXVM_OK) {
        require(fdt_check_sound(buffer, sizeof(buffer)) == 0);
        require(fdt_path_offset(buffer, "/chosen") >= 0);
    }
    fake_hal_forget();
    free(copy);
    return 0;
}

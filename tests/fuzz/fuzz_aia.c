/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests that write anything to an APLIC and to IMSICs while devices move their wires: they do what naive ones, written
 * from the specification's text, do. The first byte says how interrupts are delivered.
 */
#include "fuzz.h"
#include "support/aia_machine.h"
#include "support/aia_model.h"
#include "support/fake_hal.h"

static struct input in;

/* Any access, of any width; of what the naive ones don't have, only that it does no harm. */
static void access_anything(void)
{
    struct axvm_device *device = (take(&in, 1) & 1) != 0 ? &aia_machine.aplic.device : &aia_machine.imsic.device;
    unsigned size = 1U << (take(&in, 1) & 3);
    uint64_t offset = take(&in, 2), value;

    if (device->size >= size && offset <= device->size - size) {
        (void)device->ops->read(device, &aia_machine.vcpus[0], offset, size, &value);
        (void)device->ops->write(device, &aia_machine.vcpus[0], offset, size, take(&in, 4));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *state = NULL;
    uint64_t kind;

    in = (struct input){data, size};
    require(fake_hal_setup(&state) == 0);
    kind = take(&in, 1);
    aia_model_start((kind & 1) != 0);
    while (in.size > 0) {
        uint64_t what = take(&in, 1), where = take(&in, 2);

        if ((kind & 2) != 0) {
            access_anything();
        } else {
            aia_step(what, where, take(&in, 5));
        }
    }
    require(fake_hal_teardown(&state) == 0);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "core/frames.h"

#include "lib/host.h"

static uint64_t order_size(unsigned order)
{
    return AXVM_PAGE_SIZE << order;
}

int frames_take(uint64_t size, hpa_t *base)
{
    unsigned order = 0;
    int error;

    while (order_size(order) < size) {
        if (order + AXVM_PAGE_SHIFT == 63) {
            return AXVM_ENOMEM;
        }
        order++;
    }
    error = hal->frames_alloc(order, base);
    if (error == AXVM_OK && order_size(order) > size) {
        frames_give(hpa(base->v + size), order_size(order) - size);
    }
    return error;
}

void frames_give(hpa_t base, uint64_t size)
{
    while (size > 0) {
        unsigned order = 0;

        while (order_size(order + 1) <= size && (base.v & (order_size(order + 1) - 1)) == 0) {
            order++;
        }
        hal->frames_free(base, order);
        base.v += order_size(order);
        size -= order_size(order);
    }
}

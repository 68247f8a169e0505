/* SPDX-License-Identifier: Apache-2.0 */
/* What Arm's PrimeCell peripherals have in common. */
#ifndef AXVM_DEVICE_PRIMECELL_H
#define AXVM_DEVICE_PRIMECELL_H

#include <axvm/device.h>

#define PRIMECELL_SIZE UINT64_C(0x1000)
#define PRIMECELL_IDS 0xfe0U

/* The identification register at an offset from PRIMECELL_IDS up to PRIMECELL_SIZE: PeriphID0-3, then PCellID0-3. */
uint32_t primecell_id(const uint8_t peripheral[4], uint64_t offset);

/*
 * Begin a node of the guest's device tree: compatible with "arm,<name>" and "arm,primecell", with reg and (if it has
 * one) the interrupt, an SPI of a GIC. The caller adds clocks and ends the node. Negative: a libfdt error.
 */
int primecell_fdt_begin(const struct axvm_device *device, void *fdt, const char *name);

#endif

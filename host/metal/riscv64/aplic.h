/* SPDX-License-Identifier: Apache-2.0 */
/* The APLIC's S-level domain (RISC-V AIA 1.0, 4.5), which M mode has given its wires to. */
#ifndef METAL_RISCV64_APLIC_H
#define METAL_RISCV64_APLIC_H

#include "machine.h"

/* All wires off, and the domain on: as MSIs, or directly to the IDCs. There may be none. */
void aplic_init(const struct machine *machine, bool msi);

/* The wire, active high, to the hart of that index: with this identity of its IMSIC, or this priority at its IDC. */
void aplic_enable(uint32_t irq, uint32_t hart_index, uint32_t identity);

/* After a wire's MSI was handled: if it is still active, send another (4.9.2). A later one comes by itself. */
void aplic_again(uint32_t irq);

/* The claim register of an IDC, which is switched on. */
volatile uint8_t *aplic_idc(uint32_t idc);

#endif

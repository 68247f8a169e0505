/* SPDX-License-Identifier: Apache-2.0 */
/* An emulated PL011 UART (Arm DDI 0183), revision r1p5: the VM's console. */
#ifndef AXVM_DEVICE_PL011_H
#define AXVM_DEVICE_PL011_H

#include <axvm/config.h>
#include <axvm/device.h>

/*
 * Make one at config->base with the wired interrupt config->irq, and put it on the VM's bus. AXVM_ENOMEM, or as
 * axvm_add_device().
 */
int pl011_create(struct axvm *vm, const struct axvm_emu_config *config);

#endif

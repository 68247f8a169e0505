/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated NS16550A UART (National Semiconductor PC16550D, 1995), with FIFOs: the VM's console. Its eight registers
 * are bytes, one beside the other; a wider access sees the one that it begins at, in its lowest byte.
 */
#ifndef AXVM_DEVICE_NS16550_H
#define AXVM_DEVICE_NS16550_H

#include <axvm/config.h>
#include <axvm/device.h>

/*
 * Make one at config->base with the wired interrupt config->irq, and put it on the VM's bus. AXVM_ENOMEM, or as
 * axvm_add_device().
 */
int ns16550_create(struct axvm *vm, const struct axvm_emu_config *config);

#endif

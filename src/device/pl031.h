/* SPDX-License-Identifier: Apache-2.0 */
/* An emulated PL031 real-time clock (Arm DDI 0224). */
#ifndef AXVM_DEVICE_PL031_H
#define AXVM_DEVICE_PL031_H

#include <axvm/config.h>
#include <axvm/device.h>

/*
 * Make one at config->base with the wired interrupt config->irq, and put it on the VM's bus. It counts seconds from
 * config->cfg[0] (Unix time; 0 if not given) at its creation. AXVM_ENOMEM, or as axvm_add_device().
 */
int pl031_create(struct axvm *vm, const struct axvm_emu_config *config);

#endif

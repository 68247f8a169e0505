/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated Goldfish real-time clock, as QEMU's "virt" machine for RISC-V has it. Its registers are aligned words;
 * any other access is a bus error, as there. What isn't a register reads as zero and ignores writes.
 */
#ifndef AXVM_DEVICE_GOLDFISH_RTC_H
#define AXVM_DEVICE_GOLDFISH_RTC_H

#include <axvm/config.h>
#include <axvm/device.h>

/*
 * Make one at config->base with the wired interrupt config->irq, and put it on the VM's bus. It counts nanoseconds from
 * config->cfg[0] (Unix time in seconds; 0 if not given) at its creation. AXVM_ENOMEM, or as axvm_add_device().
 */
int goldfish_rtc_create(struct axvm *vm, const struct axvm_emu_config *config);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The metal host's own services, between its parts. */
#ifndef METAL_HOST_H
#define METAL_HOST_H

#include "machine.h"
#include "scheduler.h"
#include <axvm/hal.h>

/*
 * What the machine's architecture gives, in its own directory, beside host_cpu.h, host_layout.h, fault.h, mmu.h,
 * timer.h, crc32.h, intc.h and power.h, each with the same names.
 */
extern const struct axvm_arch *const host_arch;
extern const struct machine_kind *const host_machine;
extern bool (*const host_guest_file)(hpa_t *page, uint32_t *ids); /* axvm_hal.guest_file */

/*
 * axvm_hal.irq_handle, by the interrupt controller's driver: for its own interrupts it calls the two below, and says
 * percpu_irq_result().
 */
enum axvm_irq_result host_irq_handle(uint32_t *irq);

void host_timer_due(void);  /* the calling pCPU's timer has expired */
void host_uart_input(void); /* the UART's interrupt */

/* Fill in the callbacks for the library and start it with them. Lines of the log wait until there is a console. */
int host_init(const struct machine *machine);

/* The calling pCPU's timer and interrupts. AXVM_ENOENT: its interrupt controller isn't there. */
int host_cpu_init(const struct machine *machine);

/*
 * From now on the console is at the UART; and takes its input, on the calling pCPU if it can: its interrupts are set
 * up.
 */
void host_console_start(const struct machine *machine);
void host_console_take_input(const struct machine *machine);

void host_console_add(struct sched_vm *vm);
void host_console_end(struct sched_vm *vm);  /* it has stopped */
void host_console_gone(struct sched_vm *vm); /* for good */

/* Show at once what waits to be shown. */
void host_flush(void);

/* Handle the calling pCPU's pending interrupts, if any, with no guest running. */
void host_poll(void);

#endif

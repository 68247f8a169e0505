/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's PL011 (Arm DDI 0183), with the line parameters that firmware left. */
#ifndef METAL_UART_PL011_H
#define METAL_UART_PL011_H

#include <stddef.h>
#include <stdint.h>

/* Take the UART whose registers are at `base` into use, without interrupts. */
void uart_init(uint64_t base);

/* Have characters that come in raise the interrupt. */
void uart_enable_input(void);

/* Waits as long as the UART's buffer is full. */
void uart_write(const char *bytes, size_t count);

/* A character that has come in, or -1. With none left the interrupt is quiet. */
int uart_read(void);

#endif

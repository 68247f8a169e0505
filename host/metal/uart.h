/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's UART, with the line parameters that firmware left. */
#ifndef METAL_UART_H
#define METAL_UART_H

#include "ranges.h"
#include <stddef.h>

struct uart_driver;

/* Where it is, and what it is. */
struct uart {
    const struct uart_driver *driver; /* NULL: there is none */
    struct range regs;
    uint32_t irq;       /* 0: none */
    uint32_t reg_shift; /* a 16550's register n is at n << reg_shift, */
    uint32_t reg_width; /* and accessed with this many bytes: 1, 2 or 4 */
};

/* There is one UART: after init() the driver knows it. */
struct uart_driver {
    /* Take it into use, without interrupts. */
    void (*init)(const struct uart *uart);
    /* Have characters that come in raise the interrupt. */
    void (*enable_input)(void);
    /* Waits as long as the UART's buffer is full. */
    void (*write)(const char *bytes, size_t count);
    /* A character that has come in, or -1. With none left the interrupt is quiet. */
    int (*read)(void);
};

extern const struct uart_driver uart_pl011;   /* Arm DDI 0183 */
extern const struct uart_driver uart_ns16550; /* National Semiconductor PC16550D, and what is compatible with it */

#endif

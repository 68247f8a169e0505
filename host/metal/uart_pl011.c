/* SPDX-License-Identifier: Apache-2.0 */
#include "uart.h"

/* DDI 0183 chapter 3 */
#define DR 0x00U
#define FR 0x18U
#define LCR_H 0x2cU
#define CR 0x30U
#define IMSC 0x38U
#define ICR 0x44U
#define FR_RXFE (1U << 4)
#define FR_TXFF (1U << 5)
#define LCR_H_FEN (1U << 4)
#define LCR_H_WLEN8 (3U << 5)
#define CR_UARTEN (1U << 0)
#define CR_TXE (1U << 8)
#define CR_RXE (1U << 9)
#define INT_RX (1U << 4)
#define INT_RT (1U << 6) /* receive timeout: fewer than the FIFO's trigger level wait */

static volatile uint8_t *base;

static volatile uint32_t *reg(uint32_t offset)
{
    return (volatile uint32_t *)(volatile void *)(base + offset);
}

static void init(const struct uart *uart)
{
    base = (volatile uint8_t *)(uintptr_t)uart->regs.base;
    *reg(IMSC) = 0;
    if ((*reg(CR) & CR_UARTEN) == 0) {
        *reg(LCR_H) = LCR_H_FEN | LCR_H_WLEN8;
        *reg(CR) = CR_UARTEN | CR_TXE | CR_RXE;
    }
}

static void enable_input(void)
{
    *reg(ICR) = INT_RX | INT_RT;
    *reg(IMSC) = INT_RX | INT_RT;
}

static void write(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        while ((*reg(FR) & FR_TXFF) != 0) {
        }
        *reg(DR) = (uint8_t)bytes[i];
    }
}

static int read(void)
{
    if ((*reg(FR) & FR_RXFE) != 0) {
        return -1;
    }
    return (int)(*reg(DR) & 0xffU);
}

const struct uart_driver uart_pl011 = {.init = init, .enable_input = enable_input, .write = write, .read = read};

/* SPDX-License-Identifier: Apache-2.0 */
#include "uart.h"

/* PC16550D, 8.0 "Registers": numbers, DLAB = 0 */
#define RBR 0U
#define THR 0U
#define IER 1U
#define IIR 2U
#define FCR 2U
#define LCR 3U
#define MCR 4U
#define LSR 5U
#define IER_ERBFI 0x01U
#define IIR_ID 0x0fU
#define IIR_TIMEOUT 0x0cU
#define FCR_ENABLE 0x01U
#define FCR_TRIGGER_8 0x80U /* fewer characters interrupt after a while */
#define LCR_8N1 0x03U
#define MCR_DTR_RTS 0x03U
#define MCR_OUT2 0x08U /* lets the interrupt out, where it is wired as in a PC */
#define LSR_DR 0x01U
#define LSR_THRE 0x20U

static struct uart uart;

static volatile void *at(uint32_t reg)
{
    return (volatile void *)(uintptr_t)(uart.regs.base + ((uint64_t)reg << uart.reg_shift));
}

static uint8_t get(uint32_t reg)
{
    switch (uart.reg_width) {
    case 4:
        return (uint8_t) * (const volatile uint32_t *)at(reg);
    case 2:
        return (uint8_t) * (const volatile uint16_t *)at(reg);
    default:
        return *(const volatile uint8_t *)at(reg);
    }
}

static void put(uint32_t reg, uint8_t value)
{
    switch (uart.reg_width) {
    case 4:
        *(volatile uint32_t *)at(reg) = value;
        break;
    case 2:
        *(volatile uint16_t *)at(reg) = value;
        break;
    default:
        *(volatile uint8_t *)at(reg) = value;
    }
}

/* LCR only if need be: a DesignWare UART takes no other value while it is busy. */
static void init(const struct uart *which)
{
    uart = *which;
    if (get(LCR) != LCR_8N1) {
        put(LCR, LCR_8N1);
    }
    put(IER, 0);
    put(FCR, FCR_ENABLE | FCR_TRIGGER_8);
    put(MCR, MCR_DTR_RTS);
}

static void enable_input(void)
{
    put(MCR, MCR_DTR_RTS | MCR_OUT2);
    put(IER, IER_ERBFI);
}

static void write(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        while ((get(LSR) & LSR_THRE) == 0) {
        }
        put(THR, (uint8_t)bytes[i]);
    }
}

/* A DesignWare UART may report a timeout with no character there; only reading one quiets it. */
static int read(void)
{
    if ((get(LSR) & LSR_DR) != 0) {
        return get(RBR);
    }
    if ((get(IIR) & IIR_ID) == IIR_TIMEOUT && (get(LSR) & LSR_DR) == 0) {
        (void)get(RBR);
    }
    return -1;
}

const struct uart_driver uart_ns16550 = {.init = init, .enable_input = enable_input, .write = write, .read = read};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that accesses the UART anyhow, while somebody types: its interrupt line is up exactly while IIR names a
 * source, LSR and IIR agree, and no more characters are taken than it has room for, none in loopback.
 */
#include "device/ns16550.h"
#include "fuzz_uart.h"

#define MCR 4
#define MCR_LOOP 0x10U

static uint64_t rd(uint64_t offset, unsigned size)
{
    return uart_read(offset, size, UINT8_MAX);
}

static void do_access(unsigned deed)
{
    uint64_t offset = (deed & 0x70) != 0 ? deed & 7 : take(&in, 1) % 0xf8;
    unsigned size = 1U << (deed >> 3 & 1) * (take(&in, 1) & 3);

    if ((deed & 0x80) != 0) {
        (void)rd(offset, size);
    } else {
        uart_write(offset, size, take(&in, size));
    }
}

static void do_type(void)
{
    char text[32] = "0123456789abcdefghijklmnopqrstu";
    size_t count = take(&in, 1) % sizeof(text);
    size_t room = (rd(MCR, 1) & MCR_LOOP) != 0 ? 0 : 16;

    require(device->ops->input(device, text, count) <= (count < room ? count : room));
}

static void check(void)
{
    bool line = uart_line(); /* before IIR is read, which may end it */
    uint64_t iir = rd(2, 1);

    require(((iir & 1) == 0) == line);
    require((iir & 4) == 0 || (rd(5, 1) & 3) != 0); /* receive or line status, and there is something */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uart_begin(ns16550_create, 0x100, data, size);
    while (in.size > 0) {
        unsigned deed = (unsigned)take(&in, 1);

        if (deed == 0x88) {
            device->ops->reset(device);
        } else if ((deed & 0x7f) == 0x7f) {
            do_type();
        } else {
            do_access(deed);
        }
        if ((deed & 0x40) != 0) {
            check();
        }
    }
    return 0;
}

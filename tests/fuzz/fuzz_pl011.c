/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that accesses the UART anyhow, while somebody types: its interrupt line is up exactly while MIS isn't 0, and
 * characters come as a naive UART (lists of what it holds, DDI 0183 2.4.2 and 3.3) has them: in their order, none
 * twice, none taken for which there is no room. So do FR's flags.
 */
#include "device/pl011.h"
#include "fuzz_uart.h"

enum { DR = 0x00, FR = 0x18, LCR_H = 0x2c, CR = 0x30, IMSC = 0x38, RIS = 0x3c, MIS = 0x40, ICR = 0x44 };
enum { CR_UARTEN = 0x1, CR_LBE = 0x80, CR_TXE = 0x100, CR_RXE = 0x200 };
enum { FR_BUSY = 0x8, FR_RXFE = 0x10, FR_TXFF = 0x20, FR_RXFF = 0x40, FR_TXFE = 0x80, FR_LISTS = 0xf8 };
enum { INT_RX = 0x10, INT_RT = 0x40 };

struct list {
    unsigned count;
    uint8_t at[32];
};

static struct list rx, tx;
static uint32_t cr, lcr_h;

/* ---- The naive one ---- */

static unsigned depth(void)
{
    return (lcr_h & 0x10) != 0 ? 32 : 1;
}

static bool has(uint32_t bits)
{
    return (cr & bits) == bits;
}

static bool put(struct list *list, uint8_t c)
{
    if (list->count == depth()) {
        return false;
    }
    list->at[list->count++] = c;
    return true;
}

static uint8_t get(struct list *list)
{
    uint8_t c = list->at[0];

    memmove(list->at, list->at + 1, --list->count);
    return c;
}

static void naive_transmit(void)
{
    while (has(CR_UARTEN | CR_TXE) && tx.count > 0) {
        uint8_t c = get(&tx);

        if (has(CR_LBE | CR_RXE)) {
            (void)put(&rx, c);
        }
    }
}

static void naive_write(uint64_t offset, uint32_t value)
{
    switch (offset) {
    case DR:
        (void)put(&tx, (uint8_t)value);
        break;
    case LCR_H:
        if (((lcr_h ^ value) & 0x10) != 0) {
            rx.count = tx.count = 0;
        }
        lcr_h = value & 0xff;
        break;
    case CR:
        cr = value & 0xff87;
        break;
    default:
        break;
    }
    naive_transmit();
}

static void naive_reset(void)
{
    rx.count = tx.count = 0;
    cr = CR_UARTEN | CR_TXE | CR_RXE;
    lcr_h = 0;
}

/* ---- The one that is tested ---- */

static uint32_t rd(uint64_t offset, unsigned size)
{
    return (uint32_t)uart_read(offset, size, UINT16_MAX);
}

static void do_read(uint64_t offset, unsigned size)
{
    uint32_t value = rd(offset, size);

    if (offset == DR && size <= 4 && rx.count > 0) {
        require((value & 0xff) == get(&rx));
    }
}

static void do_write(uint64_t offset, unsigned size, uint64_t value)
{
    uart_write(offset, size, value);
    if (size <= 4) {
        naive_write(offset, (uint32_t)value);
        require(offset != ICR || (rd(RIS, 4) & value) == 0);
    }
}

static void do_access(unsigned deed)
{
    uint64_t offset = (deed & 0x40) != 0 ? take(&in, 2) % 0xff8 : 4 * (take(&in, 1) % 20);
    unsigned size = 1U << ((deed & 0x30) != 0 ? 2 : deed & 3);

    if ((deed & 0x80) != 0) {
        do_read(offset, size);
    } else {
        do_write(offset, size, take(&in, size < 4 ? size : 2));
    }
}

static void do_type(void)
{
    char text[64];
    size_t count = take(&in, 1) % sizeof(text), room = depth() - rx.count, taken;

    for (size_t i = 0; i < count; i++) {
        text[i] = (char)take(&in, 1);
    }
    taken = device->ops->input(device, text, count);
    if (!has(CR_UARTEN | CR_RXE) || has(CR_LBE)) {
        room = 0;
    }
    require(taken == (count < room ? count : room));
    for (size_t i = 0; i < taken; i++) {
        require(put(&rx, (uint8_t)text[i]));
    }
}

static void check(void)
{
    uint32_t fr = (rx.count == 0 ? FR_RXFE : 0) | (rx.count == depth() ? FR_RXFF : 0) |
                  (tx.count == 0 ? FR_TXFE : FR_BUSY) | (tx.count == depth() ? FR_TXFF : 0);

    require((rd(FR, 4) & FR_LISTS) == fr);
    require(rd(MIS, 4) == (rd(RIS, 4) & rd(IMSC, 4)));
    require((rd(MIS, 4) != 0) == uart_line());
    require((rd(RIS, 4) & (INT_RX | INT_RT)) == 0 || rx.count > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uart_begin(pl011_create, 0x1000, data, size);
    naive_reset();
    while (in.size > 0) {
        unsigned deed = (unsigned)take(&in, 1);

        if (deed == 0xff) {
            device->ops->reset(device);
            naive_reset();
        } else if ((deed & 0x7c) == 0x7c) {
            do_type();
        } else {
            do_access(deed);
        }
        check();
    }
    return 0;
}

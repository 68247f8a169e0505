/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line is infinitely fast: what is transmitted is on the console at once, so the transmit FIFO holds something only
 * while the transmitter is off. The host offers again what finds no room in the receive FIFO, so its input can't
 * overrun.
 */
#include "device/pl011.h"

#include "core/device.h"
#include "core/guest_fdt.h"
#include "core/vm.h"
#include "device/primecell.h"
#include "lib/host.h"
#include <libfdt.h>

#define FIFO_DEPTH 32U /* of revision r1p5 */

/* Registers (DDI 0183 3.2), each 32 bits apart. */
enum {
    DR = 0x00 / 4,
    RSR = 0x04 / 4, /* written: ECR */
    FR = 0x18 / 4,
    ILPR = 0x20 / 4,
    IBRD = 0x24 / 4,
    FBRD = 0x28 / 4,
    LCR_H = 0x2c / 4,
    CR = 0x30 / 4,
    IFLS = 0x34 / 4,
    IMSC = 0x38 / 4,
    RIS = 0x3c / 4,
    MIS = 0x40 / 4,
    ICR = 0x44 / 4,
    DMACR = 0x48 / 4,
    REG_COUNT,
};

#define FR_OFFSET 0x18U

#define DR_OE_SHIFT 8U /* DR has at [11:8] what RSR has at [3:0] */
#define RSR_OE (1U << 3)
#define LCR_H_FEN (1U << 4)

enum {
    FR_CTS = 1U << 0,
    FR_DSR = 1U << 1,
    FR_DCD = 1U << 2,
    FR_BUSY = 1U << 3,
    FR_RXFE = 1U << 4,
    FR_TXFF = 1U << 5,
    FR_RXFF = 1U << 6,
    FR_TXFE = 1U << 7,
    FR_RI = 1U << 8,
};

enum {
    CR_UARTEN = 1U << 0,
    CR_LBE = 1U << 7,
    CR_TXE = 1U << 8,
    CR_RXE = 1U << 9,
    CR_DTR = 1U << 10,
    CR_RTS = 1U << 11,
    CR_OUT1 = 1U << 12,
    CR_OUT2 = 1U << 13,
};

/* IMSC, RIS, MIS, ICR */
enum {
    INT_RI = 1U << 0,
    INT_CTS = 1U << 1,
    INT_DCD = 1U << 2,
    INT_DSR = 1U << 3,
    INT_RX = 1U << 4,
    INT_TX = 1U << 5,
    INT_RT = 1U << 6,
    INT_OE = 1U << 10,
};

/*
 * Under `lock`, but for `fr`, which is what FR reads as and follows from the rest: update() keeps it so, like the
 * interrupt line.
 */
struct pl011 {
    struct axvm_device device;
    struct spinlock lock;
    _Atomic uint32_t fr;
    bool line;
    bool overrun; /* characters were lost since the last that the receive FIFO took */
    unsigned rx_first, rx_count, tx_count;
    uint8_t rx[FIFO_DEPTH];
    char tx[FIFO_DEPTH];
    uint32_t regs[REG_COUNT]; /* those that keep a value */
};

static unsigned fifo_depth(const struct pl011 *uart)
{
    return (uart->regs[LCR_H] & LCR_H_FEN) != 0 ? FIFO_DEPTH : 1;
}

/* How many characters IFLS.RXIFLSEL means; without FIFOs, the one there is. */
static unsigned rx_trigger(const struct pl011 *uart)
{
    static const uint8_t levels[8] = {4, 8, 16, 24, 28, 28, 28, 28}; /* 1/8, 1/4, 1/2, 3/4, 7/8 of 32; reserved */

    return fifo_depth(uart) == 1 ? 1 : levels[uart->regs[IFLS] >> 3 & 7U];
}

/* A peer that is always there and ready; in loopback, the UART itself (DDI 0183 3.3.8, LBE). */
static uint32_t modem_lines(uint32_t cr)
{
    if ((cr & CR_LBE) == 0) {
        return FR_CTS | FR_DSR | FR_DCD;
    }
    return ((cr & CR_RTS) != 0 ? FR_CTS : 0) | ((cr & CR_DTR) != 0 ? FR_DSR : 0) | ((cr & CR_OUT1) != 0 ? FR_DCD : 0) |
           ((cr & CR_OUT2) != 0 ? FR_RI : 0);
}

static void update(struct pl011 *uart)
{
    uint32_t fr = modem_lines(uart->regs[CR]);
    bool line = (uart->regs[RIS] & uart->regs[IMSC]) != 0;

    fr |= uart->rx_count == 0 ? FR_RXFE : 0;
    fr |= uart->rx_count == fifo_depth(uart) ? FR_RXFF : 0;
    fr |= uart->tx_count == 0 ? FR_TXFE : FR_BUSY;
    fr |= uart->tx_count == fifo_depth(uart) ? FR_TXFF : 0;
    atomic_store_explicit(&uart->fr, fr, memory_order_relaxed);
    if (line != uart->line) {
        uart->line = line;
        axvm_device_set_irq(&uart->device, line);
    }
}

/* ---- Receiver ---------------------------------------------------------------------------------------------------- */

static bool receives(const struct pl011 *uart)
{
    return (uart->regs[CR] & (CR_UARTEN | CR_RXE)) == (CR_UARTEN | CR_RXE);
}

/*
 * The receive interrupt comes with the character that makes the FIFO reach its trigger level; the timeout interrupt
 * when characters wait and the line is idle, which here is always the case (DDI 0183 3.4).
 */
static void receive(struct pl011 *uart, uint8_t c)
{
    if (uart->rx_count == fifo_depth(uart)) {
        uart->overrun = true;
        uart->regs[RSR] |= RSR_OE;
        uart->regs[RIS] |= INT_OE;
        return;
    }
    uart->overrun = false;
    uart->rx[(uart->rx_first + uart->rx_count++) % FIFO_DEPTH] = c;
    uart->regs[RIS] |= uart->rx_count == rx_trigger(uart) ? INT_RX : 0;
    uart->regs[RIS] |= fifo_depth(uart) > 1 ? INT_RT : 0;
}

/* An empty FIFO gives its last character again. */
static uint32_t dr_read(struct pl011 *uart)
{
    uint32_t value = uart->rx[uart->rx_first] | (uart->overrun ? RSR_OE << DR_OE_SHIFT : 0);

    if (uart->rx_count > 0) {
        uart->rx_first = (uart->rx_first + 1) % FIFO_DEPTH;
        uart->rx_count--;
    }
    uart->regs[RIS] &= uart->rx_count < rx_trigger(uart) ? ~(uint32_t)INT_RX : UINT32_MAX;
    uart->regs[RIS] &= ~(uint32_t)INT_RT;
    uart->regs[RIS] |= uart->rx_count > 0 ? INT_RT : 0;
    return value;
}

static void ecr_write(struct pl011 *uart, uint32_t value)
{
    (void)value;
    uart->regs[RSR] = 0;
}

/* ---- Transmitter ------------------------------------------------------------------------------------------------- */

/* The transmit interrupt comes when the FIFO drains through its trigger level: at once, whatever the level. */
static void transmit(struct pl011 *uart)
{
    unsigned count = uart->tx_count;

    if (count == 0 || (uart->regs[CR] & (CR_UARTEN | CR_TXE)) != (CR_UARTEN | CR_TXE)) {
        return;
    }
    uart->tx_count = 0;
    uart->regs[RIS] |= INT_TX;
    hal->console_write(uart->device.vm->id, uart->tx, count);
    for (unsigned i = 0; i < count && (uart->regs[CR] & CR_LBE) != 0 && receives(uart); i++) {
        receive(uart, (uint8_t)uart->tx[i]);
    }
}

/* What finds a full FIFO is lost. */
static void dr_write(struct pl011 *uart, uint32_t value)
{
    if (uart->tx_count < fifo_depth(uart)) {
        uart->tx[uart->tx_count++] = (char)(value & 0xffU);
        uart->regs[RIS] &= ~(uint32_t)INT_TX;
        transmit(uart);
    }
}

/* ---- Control ----------------------------------------------------------------------------------------------------- */

static void cr_write(struct pl011 *uart, uint32_t value)
{
    uint32_t changed = modem_lines(uart->regs[CR]) ^ modem_lines(value);

    uart->regs[CR] = value;
    uart->regs[RIS] |= (changed & FR_CTS) != 0 ? INT_CTS : 0;
    uart->regs[RIS] |= (changed & FR_DSR) != 0 ? INT_DSR : 0;
    uart->regs[RIS] |= (changed & FR_DCD) != 0 ? INT_DCD : 0;
    uart->regs[RIS] |= (changed & FR_RI) != 0 ? INT_RI : 0;
    transmit(uart);
}

/* Turning the FIFOs on or off empties them. */
static void lcr_h_write(struct pl011 *uart, uint32_t value)
{
    if (((uart->regs[LCR_H] ^ value) & LCR_H_FEN) != 0) {
        uart->rx_count = 0;
        uart->tx_count = 0;
        uart->regs[RIS] &= ~(uint32_t)(INT_RX | INT_RT);
    }
    uart->regs[LCR_H] = value;
}

static uint32_t fr_read(struct pl011 *uart)
{
    return atomic_load_explicit(&uart->fr, memory_order_relaxed);
}

static uint32_t mis_read(struct pl011 *uart)
{
    return uart->regs[RIS] & uart->regs[IMSC];
}

static void icr_write(struct pl011 *uart, uint32_t value)
{
    uart->regs[RIS] &= ~value;
}

/*
 * Without a function, the register's value in regs[] is read and written. CR resets to 0x300 in hardware; here the UART
 * is on already, as a boot loader leaves the console that it hands over: Linux's earlycon doesn't turn it on.
 */
static const struct reg {
    uint16_t writable;
    uint16_t reset;
    uint32_t (*read)(struct pl011 *uart);
    void (*write)(struct pl011 *uart, uint32_t value); /* given writable bits only */
} regs[REG_COUNT] = {
    [DR] = {.writable = 0xff, .read = dr_read, .write = dr_write},
    [RSR] = {.writable = 0xff, .write = ecr_write},
    [FR] = {.read = fr_read},
    [ILPR] = {.writable = 0xff},
    [IBRD] = {.writable = 0xffff},
    [FBRD] = {.writable = 0x3f},
    [LCR_H] = {.writable = 0xff, .write = lcr_h_write},
    [CR] = {.writable = 0xff87, .reset = CR_UARTEN | CR_TXE | CR_RXE, .write = cr_write},
    [IFLS] = {.writable = 0x3f, .reset = 0x12},
    [IMSC] = {.writable = 0x7ff},
    [RIS] = {0},
    [MIS] = {.read = mis_read},
    [ICR] = {.writable = 0x7ff, .write = icr_write},
    [DMACR] = {.writable = 0x7}, /* there is no DMA controller */
};

static const uint8_t peripheral_id[4] = {0x11, 0x10, 0x34, 0x00}; /* r1p5 */

static const struct reg *find(uint64_t offset, unsigned size)
{
    return offset % 4 == 0 && offset / 4 < REG_COUNT && size <= 4 ? &regs[offset / 4] : NULL;
}

/* ---- The device -------------------------------------------------------------------------------------------------- */

static int pl011_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                      uint64_t *value)
{
    struct pl011 *uart = (struct pl011 *)device;
    const struct reg *reg;

    (void)vcpu;
    if (offset == FR_OFFSET) {
        *value = fr_read(uart); /* polled for every character: no lock */
        return AXVM_OK;
    }
    reg = find(offset, size);
    if (reg != NULL) {
        spin_lock(&uart->lock);
        *value = reg->read != NULL ? reg->read(uart) : uart->regs[offset / 4];
        update(uart);
        spin_unlock(&uart->lock);
    } else {
        *value = offset >= PRIMECELL_IDS && offset % 4 == 0 ? primecell_id(peripheral_id, offset) : 0;
    }
    return AXVM_OK;
}

static int pl011_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                       uint64_t value)
{
    struct pl011 *uart = (struct pl011 *)device;
    const struct reg *reg = find(offset, size);

    (void)vcpu;
    if (reg == NULL || reg->writable == 0) {
        return AXVM_OK;
    }
    spin_lock(&uart->lock);
    if (reg->write != NULL) {
        reg->write(uart, (uint32_t)value & reg->writable);
    } else {
        uart->regs[offset / 4] = (uint32_t)value & reg->writable;
    }
    update(uart);
    spin_unlock(&uart->lock);
    return AXVM_OK;
}

/* In loopback the outer line isn't connected to the receiver. */
static size_t pl011_input(struct axvm_device *device, const char *bytes, size_t count)
{
    struct pl011 *uart = (struct pl011 *)device;
    size_t taken = 0;

    spin_lock(&uart->lock);
    if (receives(uart) && (uart->regs[CR] & CR_LBE) == 0) {
        while (taken < count && uart->rx_count < fifo_depth(uart)) {
            receive(uart, (uint8_t)bytes[taken++]);
        }
        update(uart);
    }
    spin_unlock(&uart->lock);
    return taken;
}

static void pl011_reset(struct axvm_device *device)
{
    struct pl011 *uart = (struct pl011 *)device;

    spin_lock(&uart->lock);
    for (unsigned i = 0; i < REG_COUNT; i++) {
        uart->regs[i] = regs[i].reset;
    }
    uart->rx_first = 0;
    uart->rx_count = 0;
    uart->tx_count = 0;
    uart->overrun = false;
    update(uart);
    spin_unlock(&uart->lock);
}

/* Bindings pl011.yaml and primecell.yaml */
static int pl011_fdt_node(struct axvm_device *device, void *fdt)
{
    static const char clock_names[] = "uartclk\0apb_pclk";
    const fdt32_t clocks[] = {cpu_to_fdt32(GUEST_FDT_CLOCK), cpu_to_fdt32(GUEST_FDT_CLOCK)};
    int error = primecell_fdt_begin(device, fdt, "pl011");

    error = error != 0 ? error : fdt_property(fdt, "clocks", clocks, sizeof(clocks));
    error = error != 0 ? error : fdt_property(fdt, "clock-names", clock_names, sizeof(clock_names));
    return error != 0 ? error : fdt_end_node(fdt);
}

static const struct axvm_device_ops ops = {
    .name = "PL011",
    .read = pl011_read,
    .write = pl011_write,
    .reset = pl011_reset,
    .input = pl011_input,
    .fdt_node = pl011_fdt_node,
};

int pl011_create(struct axvm *vm, const struct axvm_emu_config *config)
{
    struct pl011 *uart = device_new(vm, config, &ops, sizeof(*uart), PRIMECELL_SIZE);

    if (uart == NULL) {
        return AXVM_ENOMEM;
    }
    pl011_reset(&uart->device);
    return axvm_add_device(vm, &uart->device);
}

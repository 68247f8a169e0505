/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line is infinitely fast: what is transmitted is on the console at once, so the transmitter is always empty, and a
 * character that waits in the receive FIFO has been waiting long enough for the timeout. The host offers again what
 * finds no room in the receive FIFO, so its input can't overrun. Data always has eight bits, whatever LCR says.
 */
#include "device/ns16550.h"

#include "core/device.h"
#include "core/vm.h"
#include "lib/host.h"
#include <libfdt.h>

#define NS16550_SIZE UINT64_C(0x100)
#define FIFO_DEPTH 16U
#define CLOCK_HZ 3686400U /* as on QEMU's "virt" machine */
#define DIVISOR 2U        /* 115200 baud, as a boot loader leaves it */

/* Registers (PC16550D table II). DLAB puts the divisor in the place of the first two. */
enum {
    RBR = 0, /* written: THR; with DLAB: DLL */
    IER = 1, /* with DLAB: DLM */
    IIR = 2, /* written: FCR */
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6,
    SCR = 7,
};

enum {
    IER_RX = 1U << 0, /* received data, and timeout */
    IER_THRE = 1U << 1,
    IER_LINE = 1U << 2,
    IER_MODEM = 1U << 3,
    IER_MASK = 0xf,
};

/* What interrupts, of the highest priority; PC16550D table IV. */
enum {
    IIR_MODEM = 0x0,
    IIR_NONE = 0x1,
    IIR_THRE = 0x2,
    IIR_RX = 0x4,
    IIR_LINE = 0x6,
    IIR_TIMEOUT = 0xc,
    IIR_FIFOS = 0xc0,
};

enum {
    FCR_ENABLE = 1U << 0,
    FCR_CLEAR_RX = 1U << 1,
    FCR_TRIGGER_SHIFT = 6,
    FCR_MASK = 0xc9, /* those that keep their value */
};

#define LCR_DLAB (1U << 7)

enum {
    MCR_DTR = 1U << 0,
    MCR_RTS = 1U << 1,
    MCR_OUT1 = 1U << 2,
    MCR_OUT2 = 1U << 3,
    MCR_LOOP = 1U << 4,
    MCR_MASK = 0x1f,
};

enum {
    LSR_DR = 1U << 0,
    LSR_OE = 1U << 1,
    LSR_THRE = 1U << 5,
    LSR_TEMT = 1U << 6,
};

/* The upper half is the lines, the lower half which of them have changed since it was read (RI: has gone off). */
enum {
    MSR_CTS = 1U << 4,
    MSR_DSR = 1U << 5,
    MSR_RI = 1U << 6,
    MSR_DCD = 1U << 7,
    MSR_DELTA_SHIFT = 4,
    MSR_DELTAS = 0xf,
};

/* Under `lock`, but for `lsr`, which update() keeps as the rest says, like the interrupt line. */
struct ns16550 {
    struct axvm_device device;
    struct spinlock lock;
    _Atomic uint8_t lsr;
    bool line;
    bool overrun;
    bool thre; /* the interrupt: the transmitter has become empty, and the guest wasn't told */
    unsigned rx_first, rx_count;
    uint8_t rx[FIFO_DEPTH];
    uint8_t ier, fcr, lcr, mcr, msr, scr, dll, dlm;
};

static unsigned fifo_depth(const struct ns16550 *uart)
{
    return (uart->fcr & FCR_ENABLE) != 0 ? FIFO_DEPTH : 1;
}

static unsigned rx_trigger(const struct ns16550 *uart)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    return fifo_depth(uart) == 1 ? 1 : levels[uart->fcr >> FCR_TRIGGER_SHIFT];
}

static unsigned interrupt(const struct ns16550 *uart)
{
    if ((uart->ier & IER_LINE) != 0 && uart->overrun) {
        return IIR_LINE;
    }
    if ((uart->ier & IER_RX) != 0 && uart->rx_count > 0) {
        return uart->rx_count >= rx_trigger(uart) ? IIR_RX : IIR_TIMEOUT;
    }
    if ((uart->ier & IER_THRE) != 0 && uart->thre) {
        return IIR_THRE;
    }
    return (uart->ier & IER_MODEM) != 0 && (uart->msr & MSR_DELTAS) != 0 ? IIR_MODEM : IIR_NONE;
}

static void update(struct ns16550 *uart)
{
    bool line = interrupt(uart) != IIR_NONE;
    unsigned lsr = LSR_THRE | LSR_TEMT | (uart->rx_count > 0 ? LSR_DR : 0U) | (uart->overrun ? LSR_OE : 0U);

    atomic_store_explicit(&uart->lsr, (uint8_t)lsr, memory_order_relaxed);
    if (line != uart->line) {
        uart->line = line;
        axvm_device_set_irq(&uart->device, line);
    }
}

/* ---- Receiver and transmitter ------------------------------------------------------------------------------------ */

static void rx_clear(struct ns16550 *uart)
{
    uart->rx_first = 0;
    uart->rx_count = 0;
}

/* A full FIFO stays as it is; without FIFOs, the new character takes the old one's place. */
static void receive(struct ns16550 *uart, uint8_t c)
{
    if (uart->rx_count == fifo_depth(uart)) {
        uart->overrun = true;
        if (fifo_depth(uart) > 1) {
            return;
        }
        uart->rx_count = 0;
    }
    uart->rx[(uart->rx_first + uart->rx_count++) % FIFO_DEPTH] = c;
}

/* An empty FIFO gives its last character again. */
static uint8_t rbr_read(struct ns16550 *uart)
{
    uint8_t c = uart->rx[uart->rx_first];

    if (uart->rx_count > 1) {
        uart->rx_first = (uart->rx_first + 1) % FIFO_DEPTH;
    }
    uart->rx_count -= uart->rx_count > 0 ? 1 : 0;
    return c;
}

/* In loopback nothing leaves. */
static void thr_write(struct ns16550 *uart, uint8_t value)
{
    char c = (char)value;

    if ((uart->mcr & MCR_LOOP) != 0) {
        receive(uart, value);
    } else {
        hal->console_write(uart->device.vm->id, &c, 1);
    }
    uart->thre = true;
}

/* ---- Control ----------------------------------------------------------------------------------------------------- */

/* A transmitter that is empty when its interrupt is enabled interrupts, whether it has been told before or not. */
static void ier_write(struct ns16550 *uart, uint8_t value)
{
    uart->thre = (value & ~uart->ier & IER_THRE) != 0 || uart->thre;
    uart->ier = value & IER_MASK;
}

/* The THRE interrupt has been told by this. */
static uint8_t iir_read(struct ns16550 *uart)
{
    unsigned source = interrupt(uart);

    uart->thre = uart->thre && source != IIR_THRE;
    return (uint8_t)(source | (fifo_depth(uart) > 1 ? IIR_FIFOS : 0U));
}

/* The other bits count only together with FCR_ENABLE. Turning the FIFOs on or off empties them. */
static void fcr_write(struct ns16550 *uart, uint8_t value)
{
    value = (value & FCR_ENABLE) != 0 ? value : 0;
    if (((uart->fcr ^ value) & FCR_ENABLE) != 0 || (value & FCR_CLEAR_RX) != 0) {
        rx_clear(uart);
    }
    uart->fcr = value & FCR_MASK;
}

/* A peer that is always there and ready; in loopback, the UART itself (PC16550D 8.6.7). */
static uint8_t modem_lines(uint8_t mcr)
{
    if ((mcr & MCR_LOOP) == 0) {
        return MSR_CTS | MSR_DSR | MSR_DCD;
    }
    return (uint8_t)(((mcr & MCR_RTS) != 0 ? MSR_CTS : 0U) | ((mcr & MCR_DTR) != 0 ? MSR_DSR : 0U) |
                     ((mcr & MCR_OUT1) != 0 ? MSR_RI : 0U) | ((mcr & MCR_OUT2) != 0 ? MSR_DCD : 0U));
}

static void mcr_write(struct ns16550 *uart, uint8_t value)
{
    unsigned before = modem_lines(uart->mcr), lines = modem_lines(value & MCR_MASK);
    unsigned changed = (before ^ lines) & ~(lines & MSR_RI);

    uart->mcr = value & MCR_MASK;
    uart->msr = (uint8_t)(lines | (uart->msr & MSR_DELTAS) | changed >> MSR_DELTA_SHIFT);
}

static uint8_t msr_read(struct ns16550 *uart)
{
    uint8_t value = uart->msr;

    uart->msr = value & (uint8_t)~MSR_DELTAS;
    return value;
}

static uint8_t lsr_read(struct ns16550 *uart)
{
    uint8_t value = atomic_load_explicit(&uart->lsr, memory_order_relaxed);

    uart->overrun = false;
    return value;
}

/* ---- The device -------------------------------------------------------------------------------------------------- */

static uint8_t reg_read(struct ns16550 *uart, uint64_t reg)
{
    bool dlab = (uart->lcr & LCR_DLAB) != 0;

    switch (reg) {
    case RBR:
        return dlab ? uart->dll : rbr_read(uart);
    case IER:
        return dlab ? uart->dlm : uart->ier;
    case IIR:
        return iir_read(uart);
    case LCR:
        return uart->lcr;
    case MCR:
        return uart->mcr;
    case LSR:
        return lsr_read(uart);
    case MSR:
        return msr_read(uart);
    case SCR:
        return uart->scr;
    default:
        return 0;
    }
}

static void divisor_write(struct ns16550 *uart, uint64_t reg, uint8_t value)
{
    *(reg == RBR ? &uart->dll : &uart->dlm) = value;
}

/* LSR and MSR are read-only. */
static void reg_write(struct ns16550 *uart, uint64_t reg, uint8_t value)
{
    if (reg <= IER && (uart->lcr & LCR_DLAB) != 0) {
        divisor_write(uart, reg, value);
        return;
    }
    switch (reg) {
    case RBR:
        thr_write(uart, value);
        break;
    case IER:
        ier_write(uart, value);
        break;
    case IIR:
        fcr_write(uart, value);
        break;
    case LCR:
        uart->lcr = value;
        break;
    case MCR:
        mcr_write(uart, value);
        break;
    case SCR:
        uart->scr = value;
        break;
    default:
        break;
    }
}

__attribute__((noinline)) static int locked_read(struct ns16550 *uart, uint64_t reg, uint64_t *value)
{
    spin_lock(&uart->lock);
    *value = reg_read(uart, reg);
    update(uart);
    spin_unlock(&uart->lock);
    return AXVM_OK;
}

/* LSR is polled for every character: no lock, unless the read clears something. */
static int ns16550_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                        uint64_t *value)
{
    struct ns16550 *uart = (struct ns16550 *)device;

    (void)vcpu;
    (void)size;
    if (offset == LSR) {
        *value = atomic_load_explicit(&uart->lsr, memory_order_acquire);
        if ((*value & LSR_OE) == 0) {
            return AXVM_OK;
        }
    }
    return locked_read(uart, offset, value);
}

static int ns16550_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                         uint64_t value)
{
    struct ns16550 *uart = (struct ns16550 *)device;

    (void)vcpu;
    (void)size;
    spin_lock(&uart->lock);
    reg_write(uart, offset, (uint8_t)value);
    update(uart);
    spin_unlock(&uart->lock);
    return AXVM_OK;
}

/* In loopback the outer line isn't connected to the receiver. */
static size_t ns16550_input(struct axvm_device *device, const char *bytes, size_t count)
{
    struct ns16550 *uart = (struct ns16550 *)device;
    size_t taken = 0;

    spin_lock(&uart->lock);
    while (taken < count && (uart->mcr & MCR_LOOP) == 0 && uart->rx_count < fifo_depth(uart)) {
        receive(uart, (uint8_t)bytes[taken++]);
    }
    update(uart);
    spin_unlock(&uart->lock);
    return taken;
}

static void ns16550_reset(struct axvm_device *device)
{
    struct ns16550 *uart = (struct ns16550 *)device;

    spin_lock(&uart->lock);
    rx_clear(uart);
    uart->rx[0] = 0;
    uart->overrun = false;
    uart->thre = false;
    uart->ier = 0;
    uart->fcr = 0;
    uart->lcr = 0;
    uart->mcr = 0;
    uart->msr = modem_lines(0);
    uart->scr = 0;
    uart->dll = DIVISOR;
    uart->dlm = 0;
    update(uart);
    spin_unlock(&uart->lock);
}

/* Binding serial/8250.yaml */
static int ns16550_fdt_node(struct axvm_device *device, void *fdt)
{
    int error = device_fdt_begin(device, fdt, "serial", "ns16550a", sizeof("ns16550a"));

    error = error != 0 ? error : fdt_property_u32(fdt, "clock-frequency", CLOCK_HZ);
    return error != 0 ? error : fdt_end_node(fdt);
}

static const struct axvm_device_ops ops = {
    .name = "NS16550",
    .read = ns16550_read,
    .write = ns16550_write,
    .reset = ns16550_reset,
    .input = ns16550_input,
    .fdt_node = ns16550_fdt_node,
};

int ns16550_create(struct axvm *vm, const struct axvm_emu_config *config)
{
    struct ns16550 *uart = device_new(vm, config, &ops, sizeof(*uart), NS16550_SIZE);

    if (uart == NULL) {
        return AXVM_ENOMEM;
    }
    ns16550_reset(&uart->device);
    return axvm_add_device(vm, &uart->device);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which CPU gets an interrupt, and in which group: SGIs as they are sent, and 1-of-N interrupts, which go to a CPU that
 * takes part. The CPUs do as CPU 0 tells them, with interrupts masked.
 */
#include "test.h"
#include "test_parts.h"

#define ICC_IAR0_EL1 S3_0_C12_C8_0
#define ICC_EOIR0_EL1 S3_0_C12_C8_1
#define ICC_IGRPEN0_EL1 S3_0_C12_C12_6
#define ICC_ASGI1R_EL1 S3_0_C12_C11_6
#define ICC_SGI0R_EL1 S3_0_C12_C11_7

#define ISR_IRQ (1U << 7)
#define ISR_FIQ (1U << 6)

enum { GICD_CTLR = 0, IGROUPR = 0x80, ISENABLER = 0x100, ISPENDR = 0x200, IPRIORITYR = 0x400, ICFGR = 0xc00,
       IROUTER = 0x6000, GICR_WAKER = 0x14, SGI_BASE = 0x10000, GICR_STRIDE = 0x20000 };

#define IROUTER_IRM (1U << 31)
#define WAKER_PROCESSOR_SLEEP 2U
#define WAKER_CHILDREN_ASLEEP 4U

/* ---- CPUs that obey ---- */

enum command { COLLECT, TAKE, TRY, END, GROUP_OFF, GROUP_ON, LEAVE };

static volatile struct mailbox {
    enum command command;
    unsigned asked, done;
    uint32_t got;
} mailboxes[MAX_CPUS];

static uint64_t redistributor(unsigned cpu)
{
    return machine.arch.gicr + GICR_STRIDE * (uint64_t)cpu;
}

static uint32_t collect(void);

static void obey(volatile struct mailbox *self)
{
    switch (self->command) {
    case COLLECT:
        self->got = collect();
        break;
    case TAKE:
        self->got = take_soon();
        break;
    case TRY:
        self->got = take();
        break;
    case END:
        end(self->got);
        break;
    case GROUP_OFF:
    case GROUP_ON:
        reg_write(ICC_IGRPEN1_EL1, self->command == GROUP_ON);
        barrier("isb");
        break;
    case LEAVE:
        break;
    }
}

#define SGI0 3U /* of group 0 */
#define SGI1 4U
#define MARKER 15U /* of group 1, and less urgent */

static void cpu_prepare(void)
{
    uint64_t frame = redistributor(cpu_id()) + SGI_BASE;

    mmio_write32(frame + IGROUPR, ~(1U << SGI0));
    mmio_write32(frame + IPRIORITYR + (MARKER & ~3U), 0xa0808080U);
    mmio_write32(frame + ISENABLER, 1U << SGI0 | 1U << SGI1 | 1U << MARKER);
    reg_write(ICC_IGRPEN0_EL1, 1);
    barrier("isb");
}

static void obedient_cpu(void)
{
    volatile struct mailbox *self = &mailboxes[cpu_id()];

    cpu_prepare();
    advance(&self->done);
    for (unsigned n = 1; self->command != LEAVE; n++) {
        wait_for(&self->asked, n);
        obey(self);
        advance(&self->done);
    }
}

static uint32_t tell(unsigned cpu, enum command command)
{
    volatile struct mailbox *it = &mailboxes[cpu];

    it->command = command;
    if (cpu == 0) {
        obey(it);
    } else {
        advance(&it->asked);
        wait_for(&it->done, it->asked + 1);
    }
    return it->got;
}

static void all_begin(void)
{
    mmio_write32(machine.arch.gicd + GICD_CTLR, 3);
    irq_disable();
    cpu_prepare();
    for (unsigned cpu = 1; cpu < machine.cpu_count; cpu++) {
        check_equal(cpu_start(cpu, obedient_cpu), 0);
        wait_for(&mailboxes[cpu].done, 1);
    }
}

static void all_leave(void)
{
    for (unsigned cpu = 1; cpu < machine.cpu_count; cpu++) {
        tell(cpu, LEAVE);
        while (!cpu_is_off(cpu)) {
        }
    }
}

/* ---- sgis ---- */

#define SGI_IRM (UINT64_C(1) << 40)

/* What it has got before the marker, each: bit INTID of group 1, bit 16 + INTID of group 0. */
static uint32_t collect(void)
{
    uint32_t got = 0;

    for (;;) {
        uint64_t lines = reg_read(isr_el1);
        uint32_t fiq = (uint32_t)reg_read(ICC_IAR0_EL1), irq;

        barrier("dsb sy\n\tisb");
        if (fiq < SPURIOUS) {
            check((lines & ISR_FIQ) != 0);
            got |= 0x10000U << fiq % 16;
            reg_write(ICC_EOIR0_EL1, fiq);
            barrier("dsb sy\n\tisb");
        }
        irq = take();
        if (irq < SPURIOUS) {
            end(irq);
        }
        if (irq == MARKER) {
            return got;
        }
        got |= irq < SPURIOUS ? 1U << irq % 16 : 0;
    }
}

static void send(unsigned reg, uint64_t value)
{
    switch (reg) {
    case 0:
        reg_write(ICC_SGI1R_EL1, value);
        break;
    case 1:
        reg_write(ICC_SGI0R_EL1, value);
        break;
    default:
        reg_write(ICC_ASGI1R_EL1, value);
        break;
    }
    barrier("isb");
}

/* `targets`: bit n: CPU n gets `wanted` (as collect() has it), and the others nothing. */
static void check_delivery(uint32_t targets, uint32_t wanted)
{
    for (unsigned cpu = 0; cpu < machine.cpu_count; cpu++) {
        gic_send_sgi(MARKER, cpu);
        check_equal(tell(cpu, COLLECT), (targets >> cpu & 1) != 0 ? wanted : 0);
    }
}

/*
 * With one security state (GICD_CTLR.DS is 1), ICC_SGI1R_EL1 makes an SGI pending whatever its group at the target is,
 * the other two if that is group 0; it comes as its group says: 0 as FIQ, 1 as IRQ (IHI 0069 4.6.2, and "Forwarding an
 * SGI to a target PE").
 */
static void sgi_everywhere(unsigned reg, unsigned sgi)
{
    uint32_t all = (1U << machine.cpu_count) - 1;
    uint64_t cluster = (machine.cpu_ids[0] >> 8 & 0xff) << 16;
    uint32_t wanted = sgi == SGI0 ? 0x10000U << SGI0 : reg == 0 ? 1U << SGI1 : 0;

    for (uint32_t list = 0; list <= all; list++) {
        send(reg, (uint64_t)sgi << 24 | cluster | list);
        check_delivery(list, wanted);
    }
    send(reg, (uint64_t)sgi << 24 | cluster | ~all << 16 >> 16);
    check_delivery(0, 0); /* nobody */
    send(reg, (uint64_t)sgi << 24 | SGI_IRM);
    check_delivery(all & ~1U, wanted);
}

void test_sgis(void)
{
    all_begin();
    for (unsigned cpu = 0; cpu < machine.cpu_count; cpu++) {
        check_equal(machine.cpu_ids[cpu] - machine.cpu_ids[0], cpu); /* what the lists mean */
    }
    for (unsigned reg = 0; reg < 3; reg++) {
        sgi_everywhere(reg, SGI0);
        sgi_everywhere(reg, SGI1);
    }
    all_leave();
    print("sgis: of both groups, to all sets of %u CPUs\n", machine.cpu_count);
}

/* ---- routes: 1-of-N (IHI 0069 3.3.2, 11.1): to a CPU that is awake and has the group on ---- */

#define SPI 40U

static void group(unsigned cpu, bool on)
{
    (void)tell(cpu, on ? GROUP_ON : GROUP_OFF);
}

static void awake(unsigned cpu, bool on)
{
    uint64_t waker = redistributor(cpu) + GICR_WAKER;

    mmio_write32(waker, on ? 0 : WAKER_PROCESSOR_SLEEP);
    while ((mmio_read32(waker) & WAKER_CHILDREN_ASLEEP) != (on ? 0 : WAKER_CHILDREN_ASLEEP)) {
    }
}

static void (*const take_part[])(unsigned cpu, bool on) = {group, awake};

static void others_take_part(unsigned which, unsigned but, bool on)
{
    for (unsigned cpu = 0; cpu < machine.cpu_count; cpu++) {
        if (cpu != but) {
            take_part[which](cpu, on);
        }
    }
}

static void set_pending(void)
{
    mmio_write32(spi_reg(ISPENDR, SPI), 1U << SPI % 32);
}

/* CPU `cpu` has it, and nobody else. */
static void taken_by(unsigned cpu)
{
    check_equal(tell(cpu, TAKE), SPI);
    for (unsigned other = 0; other < machine.cpu_count; other++) {
        if (other != cpu) {
            check_equal(tell(other, TRY), SPURIOUS);
        }
    }
    (void)tell(cpu, END);
}

/* Only `cpu` takes part: before the interrupt is pending; when another already has it; when nobody could take it. */
static void only(unsigned which, unsigned cpu)
{
    unsigned another = (cpu + 1) % machine.cpu_count;

    others_take_part(which, cpu, false);
    set_pending();
    taken_by(cpu);
    others_take_part(which, cpu, true);
    others_take_part(which, another, false);
    set_pending();
    others_take_part(which, another, true);
    others_take_part(which, cpu, false);
    taken_by(cpu);
    take_part[which](cpu, false);
    set_pending();
    for (unsigned other = 0; other < machine.cpu_count; other++) {
        check_equal(tell(other, TRY), SPURIOUS);
    }
    take_part[which](cpu, true);
    taken_by(cpu);
    others_take_part(which, cpu, true);
}

void test_routes(void)
{
    uint64_t config = machine.arch.gicd + ICFGR + SPI / 16 * 4;

    all_begin();
    mmio_write32(config, mmio_read32(config) | 2U << SPI % 16 * 2); /* an edge */
    mmio_write32(spi_reg(IGROUPR, SPI), mmio_read32(spi_reg(IGROUPR, SPI)) | 1U << SPI % 32);
    mmio_write32(machine.arch.gicd + IPRIORITYR + (SPI & ~3U), 0x80808080U);
    mmio_write32(machine.arch.gicd + IROUTER + 8 * SPI, IROUTER_IRM);
    gic_enable(SPI);
    for (unsigned which = 0; which < COUNT(take_part); which++) {
        for (unsigned cpu = 0; cpu < machine.cpu_count; cpu++) {
            only(which, cpu);
        }
    }
    all_leave();
    print("routes: each of %u CPUs took what only it could take\n", machine.cpu_count);
}

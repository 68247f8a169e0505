/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pending and active state of interrupts that CPU 1 has, as CPU 0 reads and writes it. CPU 1 takes and ends them on
 * command, with interrupts disabled and without anything that a hypervisor would notice.
 */
#include "test.h"
#include "test_parts.h"

#define ROUNDS 100U /* within SECONDS: on a shared CPU each step takes a time slice */
#define SECONDS 3U
#define CROSS_ROUNDS 100U

#define SPI 40U
#define SPI2 72U /* in the next register */
#define SGI 5U
#define WAKE_SGI 6U

#define BIT(irq) (1U << (irq) % 32)

enum {
    IGROUPR = 0x80, ISENABLER = 0x100, ISPENDR = 0x200, ICPENDR = 0x280, ISACTIVER = 0x300, ICACTIVER = 0x380,
    IPRIORITYR = 0x400, ICFGR = 0xc00, IROUTER = 0x6000, SGI_BASE = 0x10000, GICR_STRIDE = 0x20000,
};

enum command { TAKE, TRY, END, SLEEP, CROSS, LEAVE };

static volatile struct {
    enum command command;
    uint32_t intid;
    unsigned asked, done;
    bool awake; /* it is to leave SLEEP */
} holder;

static uint64_t private_reg(unsigned cpu, unsigned reg)
{
    return machine.arch.gicr + GICR_STRIDE * (uint64_t)cpu + SGI_BASE + reg;
}

/* ---- CPU 1 ------------------------------------------------------------------------------------------------------- */

static void sleep(void)
{
    while (!holder.awake) {
        wait_irq();
    }
    while (take() != WAKE_SGI) {
    }
    end(WAKE_SGI);
}

/* Each has its SGI active, and reads so of the other, who does the same. */
static void cross(unsigned other)
{
    for (unsigned i = 0; i < CROSS_ROUNDS; i++) {
        check_equal(mmio_read32(private_reg(other, ISACTIVER)), BIT(SGI));
        check_equal(mmio_read32(private_reg(other, ISPENDR)), 0);
    }
}

static void obey(void)
{
    switch (holder.command) {
    case TAKE:
        do {
            holder.intid = take();
        } while (holder.intid == SPURIOUS);
        break;
    case TRY:
        holder.intid = take();
        break;
    case END:
        end(holder.intid);
        break;
    case SLEEP:
        advance(&holder.done);
        sleep();
        break;
    case CROSS:
        advance(&holder.done);
        cross(0);
        break;
    case LEAVE:
        break;
    }
}

static void holder_cpu(void)
{
    mmio_write32(private_reg(1, ISENABLER), BIT(SGI) | BIT(WAKE_SGI));
    for (unsigned n = 1; holder.command != LEAVE; n++) {
        wait_for(&holder.asked, n);
        obey();
        advance(&holder.done);
    }
}

/* ---- CPU 0 ------------------------------------------------------------------------------------------------------- */

static unsigned expected_done;

static void begin(enum command command)
{
    holder.command = command;
    expected_done++;
    advance(&holder.asked);
    wait_for(&holder.done, expected_done);
}

/* Of a command that says twice that it is done. */
static void finish(void)
{
    expected_done++;
    wait_for(&holder.done, expected_done);
}

static void have_taken(uint32_t intid)
{
    begin(TAKE);
    check_equal(holder.intid, intid);
}

static void expect_state(uint32_t pending, uint32_t active)
{
    check_equal(mmio_read32(spi_reg(ISPENDR, SPI)), pending);
    check_equal(mmio_read32(spi_reg(ISACTIVER, SPI)), active);
    check_equal(mmio_read32(spi_reg(ICACTIVER, SPI)), active);
    check_equal(mmio_read32(spi_reg(ICPENDR, SPI)), pending);
}

static void read_one(void)
{
    mmio_write32(spi_reg(ISPENDR, SPI), BIT(SPI));
    expect_state(BIT(SPI), 0);
    have_taken(SPI);
    check_equal(mmio_read32(spi_reg(ISACTIVER, SPI)), BIT(SPI));
    begin(END);
    check_equal(mmio_read32(spi_reg(ISACTIVER, SPI)), 0);
    mmio_write32(spi_reg(ISPENDR, SPI), BIT(SPI));
    have_taken(SPI);
    check_equal(mmio_read32(spi_reg(ISPENDR, SPI)), 0);
    mmio_write32(spi_reg(ISPENDR, SPI), BIT(SPI));
    expect_state(BIT(SPI), BIT(SPI));
    begin(END);
    expect_state(BIT(SPI), 0);
    have_taken(SPI);
    expect_state(0, BIT(SPI));
    begin(END);
    expect_state(0, 0);
}

static void write_one(void)
{
    mmio_write32(spi_reg(ISPENDR, SPI), BIT(SPI));
    expect_state(BIT(SPI), 0);
    mmio_write32(spi_reg(ICPENDR, SPI), BIT(SPI));
    begin(TRY);
    check_equal(holder.intid, SPURIOUS);
    mmio_write32(spi_reg(ISPENDR, SPI), BIT(SPI));
    expect_state(BIT(SPI), 0);
    mmio_write32(spi_reg(ISACTIVER, SPI), BIT(SPI));
    begin(TRY);
    check_equal(holder.intid, SPURIOUS);
    mmio_write32(spi_reg(ICACTIVER, SPI), BIT(SPI));
    have_taken(SPI);
    expect_state(0, BIT(SPI));
    begin(END);
}

static void read_private(void)
{
    uint64_t active = private_reg(1, ISACTIVER);

    gic_send_sgi(SGI, 1);
    have_taken(SGI);
    check_equal(mmio_read32(active), BIT(SGI));
    check_equal(mmio_read32(private_reg(1, ISPENDR)), 0);
    begin(END);
    check_equal(mmio_read32(active), 0);
}

/* Two registers at once: of each, CPU 1 has an interrupt. */
static void pair(void)
{
    uint64_t address = spi_reg(ISACTIVER, SPI);
    uint32_t first, second;

    mmio_write32(spi_reg(ISPENDR, SPI), BIT(SPI));
    have_taken(SPI);
    mmio_write32(spi_reg(ISPENDR, SPI2), BIT(SPI2));
    have_taken(SPI2);
    __asm__ volatile("ldp %w0, %w1, [%2]" : "=&r"(first), "=&r"(second) : "r"(address) : "memory");
    check_equal(first, BIT(SPI));
    check_equal(second, BIT(SPI2));
    begin(END);
    __asm__ volatile(".arch_extension simd\n\tld2 {v0.s, v1.s}[0], [%2], #8\n\t"
                     "umov %w0, v0.s[0]\n\tumov %w1, v1.s[0]"
                     : "=&r"(first), "=&r"(second), "+r"(address)
                     :
                     : "memory");
    check_equal(first, BIT(SPI));
    check_equal(second, 0);
    check_equal(address, spi_reg(ISACTIVER, SPI) + 8);
    holder.intid = SPI;
    begin(END);
    address -= 8;
    __asm__ volatile("ldr %w0, [%1], #4" : "=&r"(first), "+r"(address) : : "memory");
    check_equal(first, 0);
    mmio_write32(spi_reg(ISPENDR, SPI), BIT(SPI));
    mmio_write32(spi_reg(ISPENDR, SPI2), BIT(SPI2));
    check_equal(mmio_read32(spi_reg(ISPENDR, SPI)), BIT(SPI));
    address = spi_reg(ICPENDR, SPI);
    __asm__ volatile("stp %w0, %w1, [%2]" ::"r"(BIT(SPI)), "r"(BIT(SPI2)), "r"(address) : "memory");
    begin(TRY);
    check_equal(holder.intid, SPURIOUS);
}

static void read_sleeper(void)
{
    mmio_write32(spi_reg(ISPENDR, SPI), BIT(SPI));
    have_taken(SPI);
    holder.awake = false;
    begin(SLEEP);
    for (unsigned i = 0; i < 5; i++) {
        check_equal(mmio_read32(spi_reg(ISACTIVER, SPI)), BIT(SPI));
    }
    holder.awake = true;
    gic_send_sgi(WAKE_SGI, 1);
    finish();
    begin(END);
    check_equal(mmio_read32(spi_reg(ISACTIVER, SPI)), 0);
}

static void cross_both(void)
{
    gic_send_sgi(SGI, 1);
    have_taken(SGI);
    gic_send_sgi(SGI, 0);
    while (take() != SGI) {
    }
    begin(CROSS);
    cross(1);
    finish();
    end(SGI);
    begin(END);
}

/* Edge-triggered, for CPU 1, and of less priority than SGIs. */
static void prepare(unsigned irq)
{
    uint64_t config = machine.arch.gicd + ICFGR + irq / 16 * 4;

    mmio_write32(config, mmio_read32(config) | 2U << irq % 16 * 2);
    mmio_write32(spi_reg(IGROUPR, irq), mmio_read32(spi_reg(IGROUPR, irq)) | BIT(irq));
    mmio_write32(machine.arch.gicd + IROUTER + 8 * irq, (uint32_t)machine.cpu_ids[1]);
    mmio_write32(machine.arch.gicd + IPRIORITYR + (irq & ~3U), 0x80808080U);
    gic_enable(irq);
}

void test_gic(void)
{
    uint64_t deadline = ticks() + SECONDS * ticks_per_second();
    unsigned round = 0;

    prepare(SPI);
    prepare(SPI2);
    mmio_write32(machine.arch.gicd + IPRIORITYR + (SPI2 & ~3U), 0x60606060U);
    gic_enable(SGI);
    check_equal(cpu_start(1, holder_cpu), 0);
    do {
        read_one();
        write_one();
        read_private();
        pair();
        read_sleeper();
    } while (++round < ROUNDS && ticks() < deadline);
    cross_both();
    begin(LEAVE);
    while (!cpu_is_off(1)) {
    }
    print("gic: %u rounds, and %u of both at once\n", round, CROSS_ROUNDS);
}

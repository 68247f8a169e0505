/* SPDX-License-Identifier: Apache-2.0 */
/* The ITS: commands that may be right; their queue, tables and LPIs, in memory that anybody writes to; its doorbell. */
#include "hostile_parts.h"
#include "its.h"

#define ITS 0x08080000U
#define QUEUE_BITS 12U
#define COMMAND_SIZE 32U

/* Far from what this program needs, and behind the CPUs' own pages. Tables are a page each, one after the other. */
#define TABLES UINT64_C(0x41900000)
#define QUEUE UINT64_C(0x41a00000)
#define PROPERTIES UINT64_C(0x41b00000)
#define PENDING UINT64_C(0x41c00000)

/* `good` most of the time, so that there is something to go wrong. */
static uint64_t mostly(struct hostile_cpu *cpu, uint64_t good)
{
    switch (below(cpu, 16)) {
    case 0:
        return random_value(cpu);
    case 1:
        return good ^ UINT64_C(1) << below(cpu, 64);
    default:
        return good;
    }
}

/* Once they are in use, the LPIs' properties stay where they are. */
void its_adopt(void)
{
    mmio_write64(machine.arch.gicr + GICR_PROPBASER, PROPERTIES | 13);
    mmio_write32(machine.arch.gicr + GICR_CTLR, 1);
}

static void set_up(struct hostile_cpu *cpu)
{
    uint64_t gicr = machine.arch.gicr + GICR_STRIDE * below(cpu, machine.cpu_count);
    uint64_t pending = PENDING + 0x10000 * below(cpu, machine.cpu_count);

    mmio_write64(gicr + GICR_PENDBASER, mostly(cpu, pending | UINT64_C(1) << 62));
    mmio_write32(gicr + GICR_CTLR, (uint32_t)mostly(cpu, 1));
    mmio_write32(ITS + GITS_CTLR, (uint32_t)mostly(cpu, 0));
    for (unsigned n = 0; n < 2; n++) {
        mmio_write64(ITS + GITS_BASER0 + 8 * n, mostly(cpu, ITS_VALID | (TABLES + n * 0x10000) | 2 << 8));
    }
    mmio_write64(ITS + GITS_CBASER, mostly(cpu, ITS_VALID | QUEUE | ((1 << (QUEUE_BITS - 12)) - 1)));
    mmio_write64(ITS + GITS_CWRITER, mostly(cpu, 0));
    mmio_write32(ITS + GITS_CTLR, (uint32_t)mostly(cpu, 1));
}

/* Any command: its fields are those that some command has at these places, and small enough to meet others' again. */
static void write_command(struct hostile_cpu *cpu, volatile uint64_t *dw)
{
    static const uint8_t numbers[] = {MOVI,  INT,   INT,  INT, CLEAR,  SYNC,   MAPD,    MAPC,
                                      MAPTI, MAPTI, MAPI, INV, INVALL, MOVALL, DISCARD, 0};
    uint64_t number = numbers[below(cpu, COUNT(numbers))];
    uint64_t event = below(cpu, 20), target = below(cpu, machine.cpu_count + 1U) << 16;
    uint64_t valid = below(cpu, 4) != 0 ? ITS_VALID : 0;

    dw[0] = mostly(cpu, below(cpu, 4) << 32 | number);
    dw[1] = mostly(cpu, number == MAPD ? below(cpu, 8) : (FIRST_LPI + below(cpu, 20)) << 32 | event);
    switch (number) {
    case MAPD:
        dw[2] = mostly(cpu, valid | (TABLES + 0x20000 + below(cpu, 4) * 0x1000));
        break;
    case MAPC:
        dw[2] = mostly(cpu, valid | target | below(cpu, 8));
        break;
    case SYNC:
    case MOVALL:
        dw[2] = mostly(cpu, target);
        break;
    default:
        dw[2] = mostly(cpu, below(cpu, 8));
        break;
    }
    dw[3] = mostly(cpu, below(cpu, machine.cpu_count) << 16);
}

static void write_commands(struct hostile_cpu *cpu)
{
    uint64_t mask = (1U << QUEUE_BITS) - COMMAND_SIZE;
    uint64_t at = mmio_read64(ITS + GITS_CWRITER) & mask;

    for (uint64_t i = below(cpu, 2) != 0 ? below(cpu, 128) : below(cpu, 8); i > 0; i--) {
        write_command(cpu, (volatile uint64_t *)(QUEUE + at));
        at = (at + COMMAND_SIZE) & mask;
    }
    barrier("dsb sy");
    mmio_write64(ITS + GITS_CWRITER, mostly(cpu, at));
}

/* Which LPIs may come, and what the ITS may have in its tables. */
static void write_memory(struct hostile_cpu *cpu)
{
    for (unsigned i = 0; i < 20; i++) {
        ((volatile uint8_t *)PROPERTIES)[i] = (uint8_t)mostly(cpu, 0x81);
    }
    *(volatile uint64_t *)(TABLES + below(cpu, 0x24000 / 8) * 8) = random_value(cpu);
    *(volatile uint64_t *)(QUEUE + below(cpu, 512) * 8) = random_value(cpu);
    *(volatile uint64_t *)(PENDING + below(cpu, 0x40000 / 8) * 8) = random_value(cpu);
}

/* These accesses must not fault. */
void op_its(struct hostile_cpu *cpu)
{
    switch (below(cpu, 8)) {
    case 0:
        set_up(cpu);
        break;
    case 1:
        write_memory(cpu);
        break;
    case 2:
    case 3:
        mmio_write32(ITS + GITS_TRANSLATER, (uint32_t)mostly(cpu, below(cpu, 20)));
        break;
    case 4:
        access_register(cpu, ITS + below(cpu, below(cpu, 2) != 0 ? 0x140 : 0x10000), random_value(cpu));
        break;
    default:
        write_commands(cpu);
        break;
    }
    slot_begin(cpu);
    slot_run(cpu);
}

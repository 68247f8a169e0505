/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GIC of gic_machine.h with an ITS, guest memory with the tables of LPIs in it, and a command queue.
 *
 *     cmocka_unit_test_setup_teardown(test_x, its_setup, its_teardown)
 */
#ifndef AXVM_TEST_ITS_MACHINE_H
#define AXVM_TEST_ITS_MACHINE_H

#include "irqchip/vits.h"
#include "support/gic_machine.h"

#define ITS_BASE UINT64_C(0x08080000)
#define ITS_RAM UINT64_C(0x40000000)
#define ITS_RAM_SIZE MIB(2)
#define ITS_PROPERTIES (ITS_RAM + 0x10000)
#define ITS_PENDING(v) (ITS_RAM + 0x20000 + (v) * UINT64_C(0x10000))
#define ITS_QUEUE (ITS_RAM + 0x100000)
#define ITS_VALID (UINT64_C(1) << 63)
#define LPI(n) (8192U + (n))

enum {
    GITS_CTLR = 0x0, GITS_IIDR = 0x4, GITS_TYPER = 0x8, GITS_CBASER = 0x80, GITS_CWRITER = 0x88, GITS_CREADR = 0x90,
    GITS_BASER0 = 0x100, GITS_PIDR2 = 0xffe8, GITS_TRANSLATER = 0x10040,
    GICR_PROPBASER = 0x70, GICR_PENDBASER = 0x78,
    ITS_MOVI = 1, ITS_INT = 3, ITS_CLEAR = 4, ITS_SYNC = 5, ITS_MAPD = 8, ITS_MAPC = 9, ITS_MAPTI = 0xa, ITS_MAPI = 0xb,
    ITS_INV = 0xc, ITS_INVALL = 0xd, ITS_MOVALL = 0xe, ITS_DISCARD = 0xf,
};

extern struct vits its;

/*
 * setup: LPIs are on at all vCPUs but the last (GIC_VCPUS - 1), all disabled in the configuration table; the ITS is on,
 * with a queue of two pages, a full device table, and nothing mapped. its_power_on: nothing is done yet but RAM is
 * there.
 */
int its_setup(void **state);
int its_teardown(void **state);
void its_power_on(void);
void its_start(void);

/* Guest accesses by vCPU `v`. */
uint64_t its_read(unsigned v, uint64_t offset, unsigned size);
void its_write(unsigned v, uint64_t offset, unsigned size, uint64_t value);

void its_store(uint64_t address, const void *from, size_t size);

/* A byte of the configuration table: priority, and 1 for enabled. No INV. */
void its_configure(unsigned lpi, uint8_t value);

/* Put a command into the queue; its_submit() tells the ITS, by vCPU `v`. its_command() does both. */
void its_queue(uint64_t dw0, uint64_t dw1, uint64_t dw2, uint64_t dw3);
void its_submit(unsigned v);
void its_command(unsigned v, uint64_t dw0, uint64_t dw1, uint64_t dw2, uint64_t dw3);

/* By vCPU 0. */
void its_mapd(uint32_t device, unsigned event_bits, bool valid);
void its_mapc(unsigned collection, unsigned target, bool valid);
void its_mapti(uint32_t device, uint32_t event, uint32_t intid, unsigned collection);
void its_event(unsigned command, uint32_t device, uint32_t event); /* INT, CLEAR, INV, DISCARD */
void its_movi(uint32_t device, uint32_t event, unsigned collection);

/* All that vCPU `v` is signalled, acknowledged and ended: the INTIDs in their order. Returns how many. */
unsigned its_take(unsigned v, uint32_t *intids, unsigned max);

#endif

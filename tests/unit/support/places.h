/* SPDX-License-Identifier: Apache-2.0 */
/* A VM with all that a guest's access can come to: devices that remember, memory of each kind, and nothing. */
#ifndef AXVM_TEST_PLACES_H
#define AXVM_TEST_PLACES_H

#include "support/machine.h"

#define DEVICE UINT64_C(0x20000000)
#define DEVICE_SIZE 0xffcU
#define OTHER_DEVICE UINT64_C(0x30000000)
#define HOLE UINT64_C(0x18000000)
#define ROM UINT64_C(0x50000000)  /* readable and executable */
#define LAZY UINT64_C(0x60000000) /* populated on first touch; 4 MiB */
#define DATA UINT64_C(0x70000000) /* readable and writable */

/* What both devices give, and what they were asked last. */
extern struct places_dev {
    struct axvm_device device, other;
    uint64_t answer; /* to reads */
    bool generous;   /* it gives all of that, whatever was asked for */
    int error;
    unsigned reads, writes, others; /* `others`: of the other device */
    uint64_t offset, value;
    unsigned size;
} dev;

/* It runs, with one vCPU. */
struct axvm *places_vm(void);

bool places_mapped(struct axvm *vm, uint64_t addr);
bool places_dirty(struct axvm *vm, uint64_t addr);

/* That page has just been populated, with zeroes, and none behind it. */
void places_check_populated(struct axvm *vm, uint64_t page);

#endif

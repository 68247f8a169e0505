/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated APLIC, with IMSICs or without, and vCPUs that look at their external interrupt when they are asked to:
 * aia_line() is what a guest has of it.
 *
 * cmocka_unit_test_setup_teardown(test_x, aia_setup_direct, aia_teardown), or aia_setup_messages
 */
#ifndef AXVM_TEST_AIA_MACHINE_H
#define AXVM_TEST_AIA_MACHINE_H

#include "core/vm.h"
#include "irqchip/vaplic.h"
#include "irqchip/vimsic.h"

#define AIA_VCPUS 3U
#define AIA_APLIC_BASE UINT64_C(0x0d000000)
#define AIA_IMSIC_BASE UINT64_C(0x28000000)

/* Registers (4.5, 4.8.1) that tests name. */
enum {
    APLIC_DOMAINCFG = 0x0, APLIC_SOURCECFG = 0x0, APLIC_SMSIADDRCFG = 0x1bc8,
    APLIC_SETIP = 0x1c00, APLIC_SETIPNUM = 0x1cdc, APLIC_IN_CLRIP = 0x1d00, APLIC_CLRIPNUM = 0x1ddc,
    APLIC_SETIE = 0x1e00, APLIC_SETIENUM = 0x1edc, APLIC_CLRIE = 0x1f00, APLIC_CLRIENUM = 0x1fdc,
    APLIC_SETIPNUM_LE = 0x2000, APLIC_SETIPNUM_BE = 0x2004, APLIC_GENMSI = 0x3000, APLIC_TARGET = 0x3000,
    APLIC_IDC = 0x4000, APLIC_IDC_SIZE = 32,
    IDC_IDELIVERY = 0x0, IDC_IFORCE = 0x4, IDC_ITHRESHOLD = 0x8, IDC_TOPI = 0x18, IDC_CLAIMI = 0x1c,
};

enum { SM_INACTIVE = 0, SM_DETACHED = 1, SM_EDGE1 = 4, SM_EDGE0 = 5, SM_LEVEL1 = 6, SM_LEVEL0 = 7 };

#define DOMAINCFG_ON 0x100U

struct aia_machine {
    struct axvm vm;
    struct axvm_vcpu vcpus[AIA_VCPUS];
    struct vaplic aplic;
    struct vaplic_cpu cpus[AIA_VCPUS];
    struct vimsic imsic;
    struct vimsic_cpu files[AIA_VCPUS];
    bool line[AIA_VCPUS]; /* as of the last request */
};

extern struct aia_machine aia_machine;

int aia_setup_direct(void **state);
int aia_setup_messages(void **state);
int aia_teardown(void **state);

/* On the fake host, all as after power-on. */
void aia_power_on(bool messages);

/* The vCPU's external interrupt, after it has served its requests. */
bool aia_line(unsigned v);

/* Guest accesses of 32 bits. */
uint32_t aplic_read(uint64_t offset);
void aplic_write(uint64_t offset, uint32_t value);
uint32_t idc_read(unsigned v, uint64_t reg);
void idc_write(unsigned v, uint64_t reg, uint32_t value);
void imsic_write(unsigned v, uint64_t offset, uint32_t value); /* to that vCPU's page */

/* A vCPU's interrupt file; fails the test if there is no such register. */
uint64_t imsic_file_read(unsigned v, uint64_t select);
void imsic_file_write(unsigned v, uint64_t select, uint64_t value);

/* A source that is enabled, with that mode and target. */
void aplic_source(uint32_t irq, uint32_t mode, uint32_t target);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "support/aia_machine.h"

#include "support/fake_hal.h"

#include <stdlib.h>
#include <string.h>

struct aia_machine aia_machine;

static struct aia_machine *const m = &aia_machine;

void aia_power_on(bool messages)
{
    memset(m, 0, sizeof(*m));
    m->vm.id = 1;
    m->vm.config.cpu_num = AIA_VCPUS;
    vaplic_init(&m->aplic, &m->vm);
    vimsic_init(&m->imsic, &m->vm);
    for (unsigned v = 0; v < AIA_VCPUS; v++) {
        m->vcpus[v].vm = &m->vm;
        m->vcpus[v].id = v;
        atomic_store(&m->vcpus[v].resident_on, -1);
        atomic_store(&m->vcpus[v].state, AXVM_VCPU_RUNNING);
        m->vm.vcpus[v] = &m->vcpus[v];
        m->vm.vcpu_count = v + 1;
        vaplic_attach(&m->aplic, &m->cpus[v], &m->vcpus[v]);
        vimsic_attach(&m->imsic, &m->files[v], &m->vcpus[v]);
    }
    if ((messages && vimsic_add_device(&m->imsic, gpa(AIA_IMSIC_BASE)) != AXVM_OK) ||
        vaplic_add_device(&m->aplic, gpa(AIA_APLIC_BASE), messages ? &m->imsic : NULL) != AXVM_OK) {
        abort();
    }
}

int aia_setup_direct(void **state)
{
    int error = fake_hal_setup(state);

    aia_power_on(false);
    return error;
}

int aia_setup_messages(void **state)
{
    int error = fake_hal_setup(state);

    aia_power_on(true);
    return error;
}

int aia_teardown(void **state)
{
    return fake_hal_teardown(state);
}

bool aia_line(unsigned v)
{
    if ((atomic_exchange(&m->vcpus[v].requests, 0) & VCPU_REQ_IRQ) != 0) {
        m->line[v] = vaplic_output(&m->cpus[v]) || vimsic_output(&m->files[v]);
    }
    return m->line[v];
}

uint32_t aplic_read(uint64_t offset)
{
    uint64_t value = 0;

    if (m->aplic.device.ops->read(&m->aplic.device, &m->vcpus[0], offset, 4, &value) != AXVM_OK ||
        value > UINT32_MAX) {
        abort();
    }
    return (uint32_t)value;
}

void aplic_write(uint64_t offset, uint32_t value)
{
    if (m->aplic.device.ops->write(&m->aplic.device, &m->vcpus[0], offset, 4, value) != AXVM_OK) {
        abort();
    }
}

uint32_t idc_read(unsigned v, uint64_t reg)
{
    return aplic_read(APLIC_IDC + v * APLIC_IDC_SIZE + reg);
}

void idc_write(unsigned v, uint64_t reg, uint32_t value)
{
    aplic_write(APLIC_IDC + v * APLIC_IDC_SIZE + reg, value);
}

void imsic_write(unsigned v, uint64_t offset, uint32_t value)
{
    if (m->imsic.device.ops->write(&m->imsic.device, &m->vcpus[0], v * VIMSIC_PAGE + offset, 4, value) != AXVM_OK) {
        abort();
    }
}

uint64_t imsic_file_read(unsigned v, uint64_t select)
{
    uint64_t value;

    if (!vimsic_reg_rmw(&m->files[v], select, 0, 0, &value)) {
        abort();
    }
    return value;
}

void imsic_file_write(unsigned v, uint64_t select, uint64_t value)
{
    uint64_t old;

    if (!vimsic_reg_rmw(&m->files[v], select, UINT64_MAX, value, &old)) {
        abort();
    }
}

void aplic_source(uint32_t irq, uint32_t mode, uint32_t target)
{
    aplic_write(APLIC_SOURCECFG + 4 * irq, mode);
    aplic_write(APLIC_TARGET + 4 * irq, target);
    aplic_write(APLIC_SETIENUM, irq);
}

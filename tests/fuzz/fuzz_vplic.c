/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests that access the PLIC anywhere in any width, while devices do what they like with their wires. Its invariants
 * hold after every step, no request is lost, and a claim gives a source that the vCPU enabled.
 */
#include "fuzz.h"
#include "support/fake_hal.h"
#include "support/plic_machine.h"

static struct plic_machine *const m = &plic_machine;
static struct input in;

static unsigned any_vcpu(void)
{
    return (unsigned)take(&in, 1) % PLIC_VCPUS;
}

static uint64_t any_offset(void)
{
    uint64_t n = take(&in, 1);

    switch (take(&in, 1) % 5) {
    case 0:
        return PLIC_PRIORITY(n);
    case 1:
        return PLIC_PENDING(n % 32);
    case 2:
        return PLIC_ENABLE_OF(n / 4 % (2 * PLIC_VCPUS + 2), n % 4);
    case 3:
        return PLIC_THRESHOLD_OF(n / 4 % (2 * PLIC_VCPUS + 2)) + n % 4 * 4;
    default:
        return (n << 16 | take(&in, 2)) % (VPLIC_SIZE - 8);
    }
}

static void do_access(void)
{
    struct axvm_device *device = &m->plic.device;
    struct axvm_vcpu *vcpu = &m->vcpus[any_vcpu()];
    uint64_t offset = any_offset(), value = 0;
    unsigned odd = (unsigned)take(&in, 1);
    unsigned size = odd < 240 ? 4 : 1U << odd % 4;
    bool right = size == 4 && offset % 4 == 0;

    if (odd % 2 != 0) {
        require((device->ops->read(device, vcpu, offset, size, &value) == AXVM_OK) == right);
        require(value <= UINT32_MAX);
    } else {
        require((device->ops->write(device, vcpu, offset, size, take(&in, 4)) == AXVM_OK) == right);
    }
}

static void do_enable(void)
{
    unsigned v = any_vcpu();
    uint32_t irq = (uint32_t)take(&in, 1) % VPLIC_SOURCES;

    plic_enable(v, irq, (take(&in, 1) & 3) != 0);
}

static void do_claim(void)
{
    unsigned v = any_vcpu();
    uint32_t irq = plic_claim(v);

    require(irq < VPLIC_SOURCES);
    require(irq == 0 || (atomic_load(&m->cpus[v].enabled[irq / 32]) >> irq % 32 & 1) != 0);
    require(irq == 0 || (m->plic.claimed[irq / 32] >> irq % 32 & 1) != 0);
}

static void do_complete(void)
{
    unsigned v = any_vcpu();

    plic_complete(v, (uint32_t)take(&in, 1));
}

static void do_wire(void)
{
    uint32_t irq = (uint32_t)take(&in, 1);

    require((vplic_set_line(&m->plic, irq, (take(&in, 1) & 1) != 0) == AXVM_OK) == (irq > 0 && irq < VPLIC_SOURCES));
}

static void do_pulse(void)
{
    uint32_t irq = (uint32_t)take(&in, 1);

    require((vplic_pulse(&m->plic, irq) == AXVM_OK) == (irq > 0 && irq < VPLIC_SOURCES));
}

static void do_reset(void)
{
    if (take(&in, 1) == 0) {
        vplic_reset(&m->plic);
    }
}

static void (*const deeds[])(void) = {do_access, do_access, do_enable, do_claim, do_complete, do_wire, do_pulse,
                                      do_reset};

static bool output_wanted(unsigned v)
{
    bool output = false;

    for (unsigned irq = 0; irq < VPLIC_SOURCES; irq++) {
        uint32_t both = atomic_load(&m->plic.pending[irq / 32]) & atomic_load(&m->cpus[v].enabled[irq / 32]);

        output |= (both >> irq % 32 & 1) != 0 && m->plic.priority[irq] > m->cpus[v].threshold;
    }
    return output;
}

static void check(void)
{
    for (unsigned w = 0; w < VPLIC_WORDS; w++) {
        uint32_t pending = atomic_load(&m->plic.pending[w]), claimed = m->plic.claimed[w];

        require((pending & claimed) == 0);
        require((m->plic.level[w] & ~(pending | claimed)) == 0);
        require((m->plic.latched[w] & ~claimed) == 0);
        require(w != 0 || ((pending | claimed) & 1) == 0);
    }
    for (unsigned v = 0; v < PLIC_VCPUS; v++) {
        require(plic_output(v) == output_wanted(v));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    void *state = NULL;

    in = (struct input){data, size};
    require(started || plic_setup(&state) == 0);
    started = true;
    fake_hal_forget();
    plic_power_on();
    while (in.size > 0) {
        deeds[take(&in, 1) % (sizeof(deeds) / sizeof(deeds[0]))]();
        check();
    }
    require(fake_hal_faults() == 0);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The device tree that the hypervisor finds its machine in, of whatever architecture. */
#include "fuzz.h"
#include "machine.h"

static struct machine machine;

static bool discovered(const struct machine_kind *kind, const uint8_t *copy, size_t size)
{
    if (machine_discover(&machine, kind, copy, size) != 0) {
        return false;
    }
    require(machine.cpu_count >= 1 && machine.cpu_count <= AXVM_MAX_PCPUS);
    require(machine.device_count <= MACHINE_MAX_DEVICES);
    return true;
}

/* What the drivers access lies within the registers that are mapped. */
static void check_riscv64(void)
{
    const struct machine_riscv64 *rv = &machine.riscv64;

    for (unsigned cpu = 0; cpu < machine.cpu_count; cpu++) {
        uint64_t context = rv->plic.context[cpu], idc = rv->aplic.idc[cpu], file = rv->imsic.file[cpu];
        bool inside = false;

        require(rv->plic.regs.end == 0 || context == MACHINE_NONE ||
                rv->plic.regs.end - rv->plic.regs.base >= 0x200000 + (context + 1) * 0x1000);
        require(rv->aplic.regs.end == 0 || idc == MACHINE_NONE ||
                rv->aplic.regs.end - rv->aplic.regs.base >= 0x4000 + (idc + 1) * 32);
        for (unsigned i = 0; i < rv->imsic.regs_count; i++) {
            inside |= file >= rv->imsic.regs[i].base && file < rv->imsic.regs[i].end &&
                      rv->imsic.regs[i].end - file >= AXVM_PAGE_SIZE << rv->imsic.guest_bits;
        }
        require(file == 0 || inside);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = exact_copy(data, size);

    (void)discovered(&machine_aarch64, copy, size);
    if (discovered(&machine_riscv64, copy, size)) {
        check_riscv64();
    }
    free(copy);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the bench guest measures of the Advanced Interrupt Architecture, in a VM that has an APLIC and IMSICs. */
#include "bench_aia.h"
#include "bench_arch.h"
#include <libfdt.h>

#define SOURCE_TEST 20U /* that nothing is wired to */
#define APLIC_SOURCECFG(source) (4 * (uint64_t)(source))

#define EIDELIVERY 0x70U
#define EIE0 0xc0U

#define MESSAGE 1U /* the identity that is sent */

static uint64_t imsics, stride; /* the first hart's page, and from one hart's to the next one's */
static void (*message_handler)(void);

/* Of a node that is S mode's: its interrupts go to, or are, external interrupts of supervisors. */
static int supervisor_imsics(const void *fdt)
{
    int node = fdt_node_offset_by_compatible(fdt, -1, "riscv,imsics");

    while (node >= 0) {
        const fdt32_t *wires = fdt_getprop(fdt, node, "interrupts-extended", NULL);

        if (wires != NULL && fdt32_to_cpu(wires[1]) == IRQ_EXTERNAL) {
            break;
        }
        node = fdt_node_offset_by_compatible(fdt, node, "riscv,imsics");
    }
    return node;
}

/* S mode's has its messages sent to S mode's IMSICs. */
static uint64_t supervisor_aplic(const void *fdt, uint32_t phandle)
{
    int node = fdt_node_offset_by_compatible(fdt, -1, "riscv,aplic");
    uint64_t base = 0, size;

    while (node >= 0) {
        const fdt32_t *parent = fdt_getprop(fdt, node, "msi-parent", NULL);

        if (parent != NULL && fdt32_to_cpu(*parent) == phandle) {
            (void)fdt_reg(fdt, node, 0, &base, &size);
        }
        node = fdt_node_offset_by_compatible(fdt, node, "riscv,aplic");
    }
    return base;
}

static void imsic_write(uint64_t reg, uint64_t value)
{
    csr_write(0x150 /* siselect */, reg);
    csr_write(0x151 /* sireg */, value);
}

static void messages_enable(void (*handler)(void))
{
    message_handler = handler;
    imsic_write(EIE0, UINT64_C(1) << MESSAGE);
    imsic_write(EIDELIVERY, 1);
}

static void message_send(unsigned cpu)
{
    mmio_write32(imsics + machine.cpu_ids[cpu] * stride, MESSAGE);
}

static void message_take(void)
{
    uint64_t top;

    __asm__ volatile("csrrw %0, 0x15c /* stopei */, zero" : "=r"(top)::"memory");
    if (top >> 16 == MESSAGE) {
        message_handler();
    }
}

static const struct bench_messages messages = {messages_enable, message_send};

bool bench_aia_find(struct bench_aia *aia)
{
    const void *fdt = (const void *)(uintptr_t)machine.fdt_base;
    int node = supervisor_imsics(fdt);
    const fdt32_t *guest_bits;
    uint64_t size;

    if (node < 0 || !fdt_reg(fdt, node, 0, &imsics, &size)) {
        return false;
    }
    guest_bits = fdt_getprop(fdt, node, "riscv,guest-index-bits", NULL);
    stride = UINT64_C(0x1000) << (guest_bits != NULL ? fdt32_to_cpu(*guest_bits) : 0);
    external_handler = message_take;
    aia->source = supervisor_aplic(fdt, fdt_get_phandle(fdt, node)) + APLIC_SOURCECFG(SOURCE_TEST);
    aia->messages = (uintptr_t)&messages;
    return true;
}

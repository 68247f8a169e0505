/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a riscv64 guest looks like unless its configuration says otherwise: RAM, interrupt controller, UART and clock
 * where QEMU's "virt" machine has them, so that software built for that machine runs.
 */
#include <axvm/config.h>

#define PLIC_BASE UINT64_C(0x0c000000)
#define PLIC_SIZE UINT64_C(0x600000)
#define APLIC_SIZE UINT64_C(0x8000) /* without IMSICs or, as its cfg says, with them */
#define IMSIC_SIZE KIB(4)           /* a vCPU */
#define UART_SIZE UINT64_C(0x100)
#define RTC_SIZE KIB(4)

static const struct axvm_emu_config devices[] = {
    {.name = "plic", .base = {PLIC_BASE}, .length = PLIC_SIZE, .type = AXVM_EMU_INTERRUPT_CONTROLLER},
    {.name = "uart", .base = {0x10000000}, .length = UART_SIZE, .irq = 10, .type = AXVM_EMU_CONSOLE},
    {.name = "rtc", .base = {0x00101000}, .length = RTC_SIZE, .irq = 11, .type = AXVM_EMU_RTC},
};

static const enum axvm_emu_type served[] = {AXVM_EMU_INTERRUPT_CONTROLLER, AXVM_EMU_CONSOLE, AXVM_EMU_RTC};

/* Hart ids count from 0. */
static uint64_t phys_id(uint32_t vcpu_id)
{
    return vcpu_id;
}

/*
 * AIA 3.6: the pages of all harts are aligned to the power of two that has room for them; guests take an address's bits
 * apart.
 */
static const char *check_aplic(const struct axvm_config *config, const struct axvm_emu_config *device,
                               struct axvm_range_config extra[AXVM_MAX_EMU_CFG])
{
    uint64_t room = IMSIC_SIZE;

    if (device->cfg_count > 1) {
        return "its cfg must be [address of the IMSICs], or nothing";
    }
    if (device->cfg_count == 1) {
        while (room < config->cpu_num * IMSIC_SIZE) {
            room *= 2;
        }
        if ((device->cfg[0] & (room - 1)) != 0) {
            return "the IMSICs must be aligned to their size, rounded up to a power of two";
        }
        extra[0] = (struct axvm_range_config){{device->cfg[0]}, config->cpu_num * IMSIC_SIZE};
    }
    return NULL;
}

static const char *device_check(const struct axvm_config *config, const struct axvm_emu_config *device,
                                struct axvm_range_config extra[AXVM_MAX_EMU_CFG])
{
    if (device->base.v & (AXVM_PAGE_SIZE - 1)) {
        return "its base must be aligned to 4 KiB";
    }
    if (device->type == AXVM_EMU_INTERRUPT_CONTROLLER && device->length == APLIC_SIZE) {
        return check_aplic(config, device, extra);
    }
    if (device->cfg_count != 0) {
        return "it takes no cfg";
    }
    switch (device->type) {
    case AXVM_EMU_INTERRUPT_CONTROLLER:
        return device->length == PLIC_SIZE ? NULL : "a PLIC takes 0x600000 bytes, an APLIC 0x8000";
    case AXVM_EMU_CONSOLE:
        return device->length == UART_SIZE ? NULL : "its registers take 0x100 bytes";
    default:
        return device->length == RTC_SIZE ? NULL : "its registers take 0x1000 bytes";
    }
}

const struct axvm_platform axvm_platform_riscv64 = {
    .arch = "riscv64",
    .elf_machine = 243, /* EM_RISCV */
    .ram_base = {0x80000000},
    .entry_align = 2,
    .gpa_bits = 59,
    .irq_min = 1,
    .irq_max = 95,
    .max_vcpus = 64,
    .phys_id = phys_id,
    .devices = devices,
    .devices_count = sizeof(devices) / sizeof(devices[0]),
    .served = served,
    .served_count = sizeof(served) / sizeof(served[0]),
    .device_check = device_check,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an aarch64 guest looks like unless its configuration says otherwise: RAM, interrupt controller, UART and clock
 * where QEMU's "virt" machine has them, so that software built for that machine runs.
 */
#include <axvm/config.h>

#define SPI(n) (32U + (n))

#define GICD_BASE UINT64_C(0x08000000)
#define GICD_SIZE KIB(64)
#define GICR_BASE UINT64_C(0x080a0000)
#define GICR_SIZE KIB(128) /* a vCPU: RD_base and SGI_base frames, IHI 0069 12.10 */
#define ITS_BASE UINT64_C(0x08080000)
#define ITS_SIZE KIB(128) /* control and translation frames, IHI 0069 12.18 */
#define GIC_ALIGN KIB(64)
#define PL011_SIZE KIB(4)
#define PL031_SIZE KIB(4)

/* MPIDR_EL1 affinity fields 3..1, and of field 0 what an SGI can address without a range selector (IHI 0069 12.2.6). */
#define PHYS_ID_MASK UINT64_C(0xff00ffff0f)

static const struct axvm_emu_config devices[] = {
    {.name = "gic", .base = {GICD_BASE}, .length = GICD_SIZE, .type = AXVM_EMU_INTERRUPT_CONTROLLER,
     .cfg = {GICR_BASE, ITS_BASE}, .cfg_count = 2},
    {.name = "uart", .base = {0x09000000}, .length = PL011_SIZE, .irq = SPI(1), .type = AXVM_EMU_CONSOLE},
    {.name = "rtc", .base = {0x09010000}, .length = PL031_SIZE, .irq = SPI(2), .type = AXVM_EMU_RTC},
};

static const enum axvm_emu_type served[] = {AXVM_EMU_INTERRUPT_CONTROLLER, AXVM_EMU_CONSOLE, AXVM_EMU_RTC};

/* The numbering of QEMU's virt machine with a GICv3: sixteen CPUs to an affinity-1 group. */
static uint64_t phys_id(uint32_t vcpu_id)
{
    return (uint64_t)(vcpu_id / 16U) << 8 | vcpu_id % 16U;
}

static const char *check_gic(const struct axvm_config *config, const struct axvm_emu_config *device,
                             struct axvm_range_config extra[AXVM_MAX_EMU_CFG])
{
    if (device->length != GICD_SIZE) {
        return "a GICv3 distributor takes 0x10000 bytes";
    }
    if (device->cfg_count != 1 && device->cfg_count != 2) {
        return "its cfg must be [address of the redistributors], or [address of the redistributors, address of "
               "the ITS]";
    }
    if ((device->base.v | device->cfg[0] | (device->cfg_count > 1 ? device->cfg[1] : 0)) & (GIC_ALIGN - 1)) {
        return "distributor, redistributors and ITS must be aligned to 64 KiB";
    }
    extra[0] = (struct axvm_range_config){{device->cfg[0]}, config->cpu_num * GICR_SIZE};
    if (device->cfg_count > 1) {
        extra[1] = (struct axvm_range_config){{device->cfg[1]}, ITS_SIZE};
    }
    return NULL;
}

static const char *check_4k_device(const struct axvm_emu_config *device)
{
    if (device->length != KIB(4)) {
        return "its registers take 0x1000 bytes";
    }
    if (device->base.v & (AXVM_PAGE_SIZE - 1)) {
        return "its base must be aligned to 4 KiB";
    }
    return device->cfg_count ? "it takes no cfg" : NULL;
}

static const char *device_check(const struct axvm_config *config, const struct axvm_emu_config *device,
                                struct axvm_range_config extra[AXVM_MAX_EMU_CFG])
{
    if (device->type == AXVM_EMU_INTERRUPT_CONTROLLER) {
        return check_gic(config, device, extra);
    }
    return check_4k_device(device);
}

const struct axvm_platform axvm_platform_aarch64 = {
    .arch = "aarch64",
    .elf_machine = 183, /* EM_AARCH64 */
    .ram_base = {0x40000000},
    .entry_align = 4,
    .gpa_bits = 48,
    .irq_min = SPI(0),
    .irq_max = 319,
    .max_vcpus = 64,
    .phys_id = phys_id,
    .phys_id_mask = PHYS_ID_MASK,
    .devices = devices,
    .devices_count = sizeof(devices) / sizeof(devices[0]),
    .served = served,
    .served_count = sizeof(served) / sizeof(served[0]),
    .device_check = device_check,
};

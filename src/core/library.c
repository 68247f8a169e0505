/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pcpu.h"
#include "core/registry.h"
#include "core/vm.h"
#include "lib/log.h"
#include <string.h>

const struct axvm_hal *hal;
const struct axvm_arch *arch;

static bool hal_is_complete(const struct axvm_hal *host)
{
    return host->frames_alloc && host->frames_free && host->region_claim && host->region_release && host->hpa_to_hva &&
           host->hva_to_hpa && host->ticks && host->tick_hz && host->wall_clock && host->timer_arm &&
           host->timer_cancel && host->pcpu_id && host->pcpu_count && host->pcpu_count <= AXVM_MAX_PCPUS &&
           host->vcpu_kick && host->irq_handle && host->console_write && host->log;
}

int axvm_library_init(const struct axvm_hal *host, const struct axvm_arch *architecture)
{
    if (host == NULL || architecture == NULL || !hal_is_complete(host) ||
        (architecture->host_is_complete != NULL && !architecture->host_is_complete(host))) {
        return AXVM_EINVAL; /* there may be no log to say so */
    }
    if (!registry_is_empty()) {
        return fail(AXVM_EBADSTATE, "axvm_library_init: there are VMs already");
    }
    hal = host;
    arch = architecture;
    pcpu_init();
    return AXVM_OK;
}

bool axvm_has_hardware_support(void)
{
    return arch != NULL && arch->supported();
}

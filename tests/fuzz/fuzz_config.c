/* SPDX-License-Identifier: Apache-2.0 */
/* TOML files as the command line reads them: every error has a place in the file, and there is an end to them. */
#include "fuzz.h"
#include "diag.h"
#include "vmfile.h"
#include <stdio.h>
#include <unistd.h>

static void report(struct axvm_config_report *self, const void *field, const char *path, const char *text)
{
    (void)self;
    (void)field;
    require(path != NULL && text != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct axvm_machine machine = {.pcpu_count = 4, .memory = GIB(1)};
    static char path[64];
    static struct vm_file file;
    static struct axvm_config config;
    struct axvm_config_report to = {report, report};
    FILE *out;

    if (path[0] == '\0') {
        snprintf(path, sizeof(path), "/tmp/axvm-fuzz-%d.toml", (int)getpid());
    }
    out = fopen(path, "wb");
    require(out != NULL && fwrite(data, 1, size, out) == size && fclose(out) == 0);
    memset(&file, 0, sizeof(file));
    vmfile_read(&file, path, 0);
    for (unsigned i = 0; i < target_count; i++) {
        config = file.config;
        axvm_config_complete(&config, targets[i].platform);
        (void)axvm_config_validate(&config, targets[i].platform, &machine, &to);
    }
    diag_print();
    toml_free(file.root);
    free((void *)(uintptr_t)file.source.text);
    free(file.places);
    free(file.bad);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the command line: each returns its exit status. */
#ifndef AXVM_TOOL_COMMAND_H
#define AXVM_TOOL_COMMAND_H

#include "vmfile.h"

enum exit_status {
    STATUS_OK = 0,
    STATUS_WRONG = 1, /* the files are wrong, or the run failed */
    STATUS_USAGE = 2,
};

struct options {
    const char *const *files;
    unsigned file_count;
    const char *const *rest; /* after "--" */
    unsigned rest_count;
    const char *output;
    const char *image;
    const struct target *target; /* NULL: what the files say */
    struct axvm_machine machine; /* as given; 0 where not */
    bool dry_run;
    unsigned gdb_port; /* 0: no gdb */
};

int command_check(const struct options *options);
int command_pack(const struct options *options);
int command_show(const struct options *options);
int command_run(const struct options *options);
int command_keys(const struct options *options);

/* Write the bundle of checked files, at least one, to `fd`. false: it says why. */
bool bundle_write(int fd, const struct vm_file *files, unsigned count);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Pack files and boot them on the hypervisor, in QEMU. */
#include "command.h"
#include "gdb.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_SMP 4U
#define DEFAULT_MEMORY GIB(1)
#define OWN_ARGUMENTS 24U

/* --image, $AXVM_IMAGE, or beside this program. */
static const char *find_image(const struct options *options, const struct target *target)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *image = options->image ? options->image : getenv("AXVM_IMAGE");

    if (image) {
        return image;
    }
    self[length > 0 ? length : 0] = '\0';
    return xprintf("%.*saxvm-%s.bin", (int)(strrchr(self, '/') ? strrchr(self, '/') + 1 - self : 0), self,
                   target->platform->arch);
}

static const char **qemu_command(const struct options *options, const struct target *target,
                                 const struct axvm_machine *machine, const char *image, const char *bundle)
{
    const char **command = xalloc((OWN_ARGUMENTS + options->rest_count + 1) * sizeof(*command));
    const char *const own[] = {
        "-smp", xprintf("%u", machine->pcpu_count),
        "-m", xprintf("%lluM", (unsigned long long)(machine->memory >> 20)),
        "-nographic",
        "-kernel", image,
        "-initrd", bundle,
    };
    size_t count = 0;

    command[count++] = target->qemu;
    memcpy(command + count, target->machine, sizeof(target->machine));
    count += TARGET_MACHINE_WORDS;
    memcpy(command + count, own, sizeof(own));
    count += sizeof(own) / sizeof(own[0]);
    if (options->gdb_port) {
        command[count++] = "-S";
        command[count++] = "-gdb";
        command[count++] = xprintf("tcp:127.0.0.1:%u", options->gdb_port);
    }
    for (unsigned i = 0; i < options->rest_count; i++) {
        command[count + i] = options->rest[i];
    }
    return command;
}

static void print_command(const char *const *words)
{
    for (size_t i = 0; words[i]; i++) {
        fputs(i ? " " : "", stdout);
        print_quoted(words[i]);
    }
    putchar('\n');
}

/* What to type to do the same by hand. */
static int print_both(const struct options *options, const struct target *target, const struct axvm_machine *machine,
                      const char *image)
{
    const char *bundle = "axvm.bundle";
    const char **pack = xalloc((options->file_count + 5) * sizeof(*pack));

    memcpy(pack, ((const char *const[]){"axvm", "pack", "-o", bundle}), 4 * sizeof(*pack));
    memcpy(pack + 4, options->files, options->file_count * sizeof(*pack));
    print_command(pack);
    print_command(qemu_command(options, target, machine, image, bundle));
    return STATUS_OK;
}

/*
 * This process becomes QEMU: signals, terminal and exit status are QEMU's own. The bundle is in memory that has no name
 * and goes with the last process that has it open, however that one ends.
 */
static int become_qemu(const struct options *options, const struct axvm_machine *machine, const char *image,
                       const struct vm_file *files)
{
    int fd = memfd_create("axvm.bundle", 0);
    const char **command;

    if (fd < 0) {
        complain("cannot make a bundle in memory: %s", strerror(errno));
        return STATUS_WRONG;
    }
    if (!bundle_write(fd, files, options->file_count)) {
        return STATUS_WRONG;
    }
    command = qemu_command(options, files[0].target, machine, image, xprintf("/proc/self/fd/%d", fd));
    execvp(command[0], (char *const *)(uintptr_t)command);
    complain("cannot run %s: %s", command[0], strerror(errno));
    return STATUS_WRONG;
}

int command_run(const struct options *options)
{
    struct axvm_machine machine = options->machine;
    const struct target *target;
    struct vm_file *files;
    const char *image;

    machine.pcpu_count = machine.pcpu_count ? machine.pcpu_count : DEFAULT_SMP;
    machine.memory = machine.memory ? machine.memory : DEFAULT_MEMORY;
    files = vmfiles_check(options->files, options->file_count, options->target, &machine);
    if (!files) {
        return STATUS_WRONG;
    }
    target = files[0].target;
    image = find_image(options, target);
    if (options->dry_run) {
        return print_both(options, target, &machine, image);
    }
    if (access(image, R_OK)) {
        complain("no hypervisor image: %s: %s", image, strerror(errno));
        return STATUS_WRONG;
    }
    if (options->gdb_port && !gdb_explain(target, &machine, image, options->gdb_port)) {
        return STATUS_WRONG;
    }
    return become_qemu(options, &machine, image, files);
}

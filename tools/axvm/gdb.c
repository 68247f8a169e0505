/* SPDX-License-Identifier: Apache-2.0 */
#include "gdb.h"

#include "diag.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Start a program with `input`, which must fit into a pipe, on its standard input. Its output, or NULL. */
static FILE *ask(const char *const *command, const char *input, pid_t *pid)
{
    int to[2], from[2];

    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC)) {
        return NULL;
    }
    *pid = fork();
    if (*pid < 0) {
        return NULL;
    }
    if (!*pid) {
        dup2(to[0], STDIN_FILENO);
        dup2(from[1], STDOUT_FILENO);
        execvp(command[0], (char *const *)(uintptr_t)command);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    if (write(to[1], input, strlen(input)) < 0) {
        complain("cannot talk to %s: %s", command[0], strerror(errno));
    }
    close(to[1]);
    return fdopen(from[0], "r");
}

/* A line for each file in memory, like: addr=0000000040200000 size=0x025d00 mem=ram name="build/axvm-aarch64.bin" */
static bool find_base(FILE *roms, const char *image, uint64_t *base)
{
    const char *name = xprintf("name=\"%s\"", image);
    char *line = NULL;
    size_t size = 0;
    bool found = false;

    while (getline(&line, &size, roms) > 0) {
        const char *addr = strstr(line, "addr=");

        if (addr && strstr(addr, name)) {
            *base = strtoull(addr + strlen("addr="), NULL, 16);
            found = true;
        }
    }
    return found;
}

/* Where QEMU loads the image, as its monitor says before the machine has run. */
static bool image_base(const struct target *target, const struct axvm_machine *machine, const char *image,
                       uint64_t *base)
{
    const char *const *words = target->machine;
    const char *const command[] = {
        target->qemu, words[0], words[1], words[2], words[3],
        "-m", xprintf("%lluM", (unsigned long long)(machine->memory >> 20)),
        "-kernel", image,
        "-S", "-display", "none", "-serial", "none", "-monitor", "stdio",
        NULL,
    };
    pid_t pid;
    FILE *roms = ask(command, "info roms\nquit\n", &pid);
    bool found = roms && find_base(roms, image, base);

    if (roms) {
        fclose(roms);
        waitpid(pid, NULL, 0);
    }
    return found;
}

static const char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? xprintf("%.*s/", (int)(slash - path), path) : "";
}

bool gdb_explain(const struct target *target, const struct axvm_machine *machine, const char *image, unsigned port)
{
    uint64_t base;

    if (!image_base(target, machine, image, &base)) {
        complain("QEMU doesn't say where it loads %s", image);
        return false;
    }
    printf("QEMU waits for gdb before the machine's first instruction. In another terminal, with the image's symbols:\n"
           "    gdb-multiarch -ex 'target remote 127.0.0.1:%u' -ex ", port);
    print_quoted(xprintf("add-symbol-file %smetal/%s/axvm.elf -o 0x%llx", directory_of(image),
                         target->platform->arch, (unsigned long long)base));
    printf("\nand with those of a guest's kernel, which must be where it is linked (Linux: nokaslr on its command "
           "line):\n"
           "    -ex 'add-symbol-file VMLINUX'\n");
    fflush(stdout);
    return true;
}

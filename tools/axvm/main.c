/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "lib/host.h"
#include "util.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "0.1.0"
#define DEFAULT_GDB_PORT 1234U

struct command {
    const char *name;
    int (*run)(const struct options *options);
    const char *takes; /* its options' letters */
    unsigned min_files, max_files;
    bool rest; /* takes arguments after "--" */
    const char *usage;
    const char *summary;
    const char *help;
};

#define ARCH_HELP \
    "  -a, --arch NAME     aarch64 or riscv64; without, what the VMs' kernels are for, or else aarch64\n"
#define MACHINE_HELP \
    "  -s, --smp N         the machine has N CPUs, 1 to 64\n" \
    "  -m, --memory M      the machine has this much memory, for example 1G\n"

static const struct command commands[] = {
    {"check", command_check, "asm", 1, 64, false, "check FILE... [--arch NAME] [--smp N] [--memory M]",
     "say everything that is wrong with VM files",
     "Reads all FILEs as VMs that are to run beside each other, with the images they name, and reports every\n"
     "error as file:line:col. Without --smp and --memory, what depends on the machine isn't checked.\n\n" ARCH_HELP
     MACHINE_HELP},
    {"pack", command_pack, "asmo", 1, 64, false, "pack -o BUNDLE FILE... [--arch NAME] [--smp N] [--memory M]",
     "check VM files and put them, with their images, into one bundle",
     "The bundle is what the hypervisor boots from: QEMU's -initrd, U-Boot's ramdisk.\n\n"
     "  -o, --output BUNDLE where it goes\n" ARCH_HELP MACHINE_HELP},
    {"show", command_show, "", 1, 1, false, "show BUNDLE", "list what is in a bundle, and check it",
     "Prints each VM's configuration, and its images with size and checksum, ok or BAD.\n"},
    {"run", command_run, "asming", 1, 64, true,
     "run FILE... [--arch NAME] [--smp N] [--memory M] [--gdb[=PORT]] [--dry-run] [-- QEMU ARGS]",
     "boot VM files on the hypervisor in QEMU",
     "Checks and packs the FILEs, and becomes the architecture's qemu-system with the hypervisor and the bundle; what\n"
     "stands after -- is added to its arguments. The hypervisor image is looked for beside this program, or\n"
     "$AXVM_IMAGE.\n\n" ARCH_HELP MACHINE_HELP
     "                      (4 CPUs and 1G unless told otherwise)\n"
     "  -i, --image FILE    the hypervisor image\n"
     "  -g, --gdb[=PORT]    let the machine wait for gdb, on port 1234 unless told otherwise; docs/debugging.md\n"
     "  -n, --dry-run       only check, and print the commands that would run\n"},
    {"keys", command_keys, "", 0, 0, false, "keys", "list the keys of VM files",
     "One key a line, with a few words on what it is. docs/configuration.md has the details.\n"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct option long_options[] = {
    {"arch", required_argument, NULL, 'a'},
    {"smp", required_argument, NULL, 's'},
    {"memory", required_argument, NULL, 'm'},
    {"output", required_argument, NULL, 'o'},
    {"image", required_argument, NULL, 'i'},
    {"gdb", optional_argument, NULL, 'g'},
    {"dry-run", no_argument, NULL, 'n'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void print_help(FILE *to)
{
    fputs("axvm: checks, packs and runs virtual machines described by TOML files\n\n", to);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        fprintf(to, "  axvm %s\n      %s\n", commands[i].usage, commands[i].summary);
    }
    fputs("\n`axvm COMMAND --help` says more.\n"
          "Exit status: 0 fine, 1 the files are wrong or the run failed, 2 wrong usage.\n", to);
}

static int print_command_help(const struct command *command)
{
    printf("usage: axvm %s\n\n%s.\n%s", command->usage, command->summary, command->help);
    return STATUS_OK;
}

static int wrong_usage(const struct command *command)
{
    fprintf(stderr, "usage: axvm %s\n", command->usage);
    return STATUS_USAGE;
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static bool set_arch(struct options *options, const char *name)
{
    const char *known = "";

    options->target = target_named(name);
    for (unsigned i = 0; i < target_count; i++) {
        known = xprintf("%s%s%s", known, i ? " or " : "", targets[i].platform->arch);
    }
    if (!options->target) {
        complain("--arch %s: expected %s", name, known);
    }
    return options->target;
}

static bool set_smp(struct options *options, const char *text)
{
    uint64_t count;

    if (!parse_size(text, &count) || !count || count > AXVM_MAX_PCPUS) {
        complain("--smp %s: expected a number of CPUs from 1 to %u", text, AXVM_MAX_PCPUS);
        return false;
    }
    options->machine.pcpu_count = (unsigned)count;
    return true;
}

static bool set_memory(struct options *options, const char *text)
{
    if (!parse_size(text, &options->machine.memory) || !options->machine.memory ||
        options->machine.memory % MIB(1)) {
        complain("--memory %s: expected megabytes or gigabytes, like 512M or 1G", text);
        return false;
    }
    return true;
}

static bool set_gdb(struct options *options, const char *text)
{
    uint64_t port = DEFAULT_GDB_PORT;

    if (text && (!parse_size(text, &port) || !port || port > UINT16_MAX)) {
        complain("--gdb=%s: expected a TCP port, 1 to 65535", text);
        return false;
    }
    options->gdb_port = (unsigned)port;
    return true;
}

static bool set_option(struct options *options, const struct command *command, int letter, const char *argument)
{
    if (!strchr(command->takes, letter)) {
        complain("axvm %s has no option -%c", command->name, letter);
        return false;
    }
    switch (letter) {
    case 'a':
        return set_arch(options, argument);
    case 's':
        return set_smp(options, argument);
    case 'm':
        return set_memory(options, argument);
    case 'o':
        options->output = argument;
        return true;
    case 'i':
        options->image = argument;
        return true;
    case 'g':
        return set_gdb(options, argument);
    default:
        options->dry_run = true;
        return true;
    }
}

/* How many arguments stand before the first "--". */
static int before_dashes(int argc, char **argv)
{
    int count = 0;

    while (count < argc && strcmp(argv[count], "--")) {
        count++;
    }
    return count;
}

/* argv[0] is the command's name. */
static int run_command(const struct command *command, int argc, char **argv)
{
    struct options options = {0};
    int own = before_dashes(argc, argv);
    int letter;

    while ((letter = getopt_long(own, argv, "a:s:m:o:i:g::nh", long_options, NULL)) != -1) {
        if (letter == 'h') {
            return print_command_help(command);
        }
        if (letter == '?' || !set_option(&options, command, letter, optarg)) {
            return wrong_usage(command);
        }
    }
    options.files = (const char *const *)argv + optind;
    options.file_count = (unsigned)(own - optind);
    options.rest = (const char *const *)argv + (own < argc ? own + 1 : own);
    options.rest_count = own < argc ? (unsigned)(argc - own - 1) : 0;
    if (options.file_count < command->min_files || options.file_count > command->max_files ||
        (options.rest_count && !command->rest) || (strchr(command->takes, 'o') && !options.output)) {
        return wrong_usage(command);
    }
    return command->run(&options);
}

int command_check(const struct options *options)
{
    return vmfiles_check(options->files, options->file_count, options->target, &options->machine) ? STATUS_OK
                                                                                                  : STATUS_WRONG;
}

/* ---- The program ------------------------------------------------------------------------------------------------- */

static void log_to_stderr(enum axvm_log_level level, const char *line)
{
    (void)level;
    complain("%s", line);
}

/* The library says through its host what is wrong with a bundle. It needs nothing else of one here. */
static const struct axvm_hal log_only = {.log = log_to_stderr};

static int unknown_command(const char *name)
{
    struct suggestion near = {name, NULL, 0};

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        suggest(&near, commands[i].name);
    }
    if (near.best) {
        complain("unknown command %s; did you mean %s?", name, near.best);
    } else {
        complain("unknown command %s; `axvm --help` lists them", name);
    }
    return STATUS_USAGE;
}

int main(int argc, char **argv)
{
    hal = &log_only;
    if (argc < 2) {
        print_help(stderr);
        return STATUS_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_help(stdout);
        return STATUS_OK;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("axvm " VERSION);
        return STATUS_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (!strcmp(argv[1], commands[i].name)) {
            return run_command(&commands[i], argc - 1, argv + 1);
        }
    }
    return unknown_command(argv[1]);
}

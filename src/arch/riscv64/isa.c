/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/riscv64/isa.h"

#include "arch/riscv64/rv64.h"
#include <stdio.h>
#include <string.h>

/*
 * Extensions that need nothing of a hypervisor but to be there, in the order that a string has them: single letters
 * first (Unprivileged ISA, chapter 36). Not here, since a guest would miss something: h; zicbom and zicboz (they want
 * their block sizes told); zawrs (its stall traps like WFI); counters (zicntr is read-only but for time).
 */
static const char single[] = "imafdc";
static const char *const several[] = {
    "zicond", "zicsr",  "zifencei", "zihintntl", "zihintpause", "zfa",   "zfh",     "zfhmin",
    "zba",    "zbb",    "zbc",      "zbkb",      "zbkc",        "zbkx",  "zbs",     "zcb",
    "zknd",   "zkne",   "zknh",     "zksed",     "zksh",        "zkt",   "svinval", "svnapot",
};

/*
 * Set up by the world switch, if looking at the CPU says that they are there. Of Svpbmt there is only a bit in henvcfg
 * to see, which QEMU 7.2 has in any case; so it must be stated, too.
 */
static const struct {
    const char *name;
    uint32_t feature;
    bool stated;
} found[] = {
    {"sstc", RV64_SSTC, false},
    {"svpbmt", RV64_PBMT, true},
    {"ssaia", RV64_AIA, false},
};

bool rv64_isa_has(const char *machine, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = machine != NULL ? strchr(machine, '_') : NULL; at != NULL; at = strchr(at + 1, '_')) {
        if (strncmp(at + 1, name, length) == 0 && (at[1 + length] == '_' || at[1 + length] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool has_single(const char *machine, char letter)
{
    const char *at = machine + 4;

    while (*at != '\0' && *at != '_' && *at != letter) {
        at++;
    }
    return *at == letter || rv64_isa_has(at, (const char[]){letter, '\0'});
}

static void add(char isa[RV64_ISA_SIZE], const char *name)
{
    size_t used = strlen(isa);

    if (used + 1 + strlen(name) < RV64_ISA_SIZE) {
        snprintf(isa + used, RV64_ISA_SIZE - used, "_%s", name);
    }
}

void rv64_isa(char isa[RV64_ISA_SIZE], const char *machine, uint32_t features)
{
    size_t used = 4;

    memcpy(isa, "rv64", 5);
    machine = machine != NULL && strncmp(machine, isa, 4) == 0 ? machine : "rv64imac_zicsr_zifencei";
    for (const char *letter = single; *letter != '\0'; letter++) {
        if (has_single(machine, *letter)) {
            isa[used++] = *letter;
        }
    }
    if ((features & RV64_VECTOR) != 0) {
        isa[used++] = 'v';
    }
    isa[used] = '\0';
    for (unsigned i = 0; i < sizeof(several) / sizeof(several[0]); i++) {
        if (rv64_isa_has(machine, several[i])) {
            add(isa, several[i]);
        }
    }
    for (unsigned i = 0; i < sizeof(found) / sizeof(found[0]); i++) {
        if ((features & found[i].feature) != 0 && (!found[i].stated || rv64_isa_has(machine, found[i].name))) {
            add(isa, found[i].name);
        }
    }
}

size_t rv64_isa_list(char list[RV64_ISA_LIST_SIZE], const char *isa)
{
    bool letters = true;
    size_t used = 0;

    for (isa += 4; *isa != '\0'; isa++) {
        letters = letters && *isa != '_';
        if (*isa != '_') {
            list[used++] = *isa;
        }
        if (letters || isa[1] == '_' || isa[1] == '\0') {
            list[used++] = '\0';
        }
    }
    return used;
}

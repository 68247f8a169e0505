/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AXVM_RISCV64_ISA_H
#define AXVM_RISCV64_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RV64_ISA_SIZE 256U
#define RV64_ISA_LIST_SIZE (RV64_ISA_SIZE + 8) /* each letter has an end */

/*
 * The guest's "riscv,isa" string: of what the machine's (NULL: unknown) has, what a guest can use here, and what
 * `features` (enum rv64_feature) say. What isn't in the table isn't told, and may work all the same.
 */
void rv64_isa(char isa[RV64_ISA_SIZE], const char *machine, uint32_t features);

/*
 * The extensions that such a string has as "riscv,isa-extensions" has them: strings, one behind the other. The length
 * of them all.
 */
size_t rv64_isa_list(char list[RV64_ISA_LIST_SIZE], const char *isa);

/* Whether the machine's string (NULL: unknown) has an extension behind an underscore. */
bool rv64_isa_has(const char *machine, const char *name);

#endif

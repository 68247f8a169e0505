# SPDX-License-Identifier: Apache-2.0
# Compilers and flags. TOOLCHAIN=clang builds everything with clang instead.

CPPFLAGS := -Iinclude -Isrc -D_GNU_SOURCE

WARNINGS := -Wall -Wextra -Werror -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wundef -Wpointer-arith -Wcast-align -Wwrite-strings -Wvla -Wimplicit-fallthrough -Wdouble-promotion

ifeq ($(TOOLCHAIN),clang)
CC  := clang
CXX := clang++
else
CC  := gcc
CXX := g++
endif

NATIVE_CFLAGS   := -std=c17 -O2 -g
NATIVE_CXXFLAGS := -std=c++17 -O1 -g -Wall -Wextra -Werror -Wshadow
SANITIZE        := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# The hypervisor never touches FP/SIMD registers (they hold the guest's), and calls no library for atomics. It is small
# but where it is hot (metal_hot), optimized as a whole, and runs wherever it is put although it isn't compiled for that:
# code finds everything relative to itself (aarch64: by one instruction, within the 1 MiB that the tiny code model has),
# and constant tables of addresses are relocated by the entry code, before their pages become read-only. On riscv64
# there is no global pointer, and functions that aren't hot save registers by calls (ARCH_small). What is written in
# assembly may have FP registers in it.
metal_common := -std=c17 -Os -flto=auto -g -ffreestanding -fno-stack-protector -fno-strict-aliasing -fno-common \
                -ffunction-sections -fdata-sections -fno-pie -fomit-frame-pointer -nostdinc

aarch64_target := aarch64-linux-gnu
aarch64_cflags := -march=armv8-a -mgeneral-regs-only -mstrict-align -mno-outline-atomics -mcmodel=tiny
aarch64_reloc  := R_AARCH64_RELATIVE

ifeq ($(TOOLCHAIN),clang)
riscv64_extensions :=
riscv64_own        := -mno-relax
else
riscv64_extensions := _zicsr_zifencei
riscv64_own        := -mstrict-align
riscv64_small      := -msave-restore
endif
riscv64_target  := riscv64-linux-gnu
riscv64_machine := -march=rv64imac$(riscv64_extensions) -mabi=lp64
riscv64_cflags  := $(riscv64_machine) -mcmodel=medany $(riscv64_own) -msmall-data-limit=0
riscv64_asflags := -march=rv64gc$(riscv64_extensions)
riscv64_ldflags := $(riscv64_machine)
riscv64_reloc   := R_RISCV_RELATIVE

ifeq ($(TOOLCHAIN),clang)
METAL_CC := clang --target=$($(ARCH)_target)
METAL_LD_KIND := -fuse-ld=lld
else
METAL_CC := $($(ARCH)_target)-gcc
endif

# What a guest waits for, and what starting does over and over: see make bench.
aarch64_hot := $(addprefix src/arch/aarch64/,exit.c abort.c sysreg.c psci.c cpu_mem.c) \
               $(addprefix src/irqchip/,vgicv3.c vgicv3_lr.c vgicv3_dist.c vgicv3_regs.c)
riscv64_hot := $(addprefix src/arch/riscv64/,exit.c abort.c sbi.c ipi.c timer.c cpu_mem.c) \
               src/irqchip/vplic.c src/mem/pagetable.c host/metal/frames.c
metal_hot := $($(ARCH)_hot) src/mem/addrspace.c src/lib/freestanding/string.c

# Loops in the string functions must stay loops, not become calls of the string functions.
ifeq ($(TOOLCHAIN),clang)
NO_IDIOMS := -fno-builtin
else
NO_IDIOMS := -fno-builtin -fno-tree-loop-distribute-patterns
endif

METAL_AR      := $($(ARCH)_target)-gcc-ar
METAL_OBJCOPY := $($(ARCH)_target)-objcopy
METAL_READELF := $($(ARCH)_target)-readelf

# libfdt's source, and what the image links of it: see libfdt.mk.
LIBFDT       := .cache/libfdt
LIBFDT_METAL := $(BUILD)/libfdt/$(ARCH)/libfdt.a

# The compiler's own headers are asked for when they are used (=, not :=): it may not be installed before `make setup`.
METAL_CFLAGS   := $(metal_common) $($(ARCH)_cflags)
METAL_ASFLAGS  := $(METAL_CFLAGS) $($(ARCH)_asflags)
METAL_CPPFLAGS  = -isystem $(shell $(METAL_CC) -print-file-name=include) -isystem src/lib/freestanding/include \
                  -isystem $(LIBFDT) -Ihost/metal -Ihost/metal/$(ARCH)
freestanding_ldflags := $(METAL_LD_KIND) $($(ARCH)_ldflags) -nostdlib -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 \
                        -Wl,--build-id=none
METAL_LDFLAGS  := $(freestanding_ldflags) -static-pie -flto=auto -Wl,--no-dynamic-linker -Wl,--gc-sections -Wl,-z,notext
GUEST_LDFLAGS  := $(freestanding_ldflags) -static

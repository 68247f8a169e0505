# SPDX-License-Identifier: Apache-2.0
# `make help` lists what there is to make. All that is built goes below build/; what is fetched, below .cache/.

# What is tested and measured: all, or the one architecture that is asked for.
all_archs := aarch64 riscv64
ifndef ARCHS
ARCHS     := $(or $(ARCH),$(all_archs))
endif

ARCH      ?= aarch64
TOOLCHAIN ?= gcc
ifeq ($(TOOLCHAIN),clang)
BUILD     ?= build/clang
else
BUILD     ?= build
endif
V         ?=
Q         := $(if $(V),,@)
MAKEFLAGS += --no-builtin-rules --no-builtin-variables

include scripts/flags.mk
include scripts/libfdt.mk

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all help setup run test clean distclean
all: metal tools ## Build the hypervisor image and the command line (make alone does this)

run: metal tools guests ## Boot Debian's Linux on the hypervisor, in QEMU: set up, build and fetch what that needs
	$(BUILD)/axvm run examples/linux-$(ARCH).toml

test: unit system ## Run all tests

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 20
	@echo
	@echo '  ARCH=$(ARCH)        the architecture, one of: $(all_archs)'
	@echo '  ARCHS="$(ARCHS)"     those that test and bench are for; ARCH=... alone: that one'
	@echo '  TOOLCHAIN=$(TOOLCHAIN)       the compiler, gcc or clang; clang builds into build/clang'
	@echo '  V=1                 show each command, and all that the unit tests print'

setup: ## Install the packages that all this needs (each target does, when one is missing)
	@scripts/setup

clean: ## Remove what was built
	rm -rf build

distclean: clean ## Remove what was built and what was fetched
	rm -rf .cache

# ---- The hypervisor image: freestanding, one binary for all boards of $(ARCH) --------------------------------------

metal_src := $(wildcard src/core/*.c src/mem/*.c src/device/*.c src/irqchip/*.c src/lib/*.c src/lib/freestanding/*.c) \
             $(wildcard $(foreach d,src/arch/$(ARCH) host/metal host/metal/$(ARCH),$d/*.c $d/*.S))
metal_obj := $(patsubst %,$(BUILD)/metal/$(ARCH)/%.o,$(metal_src))
metal_elf := $(BUILD)/metal/$(ARCH)/axvm.elf
metal_bin := $(BUILD)/axvm-$(ARCH).bin
metal_ld  := host/metal/$(ARCH)/image.ld

.PHONY: metal
metal: $(metal_bin) ## Build the hypervisor image

$(metal_bin): $(metal_elf)
	$(Q)$(METAL_OBJCOPY) -O binary $< $@
	@echo "  image    $@ ($$(stat -c %s $@) bytes)"

# A flag that is for small code goes for all that is optimized as one: what is hot is linked before, then.
metal_parts := $(metal_obj)
ifneq ($($(ARCH)_small),)
hot_obj     := $(filter-out %/string.c.o,$(metal_hot:%=$(BUILD)/metal/$(ARCH)/%.o))
metal_parts := $(BUILD)/metal/$(ARCH)/hot.o $(filter-out $(hot_obj),$(metal_obj))

$(BUILD)/metal/$(ARCH)/hot.o: $(hot_obj) scripts/flags.mk
	$(Q)$(METAL_CC) $($(ARCH)_ldflags) -nostdlib -r -ffunction-sections -flto=auto -flinker-output=nolto-rel -o $@ $(hot_obj)
endif

# The entry code relocates the image, and knows one kind of relocation.
$(metal_elf): $(metal_parts) $(LIBFDT_METAL) $(metal_ld) scripts/flags.mk
	@echo "  link     $@"
	$(Q)$(METAL_CC) $(METAL_LDFLAGS) $($(ARCH)_small) -T $(metal_ld) -o $@ $(metal_parts) $(LIBFDT_METAL)
	$(Q)! $(METAL_READELF) -rW $@ | grep ' R_' | grep -v ' $($(ARCH)_reloc) ' || { rm $@; exit 1; }

$(BUILD)/metal/$(ARCH)/%.c.o: %.c scripts/flags.mk | setup $(LIBFDT)/libfdt.h
	@mkdir -p $(@D); echo "  cc       $<"
	$(Q)$(METAL_CC) $(METAL_CFLAGS) $(WARNINGS) $(CPPFLAGS) $(METAL_CPPFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/metal/$(ARCH)/%.S.o: %.S scripts/flags.mk | setup
	@mkdir -p $(@D); echo "  as       $<"
	$(Q)$(METAL_CC) $(METAL_ASFLAGS) $(CPPFLAGS) $(METAL_CPPFLAGS) -MMD -MP -c -o $@ $<

$(metal_hot:%=$(BUILD)/metal/$(ARCH)/%.o): private METAL_CFLAGS += -O2

# The compiler may want these functions even when all is optimized as a whole.
$(BUILD)/metal/$(ARCH)/src/lib/freestanding/string.c.o: private METAL_CFLAGS += $(NO_IDIOMS) -fno-lto

# ---- Our own guests: a program NAME is NAME.c and NAME_*, if any, in guests/common/ and guests/$(ARCH)/, linked with
# start.S and lib.c. There is one for each NAME.c of the architecture.

guest_dir     := $(BUILD)/metal/$(ARCH)/guests
guest_obj     := $(patsubst %,$(BUILD)/metal/$(ARCH)/%.o,$(wildcard $(foreach d,common $(ARCH),guests/$d/*.c guests/$d/*.S)))
guest_lib     := $(filter %/start.S.o %/lib.c.o,$(guest_obj)) \
                 $(patsubst %,$(BUILD)/metal/$(ARCH)/%.o,$(wildcard src/lib/freestanding/*.c))
guest_names   := \
    $(foreach n,$(basename $(notdir $(wildcard guests/$(ARCH)/*.c))),$(if $(findstring _,$n)$(filter lib,$n),,$n))
guest_elf     := $(guest_names:%=$(BUILD)/guests/$(ARCH)/%.elf)
guest_bin     := $(guest_elf:.elf=.bin)
guest_ld      := guests/$(ARCH)/guest.ld

.PHONY: programs
programs: $(guest_bin)
	@:

$(guest_bin): %.bin: %.elf
	$(Q)$(METAL_OBJCOPY) -O binary $< $@

$(foreach n,$(guest_names),$(foreach d,common $(ARCH),\
    $(eval $(BUILD)/guests/$(ARCH)/$n.elf: $(filter $(guest_dir)/$d/$n.% $(guest_dir)/$d/$n_%,$(guest_obj)))))
$(guest_elf): $(guest_lib) $(LIBFDT_METAL) $(guest_ld) scripts/flags.mk
	@mkdir -p $(@D); echo "  link     $@"
	$(Q)$(METAL_CC) $(GUEST_LDFLAGS) -T $(guest_ld) -o $@ $(filter %.o %.a,$^)

# What a guest does is what is written; it may have FP instructions in it.
$(guest_obj): private METAL_CFLAGS += $($(ARCH)_asflags) -O2 -fno-lto
$(guest_obj): private METAL_CPPFLAGS += -Iguests/common -Iguests/$(ARCH)

# ---- The same library for this machine, every architecture at once: for tools and unit tests -----------------------

# cpu_* holds what only the hardware itself can run.
native_src := $(filter-out $(wildcard src/arch/*/cpu_*.c), \
                $(wildcard src/core/*.c src/mem/*.c src/device/*.c src/irqchip/*.c src/lib/*.c src/arch/*/*.c))
native_obj := $(patsubst %,$(BUILD)/native/%.o,$(native_src))

$(BUILD)/native/libaxvm.a: $(native_obj) $(libfdt_src:%=$(BUILD)/libfdt/native/%.o)
	$(Q)rm -f $@; ar rcs $@ $^

$(BUILD)/native/%.c.o: %.c scripts/flags.mk | setup $(LIBFDT)/libfdt.h
	@mkdir -p $(@D); echo "  cc       $<"
	$(Q)$(CC) $(NATIVE_CFLAGS) $(WARNINGS) $(CPPFLAGS) -isystem $(LIBFDT) -MMD -MP -c -o $@ $<

# ---- The command line ----------------------------------------------------------------------------------------------

tool_src := $(wildcard tools/axvm/*.c tools/axvm/*.cpp)
tool_obj := $(patsubst %,$(BUILD)/native/%.o,$(tool_src))

.PHONY: tools
tools: $(BUILD)/axvm ## Build the command line, build/axvm

$(BUILD)/axvm: $(tool_obj) $(BUILD)/native/libaxvm.a
	@echo "  link     $@"
	$(Q)$(CXX) -o $@ $^ -lz

$(BUILD)/native/%.cpp.o: %.cpp scripts/flags.mk | setup
	@mkdir -p $(@D); echo "  c++      $<"
	$(Q)$(CXX) $(NATIVE_CXXFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

# ---- Tests ---------------------------------------------------------------------------------------------------------

# The portable parts of the metal host are tested too.
metal_port := $(wildcard $(foreach f,ranges frames claims machine machine_* uart_* rtc timerqueue console scheduler,host/metal/$f.c))
test_obj   := $(patsubst %,$(BUILD)/test/%.o,$(native_src) $(metal_port) $(wildcard tests/unit/support/*.c))
unit_obj   := $(patsubst %,$(BUILD)/test/%.o,$(wildcard tests/unit/test_*.c))
unit_bin   := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))

# Debian's pytest is Debian's Python's, whatever other python3 is found first.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)

.PHONY: unit system hostile compilers everything
unit: $(unit_bin) ## Run the unit tests, on this machine, under ASan and UBSan
	$(Q)V=$(V) scripts/run-unit $^

system: tools ## Run the system tests: the hypervisor and its guests in QEMU
	$(Q)+$(foreach a,$(ARCHS),$(MAKE) --no-print-directory ARCH=$a metal guests &&) true
	$(Q)AXVM=$(CURDIR)/$(BUILD)/axvm AXVM_ARCHS='$(ARCHS)' PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m pytest -q -p no:cacheprovider tests/system

.PHONY: bench profile
bench: tools ## Count instructions an operation, and compare with the bars of docs/specification.md
	$(Q)+missed=0; for arch in $(ARCHS); do \
		$(MAKE) --no-print-directory ARCH=$$arch metal programs && \
		PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/bench/bench.py $(BUILD) $$arch || missed=1; \
	done; exit $$missed

profile: metal tools $(guest_bin) ## Say in which functions these instructions are
	$(Q)PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/bench/profile.py $(BUILD) $(ARCH)

OPS     ?= 1000000
SEEDS   ?= 1 2 3 4 5 6 7 8 9 10
hostile := $(SEEDS:%=hostile-%)
.PHONY: $(hostile)
hostile: $(hostile) ## Let a hostile guest do OPS (1,000,000) operations from each of SEEDS (1 to 10); -j2: two at a time
$(hostile): hostile-%: metal tools $(guest_bin)
	$(Q)AXVM=$(CURDIR)/$(BUILD)/axvm AXVM_ARCHS=$(ARCH) AXVM_SEED=$* AXVM_OPS=$(OPS) TIMEOUT=3600 PYTHONDONTWRITEBYTECODE=1 \
		$(PYTHON) -m pytest -q -s -p no:cacheprovider tests/system/test_hostile.py

everything: tools $(unit_bin) ## Build all that there is, for all architectures, tests included
	$(Q)+$(foreach a,$(all_archs),$(MAKE) --no-print-directory ARCH=$a metal programs &&) true

compilers: ## Build everything with gcc and with clang
	$(Q)+$(MAKE) --no-print-directory TOOLCHAIN=gcc everything
	$(Q)+$(MAKE) --no-print-directory TOOLCHAIN=clang everything

$(BUILD)/test/libaxvm.a: $(test_obj) $(libfdt_src:%=$(BUILD)/libfdt/test/%.o)
	$(Q)rm -f $@; ar rcs $@ $^

$(BUILD)/test/%.c.o: %.c scripts/flags.mk | setup $(LIBFDT)/libfdt.h
	@mkdir -p $(@D); echo "  cc test  $<"
	$(Q)$(CC) $(NATIVE_CFLAGS) $(SANITIZE) $(WARNINGS) $(CPPFLAGS) -isystem $(LIBFDT) -Itests/unit -Ihost/metal -MMD -MP -c -o $@ $<

$(BUILD)/test/tests/unit/test_string.c.o: private NATIVE_CFLAGS += $(NO_IDIOMS)

$(unit_bin): $(BUILD)/unit/%: $(BUILD)/test/tests/unit/%.c.o $(BUILD)/test/libaxvm.a
	@mkdir -p $(@D); echo "  link     $@"
	$(Q)$(CC) $(SANITIZE) -o $@ $^ -lcmocka

include scripts/guests.mk
include scripts/fuzz.mk
-include $(patsubst %.o,%.d,$(metal_obj) $(guest_lib) $(guest_obj) $(native_obj) $(tool_obj) $(test_obj) $(unit_obj))

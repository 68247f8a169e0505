# SPDX-License-Identifier: Apache-2.0
# Fuzzers: libFuzzer, so clang always. Each tests/fuzz/fuzz_NAME.c is one; its seeds are in tests/fuzz/corpus/NAME, what it
# finds on the way stays in build/fuzz/corpus/NAME, and an input that breaks something in build/fuzz/.

TIME ?= 60
SEED ?= 0

fuzz_cc    := clang
fuzz_cxx   := clang++
fuzz_flags := -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-sanitize=vptr
fuzz_cover := -fsanitize=fuzzer-no-link
fuzz_incs  := $(CPPFLAGS) -isystem $(LIBFDT) -Itests/unit -Itests/fuzz -Itools/axvm -Ihost/metal
fuzz_src   := $(native_src) $(wildcard host/metal/machine*.c host/metal/uart_*.c) host/metal/ranges.c host/metal/rtc.c \
              $(wildcard tests/unit/support/*.c) \
              $(filter-out tools/axvm/main.c,$(tool_src))
fuzz_obj   := $(patsubst %,$(BUILD)/fuzz/%.o,$(fuzz_src))
fuzz_main  := $(wildcard tests/fuzz/fuzz_*.c)
fuzz_bin   := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(fuzz_main))

.PHONY: fuzz
fuzz: $(fuzz_bin) ## Run every fuzzer for TIME seconds (60), from SEED (another each time)
	$(Q)scripts/run-fuzz $(TIME) $(SEED) $^

$(BUILD)/fuzz/libaxvm.a: $(fuzz_obj) $(libfdt_src:%=$(BUILD)/libfdt/fuzz/%.o)
	$(Q)rm -f $@; ar rcs $@ $^

$(BUILD)/fuzz/%.c.o: %.c scripts/fuzz.mk | setup $(LIBFDT)/libfdt.h
	@mkdir -p $(@D); echo "  cc fuzz  $<"
	$(Q)$(fuzz_cc) -std=c17 $(fuzz_flags) $(fuzz_cover) $(WARNINGS) $(fuzz_incs) -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/%.cpp.o: %.cpp scripts/fuzz.mk | setup
	@mkdir -p $(@D); echo "  cc fuzz  $<"
	$(Q)$(fuzz_cxx) -std=c++17 $(fuzz_flags) $(fuzz_cover) $(fuzz_incs) -MMD -MP -c -o $@ $<

# How the machine comes to be that stands in for hardware is nothing to look for new inputs by, and it is much of the work.
$(BUILD)/fuzz/tests/unit/support/%.o: private fuzz_cover :=

$(fuzz_bin): $(BUILD)/fuzz/%: $(BUILD)/fuzz/tests/fuzz/%.c.o $(BUILD)/fuzz/libaxvm.a
	@echo "  link     $@"
	$(Q)$(fuzz_cxx) -fsanitize=fuzzer,address,undefined -o $@ $^ -lcmocka -lz

-include $(patsubst %,$(BUILD)/fuzz/%.d,$(fuzz_src) $(fuzz_main))

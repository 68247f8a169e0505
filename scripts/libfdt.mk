# SPDX-License-Identifier: Apache-2.0
# libfdt: built from its source for the hypervisor image and, so that what is tested is what runs, for this machine too.
# The source is fetched once, into .cache, which `make clean` leaves alone.

libfdt_src := fdt fdt_ro fdt_rw fdt_sw fdt_wip fdt_empty_tree fdt_addresses fdt_strerror

$(LIBFDT)/libfdt.h: | setup
	$(Q)scripts/fetch libfdt $(LIBFDT)

$(LIBFDT_METAL): $(libfdt_src:%=$(BUILD)/libfdt/$(ARCH)/%.o)
	$(Q)rm -f $@; $(METAL_AR) rcs $@ $^

$(BUILD)/libfdt/$(ARCH)/%.o: $(LIBFDT)/libfdt.h scripts/flags.mk | setup
	@mkdir -p $(@D)
	$(Q)$(METAL_CC) $(METAL_CFLAGS) -w $(METAL_CPPFLAGS) -c -o $@ $(LIBFDT)/$*.c

$(BUILD)/libfdt/native/%.o: $(LIBFDT)/libfdt.h scripts/flags.mk | setup
	@mkdir -p $(@D)
	$(Q)$(CC) $(NATIVE_CFLAGS) -w -I$(LIBFDT) -c -o $@ $(LIBFDT)/$*.c

# libfdt reads the big-endian fields of a tree through pointers of any alignment: not all that UBSan asks for.
$(BUILD)/libfdt/test/%.o: $(LIBFDT)/libfdt.h scripts/flags.mk | setup
	@mkdir -p $(@D)
	$(Q)$(CC) $(NATIVE_CFLAGS) -fsanitize=address -fno-omit-frame-pointer -w -I$(LIBFDT) -c -o $@ $(LIBFDT)/$*.c

$(BUILD)/libfdt/fuzz/%.o: $(LIBFDT)/libfdt.h scripts/fuzz.mk | setup
	@mkdir -p $(@D)
	$(Q)$(fuzz_cc) -std=c17 $(fuzz_flags) -fno-sanitize=undefined -w -I$(LIBFDT) -c -o $@ $(LIBFDT)/$*.c

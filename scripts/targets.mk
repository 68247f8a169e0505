# SPDX-License-Identifier: Apache-2.0
# What comes from Debian's packages. It is fetched once, into .cache, which `make clean` leaves alone.

# ---- libfdt for the hypervisor image: its own source, built with our flags ----------------------------------------

libfdt_src := fdt fdt_ro fdt_rw fdt_sw fdt_wip fdt_empty_tree fdt_addresses fdt_strerror
libfdt_obj := $(libfdt_src:%=$(BUILD)/libfdt/$(ARCH)/%.o)

$(LIBFDT)/libfdt.h: | setup
	$(Q)scripts/fetch libfdt $(LIBFDT)

$(LIBFDT_METAL): $(libfdt_obj)
	$(Q)rm -f $@; $(METAL_AR) rcs $@ $^

$(libfdt_obj): $(BUILD)/libfdt/$(ARCH)/%.o: $(LIBFDT)/libfdt.h scripts/flags.mk | setup
	@mkdir -p $(@D)
	$(Q)$(METAL_CC) $(METAL_CFLAGS) -w $(METAL_CPPFLAGS) -c -o $@ $(LIBFDT)/$*.c

# ---- Guests: Debian's kernel, an initramfs of busybox, U-Boot ------------------------------------------------------

guests     := build/guests/$(ARCH)
debian     := $($(ARCH)_debian)
cache      := .cache/$(debian)

.PHONY: guests
guests: $(guests)/vmlinuz $(guests)/initrd.img $(guests)/u-boot.bin $(guest_bin) ## Fetch Linux and U-Boot, make the rest

$(cache)/vmlinuz: | setup
	$(Q)scripts/fetch file $(debian) linux-image-cloud-$(debian) 'boot/vmlinuz-*' $@

$(cache)/busybox: | setup
	$(Q)scripts/fetch file $(debian) busybox-static bin/busybox $@

$(cache)/u-boot.bin: | setup
	$(Q)scripts/fetch file $(debian) u-boot-qemu usr/lib/u-boot/$($(ARCH)_u_boot)/u-boot.bin $@

$(guests)/vmlinuz $(guests)/u-boot.bin: $(guests)/%: $(cache)/%
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(guests)/initrd.img: $(cache)/busybox scripts/initramfs $(shell find guests/initramfs -type f)
	@mkdir -p $(@D); echo "  initrd   $@"
	$(Q)scripts/initramfs $< $@

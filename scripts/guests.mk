# SPDX-License-Identifier: Apache-2.0
# What comes from Debian's packages. It is fetched once, into .cache, which `make clean` leaves alone.

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

# SPDX-License-Identifier: Apache-2.0
# What comes from Debian's packages. It is fetched once, into .cache, which `make clean` leaves alone.

# ---- Guests: Debian's kernel, an initramfs of busybox, U-Boot ------------------------------------------------------

# ARCH[/SUITE] as scripts/fetch has it, the kernel's package, and which U-Boot of all that one package has.
aarch64_debian := arm64
aarch64_linux  := linux-image-cloud-arm64
aarch64_u_boot := qemu_arm64/u-boot.bin

riscv64_debian := riscv64/trixie
riscv64_linux  := linux-image-riscv64
riscv64_u_boot := qemu-riscv64_smode/uboot.elf

guests     := build/guests/$(ARCH)
debian     := $($(ARCH)_debian)
cache      := .cache/$(debian)
u_boot     := u-boot$(suffix $($(ARCH)_u_boot))

.PHONY: guests
guests: $(guests)/vmlinuz $(guests)/initrd.img $(guests)/$(u_boot) $(guest_bin) ## Fetch Linux and U-Boot, make the rest

$(cache)/vmlinuz: | setup
	$(Q)scripts/fetch file $(debian) $($(ARCH)_linux) 'boot/vmlinu?-*' $@

$(cache)/busybox: | setup
	$(Q)scripts/fetch file $(debian) busybox-static '*bin/busybox' $@

$(cache)/$(u_boot): | setup
	$(Q)scripts/fetch file arm64 u-boot-qemu usr/lib/u-boot/$($(ARCH)_u_boot) $@

$(guests)/vmlinuz $(guests)/$(u_boot): $(guests)/%: $(cache)/%
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(guests)/initrd.img: $(cache)/busybox scripts/initramfs $(shell find guests/initramfs -type f)
	@mkdir -p $(@D); echo "  initrd   $@"
	$(Q)scripts/initramfs $< $@

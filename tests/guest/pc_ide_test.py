#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside pc --ide` with a stock kernel's ata_piix, under KVM inside an emulated machine, as in pc_test.py: by PIO, by DMA, resets."""

import os
import re

from guest import kernel
from nested import outer_scene, run

COMMON = r"""
# disk SERIAL: its name.
disk()
{
	for d in /sys/block/sd*; do
		grep -q "$1" $d/device/vpd_pg80 2>/dev/null && echo /dev/${d##*/}
	done
}
found() { [ -b "$(disk $1)" ]; }
unlogged() { ! dmesg | grep -E "$1"; }
mode() { cat /sys/class/ata_device/dev1.0/xfer_mode; }
sectors() { cat /sys/block/$(basename $(disk $1))/size; }
check disk_is_found wait_for 20 found ide-first
first=$(disk ide-first)
check disk_model grep -q 'RINGSIDE DISK' /sys/block/${first##*/}/device/model
check disk_size is $(sectors ide-first) 65536
copy() { dd if=$first of=$first bs=64k count=$1 seek=64 conv=fsync,notrunc; }
same()
{
	drop_caches && dd if=$first of=/tmp/a bs=64k count=$1 && dd if=$first of=/tmp/b bs=64k count=$1 skip=64 && cmp /tmp/a /tmp/b
}
"""

PIO = r"""
check mode_is_pio is $(mode) XFER_PIO_4
check disk_copies copy 4
check disk_reads_back same 4
# The first boot leaves a mark at 12 MiB and asks for a reset.
marked() { dd if=$first bs=64k skip=192 count=1 2>/dev/null | head -c 8 | grep -q ringside; }
if marked; then
	check came_back_after_reset true
else
	printf ringside | dd of=$first bs=64k seek=192 conv=sync,fsync,notrunc 2>/dev/null
	reboot -f
fi
"""

DMA = r"""
check mode_is_dma is $(mode) XFER_MW_DMA_2
check disk_copies copy 16
check disk_reads_back same 16
check second_is_found wait_for 20 found ide-second
check third_is_found wait_for 20 found ide-third
check fourth_is_found wait_for 20 found ide-fourth
second=$(disk ide-second) third=$(disk ide-third) fourth=$(disk ide-fourth)

check ext4_mkfs mkfs.ext4 -q $second
check ext4_mount mount -t ext4 $second /mnt
fill() { cp /bin/busybox /tmp/a /mnt && sync; }
check ext4_write fill
check ext4_unmount umount /mnt
check ext4_fsck e2fsck -fn $second

# Behind what 28 bits can say, and the last sectors.
check large_size is $(sectors ide-third) 419430400
far() { dd if=/tmp/a of=$third bs=64k seek=$1 count=4 conv=fsync,notrunc && drop_caches && dd if=$third of=/tmp/far bs=64k skip=$1 count=4 && dd if=/tmp/a bs=64k count=4 | cmp - /tmp/far; }
check large_far far 2500000
check large_end far 3276796
trim() { blkdiscard -o 163840000000 -l 262144 $third && drop_caches; }
check large_trim trim

readonly_disk() { refused dd if=/tmp/a of=$fourth bs=4k count=1 oflag=direct; }
check readonly_reads dd if=$fourth of=/dev/null bs=64k count=4
check readonly_refuses_writes readonly_disk

# Both disks of a channel at once.
both()
{
	dd if=$first of=/tmp/c bs=64k count=16 iflag=direct & dd if=$second of=/tmp/d bs=64k count=16 iflag=direct & wait
	cmp /tmp/a /tmp/c
}
check both_at_once both

check no_errors_before_reset unlogged 'ata[12].*(timeout|lost interrupt|frozen)'
rescan() { for h in /sys/class/scsi_host/host*; do echo '- - -' >$h/scan; done; sleep 1; }
check rescan_resets rescan
check reads_after_reset same 16
"""


class Variant:
    def __init__(self, name, options, script, modules, after=""):
        self.name = name
        self.options = "--ide file=/tmp/disk,serial=ide-first " + options
        self.script = COMMON + script
        self.modules = modules + ["ata_piix", "sd_mod"]
        self.after = after

    def inner_cases(self):
        return [f"{self.name}_{case}" for case in re.findall(r"^\s*check (\w+)", self.script, re.MULTILINE)]


VARIANTS = [
    Variant("pio", "", PIO, ["libata:dma=0"], "check pio_copies_by_hand more bytes-copied 1572864\n"
            "check pio_does_nothing_direct is $(number bytes-direct) 0\n"),
    Variant("dma", "--no-reboot --cpus 2 --ide file=/tmp/second,serial=ide-second --ide file=/tmp/third,serial=ide-third "
            "--ide file=/tmp/fourth,serial=ide-fourth,readonly=on", DMA, [],
            "check dma_goes_direct more bytes-direct 3000000\ncheck dma_soft_resets more soft-resets 4\ncheck dma_far_data_is_there far_same 2500000\n"
            "check dma_readonly_is_untouched cmp /tmp/fourth /tmp/fourth-before\n"),
]

OUTER = r"""
# machine NAME OPTION...: runs a PC, passes on what its guest found, and looks how it ended and what it left on the disk.
machine()
{
	dd if=/dev/urandom of=/tmp/disk bs=1M count=1 2>/dev/null
	truncate -s 32M /tmp/disk /tmp/second
	truncate -s 200G /tmp/third
	dd if=/dev/urandom of=/tmp/fourth bs=1M count=1 2>/dev/null
	cp /tmp/fourth /tmp/fourth-before
	cp /tmp/disk /tmp/before
	linux "$@" --memory 256
	check ${variant}_host_sees_copy copied
}
copied()
{
	dd if=/tmp/before of=/tmp/want bs=64k count=4 2>/dev/null
	dd if=/tmp/disk of=/tmp/got bs=64k skip=64 count=4 2>/dev/null
	cmp /tmp/want /tmp/got
}
far_same() { dd if=/tmp/third of=/tmp/got bs=64k skip=3276796 count=4 2>/dev/null && cmp /tmp/want /tmp/got; }
"""

with outer_scene("pc_ide") as scene:
    script = OUTER
    files = [(os.path.join(kernel(), "vmlinuz"), "/inner/vmlinuz")]
    for variant in VARIANTS:
        scene.expect(*variant.inner_cases(), f"{variant.name}_power_off_is_exit_0", f"{variant.name}_host_sees_copy")
        image = scene.initramfs(variant.script, ["mkfs.ext4", "e2fsck"] if "ext4" in variant.script else [], [],
                                modules=variant.modules, name=variant.name)
        files.append((image, "/inner/" + variant.name))
        script += f"machine {variant.name} {variant.options} --append 'console=ttyS0 panic=-1'\n{variant.after}"
    run(scene, script, len(VARIANTS), files)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside pc --scsi` boots Debian's stock kernel, whose sym53c8xx drives the SCSI adapter: under KVM inside an emulated machine.

The outer guest runs the machines one after another; what an inner guest finds comes out as VARIANT_CASE.
"""

import os
import re

from guest import fetch_kernel
from nested import NO_ACPI, RESET, chosen, outer_scene, run

INNER = "linux-image-amd64"
MODULES = ["sym53c8xx", "sd_mod", "ext4", "crc32c_generic"]

# What every machine's guest does.  The disk with ID 0 has 32 MiB; its first MiB is random.  Linux looks at disks in parallel, so their
# names are as it happens.
COMMON = r"""
word() { sed -n "s/.*\<$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
check driver is "$(cat /sys/class/scsi_host/host0/proc_name)" sym53c8xx
disk() { ls /sys/bus/scsi/devices/0:0:$1:0/block 2>/dev/null; }
ready() { [ -n "$(disk 0)" ] && [ -b "/dev/$(disk 0)" ]; }
check disk_appears wait_for 30 ready
sleep 1
a=$(disk 0)
at=/sys/block/$a/device
check vendor is "$(cat $at/vendor)" "RINGSIDE"
check model is "$(cat $at/model)" "SCSI DISK       "
check serial_page grep -q scsi-one $at/vpd_pg80
check identifier_page grep -q RINGSIDEscsi-one $at/vpd_pg83
check size is "$(cat /sys/block/$a/size)" 65536
check block_size is "$(cat /sys/block/$a/queue/logical_block_size)" "$(word want_block)"
check cache_mode is "$(cat $at/scsi_disk/*/cache_type)" "$(word want_cache | tr _ ' ')"
copy() { dd if=/dev/$a of=/dev/$a bs=1M count=1 seek=8 conv=fsync,notrunc; }
check copies copy
same()
{
	drop_caches && dd if=/dev/$a of=/tmp/a bs=1M count=1 && dd if=/dev/$a of=/tmp/b bs=1M count=1 skip=8 && cmp /tmp/a /tmp/b
}
check reads_back same
odd() { dd if=/dev/$a of=/tmp/c bs=4096 skip=3 count=5 && dd if=/tmp/a of=/tmp/d bs=4096 skip=3 count=5 && cmp /tmp/c /tmp/d; }
check odd_blocks odd
past() { dd if=/dev/$a bs=4096 skip=8191 count=2 2>/dev/null | wc -c; }
check end_is_the_end is "$(past)" 4096
silent() { ! dmesg | grep -E 'sym0.*(ERROR|unexpected|suspicious|CACHE TEST|aborted|overrun)|sd [0-9:]*.*(FAILED|error)|I/O error'; }
"""

LAST = r"""
check nothing_went_wrong silent
"""

# Three disks; that with ID 2 is read-only.
FULL = r"""
more() { [ -n "$(disk 1)" ] && [ -n "$(disk 2)" ]; }
check other_disks_appear wait_for 30 more
b=$(disk 1)
c=$(disk 2)
agreed=/sys/class/spi_transport/target0:0:0
check period_in_ns is "$(cat $agreed/period)" 25
check offset is "$(cat $agreed/offset)" 31
check wide is "$(cat $agreed/width)" 1
check tags is "$(cat $at/queue_depth)" 16
check third_is_readonly is "$(cat /sys/block/$c/ro)" 1
check first_is_not is "$(cat /sys/block/$a/ro)" 0
parallel()
{
	for i in 0 1 2 3 4 5 6 7; do
		dd if=/dev/$a of=/tmp/p$i bs=64k count=16 iflag=direct 2>/dev/null &
		dd if=/tmp/a of=/dev/$a bs=64k count=16 seek=$((256 + 16 * i)) oflag=direct conv=notrunc 2>/dev/null &
	done
	wait
	drop_caches
	for i in 0 1 2 3 4 5 6 7; do
		cmp /tmp/p$i /tmp/a || return 1
		dd if=/dev/$a of=/tmp/q bs=64k count=16 skip=$((256 + 16 * i)) 2>/dev/null
		cmp /tmp/q /tmp/a || return 1
	done
}
check many_at_once parallel
check ext4_mkfs mkfs.ext4 -q /dev/$b
check ext4_mount mount -t ext4 /dev/$b /mnt
fill() { cp /bin/busybox /tmp/a /mnt && sync && drop_caches && cmp /mnt/busybox /bin/busybox && cmp /mnt/a /tmp/a; }
check ext4_write fill
check ext4_unmount umount /mnt
check ext4_fsck e2fsck -fn /dev/$b
check discard_offered [ "$(cat /sys/block/$b/queue/discard_max_bytes)" -gt 0 ]
check discard /usr/bin/blkdiscard -f -o 16777216 -l 1048576 /dev/$b
check zeroes /usr/bin/blkdiscard -f -z -o 8388608 -l 1048576 /dev/$a
zero() { drop_caches; dd if=/dev/$a bs=1M skip=8 count=1 2>/dev/null | tr -d '\0' | wc -c; }
check zeroes_read_back is "$(zero)" 0
check copies_again copy
again() { rmmod sym53c8xx && [ -z "$(disk 0)" ] && insmod /modules/sym53c8xx.ko && wait_for 30 ready_again; }
ready_again() { [ -n "$(ls /sys/bus/scsi/devices/*:0:0:0/block 2>/dev/null)" ]; }
check driver_comes_back again
a=$(ls /sys/bus/scsi/devices/*:0:0:0/block)
check reads_with_the_new_driver same
"""

# The first boot leaves a mark at 12 MiB and asks for a reset.
REBOOT = r"""
marked() { dd if=/dev/$a bs=1M skip=12 count=1 2>/dev/null | head -c 8 | grep -q ringside; }
if marked; then
	check came_back_after_reset true
else
	printf ringside | dd of=/dev/$a bs=1M seek=12 conv=sync,fsync,notrunc 2>/dev/null
	reboot -f
fi
"""


# Processors and where pins lead come from the MultiProcessor table.
MP_TABLE = r"""
check both_processors is "$(nproc)" 2
check pin_at_the_io_apic grep -q 'IO-APIC.*sym53c8xx' /proc/interrupts
check timer_at_the_local_apic [ "$(awk '/LOC:/ { print $2 }' /proc/interrupts)" -gt 0 ]
"""


class Variant:
    def __init__(self, name, words="", options="", script="", block=512, cache="write_back", cpus=1, more="", end=""):
        self.name = name
        self.options = f"--cpus {cpus} --scsi file=/tmp/disk,serial=scsi-one{words} {options}"
        self.append = f"want_block={block} want_cache={cache} {more}"
        self.script = COMMON + script + LAST + end

    def inner_cases(self):
        return [f"{self.name}_{case}" for case in re.findall(r"^\s*check (\w+)", self.script, re.MULTILINE)]


VARIANTS = [
    Variant("full", options="--scsi file=/tmp/second --scsi file=/tmp/third,readonly=on", script=FULL),
    Variant("big_blocks", words=",blk-size=4096,wce=off", script=REBOOT, block=4096, cache="write_through", cpus=2),
    Variant("no_acpi", options="--no-reboot", cpus=2, more="acpi=off", end=NO_ACPI + MP_TABLE + RESET),
]

OUTER = r"""
machine()
{
	dd if=/dev/urandom of=/tmp/disk bs=1M count=1 2>/dev/null
	dd if=/dev/zero of=/tmp/disk bs=1M count=31 seek=1 2>/dev/null
	truncate -s 32M /tmp/second /tmp/third
	cp /tmp/disk /tmp/before
	linux "$@" --memory 320
	dd if=/tmp/before of=/tmp/want bs=1M count=1 2>/dev/null
	dd if=/tmp/disk of=/tmp/got bs=1M skip=8 count=1 2>/dev/null
	check ${variant}_host_sees_copy cmp /tmp/want /tmp/got
}
"""

with outer_scene("pc_scsi") as scene:
    inner = fetch_kernel(INNER)
    script = OUTER
    files = [(os.path.join(inner, "vmlinuz"), "/inner/vmlinuz")]
    wanted = chosen([v.name for v in VARIANTS])
    for variant in [v for v in VARIANTS if v.name in wanted]:
        scene.expect(*variant.inner_cases(), f"{variant.name}_power_off_is_exit_0", f"{variant.name}_host_sees_copy")
        image = scene.initramfs(variant.script, ["mkfs.ext4", "e2fsck", "blkdiscard"], [], MODULES, name=variant.name, of=inner)
        files.append((image, "/inner/" + variant.name))
        script += f"machine {variant.name} {variant.options} --append 'console=ttyS0 loglevel=6 panic=-1 {variant.append}'\n"
    run(scene, script, len(wanted), files)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside pc` boots a stock kernel with disks: under KVM inside an emulated machine, whose processor has AMD's virtualization.

The outer guest runs the machines one after another; what an inner guest finds comes out as VARIANT_CASE.
"""

import os
import re

from guest import Scene, kernel

REQUESTS = 600
KICKS = REQUESTS // 2  # a worker that is still looking needs none

# Every variant.  Words on the kernel's command line say what is wanted.
COMMON = rf"""
word() {{ sed -n "s/.*\<$1=\([^ ]*\).*/\1/p" /proc/cmdline; }}
check cpus is "$(nproc)" "$(word want_cpus)"
check acpi_routes_interrupts grep -q 'IO-APIC.*acpi' /proc/interrupts
year() {{ [ "$(date +%Y)" -ge 2024 ]; }}
check clock_tells_the_date year
check disk_serial is "$(cat /sys/block/vda/serial)" pc-disk
check disk_queues is "$(ls /sys/block/vda/mq | wc -l)" "$(word want_queues)"
interrupts() {{ grep -q "$1.*virtio0" /proc/interrupts; }}
check disk_interrupts interrupts "$(word want_irq)"
feature() {{ is "$(cut -c $(($1 + 1)) /sys/block/vda/device/features)" "$2"; }}
check disk_packed feature 34 "$(word want_packed)"
check disk_modern feature 32 "$(word want_modern)"
copy() {{ dd if=/dev/vda of=/dev/vda bs=1M count=1 seek=8 conv=fsync,notrunc; }}
check disk_copies copy
same()
{{
	drop_caches && dd if=/dev/vda of=/tmp/a bs=1M count=1 && dd if=/dev/vda of=/tmp/b bs=1M count=1 skip=8 && cmp /tmp/a /tmp/b
}}
check disk_reads_back same
# One request at a time: most are kicks.
one_by_one() {{ echo 0 >/sys/block/vda/queue/read_ahead_kb && drop_caches && dd if=/dev/vda of=/dev/null bs=4096 count={REQUESTS} skip=1024; }}
check disk_many_requests one_by_one
"""

# The second disk, with a file system.
FILES = r"""
check second_disk test -b /dev/vdb
check ext4_mkfs mkfs.ext4 -q /dev/vdb
check ext4_mount mount -t ext4 /dev/vdb /mnt
fill() { cp /bin/busybox /tmp/a /mnt && sync; }
check ext4_write fill
check ext4_unmount umount /mnt
check ext4_fsck e2fsck -fn /dev/vdb
"""

# The first boot leaves a mark at 12 MiB and asks for a reset.
REBOOT = r"""
marked() { dd if=/dev/vda bs=1M skip=12 count=1 2>/dev/null | head -c 8 | grep -q ringside; }
if marked; then
	check came_back_after_reset true
else
	printf ringside | dd of=/dev/vda bs=1M seek=12 conv=sync,fsync,notrunc 2>/dev/null
	reboot -f
fi
"""


class Variant:
    def __init__(self, name, cpus=1, disk="", options="", more="", script="", irq="PCI-MSI", queues=1, packed=0, modern=1,
                 want=""):
        self.name = name
        self.options = f"--cpus {cpus} --disk file=/tmp/disk,serial=pc-disk,queues={queues},packed={'on' if packed else 'off'}{disk} {options}"
        self.append = f"want_cpus={cpus} want_queues={min(cpus, queues)} want_irq={irq} want_packed={packed} want_modern={modern} {more}"
        self.script = COMMON + script
        self.after = want

    def inner_cases(self):
        return [f"{self.name}_{case}" for case in re.findall(r"^\s*check (\w+)", self.script, re.MULTILINE)]


VARIANTS = [
    Variant("plain", options="--no-reboot", want=f"check plain_kicks_stay_in_the_kernel less memory-write {KICKS}\n"
            "check plain_interrupts_stay_in_the_kernel is $(number messages) 0\n"),
    Variant("many", cpus=2, queues=4, packed=1, disk=",disable-legacy=on", options="--no-reboot --disk file=/tmp/second",
            script=FILES),
    Variant("exits", cpus=2, queues=2, disk=",ioeventfd=off,irqfd=off", options="--no-reboot",
            want=f"check exits_kicks_leave more memory-write {KICKS}\n"
            f"check exits_interrupts_are_sent more messages {KICKS}\n"),
    Variant("intx", cpus=2, queues=1, irq="IO-APIC", more="pci=nomsi"),
    Variant("legacy", disk=",disable-modern=on", modern=0, script=REBOOT),
]

OUTER = r"""
# machine NAME COMMAND...: runs a PC, passes on what its guest found, and looks how it ended and what it left on the disk.
machine()
{
	variant=$1
	shift
	dd if=/dev/urandom of=/tmp/disk bs=1M count=1 2>/dev/null
	dd if=/dev/zero of=/tmp/disk bs=1M count=15 seek=1 2>/dev/null
	truncate -s 32M /tmp/second
	cp /tmp/disk /tmp/before
	/usr/bin/ringside pc --kernel /inner/vmlinuz --initrd /inner/$variant --memory 256 --stats /tmp/stats "$@" </dev/null >/tmp/$variant.log 2>&1
	status=$?
	tr -d '\r' </tmp/$variant.log | sed -n "s/^@@ ok /@@ ok ${variant}_/p; s/^@@ not-ok /@@ not-ok ${variant}_/p; s/^@@ # /@@ # /p" |
		awk '!seen[$0]++'
	sed "s/^/$variant: /" /tmp/$variant.log >/dev/console
	check ${variant}_power_off_is_exit_0 is $status 0
	dd if=/tmp/before of=/tmp/want bs=1M count=1 2>/dev/null
	dd if=/tmp/disk of=/tmp/got bs=1M skip=8 count=1 2>/dev/null
	check ${variant}_host_sees_copy cmp /tmp/want /tmp/got
	tr -d '\n' </tmp/stats >/dev/console
}
# number WORD: the sum of that counter.
number() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" /tmp/stats | awk '{ sum += $1 } END { print sum + 0 }'; }
less() { [ "$(number $1)" -lt $2 ] || { echo "$1 is $(number $1)"; false; }; }
more() { [ "$(number $1)" -ge $2 ] || { echo "$1 is $(number $1)"; false; }; }
check kvm_is_here test -c /dev/kvm
check probe_says_yes /usr/bin/ringside pc --probe
"""

with Scene("pc", memory=1024, cpu="max,-xsave") as scene:
    ringside = os.environ.get("RINGSIDE")
    if not ringside:
        scene.fail("RINGSIDE does not name the program under test")
    script = OUTER
    files = [(os.path.join(kernel(), "vmlinuz"), "/inner/vmlinuz")]
    for variant in VARIANTS:
        scene.expect(*variant.inner_cases(), f"{variant.name}_power_off_is_exit_0", f"{variant.name}_host_sees_copy")
        image = scene.initramfs(variant.script, ["mkfs.ext4", "e2fsck"] if FILES in variant.script else [], [], name=variant.name)
        files.append((image, "/inner/" + variant.name))
        script += f"machine {variant.name} {variant.options} --append 'console=ttyS0 quiet panic=-1 {variant.append}'\n{variant.after}"
    scene.boot(script, [], programs=[ringside], modules=["kvm_amd"], cpus=2, files=files)

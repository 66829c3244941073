#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside pc` boots a stock kernel with disks, under KVM inside an emulated machine (nested.py has its environment).

What an inner guest finds comes out as VARIANT_CASE.
"""

import os
import re

from guest import kernel
from nested import NO_ACPI, RESET, chosen, outer_scene, run

REQUESTS = 600
KICKS = REQUESTS // 2  # a worker that is still looking needs none

# Every variant.  Words on the kernel's command line say what is wanted.
COMMON = rf"""
word() {{ sed -n "s/.*\<$1=\([^ ]*\).*/\1/p" /proc/cmdline; }}
check cpus is "$(nproc)" "$(word want_cpus)"
check interrupts_are_routed grep -q "$(word want_pic).*$(word want_line)" /proc/interrupts
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

# The clock's alarm, two seconds from now, by its interrupt.
CLOCK = r"""
rings() { awk '/rtc0/ { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts; }
rang() { [ "$(rings)" -gt $before ]; }
before=$(rings)
alarm() { echo 0 >/sys/class/rtc/rtc0/wakealarm && echo +2 >/sys/class/rtc/rtc0/wakealarm && wait_for 30 rang; }
check clock_alarm_rings alarm
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
    def __init__(self, name, cpus=1, disk="", options="", more="", script="", irq="PCI-MSI", pic="IO-APIC", queues=1, packed=0,
                 modern=1, line="acpi", want=""):
        self.name = name
        self.options = f"--cpus {cpus} --disk file=/tmp/disk,serial=pc-disk,queues={queues},packed={'on' if packed else 'off'}{disk} {options}"
        self.append = (f"want_cpus={cpus} want_queues={min(cpus, queues)} want_irq={irq} want_pic={pic} want_line={line} want_packed={packed} "
                       f"want_modern={modern} {more}")
        self.script = COMMON + script
        self.after = want

    def inner_cases(self):
        return [f"{self.name}_{case}" for case in re.findall(r"^\s*check (\w+)", self.script, re.MULTILINE)]


def stays_in_the_kernel(name):
    """Of the calls that went by the pin only those had to be raised by hand that came in the middle of an interrupt."""
    return f"check {name}_calls_came more calls {KICKS}\ncheck {name}_interrupts_stay_in_the_kernel less pin-rises {REQUESTS // 4}\n"


VARIANTS = [
    Variant("plain", options="--no-reboot", script=CLOCK, want=f"check plain_kicks_stay_in_the_kernel less memory-write {KICKS}\n"
            "check plain_interrupts_stay_in_the_kernel is $(number messages) 0\n"),
    Variant("many", cpus=2, queues=4, packed=1, disk=",disable-legacy=on", options="--no-reboot --disk file=/tmp/second",
            script=FILES),
    Variant("exits", cpus=2, queues=2, disk=",ioeventfd=off,irqfd=off", options="--no-reboot",
            want=f"check exits_kicks_leave more memory-write {KICKS}\n"
            f"check exits_interrupts_are_sent more messages {KICKS}\n"),
    Variant("intx", cpus=2, irq="IO-APIC", more="pci=nomsi", want=stays_in_the_kernel("intx")),
    Variant("intx_exits", cpus=2, disk=",irqfd=off", irq="IO-APIC", more="pci=nomsi",
            want=f"check intx_exits_pin_is_raised_by_hand more pin-rises {KICKS}\n"),
    # The kernel acknowledges 8259s first and reads the ISR later: each interrupt is one that has to be raised again.
    Variant("pic", irq="XT-PIC", pic="XT-PIC", more="pci=nomsi noapic"),
    # This kernel does not read the MultiProcessor table either (that of pc_scsi_test.py does): one processor, 8259s in front of its APIC.
    Variant("no_acpi", options="--no-reboot", irq="XT-PIC", pic="XT-PIC", line="ttyS0", more="acpi=off pci=nomsi", script=NO_ACPI + RESET),
    Variant("legacy", disk=",disable-modern=on", modern=0, script=REBOOT),
]

# machine VARIANT ARGUMENT...: runs a PC, passes on what its guest found, and looks how it ended and what it left on the disk.
MACHINE = r"""
machine()
{
	dd if=/dev/urandom of=/tmp/disk bs=1M count=1 2>/dev/null
	dd if=/dev/zero of=/tmp/disk bs=1M count=15 seek=1 2>/dev/null
	truncate -s 32M /tmp/second
	cp /tmp/disk /tmp/before
	linux "$@" --memory 256
	dd if=/tmp/before of=/tmp/want bs=1M count=1 2>/dev/null
	dd if=/tmp/disk of=/tmp/got bs=1M skip=8 count=1 2>/dev/null
	check ${variant}_host_sees_copy cmp /tmp/want /tmp/got
}
"""

with outer_scene("pc") as scene:
    script = MACHINE
    images = {}
    machines = [variant for name in chosen([v.name for v in VARIANTS]) for variant in VARIANTS if variant.name == name]
    for variant in machines:
        scene.expect(*variant.inner_cases(), f"{variant.name}_power_off_is_exit_0", f"{variant.name}_host_sees_copy")
        programs = ["mkfs.ext4", "e2fsck"] if FILES in variant.script else []
        images[variant.name] = images.get(variant.name) or scene.initramfs(variant.script, programs, [], name=variant.name)
        script += f"machine {variant.name} {variant.options} --append 'console=ttyS0 quiet panic=-1 {variant.append}'\n{variant.after}"
    files = [(image, "/inner/" + name) for name, image in images.items()]
    run(scene, script, len(machines), files + [(os.path.join(kernel(), "vmlinuz"), "/inner/vmlinuz")])

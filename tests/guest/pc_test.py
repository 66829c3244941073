#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside pc` boots a stock kernel: under KVM inside an emulated machine, whose emulated processor has AMD's virtualization.

The outer guest runs the machines one after another; what an inner guest finds comes out as VARIANT_CASE.
"""

import os
import re

from guest import Scene, kernel

INNER = r"""
check cpus is "$(nproc)" "$(sed 's/.*want_cpus=\([0-9]*\).*/\1/' /proc/cmdline)"
check acpi_routes_interrupts grep -q 'IO-APIC.*acpi' /proc/interrupts
year() { [ "$(date +%Y)" -ge 2024 ]; }
check clock_tells_the_date year
"""

# name, options of `ringside pc`, more of the inner kernel's command line
VARIANTS = [
    ("one_cpu", ["--cpus", "1"], "want_cpus=1"),
    ("two_cpus", ["--cpus", "2"], "want_cpus=2"),
]

OUTER = r"""
RINGSIDE=/usr/bin/ringside
# machine NAME STATUS COMMAND...: runs a PC, passes on what its guest found, and checks how it ended.
machine()
{
	variant=$1 want=$2
	shift 2
	"$RINGSIDE" pc --kernel /inner/vmlinuz --initrd /inner/initramfs --memory 256 "$@" </dev/null >/tmp/$variant.log 2>&1
	status=$?
	tr -d '\r' </tmp/$variant.log | sed -n "s/^@@ ok /@@ ok ${variant}_/p; s/^@@ not-ok /@@ not-ok ${variant}_/p"
	sed "s/^/$variant: /" /tmp/$variant.log >/dev/console
	check ${variant}_ends is $status $want
}
check kvm_is_here test -c /dev/kvm
"""

with Scene("pc", memory=1024, cpu="max,-xsave") as scene:
    ringside = os.environ.get("RINGSIDE")
    if not ringside:
        scene.fail("RINGSIDE does not name the program under test")
    script = OUTER
    for name, options, append in VARIANTS:
        scene.expect(*[f"{name}_{case}" for case in re.findall(r"^check (\w+)", INNER, re.MULTILINE)], f"{name}_ends")
        script += f"machine {name} 0 {' '.join(options)} --no-reboot --append 'console=ttyS0 quiet panic=-1 {append}'\n"
    inner = scene.initramfs(INNER, [], [], name="inner")
    scene.boot(script, [], programs=[ringside], modules=["kvm_amd"], cpus=2,
               files=[(inner, "/inner/initramfs"), (os.path.join(kernel(), "vmlinuz"), "/inner/vmlinuz")])

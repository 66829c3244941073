# SPDX-License-Identifier: MIT
"""Machines inside a machine: `ringside pc` under the KVM of an emulated outer guest, whose processor has AMD's virtualization.

The outer guest runs one machine after another; each has a deadline of its own, and one that stands still is looked at before it is ended: its
threads, KVM's counters and what KVM is doing go to the outer console.

Environment:
    PC_VARIANTS     only those machines, names with commas between them
    PC_REPEAT       each of them so many times
    MACHINE_TIMEOUT seconds that one machine may take (default 400: it does not know how busy the real machine is)
"""

import os

from guest import HERE, Scene, host_tool

LIMIT = int(os.environ.get("MACHINE_TIMEOUT", "400"))

# Otherwise the outer kernel, which trusts no AMD processor's time stamps without being told to,
# takes its time from the slow HPET, and its KVM gives each inner processor a time stamp counter
# that goes its own way ("guest TSC will not be reliable"; it was seen to run back by milliseconds
# from one processor to the other).  The emulator's counters are one and the same.
CLOCK = "tsc=reliable"

# QEMU 7.2 with a thread for each processor now and then goes on running an instruction that the
# kernel it emulates has patched: a breakpoint that stands there for a moment was met again and
# again, on both processors, long after memory had the new code (seen in their registers; the place
# was a static key that KVM switches in the scheduler when the first machine comes and the last one goes).
# So one machine is always there, and it comes while there is one processor only.  And the outer guest
# gives a sign of life every few seconds: one that stands still as a whole is the emulator's fault and
# is booted once more, and the log says so.
HOLD = """
( while echo "@@ beat"; do sleep 3; done ) &
hold_kvm >/tmp/held 2>/dev/console &
[ ! -c /dev/kvm ] || wait_for 30 test -s /tmp/held
"""


class OuterScene(Scene):
    """One whose guest has KVM."""

    opening = HOLD + Scene.opening

    def boot(self, script, disks, programs=(), **how):
        hold = self.path("hold_kvm")
        status, text = host_tool("gcc", "-O2", "-o", hold, os.path.join(HERE, "hold_kvm.c"))
        if status:
            self.fail(f"gcc cannot make hold_kvm: {text}")
        super().boot(script, disks, programs=[*programs, hold], **how)


OUTER = rf"""
# look PID: why does it stand still?
look()
{{
	mount -t debugfs none /sys/kernel/debug
	mount -t tracefs none /sys/kernel/tracing
	for task in /proc/$1/task/*; do
		echo "$task $(cat $task/comm) $(cat $task/syscall) $(cut -d' ' -f3,14,15 $task/stat)"
		cat $task/stack
	done
	cat /proc/interrupts
	grep . /sys/kernel/debug/kvm/* /sys/kernel/debug/kvm/*/*
	echo 1 >/sys/kernel/tracing/events/kvm/enable
	sleep 1
	echo 0 >/sys/kernel/tracing/events/kvm/enable
	head -n 300 /sys/kernel/tracing/trace
}}

# pc NAME ARGUMENT...: runs a PC to its end; leaves $status, and what it said in /tmp/NAME.log.
pc()
{{
	name=$1
	shift
	/usr/bin/ringside pc --stats /tmp/stats.$name "$@" </dev/null >/tmp/$name.log 2>&1 &
	pid=$!
	( sleep {LIMIT}; echo "$name stands still"; look $pid; kill -KILL $pid ) >/dev/console 2>&1 &
	dog=$!
	wait $pid
	status=$?
	kill -KILL $dog
	sed "s/^/$name: /" /tmp/$name.log >/dev/console
	cp /tmp/stats.$name /tmp/stats
	tr -d '\n' </tmp/stats >/dev/console
}}

# linux NAME ARGUMENT...: a PC with the inner kernel and NAME's initial RAM disk; passes on what its guest found.  Leaves $variant, too.
linux()
{{
	variant=$1
	shift
	pc $variant --kernel /inner/vmlinuz --initrd /inner/$variant "$@"
	tr -d '\r' </tmp/$variant.log | sed -n "s/^@@ ok /@@ ok ${{variant}}_/p; s/^@@ not-ok /@@ not-ok ${{variant}}_/p; s/^@@ # /@@ # /p" |
		awk '!seen[$0]++'
	check ${{variant}}_power_off_is_exit_0 is $status 0
}}

# number WORD: the sum of that counter of the last PC.
number() {{ sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" /tmp/stats | awk '{{ sum += $1 }} END {{ print sum + 0 }}'; }}
less() {{ [ "$(number $1)" -lt $2 ] || {{ echo "$1 is $(number $1)"; false; }}; }}
more() {{ [ "$(number $1)" -ge $2 ] || {{ echo "$1 is $(number $1)"; false; }}; }}

if ! grep -qE '\<(svm|vmx)\>' /proc/cpuinfo; then
	tell cannot "the emulated processor has no virtualization"
	exit 0
fi
check kvm_is_here test -c /dev/kvm
check probe_says_yes /usr/bin/ringside pc --probe
"""

# For the inner machines' own scripts: a kernel started with acpi=off, which cannot switch off and so ends by a reset.
NO_ACPI = r"""
no_acpi() { ! test -e /sys/firmware/acpi && ! grep -q acpi /proc/interrupts; }
check nothing_of_acpi no_acpi
"""
RESET = r"""
sync
reboot -f
"""


def chosen(names):
    """Which of the machines to run, in order, as the environment asks."""
    wanted = os.environ.get("PC_VARIANTS")
    few = [name for name in names if not wanted or name in wanted.split(",")]
    return few * int(os.environ.get("PC_REPEAT", "1"))


def run(scene, script, machines, files, modules=()):
    """Boots the outer guest.  Each of `machines` may take its time; where there is no virtualization all cases are skipped."""
    program = os.environ.get("RINGSIDE")
    if not program:
        scene.fail("RINGSIDE does not name the program under test")
    scene.boot(OUTER + script, [], programs=[program], modules=["kvm_amd", *modules], cpus=2, files=files,
               seconds=60 + machines * LIMIT)
    if "cannot" in scene.told:
        for name in list(scene.expected):
            scene.skip(name, scene.told["cannot"])


def outer_scene(name, memory=1024):
    return OuterScene(name, memory=memory, cpu="max,-xsave", append=CLOCK)

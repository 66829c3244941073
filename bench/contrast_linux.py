# SPDX-License-Identifier: MIT
"""bench/contrast, the part with stock Linux: the same kernel, image and requests on each kind of disk, in `ringside pc` under KVM inside an
emulated machine, whose KVM tells every exit.

The machines run one after another in one outer guest.  Before and after each load everything is written down: KVM's own counters, those of
`ringside ctl SOCKET stats`, and the processor time of the program's threads (the outer kernel splits it exactly on nohz_full CPUs).
"""

import json
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "guest"))

KERNEL_PACKAGE = "linux-image-amd64"  # the cloud kernel has neither IDE nor the SCSI adapter
IMAGE_MIB = 64
BOOT_SECONDS = 1200
TICK_NS = 10_000_000  # of /proc/PID/stat

# name, words around the image, its name in the guest, words for the guest's kernel
VARIANTS = [
    ("ide-pio", "--ide file=/tmp/disk", "sda", "libata.dma=0"),
    ("ide-dma", "--ide file=/tmp/disk", "sda", ""),
    ("scsi", "--scsi file=/tmp/disk", "sda", ""),
    ("virtio-exits", "--disk file=/tmp/disk,ioeventfd=off,irqfd=off,event-idx=off", "vda", ""),
    ("virtio-plain", "--disk file=/tmp/disk,event-idx=off", "vda", ""),
    ("virtio", "--disk file=/tmp/disk", "vda", ""),
]

# name, read or write, bytes, depth, requests
LOADS = [
    ("read-4k", "read", 4096, 1, 512),
    ("write-4k", "write", 4096, 1, 512),
    ("read-128k", "read", 131072, 1, 128),
    ("write-128k", "write", 131072, 1, 128),
    ("read-4k-deep", "read", 4096, 32, 2048),
]

OUTER = r"""
mount -t debugfs debugfs /sys/kernel/debug
counters() { for f in /sys/kernel/debug/kvm/*; do [ -f "$f" ] && printf '"%s": %s, ' "${f##*/}" "$(cat "$f")"; done; }
# Name, then user, system and guest time in ticks, then all of it in nanoseconds.
threads()
{
	for t in /proc/$pid/task/*; do
		set -- $(cut -d' ' -f14,15,43 "$t/stat") $(cut -d' ' -f1 "$t/schedstat")
		printf '["%s", %s, %s, %s, %s], ' "$(cat "$t/comm")" "$@"
	done
}
snapshot()
{
	stats=$(ringside ctl /tmp/control stats | tr -d '\n')
	tell "$variant:$1" "{\"kvm\": {$(counters)\"none\": 0}, \"threads\": [$(threads)[\"none\", 0, 0, 0, 0]], \"stats\": $stats}"
}
machine()
{
	variant=$1
	shift
	rm -f /tmp/in /tmp/out /tmp/control
	mkfifo /tmp/in /tmp/out
	taskset 6 ringside pc --kernel /inner/vmlinuz --initrd /inner/initrd --memory 256 --no-reboot --control /tmp/control "$@" \
		</tmp/in >/tmp/out 2>/dev/console &
	pid=$!
	exec 3>/tmp/in
	while read -r line; do
		line=$(echo "$line" | tr -d '\r')
		echo "$variant: $line" >/dev/console
		case $line in
		'@@ ask '*)
			snapshot "${line#@@ ask }"
			echo "done ${line#@@ ask }" >&3
			;;
		'@@ tell '*) tell "$variant:${line#@@ tell }" ;;
		esac
	done </tmp/out
	exec 3>&-
	wait $pid
	check "${variant}_ends_well" is $? 0
}
"""


def inner_script():
    text = "dev=/dev/$(sed 's/.*disk=\\([a-z]*\\).*/\\1/' /proc/cmdline)\nwait_for 60 test -b $dev\n"
    # What is not measured comes first: queues and pages that only a first request makes.
    text += "contrast_load $dev read 131072 8 64 >/dev/null\n"
    for name, op, size, depth, count in LOADS:
        text += f"ask {name}-begin\ntook=$(contrast_load $dev {op} {size} {depth} {count})\nask {name}-end\ntell {name}-took $took\n"
    return text


def build_load(folder):
    path = os.path.join(folder, "contrast_load")
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-static", "-o", path, os.path.join(TOP, "bench", "contrast_load.c"), "-luring"],
                   check=True)
    return path


def total(stats, name):
    """The sum of a counter, wherever it stands."""
    if isinstance(stats, dict):
        return sum(value if key == name and isinstance(value, int) else total(value, name) for key, value in stats.items())
    if isinstance(stats, list):
        return sum(total(value, name) for value in stats)
    return 0


def processor(threads):
    """Nanoseconds in the guest, and outside of it: in KVM and the kernel, in the program."""
    guest = sum(thread[3] for thread in threads) * TICK_NS
    system = sum(thread[2] for thread in threads) * TICK_NS
    return guest, system, sum(thread[4] for thread in threads) - guest - system


def row(told, variant, load):
    name, op, size, depth, count = load
    begin, end = (json.loads(told[f"{variant}:{name}-{when}"]) for when in ("begin", "end"))

    def kvm(counter):
        return end["kvm"].get(counter, 0) - begin["kvm"].get(counter, 0)

    def ours(*names):
        return sum(total(end["stats"], each) - total(begin["stats"], each) for each in names)

    before, after = processor(begin["threads"]), processor(end["threads"])
    return {
        "variant": variant, "load": name, "op": op, "size": size, "depth": depth, "requests": count,
        "exits": kvm("exits"),
        "halts": kvm("halt_exits"),
        "port exits": kvm("io_exits"),
        "emulated": kvm("insn_emulation"),
        "interrupts": kvm("irq_injections"),
        "user port": ours("port-in", "port-out"),
        "user memory": ours("memory-read", "memory-write"),
        "bytes copied": ours("bytes-copied"),
        "guest ns": after[0] - before[0], "kernel ns": after[1] - before[1], "program ns": after[2] - before[2],
        "wall ns": int(told[f"{variant}:{name}-took"]),
    }


def measure(ringside, variants):
    """One outer boot: a row for each variant and load."""
    kernel_folder = subprocess.run([os.path.join(TOP, "tools", "guest-kernel"), KERNEL_PACKAGE], stdout=subprocess.PIPE, text=True,
                                   check=True).stdout.strip()
    os.environ["GUEST_KERNEL"] = kernel_folder
    os.environ["GUEST_TIMEOUT"] = str(BOOT_SECONDS)
    import guest
    guest.BOOT_TIMEOUT = BOOT_SECONDS

    def boot(folder):
        scene = guest.Scene("contrast", memory=1536, cpu="max,-xsave", more=[], append="nohz_full=1,2")
        scene.__enter__()
        try:
            load = build_load(folder)
            inner = scene.initramfs(inner_script(), [load], [], ["ata_piix", "sym53c8xx", "sd_mod"], name="inner")
            script = OUTER + f"dd if=/dev/zero of=/tmp/disk bs=1M count={IMAGE_MIB} 2>/dev/null\n"
            for name, words, device, append in VARIANTS:
                if not variants or name in variants:
                    script += f"machine {name} {words} --append 'console=ttyS0 quiet panic=-1 disk={device} {append}'\n"
            scene.boot(script, [], programs=[ringside, "taskset"], modules=["kvm_amd"], cpus=3,
                       files=[(os.path.join(kernel_folder, "vmlinuz"), "/inner/vmlinuz"), (inner, "/inner/initrd")])
            return scene.told
        finally:
            print(scene.text("console-1.log")[-4000:], file=sys.stderr)
            scene.end_qemu()
    with tempfile.TemporaryDirectory(prefix="ringside-contrast-") as folder:
        told = boot(folder)
    return [row(told, name, load) for name, *_ in VARIANTS for load in LOADS if f"{name}:{load[0]}-took" in told]

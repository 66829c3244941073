# SPDX-License-Identifier: MIT
"""bench/contrast, the part with stock Linux: the same kernel, image and requests on each kind of disk, in `ringside pc` under KVM inside an
emulated machine, whose KVM tells every exit.

The machines run one after another in one outer guest.  Before and after each load everything is written down: KVM's own counters and those of
`ringside ctl SOCKET stats`.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

from contrast_stats import total
from guest import Failure, fetch_kernel
from nested import outer_scene

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

KERNEL_PACKAGE = "linux-image-amd64"  # the cloud kernel has neither IDE nor the SCSI adapter
IMAGE_MIB = 64
BOOT_SECONDS = 1200

# name, words around the image, its name in the guest, modules with their parameters
VARIANTS = [
    ("ide-pio", "--ide file=/tmp/disk", "sda", ["libata:dma=0", "ata_piix", "sd_mod"]),
    ("ide-dma", "--ide file=/tmp/disk", "sda", ["ata_piix", "sd_mod"]),
    ("scsi", "--scsi file=/tmp/disk", "sda", ["sym53c8xx", "sd_mod"]),
    ("virtio-exits", "--disk file=/tmp/disk,ioeventfd=off,irqfd=off,event-idx=off", "vda", []),
    ("virtio-plain", "--disk file=/tmp/disk,event-idx=off", "vda", []),
    ("virtio", "--disk file=/tmp/disk", "vda", []),
]

# name, read or write, bytes, depth, requests.  What nothing costs, the words on the serial line, is taken off the others.
NOTHING = ("nothing", "read", 4096, 1, 0)
LOADS = [
    ("read-4k", "read", 4096, 1, 256),
    ("write-4k", "write", 4096, 1, 256),
    ("read-128k", "read", 131072, 1, 16),
    ("write-128k", "write", 131072, 1, 16),
    ("read-4k-deep", "read", 4096, 32, 1024),
]

OUTER = r"""
mount -t debugfs debugfs /sys/kernel/debug
counters() { for f in /sys/kernel/debug/kvm/*; do [ -f "$f" ] && printf '"%s": %s, ' "${f##*/}" "$(cat "$f")"; done; }
snapshot()
{
	stats=$(ringside ctl /tmp/control stats --json | tr -d '\n')
	tell "$variant:$1" "{\"kvm\": {$(counters)\"none\": 0}, \"stats\": $stats}"
}
machine()
{
	variant=$1
	shift
	rm -f /tmp/in /tmp/out /tmp/control
	mkfifo /tmp/in /tmp/out
	ringside pc --kernel /inner/vmlinuz --initrd "/inner/$variant" --memory 256 --no-reboot --control /tmp/control "$@" \
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
    text += "contrast_load $dev read 131072 8 16 >/dev/null\n"
    for name, op, size, depth, count in [NOTHING] + LOADS:
        load = f"contrast_load $dev {op} {size} {depth} {count}" if count else "echo 0"
        text += f"ask {name}-begin\ntook=$({load})\nask {name}-end\ntell {name}-took $took\n"
    return text


def build_load(folder):
    path = os.path.join(folder, "contrast_load")
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-static", "-o", path, os.path.join(TOP, "bench", "contrast_load.c"), "-luring"],
                   check=True)
    return path


def difference(told, variant, load):
    """What was counted between the two marks of a load."""
    begin, end = (json.loads(told[f"{variant}:{load}-{when}"]) for when in ("begin", "end"))

    def kvm(counter):
        return end["kvm"].get(counter, 0) - begin["kvm"].get(counter, 0)

    def ours(*names):
        return total(end["stats"], *names) - total(begin["stats"], *names)

    return {
        "exits": kvm("exits"), "halts": kvm("halt_exits"), "port exits": kvm("io_exits"), "emulated": kvm("insn_emulation"),
        "interrupts": kvm("irq_injections"), "user port": ours("port-in", "port-out"), "user memory": ours("memory-read", "memory-write"),
        "bytes copied": ours("bytes-copied", "bytes-copied-in", "bytes-copied-out"),
    }


def row(told, variant, load):
    name, op, size, depth, count = load
    nothing = difference(told, variant, NOTHING[0])
    result = {"variant": variant, "load": name, "op": op, "size": size, "depth": depth, "requests": count}
    result.update({key: value - nothing[key] for key, value in difference(told, variant, name).items()})
    result["wall ns"] = int(told[f"{variant}:{name}-took"])
    return result


@contextlib.contextmanager
def outer():
    """A scene that is no test: its cases go to standard error, and it does not end the program."""
    scene = outer_scene("contrast", memory=1536)
    with contextlib.redirect_stdout(sys.stderr):
        scene.__enter__()
        try:
            yield scene
        except Failure:
            print(scene.text("console-1.log")[-4000:], file=sys.stderr)
            raise
        finally:
            scene.end_qemu()
            shutil.rmtree(scene.folder, ignore_errors=True)


def measure(ringside, variants):
    """One outer boot: a row for each variant and load."""
    inner = fetch_kernel(KERNEL_PACKAGE)
    with tempfile.TemporaryDirectory(prefix="ringside-contrast-") as folder, outer() as scene:
        load = build_load(folder)
        files = [(os.path.join(inner, "vmlinuz"), "/inner/vmlinuz")]
        script = OUTER + f"dd if=/dev/zero of=/tmp/disk bs=1M count={IMAGE_MIB} 2>/dev/null\n"
        for name, words, device, modules in VARIANTS:
            if variants and name not in variants:
                continue
            files.append((scene.initramfs(inner_script(), [load], [], modules, name=name, of=inner), "/inner/" + name))
            script += f"machine {name} {words} --append 'console=ttyS0 quiet panic=-1 disk={device}'\n"
        scene.boot(script, [], programs=[ringside], modules=["kvm_amd"], cpus=2, files=files, seconds=BOOT_SECONDS)
        return [row(scene.told, name, load) for name, *_ in VARIANTS for load in LOADS if f"{name}:{load[0]}-took" in scene.told]

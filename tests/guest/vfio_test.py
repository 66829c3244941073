#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Our driver on PCI devices that nobody here wrote: QEMU's virtio-blk-pci behind its IOMMU, given to user space through VFIO in a stock guest.

`ringside bench`, `ringside conform` and the library run inside the guest, from the build under test; the host looks at the images afterwards.
"""

import os
import re

from guest import BOOT_TIMEOUT, EmulatedDisk, MIB, Scene, host_tool

BEHIND_IOMMU = "disable-legacy=on,iommu_platform=on"
# The one behind a bridge can be reset by itself, those on the root bus cannot.
SPLIT, PACKED, POLLED, PAST = "0000:00:04.0", "0000:01:00.0", "0000:00:06.0", "0000:00:07.0"

# What QEMU's device is known to do wrong, by the case that says so; everything else has to hold.
QEMU_BREAKS = {
    "ST-D-05.far", "ST-D-05.refused", "VQ-D-05.direct-then-indirect", "VQ-D-10.id", "VQ-D-10.failed-read",
    "VQ-D-10.unknown", "PK-D-05.last-id", "PK-D-06.len",
}

SCRIPT = r"""
# What a sanitizer says must not be taken for a refusal.
export ASAN_OPTIONS=exitcode=99 UBSAN_OPTIONS=halt_on_error=1:exitcode=99

# bind ADDRESS: takes the device from its driver and gives it to vfio-pci, as the manual page says.
bind()
{
	echo vfio-pci >/sys/bus/pci/devices/$1/driver_override
	[ ! -e /sys/bus/pci/devices/$1/driver ] || echo $1 >/sys/bus/pci/devices/$1/driver/unbind
	echo $1 >/sys/bus/pci/drivers_probe
	[ "$(basename "$(readlink /sys/bus/pci/devices/$1/driver)")" = vfio-pci ]
}
bench() { ringside bench --quiet --timeout=120 "$@"; }
# says WORDS STATUS COMMAND...: the command fails with that status and a sentence that has these words in it.
says()
{
	words=$1
	wanted=$2
	shift 2
	"$@" >/tmp/said 2>&1
	status=$?
	cat /tmp/said
	[ $status = $wanted ] && grep -qi "$words" /tmp/said
}
as_nobody() { /usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

check refuses_a_device_of_another_driver says 'driver virtio-pci.*driver_override' 1 bench --ios=1 pci:SPLIT
check refuses_no_device says 'no PCI device 0000:00:1e.0' 1 bench --ios=1 pci:0000:00:1e.0
check refuses_no_virtio_device says 'no virtio device' 1 bench --ios=1 pci:0000:00:00.0
check refuses_no_disk says 'type 4' 1 bench --ios=1 pci:0000:00:08.0
check refuses_no_address says 'no address' 2 bench --ios=1 pci:here
check bind_split bind SPLIT
check bind_packed bind PACKED
check bind_polled bind POLLED
check bind_past bind PAST

check refuses_a_device_that_goes_past_the_iommu says ACCESS_PLATFORM 1 bench --ios=1 pci:PAST
check conform_refuses_it_too says ACCESS_PLATFORM 2 ringside conform pci:PAST
group=$(basename "$(readlink /sys/bus/pci/devices/SPLIT/iommu_group)")
check refuses_without_permission says "chown.*/dev/vfio/$group" 1 as_nobody ringside bench --ios=1 pci:SPLIT
chown 65534 /dev/vfio/$group
check refuses_without_locked_memory says RLIMIT_MEMLOCK 1 as_nobody sh -c 'ulimit -l 64; ringside bench --ios=1 pci:SPLIT'
check any_user_who_may as_nobody sh -c 'ulimit -l 65536; ringside bench --quiet --ios=10 pci:SPLIT'

# On the way through queues of every kind; then a pattern that the host reads, too.
check bench_split bench --rw=randwrite --verify --ios=600 --bs=4K-64K --depth=8 --queues=2 --offset=16M pci:SPLIT
check bench_packed bench --rw=randwrite --verify --ios=600 --bs=4K-64K --depth=8 --queues=4 --offset=16M pci:PACKED
check bench_packed_as_split bench --rw=randrw --verify --discard=10 --flush-every=20 --ios=600 --bs=4K --offset=32M --poll "pci:PACKED?packed=off"
check bench_without_interrupts bench --rw=randwrite --verify --ios=300 --bs=4K --depth=4 pci:POLLED
pattern() { bench --rw=write --verify --bs=64K --offset=8M --size=4M --depth=4 "$1" && bench --rw=read --verify --bs=4K --offset=8M --size=4M "$2"; }
check pattern_split pattern pci:SPLIT 'pci:00:04.0?event-idx=off&indirect=off'
check pattern_packed pattern pci:PACKED 'pci:PACKED?queue-size=3'

check library_split pci-life life pci:SPLIT serial-split
check library_packed pci-life life "pci:PACKED?queues=4" serial-packed
check library_polled pci-life life pci:POLLED serial-polled

pci-life grow pci:SPLIT >/tmp/grow 2>&1 &
wait_for 30 grep -q ready /tmp/grow
ask grow
grown() { wait $1; cat /tmp/grow; grep -q 'now GROWN' /tmp/grow; }
check config_interrupt_tells_of_a_new_size grown $!

# What is known of a device that QEMU makes is on the host's side; here only whether the cases ran.
conform()
{
	ringside conform --allow-writes --timeout=5 --format=tap --offset=40M --skip='R-*,B-*' pci:PACKED >/tmp/conform 2>&1
	status=$?
	tail -n 3 /tmp/conform
	[ $status -le 1 ] && tail -n 1 /tmp/conform | grep 'cases: '
}
check conform_runs conform
tell conform_broken "$(sed -n '/# TODO/d; s/^not ok [0-9]* - \([^ ]*\) .*/\1/p' /tmp/conform | tr '\n' ' ')"
tell conform_kept "$(sed -n '/# SKIP/d; s/^ok [0-9]* - \([^ ]*\) .*/\1/p' /tmp/conform | tr '\n' ' ')"
sed -n '/^not ok/,/^ok/p' /tmp/conform | sed 's/^/@@ # /'

# The kernel takes a device back from a program that listens.
ringside bench --quiet --runtime=300 pci:PACKED >/tmp/bench.log 2>&1 &
running() { grep -q vfio-msix /proc/interrupts; }
wait_for 30 running
check refuses_a_device_in_use says 'in use' 1 bench --ios=1 pci:PACKED
taken_back() { echo PACKED >/sys/bus/pci/drivers/vfio-pci/unbind; wait $1; [ $? = 1 ] && grep 'went away' /tmp/bench.log; }
check gives_a_device_back_when_asked taken_back $!
"""


def put_addresses(script):
    return re.sub(r"\b(SPLIT|PACKED|POLLED|PAST|GROWN)\b",
                  lambda match: {"SPLIT": SPLIT, "PACKED": PACKED, "POLLED": POLLED, "PAST": PAST, "GROWN": str(96 * MIB)}[match[1]],
                  script)


# One processor: a device that comes to VFIO or goes changes the emulator's memory map (see Scene.opening).
with Scene("vfio", memory=768, machine="q35,kernel-irqchip=split", append="intel_iommu=on no_timer_check",
           more=["-device", "intel-iommu,intremap=on", "-device", "virtio-rng-pci,addr=8",
                 "-device", "pcie-root-port,id=bridge1,chassis=1,addr=5"]) as scene:
    tools = []
    for word in ("RINGSIDE", "PCI_LIFE"):
        if not os.environ.get(word):
            scene.fail(f"{word} does not name the program under test")
        tools.append(os.environ[word])

    def disk(name, place, device, **how):
        return EmulatedDisk(scene.folder, name, device=f"{device},{place}", size=64 * MIB, serial="serial-" + name, **how)

    split = disk("split", "addr=4", BEHIND_IOMMU, queues=2)
    packed = disk("packed", "bus=bridge1", BEHIND_IOMMU, queues=4, packed=True)
    polled = disk("polled", "addr=6", BEHIND_IOMMU + ",vectors=0")
    past = disk("past", "addr=7", "disable-legacy=off")
    scene.boot(put_addresses(SCRIPT), [split, packed, polled, past], programs=tools + ["setpriv"],
               modules=["vfio_pci", "vfio_iommu_type1"], seconds=2 * BOOT_TIMEOUT,
               answers={"grow": lambda: scene.tell_qemu("block_resize", **{"node-name": "split", "size": 96 * MIB})})

    broken = set(scene.told["conform_broken"].split())
    scene.case("conform_finds_only_what_qemu_is_known_to_break", broken <= QEMU_BREAKS, f"also {' '.join(broken - QEMU_BREAKS)}")
    kept = set(scene.told["conform_kept"].split())
    missing = {"PCI-D-09.ladder", "PCI-D-26.drive", "VQ-D-07.notify", "PK-D-01.framing", "BLK-R.read"} - kept
    scene.case("conform_runs_what_pci_can_show", len(kept) > 80 and not missing, f"{len(kept)} kept, but not {' '.join(missing)}")

    # What pci_life left, and what bench wrote, read without any of what wrote it.
    def left(seed):
        return bytes((i * 31 + (i >> 8) + seed) & 0xff for i in range(65536))

    scene.case("host_sees_what_the_library_wrote_split", split.read(0, 65536) == left(6))
    scene.case("host_sees_what_the_library_wrote_packed", packed.read(0, 4 * 65536) == b"".join(map(left, range(6, 10))))
    for image in (split, packed):
        status, text = host_tool(tools[0], "bench", "--quiet", "--rw=read", "--verify", "--bs=4K", "--offset=8M", "--size=4M",
                                 f"local:file={image.path}")
        scene.case(f"host_verifies_what_bench_wrote_{image.name}", status == 0, text)

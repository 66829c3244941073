#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every ring format that a guest can choose, four disks of one server process in one boot.

What the driver took is read from the guest's own sysfs, so a feature that quietly fell away fails the test.
"""

from guest import MIB, PEER, Scene

# (disk, packed, event_idx, queues)
DISKS = [("split_event", False, True, 1), ("split_plain", False, False, 4),
         ("packed_event", True, True, 4), ("packed_plain", True, False, 1)]
RING_PACKED, EVENT_IDX = 34, 29

SCRIPT = r"""
# fio JOBS DISK: random writes of mixed sizes by JOBS processes, then everything read back and checked.
verify()
{
	fio --name=verify --filename=/dev/$2 --numjobs=$1 --size=$((16 / $1))M --offset_increment=$((16 / $1))M \
		--direct=1 --ioengine=libaio --iodepth=16 --rw=randwrite \
		--bssplit=512/20:1536/10:4k/30:12k/10:64k/20:200k/10 --blockalign=512 \
		--verify=crc32c --verify_fatal=1 --do_verify=1 --randrepeat=0 --thread
}
# Reads and writes at the same time, on its own half of the disk.
mixed()
{
	fio --name=mixed --filename=/dev/$1 --numjobs=4 --offset=16M --size=4M --offset_increment=4M --direct=1 \
		--ioengine=libaio --iodepth=32 --rw=randrw --bsrange=512-128k --blockalign=512 --randrepeat=0 \
		--verify=crc32c --verify_backlog=64 --verify_fatal=1 --thread
}
queues() { ls "/sys/block/$1/mq" | wc -l; }
"""


def script_for(letter, name, packed, event_idx, queues):
    dev = "vd" + letter
    ring = "" if PEER and packed else f"check {name}_ring_format {'has' if packed else 'lacks'}_feature {dev} {RING_PACKED}\n"
    return ring + f"""
check {name}_event_idx {'has' if event_idx else 'lacks'}_feature {dev} {EVENT_IDX}
check {name}_queues is $(queues {dev}) {queues}
check {name}_fio_verify verify {queues} {dev}
check {name}_fio_mixed mixed {dev}
"""


with Scene("rings") as scene:
    disks = [scene.disk(name, size=32 * MIB, packed=packed, event_idx=event_idx, queues=queues)
             for name, packed, event_idx, queues in DISKS]
    scene.expect("sigterm_exits_0")
    for name, packed, _, _ in DISKS:
        if PEER and packed:
            scene.skip(f"{name}_ring_format", "the peer has no packed rings")
    server = scene.serve(*disks)
    script = SCRIPT + "".join(script_for(letter, *disk) for letter, disk in zip("abcd", DISKS))
    scene.boot(script, disks, programs=["fio"], cpus=4)
    status = server.stop()
    scene.case("sigterm_exits_0", status == 0, f"exit status {status}")

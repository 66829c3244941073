#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Zoned disks under a stock Linux that knows them: btrfs, f2fs, zonefs, and fio's own book of zones.

Made, filled, checked, mounted again; the server killed and started between two mounts; then server and machine killed under load, and what
had been synced is found by the next kernel.  The kernel is a newer Debian's, since that of Debian 12 knows no zones of virtio disks, and
its large one, which has f2fs.  With TRANSPORT=vfio-user only: QEMU's vhost-user-blk does not let the feature through.
"""

import os
import struct
import sys
import time
import zlib

from guest import MIB, VFIO_USER, Failure, Scene, clients, fetch_kernel

HELPERS = r"""
fill() # FOLDER NUMBER
{
	for f in 1 2 3 4 5 6; do
		dd if=/dev/urandom of=$1/$2-$f bs=$((f * 9973)) count=$((f * 17)) || return
	done
	(cd $1 && sha256sum $2-* >/tmp/sums && cp /tmp/sums sums-$2) && sync
}
read_back() { (cd $1 && sha256sum -c sums-$2); }
clean() { btrfs check --force /dev/vda; }
scrub() { btrfs scrub start -B /mnt && btrfs scrub status /mnt | grep -q 'no errors found'; }
# A file of zonefs is a zone: only its end can be written, only directly.
zone_write() { dd if=/pattern of=/zones/seq/$1 bs=64k oflag=direct,append conv=notrunc; }
zone_compare() { drop_caches && dd if=/zones/seq/$1 bs=64k count=16 | cmp - /pattern; }
zone_size() { stat -c %s /zones/seq/$1; }
mkdir -p /zones /flash
is_there() { [ -b /dev/$1 ]; }
is_away() { [ ! -e /sys/block/$1 ]; }
"""

FIRST = HELPERS + r"""
check is_host_managed is "$(cat /sys/block/vda/queue/zoned)" host-managed
check has_its_zones is "$(cat /sys/block/vda/queue/nr_zones)" 64
check has_zones_of_8M is "$(cat /sys/block/vda/queue/chunk_sectors)" 16384
check has_its_limit is "$(cat /sys/block/vda/queue/max_active_zones)" 14
check blkzone_reports is "$(blkzone report /dev/vdb | grep -c 'zcond')" 32

check mkfs_btrfs mkfs.btrfs -q -O zoned -d single -m single /dev/vda
check mount_btrfs mount -t btrfs /dev/vda /mnt
check fill_btrfs fill /mnt a
check drop_caches drop_caches
check read_back_btrfs read_back /mnt a
check scrub_btrfs scrub
check unmount_btrfs umount /mnt
check check_btrfs clean

# The superblock is all that mkzonefs writes.
check make_zonefs dd if=/zonefs of=/dev/vdb bs=4096 count=1 oflag=direct
check mount_zonefs mount -t zonefs /dev/vdb /zones
check zonefs_files is "$(ls /zones/seq | wc -l)" 31
check zonefs_write zone_write 3
check zonefs_size is "$(zone_size 3)" 1048576
check zonefs_append zone_write 3
check zonefs_grown is "$(zone_size 3)" 2097152
check zonefs_compare zone_compare 3
check zonefs_not_elsewhere refused dd if=/pattern of=/zones/seq/3 bs=64k count=1 oflag=direct conv=notrunc
check zonefs_full zone_write 4 && truncate -s 4194304 /zones/seq/4
check zonefs_full_size is "$(zone_size 4)" 4194304
check zonefs_reset truncate -s 0 /zones/seq/4
check zonefs_empty is "$(zone_size 4)" 0
check zonefs_write_again zone_write 4
check zonefs_unmount umount /zones

check mkfs_f2fs mkfs.f2fs -q -f -m /dev/vdd
check mount_f2fs mount -t f2fs /dev/vdd /flash
check fill_f2fs fill /flash a
check drop_caches_f2fs drop_caches
check read_back_f2fs read_back /flash a
check unmount_f2fs umount /flash
check fsck_f2fs fsck.f2fs --dry-run /dev/vdd
check mount_f2fs_again mount -t f2fs /dev/vdd /flash
check read_back_f2fs_again read_back /flash a

fio_zones()
{
	fio --name=zones --filename=/dev/vdc --direct=1 --zonemode=zbd --max_open_zones=4 --rw=randwrite --bs=16k --size=32M --ioengine=libaio \
		--iodepth=8 --verify=crc32c --do_verify=1 --verify_fatal=1 --allow_file_create=0 --thread
}
check fio_zones fio_zones

# The server is killed, and another one comes: QEMU has to be given the boards anew.
ask unplug
check unplugged wait_for 60 is_away vda
check unplugged_too wait_for 60 is_away vdb
ask restart
check plugged wait_for 60 is_there vda
check plugged_too wait_for 60 is_there vdb
check restart_mount_btrfs mount -t btrfs /dev/vda /mnt
check restart_read_back read_back /mnt a
check restart_fill fill /mnt b
check restart_mount_zonefs mount -t zonefs /dev/vdb /zones
check restart_zonefs_size is "$(zone_size 3)" 2097152
check restart_zonefs_compare zone_compare 3
check restart_zonefs_empty is "$(zone_size 5)" 0

# Server and machine end here, in the middle of all this.
( while true; do fill /mnt c; done ) >/dev/null 2>&1 &
( while true; do fill /flash c; done ) >/dev/null 2>&1 &
( while true; do zone_write 7; truncate -s 0 /zones/seq/7; done ) >/dev/null 2>&1 &
sleep 1
ask kill
"""

SECOND = HELPERS + r"""
check after_kill_mount_btrfs mount -t btrfs /dev/vda /mnt
check after_kill_read_back read_back /mnt a
check after_kill_read_back_b read_back /mnt b
check after_kill_fill fill /mnt d
check after_kill_scrub scrub
check after_kill_unmount umount /mnt
check after_kill_check_btrfs clean
check after_kill_mount_zonefs mount -t zonefs /dev/vdb /zones
check after_kill_zonefs_size is "$(zone_size 3)" 2097152
check after_kill_zonefs_compare zone_compare 3
check after_kill_zonefs_compare_4 zone_compare 4
check after_kill_zonefs_write zone_write 8
check after_kill_zonefs_compare_8 zone_compare 8
check after_kill_mount_f2fs mount -t f2fs /dev/vdd /flash
check after_kill_read_back_f2fs read_back /flash a
check after_kill_fill_f2fs fill /flash d
check after_kill_read_back_f2fs_d read_back /flash d
check after_kill_unmount_f2fs umount /flash
check after_kill_fsck_f2fs fsck.f2fs --dry-run /dev/vdd
dmesg >/tmp/dmesg
check no_io_error_in_the_guest refused grep -qE 'I/O error|corrupt' /tmp/dmesg
"""

ZONEFS_MAGIC = 0x5A4F4653


def zonefs_superblock():
    """What mkzonefs would write: no label, no options."""
    body = struct.pack("<32s16sQIII", b"", os.urandom(16), 0, 0, 0, 0o640).ljust(4096 - 8, b"\0")
    crc = zlib.crc32(struct.pack("<II", ZONEFS_MAGIC, 0) + body) ^ 0xFFFFFFFF
    return struct.pack("<II", ZONEFS_MAGIC, crc) + body


class Killed(Exception):
    """Server and machine, as the guest's script asked."""


if not VFIO_USER:
    print("1..0 # SKIP TRANSPORT is not vfio-user")
    sys.exit(0)

os.environ.setdefault("GUEST_KERNEL", fetch_kernel("linux-image-amd64", "forky"))
with Scene("zoned", memory=768) as scene:
    # vectors=0: QEMU 11.1 ends by an assertion of its own when a board with MSI-X is unplugged.
    btrfs = scene.disk("btrfs", size=512 * MIB, board="vectors=0",
                       **{"zoned": "host-managed", "zone-size": "8M", "zone-max-active": 14})
    zonefs = scene.disk("zonefs", size=128 * MIB, board="vectors=0", **{"zoned": "host-managed", "zone-size": "4M"})
    plain = scene.disk("plain", size=128 * MIB, queues=2, packed=True,
                       **{"zoned": "host-managed", "zone-size": "2M", "zone-max-open": 8})
    # Its own data about data are written anywhere.
    f2fs = scene.disk("f2fs", size=512 * MIB, **{"zoned": "host-managed", "zone-size": "8M", "zone-conventional": 8})
    pattern_path, pattern = scene.pattern("pattern", MIB)
    with open(scene.path("zonefs-super"), "wb") as file:
        file.write(zonefs_superblock())
    scene.expect("sigterm_exits_0")
    server = scene.serve(btrfs, zonefs, more=["--control", scene.path("control")])
    other = scene.serve(plain, f2fs)
    disks = [btrfs, zonefs, plain, f2fs]
    programs = ["mkfs.btrfs", "btrfs", "mkfs.f2fs", "fsck.f2fs", "blkzone", "fio"]
    how = {"programs": programs, "files": [(pattern_path, "/pattern"), (scene.path("zonefs-super"), "/zonefs")],
           "modules": ["btrfs", "f2fs", "zonefs"], "cpus": 2}

    def unplug():
        for disk in (btrfs, zonefs):
            scene.tell_qemu("device_del", id="device-" + disk.name)

    def restart():
        # QEMU lets go some time after the guest has, and does not survive a server that goes before.
        deadline = time.monotonic() + 60
        while clients(scene.path("control")) != ["none", "none"]:
            if time.monotonic() > deadline:
                raise Failure("QEMU does not let go of the boards")
            time.sleep(0.1)
        server.kill()
        server.start()
        for disk in (btrfs, zonefs):
            scene.tell_qemu("device_add", **disk.vfio_user_device())

    def kill():
        server.kill()
        other.kill()
        raise Killed

    try:
        scene.boot(FIRST, disks, answers={"unplug": unplug, "restart": restart, "kill": kill}, **how)
        raise Failure("the guest was not killed")
    except Killed:
        server.start()
        other.start()
    scene.boot(SECOND, disks, **how)
    statuses = [server.stop(), other.stop()]
    scene.case("sigterm_exits_0", statuses == [0, 0], f"exit statuses {statuses}")

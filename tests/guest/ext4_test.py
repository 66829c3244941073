#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A file system lives on the disk: made and filled in one boot, found again in a second one, and sound on the host."""

from guest import MIB, Scene, host_tool, sha256

FIRST = r"""
fill()
{
	for d in 1 2 3 4 5 6 7 8; do
		mkdir /mnt/$d || return
		for f in 1 2 3 4 5 6 7 8; do
			dd if=/dev/urandom of=/mnt/$d/$f bs=$((d * 997)) count=$((f * 17)) || return
		done
	done
	dd if=/dev/urandom of=/mnt/large bs=1M count=24
	(cd /mnt && find . -type f ! -name sums -exec sha256sum {} + >/tmp/sums && mv /tmp/sums sums)
}
read_back() { (cd /mnt && sha256sum -c sums); }

check disk_is_there test -b /dev/vda
check mkfs mkfs.ext4 -q /dev/vda
check mount mount -t ext4 /dev/vda /mnt
check fill fill
check drop_caches drop_caches
check read_back read_back
check unmount umount /mnt
check fsck_after_filling e2fsck -fn /dev/vda

# A disk without file system, its size no multiple of anything but 512: the pattern at an odd sector, and in the last ones.
tell raw_sectors $(cat /sys/block/vdb/size)
check raw_write dd if=/pattern of=/dev/vdb bs=512 seek=12345
check raw_write_at_the_end dd if=/pattern of=/dev/vdb bs=512 count=9 seek=$(($(cat /sys/block/vdb/size) - 9))
check raw_write_past_the_end_refused refused dd if=/pattern of=/dev/vdb bs=512 count=1 seek=$(cat /sys/block/vdb/size)
check raw_sync sync
"""

SECOND = r"""
read_back() { (cd /mnt && sha256sum -c sums); }
raw_compare() { dd if=/dev/vdb bs=512 skip=12345 count=2048 | cmp - /pattern; }
more() { dd if=/dev/urandom of=/mnt/more bs=64k count=64 && rm -r /mnt/3; }

check second_boot_mount mount -t ext4 /dev/vda /mnt
check second_boot_read_back read_back
check second_boot_write more
tell large $(sha256sum </mnt/large)
tell more $(sha256sum </mnt/more)
check second_boot_unmount umount /mnt
check second_boot_fsck e2fsck -fn /dev/vda
check second_boot_raw_compare raw_compare
"""


def dump(scene, disk, name):
    """Takes a file out of the image, without mounting it; returns its checksum."""
    out = scene.path(name + ".out")
    host_tool("debugfs", "-R", f"dump /{name} {out}", disk.path)
    return sha256(out)


with Scene("ext4") as scene:
    RAW_SIZE = 33 * MIB + 3 * 512
    fs = scene.disk("fs", size=160 * MIB)
    raw = scene.disk("raw", size=RAW_SIZE)
    pattern_path, pattern = scene.pattern("pattern", MIB)
    scene.expect("sigterm_exits_0", "host_fsck", "host_file_as_written", "host_file_of_second_boot", "host_raw_size",
                 "host_raw_pattern", "host_raw_end", "host_raw_rest_untouched")

    server = scene.serve(fs, raw)
    tools = ["mkfs.ext4", "e2fsck"]
    scene.boot(FIRST, [fs, raw], programs=tools, files=[(pattern_path, "/pattern")], modules=["ext4"])
    # A new QEMU at the same server: the second front end of its life.
    scene.boot(SECOND, [fs, raw], programs=tools, files=[(pattern_path, "/pattern")], modules=["ext4"])
    status = server.stop()
    scene.case("sigterm_exits_0", status == 0, f"exit status {status}")

    status, text = host_tool("e2fsck", "-fn", fs.path)
    scene.case("host_fsck", status == 0, text)
    scene.case("host_file_as_written", dump(scene, fs, "large") == scene.told.get("large", "").split(" ")[0])
    scene.case("host_file_of_second_boot", dump(scene, fs, "more") == scene.told.get("more", "").split(" ")[0])

    START, END = 12345 * 512, RAW_SIZE - 9 * 512
    scene.case("host_raw_size", scene.told.get("raw_sectors") == str(RAW_SIZE // 512), scene.told.get("raw_sectors"))
    scene.case("host_raw_pattern", raw.read(START, MIB) == pattern)
    scene.case("host_raw_end", raw.read(END, 9 * 512) == pattern[:9 * 512])
    rest = raw.read(0, START) + raw.read(START + MIB, END - START - MIB)
    scene.case("host_raw_rest_untouched", not rest.strip(b"\0"))

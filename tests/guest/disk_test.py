#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a disk is besides its bytes: serial, cache, discard, zeroes, read-only, and a size that changes under the guest."""

import os

from guest import MIB, PEER, VFIO_USER, Scene, host_tool, sha256

FLUSH, CONFIG_WCE, DISCARD, WRITE_ZEROES, SECURE_ERASE = 9, 11, 13, 14, 16

SERIAL = r"""
check serial_in_sysfs is "$(cat /sys/block/vda/serial)" ring-side.0001
"""

MAIN = rf"""
# Flushes: field 16 of a disk's stat counts those that completed.
flushes() {{ awk '{{ print $16 }}' /sys/block/vda/stat; }}
flush() {{ before=$(flushes); dd if=/dev/zero of=/dev/vda bs=64k count=4 conv=fsync && [ "$(flushes)" -gt "$before" ]; }}
cache_type()
{{
	echo "write $1" >/sys/block/vda/cache_type && is "$(cat /sys/block/vda/cache_type)" "write $1" &&
		dd if=/dev/zero of=/dev/vda bs=64k count=4 conv=fsync
}}
check flush_offered has_feature vda {FLUSH}
check cache_write_through cache_type through
check cache_write_back cache_type back
check flush_completes flush

trim()
{{
	rm /mnt/large && sync && ask full && fstrim -v /mnt && ask trimmed
}}
check discard_offered has_feature vda {DISCARD}
check discard_mkfs mkfs.ext4 -q /dev/vda
check discard_mount mount -t ext4 /dev/vda /mnt
check discard_keep dd if=/pattern of=/mnt/keep conv=fsync
check discard_fill dd if=/dev/urandom of=/mnt/large bs=1M count=40 conv=fsync
trim
check discard_rest_intact cmp /mnt/keep /pattern
check discard_unmount umount /mnt
check discard_fsck e2fsck -fn /dev/vda

check ro_flag is "$(cat /sys/block/vdb/ro)" 1
check ro_mount mount -t ext4 -o ro /dev/vdb /mnt
check ro_read cmp /mnt/pattern /pattern
check ro_remount_rw_refused refused mount -o remount,rw /mnt
check ro_unmount umount /mnt
check ro_write_refused refused dd if=/dev/zero of=/dev/vdb bs=512 count=1 conv=fsync

zeroes()
{{
	dd if=/pattern of=/dev/vdc bs=1M seek=8 conv=fsync && /usr/bin/blkdiscard -z -o $((8 * 1048576 + 65536)) -l 524288 /dev/vdc &&
		drop_caches && dd if=/dev/vdc of=/tmp/got bs=1M skip=8 count=1 &&
		cp /pattern /tmp/want && dd if=/dev/zero of=/tmp/want bs=65536 seek=1 count=8 conv=notrunc &&
		cmp /tmp/got /tmp/want
}}
check zeroes_offered has_feature vdc {WRITE_ZEROES}
check zeroes_written_and_only_there zeroes

# QEMU's vhost-user-blk passes on what it knows, and that it does not.
check erase_as_far_as_the_front_end_lets {"has" if VFIO_USER else "lacks"}_feature vdc {SECURE_ERASE}
"""

RESIZE = r"""
# The size is in sectors of 512 bytes: 64 MiB becomes 96 MiB.
size_is() { [ "$(cat /sys/block/vdc/size)" = $1 ]; }
check resize_before size_is 131072
ask grow
check resize_seen_by_running_guest wait_for 30 size_is 196608
check resize_write_at_new_end dd if=/pattern of=/dev/vdc bs=1M seek=95 conv=fsync
"""

with Scene("disk") as scene:
    main = scene.disk("main", size=96 * MIB, serial="ring-side.0001")
    fixed = scene.disk("fixed", size=16 * MIB, readonly=True)
    growing = scene.disk("growing", size=64 * MIB, **{"secure-erase": "overwrite"})
    pattern_path, pattern = scene.pattern("pattern", MIB)
    os.mkdir(scene.path("tree"))
    os.link(pattern_path, scene.path("tree/pattern"))
    host_tool("mkfs.ext4", "-q", "-F", "-d", scene.path("tree"), fixed.path)
    fixed_sum = sha256(fixed.path)
    scene.expect("discard_becomes_holes", "sigterm_exits_0", "host_fsck", "host_readonly_image_unchanged")

    server = scene.serve(main, fixed, growing)
    taken = {}

    def trimmed():
        taken["trimmed"] = main.blocks()
        freed = taken["full"] - taken["trimmed"]
        scene.case("discard_becomes_holes", freed >= 36 * MIB, f"only {freed} bytes came free on the host")

    script = MAIN if PEER else SERIAL + MAIN + RESIZE
    if PEER:
        scene.skip("serial_in_sysfs", "the peer's serial number is fixed")
        scene.skip("resize_seen_by_running_guest", "qemu-storage-daemon 7.2 does not tell the guest")
    scene.boot(script, [main, fixed, growing], modules=["ext4"], programs=["mkfs.ext4", "e2fsck", "blkdiscard"],
               files=[(pattern_path, "/pattern")],
               answers={"full": lambda: taken.update(full=main.blocks()), "trimmed": trimmed,
                        "grow": lambda: os.truncate(growing.path, 96 * MIB)})
    status = server.stop()
    scene.case("sigterm_exits_0", status == 0, f"exit status {status}")
    status, text = host_tool("e2fsck", "-fn", main.path)
    scene.case("host_fsck", status == 0, text)
    scene.case("host_readonly_image_unchanged", sha256(fixed.path) == fixed_sum)
    if not PEER:
        scene.case("host_new_end", growing.read(95 * MIB, MIB) == pattern)

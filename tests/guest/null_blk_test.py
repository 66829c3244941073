#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A zoned block device of the host, as null_blk of a stock kernel makes one: `ringside serve` runs in the guest.

It is refused for writing, since no plain disk can be made of it, and what is on it is served read-only; the device is what it was.
"""

import os

from guest import Scene

# Gigabytes, and megabytes of a zone.
NULL_BLK = "null_blk:nr_devices=1 gb=1 memory_backed=1 zoned=1 zone_size=4 zone_nr_conv=2 bs=4096"

SCRIPT = r"""
states() { blkzone report /dev/nullb0 | sed 's/.*zcond: *//' | sort | uniq -c; }
check null_blk_has_zones is "$(cat /sys/block/nullb0/queue/zoned)" host-managed
check fill dd if=/pattern of=/dev/nullb0 bs=1M seek=8 oflag=direct
states >/tmp/before
ringside serve --vhost-user /tmp/disk.sock --disk file=/dev/nullb0 >/tmp/refused 2>&1
check is_refused_for_writing is $? 1
check refused_with_a_sentence grep -q 'host-managed zones' /tmp/refused
ringside serve --vhost-user /tmp/disk.sock --disk file=/dev/nullb0,readonly=on >/tmp/serve.log 2>&1 &
server=$!
check is_served_read_only wait_for 20 test -S /tmp/disk.sock
bench() { ringside bench --quiet "$@" vhost-user:/tmp/disk.sock; }
check is_read bench --rw=randread --bs=64K --depth=8 --ios=500
check is_not_written refused bench --rw=write --ios=1
kill $server
wait $server
check sigterm_exits_0 is $? 0
states >/tmp/after
check zones_are_as_they_were cmp /tmp/before /tmp/after
dd if=/dev/nullb0 of=/tmp/data bs=1M skip=8 count=1 iflag=direct 2>/dev/null
check data_are_as_they_were cmp /pattern /tmp/data
"""

with Scene("null_blk", memory=1536) as scene:
    pattern_path, _ = scene.pattern("pattern", 1 << 20)
    scene.boot(SCRIPT, [], programs=[os.environ["RINGSIDE"], "blkzone"], files=[(pattern_path, "/pattern")], modules=[NULL_BLK])

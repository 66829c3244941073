#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A file system on a disk with every layer: throttled, failing now and then and tried again, recorded.

The log makes the disk anew; and what a crash at any point could have left is a file system that its journal mends."""

import os
import shutil

from guest import MIB, Scene, host_tool

SCRIPT = r"""
fill()
{
	for d in 1 2 3 4; do
		mkdir /mnt/$d || return
		for f in 1 2 3 4 5; do
			dd if=/dev/urandom of=/mnt/$d/$f bs=$((d * 997)) count=$((f * 17)) || return
		done
		sync
		mv /mnt/$d/2 /mnt/$d/two && rm /mnt/$d/3 || return
	done
	(cd /mnt && find . -type f ! -name sums -exec sha256sum {} + >/tmp/sums && mv /tmp/sums sums)
}
read_back() { (cd /mnt && sha256sum -c sums); }

check mount mount -t ext4 /dev/vda /mnt
check fill fill
check drop_caches drop_caches
check read_back read_back
check unmount umount /mnt
check fsck e2fsck -fn /dev/vda
"""

POINTS = 12


def replay(scene, *args):
    return host_tool(os.environ["RINGSIDE"], "replay", scene.path("log"), *args)


with Scene("layers") as scene:
    fs = scene.disk("fs", size=48 * MIB, **{
        "throttle.bps": "40M", "throttle.iops": 4000, "werror": "retry", "rerror": "retry",
        "faulty.rules": "error:op=read:percent=2;error:op=write:percent=2;torn:percent=2", "record": scene.path("log")})
    scene.expect("sigterm_exits_0", "host_fsck", "replay_makes_the_disk", "every_crash_is_mended")
    host_tool("mkfs.ext4", "-q", fs.path)
    shutil.copy(fs.path, scene.path("base"))

    server = scene.serve(fs)
    scene.boot(SCRIPT, [fs], programs=["e2fsck"])
    status = server.stop()
    scene.case("sigterm_exits_0", status == 0, f"exit status {status}")
    status, text = host_tool("e2fsck", "-fn", fs.path)
    scene.case("host_fsck", status == 0, text)

    status, text = replay(scene, "--image", scene.path("base"), "--output", scene.path("again"))
    same = host_tool("cmp", scene.path("again"), fs.path)
    scene.case("replay_makes_the_disk", status == 0 and same[0] == 0, text + same[1])

    status, text = replay(scene)
    events, bad = int(text.splitlines()[-1].split()[0]), []
    for i in range(POINTS):
        for lose in ("all", f"random={i}"):
            point = str(events * (i + 1) // (POINTS + 1))
            crash = scene.path("crash")
            status, text = replay(scene, "--image", scene.path("base"), "--output", crash, "--until", point, "--lose", lose)
            if not status:
                # 1: the journal was replayed, or orphans were cleared.
                status, text = host_tool("e2fsck", "-fp", crash)
            if status > 1:
                bad.append(f"event {point} of {events}, lose {lose}: {status}\n{text}")
            os.unlink(crash)
    scene.case("every_crash_is_mended", events > 100 and not bad, f"{events} events\n" + "\n".join(bad))

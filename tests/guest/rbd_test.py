#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A file system on an image of a Ceph cluster of one machine (tools/ceph-one, on bluestore), whose OSD hangs, is killed and comes back under verified load.

Afterwards the image is taken out by `rbd export` and looked at by e2fsck and debugfs; a snapshot of before is what the image was then."""

import os
import signal
import subprocess
import time

from engines import HELPERS, EngineDisk, expect_outside, hang, life, look_outside
from guest import MIB, PEER, TOP, VFIO_USER, Scene, host_tool, sha256

CEPH_ONE = os.path.join(TOP, "tools", "ceph-one")


class Cluster:
    def __init__(self, scene):
        self.scene = scene
        self.folder = scene.path("ceph")

    def start(self):
        """False: Ceph is not installed."""
        # Its daemons are to outlive this call, and end by stop().
        done = subprocess.run([CEPH_ONE, "start", self.folder, "bluestore", "cephx"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=300, check=False)
        if done.returncode == 77:
            return False
        if done.returncode:
            self.scene.fail(done.stdout)
        os.environ["CEPH_CONF"] = done.stdout.splitlines()[-1]
        return True

    def stop(self):
        subprocess.run([CEPH_ONE, "stop", self.folder], stdout=subprocess.DEVNULL, timeout=120, check=False)

    def osd(self):
        with open(os.path.join(self.folder, "osd.pid"), encoding="ascii") as file:
            return int(file.read())

    def hang_osd(self):
        hang(self.osd())

    def restart_osd(self):
        os.kill(self.osd(), signal.SIGSTOP)
        time.sleep(0.5)  # so that something is under way
        os.kill(self.osd(), signal.SIGKILL)
        self.start()

    def rbd(self, *words):
        status, text = host_tool("rbd", *words)
        if status:
            self.scene.fail(f"rbd {' '.join(words)}: {text}")
        return text


def rest(scene, cluster):
    expect_outside(scene, "rbd")
    scene.expect("sigterm_exits_0", "snapshot_is_what_was")
    pattern, _ = scene.pattern("pattern", MIB)
    before = scene.path("before.raw")
    with open(before, "wb") as file:
        file.write(os.urandom(3 * MIB))
        file.truncate(64 * MIB)
    cluster.rbd("import", "--no-progress", before, "rbd/guest")
    cluster.rbd("snap", "create", "--no-progress", "rbd/guest@before")
    disk = EngineDisk(scene.folder, "rbd", "rbd:rbd/guest")
    # The address sanitizer looks for what C++ throws with at the program's start; librados comes later, and throws.
    os.environ["LD_PRELOAD"] = "libstdc++.so.6"
    server = scene.serve(disk)
    del os.environ["LD_PRELOAD"]
    scene.boot(HELPERS + life("rbd", "/dev/vda", asks=["hang", "restart", "hang"]), [disk], programs=["mkfs.ext4", "e2fsck"],
               files=[(pattern, "/pattern")], answers={"hang": cluster.hang_osd, "restart": cluster.restart_osd})
    status = server.stop()
    scene.case("sigterm_exits_0", status == 0, f"exit status {status}")
    raw = scene.path("now.raw")
    cluster.rbd("export", "--no-progress", "rbd/guest", raw)
    look_outside(scene, "rbd", raw)
    os.unlink(raw)
    cluster.rbd("export", "--no-progress", "rbd/guest@before", raw)
    scene.case("snapshot_is_what_was", sha256(raw) == sha256(before))


with Scene("rbd") as scene:
    cluster = Cluster(scene)
    if PEER or VFIO_USER:
        scene.skip("rbd", "this is about ringside's own engine, over vhost-user")
    elif not cluster.start():
        scene.skip("rbd", "the packages ceph-mon, ceph-osd and ceph-common are not installed")
    else:
        try:
            rest(scene, cluster)
        finally:
            cluster.stop()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SeaBIOS boots from the disk with its own small virtio driver, which polls and takes one request at a time."""

import os

from bios import BOOT_OK, COPIED, COPY_AT, boot_sector
from guest import MIB, Scene

# name, words of the board
PLUGS = [("default", ""), ("modern_only", "disable-legacy=on"), ("many_queues", ""),
         ("small_queue", "queue-size=16")]

with Scene("firmware") as scene:
    scene.expect(*[f"{name}_{what}" for name, _ in PLUGS for what in ("boots_and_copies", "host_sees_copy")],
                 "sigterm_exits_0")
    with open(boot_sector(scene), "rb") as file:
        sector = file.read()

    disks = [scene.disk(name, size=8 * MIB, queues=4 if name == "many_queues" else 1, board=plug) for name, plug in PLUGS]
    server = scene.serve(*disks)
    for disk, (name, _) in zip(disks, PLUGS):
        data = os.urandom(COPIED * 512)
        disk.write(0, sector + data)
        status = scene.boot_firmware(disk)
        scene.case(f"{name}_boots_and_copies", status == BOOT_OK, f"QEMU's exit status is {status}")
        scene.case(f"{name}_host_sees_copy", disk.read(COPY_AT * 512, len(data)) == data)
    status = server.stop()
    scene.case("sigterm_exits_0", status == 0, f"exit status {status}")

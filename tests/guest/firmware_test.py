#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SeaBIOS boots from the disk with its own small virtio driver, which polls and takes one request at a time."""

import os

from guest import MIB, TOP, Scene, host_tool

# name, how the disk is plugged in
PLUGS = [("default", ""), ("modern_only", "disable-legacy=on"), ("many_queues", ""),
         ("small_queue", "queue-size=16")]
BOOT_OK = 33

with Scene("firmware") as scene:
    scene.expect(*[f"{name}_{what}" for name, _ in PLUGS for what in ("boots_and_copies", "host_sees_copy")],
                 "sigterm_exits_0")
    source = os.path.join(TOP, "tests/guest/bootsector.S")
    for command in (["gcc", "-m32", "-c", "-o", scene.path("boot.o"), source],
                    ["ld", "-m", "elf_i386", "-Ttext=0x7c00", "--oformat=binary", "-o", scene.path("boot"),
                     scene.path("boot.o")]):
        status, text = host_tool(*command)
        if status:
            scene.fail(f"{command[0]} cannot make the boot sector: {text}")
    with open(scene.path("boot"), "rb") as file:
        sector = file.read()

    disks = [scene.disk(name, size=8 * MIB, queues=4 if name == "many_queues" else 1) for name, plug in PLUGS]
    server = scene.serve(*disks)
    for disk, (name, plug) in zip(disks, PLUGS):
        data = os.urandom(1024 * 512)
        disk.write(0, sector + data)
        status = scene.boot_firmware(disk, plug)
        scene.case(f"{name}_boots_and_copies", status == BOOT_OK, f"QEMU's exit status is {status}")
        scene.case(f"{name}_host_sees_copy", disk.read(4096 * 512, len(data)) == data)
    status = server.stop()
    scene.case("sigterm_exits_0", status == 0, f"exit status {status}")

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside pc --bios`: SeaBIOS boots from the disk with drivers of its own, on /dev/kvm of this machine where there is one."""

import os
import subprocess

from guest import MIB, TOP, Scene, host_tool

BIOS = "/usr/share/seabios/bios-256k.bin"
BOOT_OK = 33

# name, option, words of its disk
CARDS = [("transitional", "--disk", ""), ("modern", "--disk", ",disable-legacy=on"), ("legacy", "--disk", ",disable-modern=on"),
         ("exits", "--disk", ",ioeventfd=off,irqfd=off"), ("many_queues", "--disk", ",queues=4"), ("ide", "--ide", ""),
         ("scsi", "--scsi", "")]

with Scene("pc_bios") as scene:
    reason = None
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        reason = "there is no /dev/kvm for us"
    elif not os.path.exists(BIOS):
        reason = f"there is no {BIOS}"
    else:
        source = os.path.join(TOP, "tests/guest/bootsector.S")
        for command in (["gcc", "-m32", "-c", "-o", scene.path("boot.o"), source],
                        ["ld", "-m", "elf_i386", "-Ttext=0x7c00", "--oformat=binary", "-o", scene.path("boot"),
                         scene.path("boot.o")]):
            status, text = host_tool(*command)
            if status:
                scene.fail(f"{command[0]} cannot make the boot sector: {text}")
        with open(scene.path("boot"), "rb") as file:
            sector = file.read()
    for name, option, words in CARDS:
        if reason:
            scene.skip(f"{name}_boots_and_copies", reason)
            continue
        disk = scene.disk(name, size=8 * MIB)
        data = os.urandom(1024 * 512)
        disk.write(0, sector + data)
        with open(scene.path(f"{name}.log"), "wb") as log:
            done = subprocess.run([os.environ["RINGSIDE"], "pc", "--verbose", "--bios", BIOS, "--memory", "64",
                                   "--no-reboot", option, f"file={disk.path}{words}"],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=240, check=False)
        good = done.returncode == BOOT_OK and disk.read(4096 * 512, len(data)) == data
        scene.case(f"{name}_boots_and_copies", good, f"exit status {done.returncode}")

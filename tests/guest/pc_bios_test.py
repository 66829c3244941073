#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside pc --bios`: SeaBIOS boots from the disk with its own virtio driver or its own ATA driver, on /dev/kvm of this machine where there is one."""

import os
import subprocess

from guest import MIB, TOP, Scene, host_tool

BIOS = "/usr/share/seabios/bios-256k.bin"
BOOT_OK = 33

# name, option, further words of it, boot sector
CARDS = [("transitional", "--disk", "", "bootsector"), ("modern", "--disk", ",disable-legacy=on", "bootsector"),
         ("legacy", "--disk", ",disable-modern=on", "bootsector"), ("exits", "--disk", ",ioeventfd=off,irqfd=off", "bootsector"),
         ("many_queues", "--disk", ",queues=4", "bootsector"), ("ide", "--ide", "", "bootsector"),
         ("ide_dma", "--ide", "", "bootsector_dma")]


def assemble(scene, name):
    """The 512 bytes of a boot sector."""
    for command in (["gcc", "-m32", "-c", "-o", scene.path("boot.o"), os.path.join(TOP, f"tests/guest/{name}.S")],
                    ["ld", "-m", "elf_i386", "-Ttext=0x7c00", "--oformat=binary", "-o", scene.path("boot"), scene.path("boot.o")]):
        status, text = host_tool(*command)
        if status:
            scene.fail(f"{command[0]} cannot make the boot sector: {text}")
    with open(scene.path("boot"), "rb") as file:
        return file.read()


with Scene("pc_bios") as scene:
    reason = None
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        reason = "there is no /dev/kvm for us"
    elif not os.path.exists(BIOS):
        reason = f"there is no {BIOS}"
    for name, option, words, sector in CARDS:
        if reason:
            scene.skip(f"{name}_boots_and_copies", reason)
            continue
        disk = scene.disk(name, size=8 * MIB)
        data = os.urandom(1024 * 512)
        disk.write(0, assemble(scene, sector) + data)
        with open(scene.path(f"{name}.log"), "wb") as log:
            done = subprocess.run([os.environ["RINGSIDE"], "pc", "--verbose", "--bios", BIOS, "--memory", "64",
                                   "--no-reboot", option, f"file={disk.path}{words}"],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=240, check=False)
        good = done.returncode == BOOT_OK and disk.read(4096 * 512, len(data)) == data
        scene.case(f"{name}_boots_and_copies", good, f"exit status {done.returncode}")

# SPDX-License-Identifier: MIT
"""What the tests that let SeaBIOS boot from a disk share: the firmware, a boot sector, and how it ends."""

import os

from guest import TOP, Failure, host_tool

BIOS = "/usr/share/seabios/bios-256k.bin"
BOOT_OK = 33  # the boot sector's exit status when it has copied COPIED sectors from sector 1 to sector COPY_AT
COPIED = 1024
COPY_AT = 4096

# What `ringside pc` lets it boot from: name, option, words after the file.
PC_DISKS = [("transitional", "--disk", ""), ("modern", "--disk", ",disable-legacy=on"), ("legacy", "--disk", ",disable-modern=on"),
            ("exits", "--disk", ",ioeventfd=off,irqfd=off"), ("many_queues", "--disk", ",queues=4"), ("ide", "--ide", ""),
            ("scsi", "--scsi", "")]


def assemble(folder, name, rounds=COPIED // 64):
    """The path of a boot sector that copies so many times 64 sectors; made from NAME.S."""
    built, sector = os.path.join(folder, "boot.o"), os.path.join(folder, "boot")
    source = os.path.join(TOP, f"tests/guest/{name}.S")
    for command in (["gcc", "-m32", "-c", f"-Wa,--defsym,ROUNDS={rounds}", "-o", built, source],
                    ["ld", "-m", "elf_i386", "-Ttext=0x7c00", "--oformat=binary", "-o", sector, built]):
        status, text = host_tool(*command)
        if status:
            raise Failure(f"{command[0]} cannot make the boot sector: {text}")
    return sector


def boot_sector(scene, name="bootsector"):
    return assemble(scene.folder, name)

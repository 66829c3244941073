# SPDX-License-Identifier: MIT
"""What the tests that let SeaBIOS boot from a disk share: the firmware, a boot sector, and how it ends."""

import os

from guest import TOP, host_tool

BIOS = "/usr/share/seabios/bios-256k.bin"
BOOT_OK = 33  # the boot sector's exit status when it has copied COPIED sectors from sector 1 to sector COPY_AT
COPIED = 1024
COPY_AT = 4096

# What `ringside pc` lets it boot from: name, option, words after the file.
PC_DISKS = [("transitional", "--disk", ""), ("modern", "--disk", ",disable-legacy=on"), ("legacy", "--disk", ",disable-modern=on"),
            ("exits", "--disk", ",ioeventfd=off,irqfd=off"), ("many_queues", "--disk", ",queues=4"), ("ide", "--ide", ""),
            ("scsi", "--scsi", "")]


def boot_sector(scene, name="bootsector"):
    """Its path; made from NAME.S."""
    source = os.path.join(TOP, f"tests/guest/{name}.S")
    for command in (["gcc", "-m32", "-c", "-o", scene.path("boot.o"), source],
                    ["ld", "-m", "elf_i386", "-Ttext=0x7c00", "--oformat=binary", "-o", scene.path("boot"),
                     scene.path("boot.o")]):
        status, text = host_tool(*command)
        if status:
            scene.fail(f"{command[0]} cannot make the boot sector: {text}")
    return scene.path("boot")

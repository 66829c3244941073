#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside pc --bios`: SeaBIOS boots from the disk with drivers of its own, on /dev/kvm of this machine where there is one."""

import os
import subprocess

from bios import BIOS, BOOT_OK, COPIED, COPY_AT, PC_DISKS, boot_sector
from guest import MIB, Scene

# The last one leaves the BIOS aside.
BOOTS = [(*disk, "bootsector", []) for disk in PC_DISKS] + [("ide_dma", "--ide", "", "bootsector_dma", [])]
# Another disk is there, too, whose boot sector ends the machine with another status; the names say where it stands.
BOOTS += [("before_ide", "--disk", "", "bootsector", ["--ide"]), ("before_scsi", "--disk", "", "bootsector", ["--scsi"]),
          ("before_second", "--disk", "", "bootsector", ["--disk"]), ("ide_before_scsi", "--ide", "", "bootsector", ["--scsi"])]
WRONG_DISK = bytes([0xb0, 0x11, 0xe6, 0xf4, 0xf4]).ljust(510, b"\0") + b"\x55\xaa"


with Scene("pc_bios") as scene:
    reason = None
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        reason = "there is no /dev/kvm for us"
    elif not os.path.exists(BIOS):
        scene.fail(f"there is no {BIOS}")
    for name, option, words, sector, others in BOOTS:
        if reason:
            scene.skip(f"{name}_boots_and_copies", reason)
            continue
        disk = scene.disk(name, size=8 * MIB)
        data = os.urandom(COPIED * 512)
        with open(boot_sector(scene, sector), "rb") as file:
            disk.write(0, file.read() + data)
        other = scene.disk(f"{name}_other", size=8 * MIB)
        other.write(0, WRONG_DISK)
        with open(scene.path(f"{name}.log"), "wb") as log:
            done = subprocess.run([os.environ["RINGSIDE"], "pc", "--verbose", "--bios", BIOS, "--memory", "64",
                                   "--no-reboot", option, f"file={disk.path}{words}"] +
                                  [word for option in others for word in (option, f"file={other.path}")],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=240, check=False)
        good = done.returncode == BOOT_OK and disk.read(COPY_AT * 512, len(data)) == data
        scene.case(f"{name}_boots_and_copies", good, f"exit status {done.returncode}")

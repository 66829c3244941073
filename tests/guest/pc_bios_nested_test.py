#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside pc --bios` as in pc_bios_test.py, under KVM inside an emulated machine (nested.py has its environment)."""

import os

from bios import BIOS, BOOT_OK, COPIED, COPY_AT, PC_DISKS, boot_sector
from nested import chosen, outer_scene, run

MACHINE = f"""
# machine NAME OPTION WORDS: lets the firmware boot from a fresh disk.
machine()
{{
	disk=$1
	dd if=/dev/urandom of=/tmp/data bs=512 count={COPIED} 2>/dev/null
	cat /inner/boot /tmp/data >/tmp/disk
	truncate -s 8M /tmp/disk
	pc $disk --verbose --bios /inner/bios --memory 64 --no-reboot $2 file=/tmp/disk$3
	check ${{disk}}_boots is $status {BOOT_OK}
	dd if=/tmp/disk of=/tmp/got bs=512 skip={COPY_AT} count={COPIED} 2>/dev/null
	check ${{disk}}_copies cmp /tmp/data /tmp/got
}}
"""

with outer_scene("pc_bios_nested") as scene:
    if not os.path.exists(BIOS):
        scene.fail(f"there is no {BIOS}")
    script = MACHINE
    how = {name: (option, words) for name, option, words in PC_DISKS}
    names = chosen(list(how))
    for name in names:
        option, words = how[name]
        scene.expect(f"{name}_boots", f"{name}_copies")
        script += f"machine {name} {option} '{words}'\n"
    run(scene, script, len(names), [(BIOS, "/inner/bios"), (boot_sector(scene), "/inner/boot")])

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Secure erase in a stock guest: its blkdiscard, and our own file engine on a block device that can.

Over vfio-user: QEMU's vhost-user-blk keeps the feature back (disk_test.py sees that).
"""

import os
import sys

from guest import MIB, PEER, VFIO_USER, Scene

SECURE_ERASE = 16
SECRET = b"what nobody shall find below any more"

ERASE = rf"""
check erase_offered has_feature vda {SECURE_ERASE}
check erase_not_offered_unasked lacks_feature vdb {SECURE_ERASE}
check erase_refused refused /usr/bin/blkdiscard -s /dev/vdb
check erase_a_part /usr/bin/blkdiscard -s -o 1048576 -l 1048576 /dev/vda
ask part
check erase_all /usr/bin/blkdiscard -s /dev/vda
ask all
check erase_by_our_engine env RINGSIDE_ERASE_DEVICE=/dev/vda /usr/bin/test-storage-file_erase
"""

if PEER or not VFIO_USER:
    print("1..0 # SKIP TRANSPORT is not vfio-user")
    sys.exit(0)

with Scene("erase") as scene:
    erased = scene.disk("erased", size=8 * MIB, **{"secure-erase": "overwrite"})
    plain = scene.disk("plain", size=MIB)
    for place in (0, MIB, 4 * MIB):
        erased.write(place, SECRET)
    scene.serve(erased, plain)

    def found():
        return [place // MIB for place in (0, MIB, 4 * MIB) if erased.read(place, len(SECRET)) == SECRET]

    def part():
        scene.case("host_a_part_is_erased", found() == [0, 4], f"found in {found()}")

    def everything():
        scene.case("host_all_is_erased", erased.read(0, 8 * MIB) == bytes(8 * MIB), f"found in {found()}")

    scene.expect("host_a_part_is_erased", "host_all_is_erased")
    scene.boot(ERASE, [erased, plain], programs=["blkdiscard", os.environ["ERASE_TEST"]],
               answers={"part": part, "all": everything})

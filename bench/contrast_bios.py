# SPDX-License-Identifier: MIT
"""bench/contrast, the part on this machine's own /dev/kvm: SeaBIOS copies by its own drivers, and callgrind counts our instructions.

A boot sector has the BIOS read and write 32 KiB, again and again.  Two runs of different length: their difference, divided by the rounds that
one has more, is what a round costs, without the start.  io_uring is kept from the program, since callgrind does not know that its
system call sleeps; the reactor waits by epoll then, and files are read by threads.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

from bios import BIOS, BOOT_OK, COPY_AT, assemble
from contrast_stats import total
from no_uring import forbid_io_uring

SHORT, LONG = 8, 56
BYTES = 32 << 10  # of one call to the BIOS; a round is one read and one write
TIMEOUT = 600

VARIANTS = [  # name, words before the image's, words after it, boot sector
    ("ide-pio", "--ide", "", "bootsector"),
    ("ide-dma", "--ide", "", "bootsector_dma"),
    ("scsi", "--scsi", "", "bootsector"),
    ("virtio-exits", "--disk", ",ioeventfd=off,irqfd=off", "bootsector"),
    ("virtio", "--disk", "", "bootsector"),
    ("virtio-legacy", "--disk", ",disable-modern=on", "bootsector"),
]


def run(ringside, folder, variant, rounds):
    _, option, words, sector = variant
    image, stats = os.path.join(folder, "disk.img"), os.path.join(folder, "stats")
    data = bytes(i * 7 & 255 for i in range(LONG * BYTES))
    with open(image, "wb") as file:
        with open(assemble(folder, sector, rounds), "rb") as boot:
            file.write(boot.read() + data)
        file.truncate(16 << 20)
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind", ringside, "pc", "--bios", BIOS, "--memory", "64",
               "--no-reboot", "--stats", stats, option, f"file={image}{words}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          timeout=TIMEOUT, preexec_fn=forbid_io_uring, check=False)
    with open(image, "rb") as file:
        file.seek(COPY_AT * 512)
        copied = file.read(rounds * BYTES)
    collected = re.search(r"Collected : (\d+)", done.stdout)
    if done.returncode != BOOT_OK or copied != data[:rounds * BYTES] or not collected:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-2000:]}")
    with open(stats, encoding="ascii") as file:
        counted = json.load(file)
    return {
        "instructions": int(collected.group(1)),
        "port exits": total(counted["exits"], "port-in", "port-out"),
        "memory exits": total(counted["exits"], "memory-read", "memory-write"),
        "bytes copied": total(counted, "bytes-copied", "bytes-copied-in", "bytes-copied-out"),
    }


def measure(ringside, rounds):
    """A row for each variant: medians of @rounds measurements of one read and one write of 32 KiB."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("contrast: no /dev/kvm here: instructions are not counted", file=sys.stderr)
        return []
    rows = []
    with tempfile.TemporaryDirectory(prefix="ringside-contrast-") as folder:
        for variant in VARIANTS:
            seen = []
            for _ in range(rounds):
                short, long = run(ringside, folder, variant, SHORT), run(ringside, folder, variant, LONG)
                seen.append({key: (long[key] - short[key]) / (LONG - SHORT) for key in long})
            row = {"variant": variant[0]}
            for key in seen[0]:
                row[key] = sorted(one[key] for one in seen)[len(seen) // 2]
            rows.append(row)
            print(f"contrast: SeaBIOS {variant[0]}: {row['instructions']:.0f} instructions", file=sys.stderr)
    return rows

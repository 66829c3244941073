#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A machine whose memory is not shared, over vfio-user: QEMU announces it without file descriptors, and `ringside serve` reaches it by
messages.  Ringside's driver without an operating system (guest/) is the guest; its verdict, and what the server says, are the cases.

With TRANSPORT=vfio-user only, and QEMU 11.1 or a newer one, whose messages are those of the document.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from guest import QEMU, VFIO_USER, spawn

DEADLINE = 240
RUNS = {
    "modern": ("", "queues=2"),
    "packed": (",packed=on", "packed=on"),
    "split": (",packed=off", ""),
    "legacy": ("", "legacy=on"),
}


def version():
    text = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def run(folder, name, words, append):
    """What the guest said, and the server."""
    path, log = os.path.join(folder, name + ".sock"), os.path.join(folder, name + ".log")
    with open(log, "wb") as said:
        server = spawn([os.environ["RINGSIDE"], "serve", "--vfio-user", path, "--disk", "memory:8M,queues=2" + words],
                       stdout=said, stderr=said)
    try:
        until = time.monotonic() + 30
        while not os.path.exists(path) and server.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        guest = spawn([QEMU, "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-accel", "tcg", "-m", "128",
                       "-kernel", os.environ["GUEST_ELF"], "-append", append,
                       "-device", '{"driver":"vfio-user-pci","socket":{"path":"%s","type":"unix"}}' % path],
                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            out, _ = guest.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            guest.kill()
            out, _ = guest.communicate()
    finally:
        server.terminate()
        server.wait()
    with open(log, "r", encoding="utf-8", errors="replace") as said:
        return out.decode(errors="replace").replace("\r", ""), said.read()


if not VFIO_USER or not os.environ.get("GUEST_ELF") or version() < (11, 1):
    print("1..0 # SKIP it takes TRANSPORT=vfio-user, the bare guest, and QEMU 11.1 or newer")
    sys.exit(0)

work = tempfile.mkdtemp(prefix="messages-")
failed = 0
print(f"1..{2 * len(RUNS)}")
for number, (which, (disk, line)) in enumerate(RUNS.items()):
    guest_said, server_said = run(work, which, disk, line)
    for offset, (case, ok) in enumerate((("passes", "result: passed" in guest_said),
                                         ("goes_by_messages", "reaches them by messages" in server_said))):
        print(f"{'ok' if ok else 'not ok'} {2 * number + offset + 1} - {which}_{case}", flush=True)
        if not ok:
            failed += 1
            print("".join(f"# {text}\n" for text in (guest_said + server_said).splitlines()), flush=True)
shutil.rmtree(work)
sys.exit(1 if failed else 0)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Overlays as a person meets them: many disks on one image, a server that is killed under load, commit, discard, sentences.  TAP on standard output."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

RINGSIDE = os.environ["RINGSIDE"]
DEADLINE = 60
SIZE = 32 << 20

results = []
home = tempfile.mkdtemp(prefix="ringside-cow-")
os.chdir(home)


def case(name, ok, evidence=""):
    results.append(bool(ok))
    print(f"{'ok' if ok else 'not ok'} {len(results)} - {name}")
    for line in [] if ok else str(evidence).splitlines():
        print("# " + line)
    sys.stdout.flush()


def run(*args):
    return subprocess.run([RINGSIDE, *args], capture_output=True, text=True, timeout=DEADLINE, check=False)


def until(what):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    return None


def digest(name):
    with open(name, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def golden():
    with open("golden", "wb") as f:
        for i in range(SIZE // 4096):
            f.write(i.to_bytes(8, "little") * 512)
    return digest("golden")


class Server:
    def __init__(self, *disks):
        words = [word for i, disk in enumerate(disks) for word in ("--vhost-user", f"s{i}.sock", "--disk", disk)]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([RINGSIDE, "serve", *words, "--control", "control"], stderr=self.log)
        until(lambda: self.process.poll() is not None or (os.path.exists("control") and not run("ctl", "control", "tree").returncode))

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(DEADLINE)

    def text(self):
        self.log.seek(0)
        return self.log.read()


def bench(*args):
    return run("bench", "--ios=400", "--depth=8", "--bs=4K", *args)


def many_guests():
    before = golden()
    server = Server("file=golden,cow=a.cow,queues=2", "file=golden,cow=b.cow")
    for name in ("s0", "s1"):
        got = bench("--rw=randwrite", "--verify", "--flush-every=9", f"vhost-user:{name}.sock")
        case(f"verified_on_{name}", got.returncode == 0, got.stdout + got.stderr)
    tree = run("tree", "--of", "control").stdout
    case("the_tree_has_the_overlay", "cow  (state" in tree and "KiB of data and 0 KiB of zeroes in ./a.cow" in tree, tree)
    got = run("cow", "show", "a.cow")
    case("in_use", got.returncode == 1 and "in use" in got.stderr, got.stderr)
    got = run("cow", "commit", "file=golden,cow=a.cow")
    case("no_commit_while_in_use", got.returncode == 1 and "in use" in got.stderr, got.stderr)
    case("ends", server.stop() == 0, server.text())
    case("the_base_is_untouched", digest("golden") == before)
    case("the_overlay_is_sparse", os.stat("a.cow").st_size > SIZE > os.stat("a.cow").st_blocks * 512, os.stat("a.cow"))


def killed():
    """What was told is there when the server was killed, without any flush: bench verifies across the restart."""
    before = digest("golden")
    server = Server("file=golden,cow=k.cow")
    load = subprocess.Popen([RINGSIDE, "bench", "--rw=randwrite", "--verify", "--depth=8", "--bs=4K", "--ios=3000", "--reconnect", "vhost-user:s0.sock"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for target in (1 << 20, 2 << 20, 3 << 20):
        until(lambda t=target: load.poll() is not None or (os.path.exists("k.cow") and os.stat("k.cow").st_blocks * 512 > t))
        server.stop(signal.SIGKILL)
        for name in ("control", "s0.sock"):
            if os.path.exists(name):
                os.unlink(name)
        server = Server("file=golden,cow=k.cow")
    text = load.communicate(timeout=DEADLINE)[0]
    case("nothing_is_lost_by_a_kill", load.returncode == 0, text + server.text())
    case("ends_after_kills", server.stop() == 0, server.text())
    case("untouched_after_kills", digest("golden") == before)


def verbs():
    got = run("cow", "show", "a.cow")
    case("show", got.returncode == 0 and "state: whole\nbase: golden\n" in got.stdout and f"disk: {SIZE} bytes" in got.stdout, got.stdout + got.stderr)
    got = run("cow", "commit", "file=golden,cow=a.cow,readonly=on")
    case("no_commit_of_a_read_only_disk", got.returncode == 2 and "readonly=on" in got.stderr, got.stderr)
    before = digest("golden")
    got = run("cow", "commit", "file=golden,cow=a.cow")
    case("commit", got.returncode == 0 and "bytes of data" in got.stdout and digest("golden") != before, got.stdout + got.stderr)
    got = run("cow", "show", "a.cow")
    case("nothing_is_left", got.returncode == 0 and got.stdout == "state: empty\n", got.stdout)
    got = run("cow", "commit", "file=golden,cow=a.cow")
    case("a_commit_of_nothing", got.returncode == 0 and ": 0 bytes of data" in got.stdout, got.stdout + got.stderr)
    got = run("serve", "--vhost-user", "s0.sock", "--disk", "file=golden,cow=b.cow")
    case("others_see_that_it_changed", got.returncode == 1 and "ringside cow rebase file=golden,cow=./b.cow" in got.stderr, got.stderr)
    got = run("cow", "rebase", "file=golden,cow=b.cow")
    case("rebase", got.returncode == 0, got.stderr)
    got = bench("--rw=randread", "local:file=golden,cow=b.cow")
    case("and_it_is_a_disk_again", got.returncode == 0, got.stdout + got.stderr)
    got = run("cow", "discard", "b.cow")
    case("discard", got.returncode == 0 and os.stat("b.cow").st_size == 0, got.stderr)
    for name, status, word, args in (("no_verb", 2, "say what to do", ()), ("no_such_verb", 2, "none of show", ("frob",)), ("no_overlay_named", 2, "one overlay", ("show",)),
                                     ("no_overlay_in_the_disk", 2, "cow=OVERLAY", ("commit", "file=golden")), ("not_there", 1, "does not exist", ("discard", "nowhere.cow")),
                                     ("no_overlay_at_all", 1, "no overlay of a disk", ("discard", "golden")), ("a_word_that_is_none", 2, "colour", ("rebase", "file=golden,colour=red"))):
        got = run("cow", *args)
        case(name, got.returncode == status and word in got.stderr, got.stderr)
    case("ringside_cow_made_nothing", not os.path.exists("nowhere.cow"))


def everywhere():
    """One table makes the word for all who have disks."""
    got = run("tree", "--disk", "file=golden,cow=t.cow", "--ide", "file=golden,cow=i.cow", "--scsi", "file=golden,cow=s.cow")
    case("every_kind_of_disk_has_it", got.returncode == 0 and got.stdout.count("cow  (state") == 3, got.stdout + got.stderr)
    for name in ("serve", "pc"):
        case(f"help_of_{name}", "cow=PATH" in run(name, "--help").stdout)


try:
    many_guests()
    killed()
    verbs()
    everywhere()
finally:
    os.chdir("/")
    shutil.rmtree(home, ignore_errors=True)
print(f"1..{len(results)}")
sys.exit(not all(results))

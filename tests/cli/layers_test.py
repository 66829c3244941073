#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Layers of disks as a person meets them: words, the control socket, a file system that is full, signals, logs.  TAP on standard output."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

RINGSIDE = os.environ["RINGSIDE"]
DEADLINE = 60

results = []
home = tempfile.mkdtemp(prefix="ringside-layers-")
os.chdir(home)


def case(name, ok, evidence=""):
    results.append(bool(ok))
    print(f"{'ok' if ok else 'not ok'} {len(results)} - {name}")
    for line in [] if ok else str(evidence).splitlines():
        print("# " + line)
    sys.stdout.flush()


def skip(name, why):
    results.append(True)
    print(f"ok {len(results)} - {name} # SKIP {why}")


def run(*args, **kwargs):
    return subprocess.run([RINGSIDE, *args], capture_output=True, text=True, timeout=DEADLINE, check=False, **kwargs)


def ctl(*args):
    got = run("ctl", "control", *args, "--json")
    return json.loads(got.stdout) if not got.returncode else got.stderr


def until(what):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    return None


class Server:
    def __init__(self, *disks, wrapper=()):
        words = [word for i, disk in enumerate(disks) for word in ("--vhost-user", f"s{i}.sock", "--disk", disk)]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([*wrapper, RINGSIDE, "serve", *words, "--control", "control"], stderr=self.log)
        until(lambda: self.process.poll() is not None or (os.path.exists("control") and isinstance(ctl("tree"), dict)))

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "hangs"

    def text(self):
        self.log.seek(0)
        return self.log.read()


def layers(i=0):
    """Name and state of the i-th disk's layers, the outermost first."""
    node = ctl("tree")["children"][i]["children"][0]["children"][0]
    found = []
    while True:
        below = [child for child in node.get("children", []) if child["name"] != "queue"]
        if not below:
            return found
        node = below[0]
        found.append((node["name"], node["properties"]["state"]))


def image(name, size):
    with open(name, "wb") as f:
        f.truncate(size)
    return name


def words():
    for name, status, word, disk in (
            ("throttle_no_number", 2, "throttle.iops=fast", "memory:1M,throttle.iops=fast"),
            ("throttle_too_much_of_a_part", 2, "throttle.iops-read=6", "memory:1M,throttle.iops=5,throttle.iops-read=6"),
            ("werror_stop", 2, "report, retry, hold or enospc", "memory:1M,werror=stop"),
            ("timeout_alone", 2, "errors.timeout", "memory:1M,errors.timeout=5"),
            ("faulty_rules", 2, "kind of fault", "memory:1M,faulty.rules=explode"),
            ("record_read_only", 2, "no changes to record", "memory:1M,readonly=on,record=log"),
            ("layers_have_their_words_only", 2, "throttle.colour", "memory:1M,throttle.colour=red")):
        got = run("serve", "--vhost-user", "s0.sock", "--disk", disk)
        case(name, got.returncode == status and word in got.stderr and not os.path.exists("s0.sock"), got.stderr)
    got = run("tree", "--disk", "memory:1M,throttle.iops=5,rerror=retry", "--ide", "memory:1M,throttle.bps=1M", "--scsi", "memory:1M,werror=hold")
    order = ["disk  (", "throttle  (state bps=1048576", "virtio-blk  (", "errors  (state rerror=retry", "throttle  (state iops=5", "scsi-disk", "werror=hold"]
    at = [got.stdout.find(word) for word in order]
    case("the_tree_has_the_layers_of_every_kind_of_disk", -1 not in at and at == sorted(at), got.stdout + got.stderr)


def changes():
    server = Server("memory:8M,throttle.group=web", "memory:8M,throttle.group=web,werror=hold")
    case("layers_in_the_tree", [name for name, _ in layers(1)] == ["errors", "throttle"], ctl("tree"))
    case("set_tells_the_state", ctl("set", "disk0", "throttle.iops=400") == {"throttle": "iops=400, group web, 0 waiting, 0 have waited"}, ctl("tree"))
    case("a_group_is_one", "iops=400" in layers(1)[1][1], layers(1))
    for name, words_, args in (("no_such_disk", "no disk disk7", ("set", "disk7", "throttle.iops=1")),
                               ("no_such_option", "throttle.group", ("set", "disk0", "throttle.group=b")),
                               ("not_of_this_disk", "werror", ("set", "disk0", "werror=hold")),
                               ("set_needs_two", "set needs", ("set", "disk0")),
                               ("resume_needs_one", "resume needs", ("resume",)),
                               ("no_such_request", "there is no \"frob\" here", ("frob", "disk0"))):
        got = ctl(*args)
        case(name, isinstance(got, str) and words_ in got, got)
    got = run("bench", "--rw=randwrite", "--depth=4", "--ios=300", "vhost-user:s0.sock")
    case("a_throttled_disk_works", got.returncode == 0 and "300 requests" in got.stdout, got.stdout + got.stderr)
    case("and_made_some_wait", "0 have waited" not in layers()[0][1].split("waiting, ")[1][:13], layers())
    case("ends", server.stop() == 0, server.text())


def held_at_the_end():
    """SIGTERM, and a front end that goes, while requests are held or wait for an hour."""
    server = Server("memory:8M,werror=hold,faulty.rules=error:op=write:errno=ENOSPC", "memory:8M,throttle.bps=1")
    load = [subprocess.Popen([RINGSIDE, "bench", "--rw=randwrite", "--depth=8", "--ios=100", f"vhost-user:s{i}.sock"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for i in (0, 1)]
    waiting = until(lambda: "8 held" in layers()[0][1] and "8 waiting" in layers(1)[0][1])
    case("held_and_waiting", waiting, ctl("tree"))
    case("the_log_says_what_to_do", "ringside ctl SOCKET resume disk0" in server.text() and server.text().count("requests are held") == 1, server.text())
    load[0].kill()
    load[0].wait()
    case("a_front_end_goes", until(lambda: "0 held" in layers()[0][1]), ctl("tree"))
    again = subprocess.Popen([RINGSIDE, "bench", "--rw=randwrite", "--depth=8", "--ios=100", "vhost-user:s0.sock"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    case("and_another_comes", until(lambda: "8 held" in layers()[0][1]), ctl("tree"))
    case("sigterm_ends_all_the_same", server.stop() == 0, server.text())
    for process in (again, load[1]):
        process.kill()
        process.wait()


def full_file_system():
    """Nothing is lost and nothing told twice: the load goes on when there is room, and every byte is verified."""
    os.mkdir("small")
    probe = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=3m", "none", "small"], capture_output=True, check=False)
    if probe.returncode:
        skip("a_full_file_system_is_waited_for", "no mounts of our own here")
        return
    # In a world of mounts of its own, which the server and the one who makes room share.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", "small"], check=True)
    try:
        image("small/disk", 4 << 20)
        server = Server("file=small/disk,werror=enospc")
        load = subprocess.Popen([RINGSIDE, "bench", "--rw=write", "--verify", "--depth=8", "--bs=64K", "--flush-every=5", "vhost-user:s0.sock"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        case("the_load_is_held", until(lambda: layers()[0][1].split(", ")[2] not in ("0 held",)), server.text())
        ctl("resume", "disk0")
        case("and_held_again_while_nothing_is_better", until(lambda: layers()[0][1].split(", ")[2] != "0 held") and load.poll() is None, server.text())
        subprocess.run(["mount", "-o", "remount,size=8m", "small"], check=True)
        ctl("resume", "disk0")
        until(lambda: load.poll() is not None or ctl("resume", "disk0") and load.poll() is not None)
        text = load.communicate(timeout=DEADLINE)[0]
        case("a_full_file_system_is_waited_for", load.returncode == 0, text + server.text())
        case("the_server_ends", server.stop() == 0, server.text())
    finally:
        subprocess.run(["umount", "small"], check=False)


def replay():
    image("disk", 4 << 20)
    shutil.copy("disk", "base")
    got = run("bench", "--rw=randwrite", "--verify", "--depth=8", "--ios=200", "--flush-every=7", "local:file=disk,record=log")
    case("a_recorded_disk_works", got.returncode == 0, got.stdout + got.stderr)
    events = run("replay", "log").stdout.splitlines()
    case("events_are_printed", len(events) > 400 and events[0].startswith("1 submit write offset=") and "may lose" in events[-1], events[-3:])
    got = run("replay", "log", "--image", "base", "--output", "out")
    with open("disk", "rb") as disk, open("out", "rb") as out:
        case("all_events_make_the_disk", got.returncode == 0 and disk.read() == out.read(), got.stderr)
    got = run("replay", "log", "--image", "base", "--output", "out")
    case("an_image_is_not_written_over", got.returncode == 1 and "exists" in got.stderr, got.stderr)
    for what in ("all", "5", "random=1"):
        got = run("replay", "log", "--image", "base", "--output", f"out-{what}", "--until", "100", "--lose", what)
        case(f"lose_{what.replace('=', '_')}", got.returncode == 0 and os.path.getsize(f"out-{what}") == 4 << 20, got.stderr)
    for name, status, word, args in (("lose_what", 2, "random=SEED", ("log", "--lose", "some")), ("no_log", 1, "no log of a recorded disk", ("disk",)),
                                     ("no_output", 2, "given together", ("log", "--image", "base")), ("two_logs", 2, "one log", ("log", "log"))):
        got = run("replay", *args)
        case("replay_" + name, got.returncode == status and word in got.stderr, got.stderr)
    server = Server("file=disk,record=log2")
    load = subprocess.Popen([RINGSIDE, "bench", "--rw=randwrite", "--depth=8", "--runtime=60", "vhost-user:s0.sock"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: int(layers()[0][1].split()[0]) > 1 << 20)
    server.stop(signal.SIGKILL)
    load.kill()
    load.wait()
    got = run("replay", "log2")
    case("a_log_of_a_server_that_was_killed", got.returncode == 0 and int(got.stdout.splitlines()[-1].split()[0]) > 200, got.stderr)
    for name in ("control", "s0.sock"):
        os.unlink(name)


try:
    words()
    changes()
    held_at_the_end()
    full_file_system()
    replay()
finally:
    os.chdir("/")
    shutil.rmtree(home, ignore_errors=True)
print(f"1..{len(results)}")
sys.exit(not all(results))

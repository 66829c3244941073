# SPDX-License-Identifier: MIT
"""`ringside conform` on back ends that say nothing: it gives up, and its exit status tells whose fault it was.

Environment: RINGSIDE, the program under test.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

RINGSIDE = os.path.abspath(os.environ["RINGSIDE"])
PATIENCE = 120

_libc = ctypes.CDLL(None)
cases = []


def case(function):
    cases.append(function)
    return function


def check(good, *words):
    if not good:
        raise AssertionError(" ".join(map(str, words)))


def spawn(command, **options):
    # Nothing outlives a test program that is killed.
    return subprocess.Popen(command, preexec_fn=lambda: _libc.prctl(1, signal.SIGKILL), **options)


def conform(target, *options):
    process = spawn([RINGSIDE, "conform", "--timeout=1", "--format=json", *options, target], stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, text=True)
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    return process.returncode, out, err


class Relay:
    """Passes connections on to a server, the first `talking` of them; later ones hear nothing."""

    def __init__(self, folder, server, talking):
        self.path, self.server, self.left = os.path.join(folder, "relay"), server, talking
        self.silent = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(100)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                if not self.left:
                    self.silent.append(client)
                    continue
                self.left -= 1
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.server)
                for here, there in ((client, server), (server, client)):
                    threading.Thread(target=self.copy, args=(here, there), daemon=True).start()

    @staticmethod
    def copy(here, there):
        with contextlib.suppress(OSError):
            while True:
                data, fds, _, _ = socket.recv_fds(here, 65536, 32)
                if not data:
                    break
                if fds:
                    sent = socket.send_fds(there, [data], fds)
                    data = data[sent:]
                    for fd in fds:
                        os.close(fd)
                there.sendall(data)
        with contextlib.suppress(OSError):
            there.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def serving(talking):
    with tempfile.TemporaryDirectory(prefix="ringside-conform-", dir="/tmp") as folder:
        path = os.path.join(folder, "disk")
        server = spawn([RINGSIDE, "serve", "--quiet", "--vhost-user", path, "--disk", "memory:8M"])
        try:
            while not os.path.exists(path):
                check(server.poll() is None, "the server ended")
                time.sleep(0.01)
            relay = Relay(folder, path, talking)
            yield f"vhost-user:{relay.path}"
            relay.listener.close()
        finally:
            server.kill()
            server.wait()


@case
def a_mute_back_end_cannot_be_checked():
    with serving(0) as target:
        status, out, err = conform(target)
        check(status == 2 and "answers nothing" in err, status, err)


@case
def one_that_falls_silent_is_given_up():
    with serving(40) as target:
        status, out, err = conform(target)
        report = json.loads(out)
        rows = report["cases"]
        failed = [row for row in rows if row["outcome"] == "failed"]
        gone = [row for row in rows if "is gone" in str(row)]
        # Whether the first silence meets a case or the look after one decides whether a rule is broken.
        check(status in (1, 2) and "went away" in err, status, err)
        check(len(failed) <= 4, len(failed), failed)
        check(len(gone) > 100, len(gone))


@case
def one_that_talks_is_checked_to_the_end():
    with serving(10000) as target:
        status, out, err = conform(target, "--only=VU-*")
        check(status == 0 and not err, status, err)


@case
def erase_and_lifetime_through_every_layer():
    """What a disk of a file tells and does below a throttle, an error policy, faults and a log reaches the driver."""
    with tempfile.TemporaryDirectory() as folder:
        image, log = os.path.join(folder, "image"), os.path.join(folder, "log")
        with open(image, "wb") as file:
            file.truncate(16 << 20)
        # As the kernel shows an eMMC, under the number of what the image lies on.
        device = os.stat(image).st_dev
        facts = os.path.join(folder, "sys", "dev", "block", f"{os.major(device)}:{os.minor(device)}", "device")
        os.makedirs(facts)
        for name, text in (("life_time", "0x02 0x0b"), ("pre_eol_info", "0x01")):
            with open(os.path.join(facts, name), "w", encoding="ascii") as file:
                file.write(text + "\n")
        words = (f"{image},secure-erase=overwrite,lifetime=medium,sysfs={folder}/sys,throttle.iops=100000,rerror=retry,werror=retry,"
                 f"faulty.rules=error:op=flush:after=1000000,record={log}")
        for target in ("local:", "local-pci:"):
            for only in ("BLK-D-15.lifetime", "BLK-D-10.erase", "BLK-D-29.erase*", "BLK-D-29.ranges-beyond"):
                status, out, err = conform(target + words, "--allow-writes", "--only=" + only)
                summary = json.loads(out)["summary"]
                check(status == 0 and summary["ok"] and not summary["skipped"], target, only, status, out, err)
                # One of nothing is taken away.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(log)


def main():
    print(f"1..{len(cases)}")
    bad = False
    for number, function in enumerate(cases, 1):
        try:
            function()
            print(f"ok {number} - {function.__name__}", flush=True)
        except Exception:
            bad = True
            print(f"not ok {number} - {function.__name__}")
            print("\n".join("# " + line for line in traceback.format_exc().splitlines()), flush=True)
    sys.exit(bad)


if __name__ == "__main__":
    main()

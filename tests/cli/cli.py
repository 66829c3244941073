# SPDX-License-Identifier: MIT
"""What tests of the command have in common: cases in TAP, runs of the program, a server in a folder of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

RINGSIDE = os.environ["RINGSIDE"]
DEADLINE = 30

results = []
home = tempfile.mkdtemp(prefix="ringside-cli-", dir="/tmp")
os.chdir(home)


def case(name, ok, evidence=""):
    results.append(bool(ok))
    print(f"{'ok' if ok else 'not ok'} {len(results)} - {name}")
    for line in [] if ok else str(evidence).splitlines():
        print("# " + line)
    sys.stdout.flush()


def main(*parts):
    """Runs them, and ends the program."""
    try:
        for part in parts:
            part()
    finally:
        os.chdir("/")
        shutil.rmtree(home, ignore_errors=True)
    print(f"1..{len(results)}")
    sys.exit(0 if all(results) else 1)


def run(*args, **kwargs):
    return subprocess.run([RINGSIDE, *args], capture_output=True, text=True, timeout=DEADLINE, check=False, **kwargs)


def until(condition):
    end = time.monotonic() + DEADLINE
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def image(name, size):
    with open(name, "wb") as file:
        file.truncate(size)
    return name


def listening(path):
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        return any(words[7] == path and int(words[3], 16) & 0x10000 for words in map(str.split, file) if len(words) > 7)


class Server:
    """A running `ringside serve`; ready when all of its sockets are there."""

    def __init__(self, *args):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([RINGSIDE, "serve", *args], stderr=self.log)
        sockets = [args[i + 1] for i, word in enumerate(args) if word in ("--vfio-user", "--vhost-user", "--control", "--control-readonly")]
        until(lambda: self.process.poll() is not None or all(listening(path) for path in sockets))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.status()

    def status(self):
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "hangs"

    def text(self):
        self.log.seek(0)
        return self.log.read()

# SPDX-License-Identifier: MIT
"""`ringside bench` from outside: counts, verification, failures, signals, against `ringside serve` and, where it is
installed, qemu-storage-daemon.  Nothing here depends on how fast anything is.

Environment: RINGSIDE, the program under test; RINGSIDE_SERVER, the one that serves (default: the same).
"""

import contextlib
import ctypes
import json
import os
import pty
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

RINGSIDE = os.path.abspath(os.environ["RINGSIDE"])
SERVER = os.path.abspath(os.environ.get("RINGSIDE_SERVER", RINGSIDE))
MIB = 1 << 20
SECTOR = 512
PATIENCE = 60

_libc = ctypes.CDLL(None)
cases = []


def case(function):
    cases.append(function)
    return function


class Skip(Exception):
    pass


def check(good, *words):
    if not good:
        raise AssertionError(" ".join(map(str, words)))


def spawn(command, **options):
    # Nothing outlives a test program that is killed.
    return subprocess.Popen(command, preexec_fn=lambda: _libc.prctl(1, signal.SIGKILL), **options)


class Bench:
    """What a run came to."""

    def __init__(self, process):
        try:
            self.out, self.err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
            process.wait()
        self.status = process.returncode
        self.json = json.loads(self.out) if self.out.startswith("{") else None


def start(target, *options, text=False):
    command = [RINGSIDE, "bench", *options, target] + ([] if text else ["--format=json"])
    return spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bench(target, *options, text=False, want=0):
    b = Bench(start(target, *options, text=text))
    check(b.status == want, "exit status", b.status, "instead of", want, b.out[-500:], b.err)
    # One sentence at most, and on failure one at least.
    lines = [line for line in b.err.splitlines() if not line.startswith("Try ")]
    check(len(lines) == (want != 0), "messages:", b.err)
    return b


class Server:
    def __init__(self, folder, disk="file=disk.raw", size=8 * MIB, name="disk"):
        self.folder = folder
        self.path = os.path.join(folder, f"{name}.sock")
        self.target = "vhost-user:" + self.path
        self.image = os.path.join(folder, "disk.raw")
        self.disk = disk
        if disk.startswith("file=disk.raw") and not os.path.exists(self.image):
            with open(self.image, "wb") as file:
                file.truncate(size)
        self.process = None
        self.start()

    def command(self):
        return [SERVER, "serve", "--vhost-user", self.path, "--disk", self.disk]

    def start(self):
        log = open(os.path.join(self.folder, "server.log"), "a", encoding="utf-8")
        self.process = spawn(self.command(), cwd=self.folder, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + PATIENCE
        while not self.listens():
            check(self.process.poll() is None and time.monotonic() < deadline, "the server does not come up",
                  open(os.path.join(self.folder, "server.log"), encoding="utf-8").read())
            time.sleep(0.02)

    def listens(self):
        with open("/proc/net/unix", encoding="utf-8") as file:
            return any(line.rstrip().endswith(" " + self.path) for line in file)

    def stop(self, number=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(PATIENCE)
        if number == signal.SIGKILL and os.path.exists(self.path):
            os.unlink(self.path)


class Peer(Server):
    """Somebody else's server."""

    def command(self):
        return ["qemu-storage-daemon", "--blockdev", "driver=file,node-name=d,filename=disk.raw,discard=unmap", "--export",
                f"type=vhost-user-blk,id=e,addr.type=unix,addr.path={self.path},node-name=d,writable=on,num-queues=2"]


@contextlib.contextmanager
def server(kind=Server, **options):
    folder = tempfile.mkdtemp(prefix="ringside-bench-", dir="/tmp")  # a socket needs a short path
    s = None
    try:
        s = kind(folder, **options)
        yield s
    finally:
        if s:
            s.stop(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


@case
def counts_are_exact_and_json_is_complete():
    with server(disk="null:64M,queues=2") as s:
        b = bench(s.target, "--rw=randread", "--ios=1001", "--depth=8", "--queues=2", "--bs=8K").json
        check(b["requests"] == 1001 and b["read"]["requests"] == 1001, b)
        check(b["read"]["bytes"] == 1001 * 8192 and b["write"]["requests"] == 0, b)
        check(b["seconds"] > 0 and b["iops"] > 0 and b["errors"] == 0 and b["error"] is None, b)
        lat = b["read"]["latency_ns"]
        p = lat["percentiles"]
        check(lat["min"] <= p["1.00"] <= p["50.00"] <= p["99.99"] <= lat["max"], lat)
        check(lat["min"] <= lat["mean"] <= lat["max"], lat)
        check(1 <= b["ring"]["kicks"] <= 1001 + 2 and b["client"]["cpu_ns"] > 0, b)
        check(b["backend"] is None and b["job"]["queues"] == 2, b)


@case
def without_a_limit_the_size_is_read_once():
    with server() as s:
        b = bench(s.target, "--bs=64K", "--offset=1M", "--size=3M").json
        check(b["read"]["bytes"] == 3 * MIB and b["requests"] == 48, b)


@case
def text_names_what_fio_names():
    with server(disk="null:64M") as s:
        b = bench(s.target, "--ios=100", text=True)
        for word in ("read: IOPS=", "BW=", "lat percentiles", "99.00th=", "kicks per request=", "client:"):
            check(word in b.out, "no", word, "in", b.out)


@case
def the_back_end_is_accounted_for():
    with server(disk="null:64M") as s:
        b = bench(s.target, "--ios=20000", f"--backend-pid={s.process.pid}").json
        check(b["backend"]["cpu_ns"] > 0, b["backend"])
        bench(s.target, "--ios=10", "--backend-pid=2147483646", want=1)


@case
def polling_and_a_rate_end_like_others():
    with server(disk="null:64M") as s:
        check(bench(s.target, "--ios=500", "--poll", "--depth=4").json["requests"] == 500)
        b = bench(s.target, "--ios=50", "--rate=1000", "--depth=4").json
        check(b["requests"] == 50, b)
        b = bench(s.target, "--runtime=200ms", "--ramp=50ms", "--depth=4").json
        check(b["requests"] > 0 and not b["interrupted"], b)


def verified(s, *options):
    b = bench(s.target, "--verify", *options).json
    check(b["verify"]["complete"] and b["verify"]["wrong"] == 0 and b["verify"]["sectors"] > 0, b["verify"])
    return b


@case
def what_was_written_is_there():
    with server(disk="file=disk.raw,queues=2") as s:
        b = verified(s, "--rw=randrw", "--bs=512,4K,24K", "--ios=3000", "--depth=16", "--queues=2",
                     "--flush-every=50", "--discard=10")
        for op in ("read", "write", "discard", "flush"):
            check(b[op]["requests"] > 0, "no", op)
        verified(s, "--rw=randwrite", "--bs=512-64K", "--ios=1000", "--depth=64", "--size=256K")


@case
def every_ring_layout_carries_it():
    with server() as s:
        for words in ("packed=on", "packed=off", "indirect=off", "event-idx=off", "packed=on&indirect=off&event-idx=off",
                      "queue-size=4"):
            b = Bench(start(f"{s.target}?{words}", "--rw=randrw", "--verify", "--ios=500", "--depth=32", "--bs=4K-64K"))
            check(b.status == 0 and b.json["verify"]["complete"], words, b.err)


@case
def another_process_verifies_it():
    with server() as s:
        b = bench(s.target, "--rw=write", "--bs=64K", "--verify", "--depth=4").json
        check(b["write"]["bytes"] == 8 * MIB and b["verify"]["complete"], b)
        b = bench(s.target, "--rw=read", "--bs=32K", "--verify", "--depth=4").json
        check(b["verify"]["sectors"] == 8 * MIB // SECTOR and b["verify"]["wrong"] == 0, b)


@case
def a_flipped_bit_is_found_and_named():
    with server() as s:
        bench(s.target, "--rw=write", "--bs=64K", "--verify", "--size=1M")
        flip(s.image, 123 * SECTOR + 300)
        b = bench(s.target, "--rw=read", "--bs=4K", "--verify", "--size=1M", want=1)
        check(b.json["verify"]["wrong"] == 1, b.json["verify"])
        check(f"offset {123 * SECTOR} is damaged" in b.err and b.json["error"], b.err)


@case
def a_misplaced_sector_is_found_and_named():
    with server() as s:
        bench(s.target, "--rw=write", "--bs=64K", "--verify", "--size=1M")
        with open(s.image, "r+b") as file:
            file.seek(9 * SECTOR)
            sector = file.read(SECTOR)
            file.seek(700 * SECTOR)
            file.write(sector)
        b = bench(s.target, "--rw=randread", "--bs=4K", "--verify", "--size=1M", "--ios=20000", want=1)
        check(f"offset {700 * SECTOR} holds what belongs to offset {9 * SECTOR}" in b.err, b.err)


@case
def a_disk_that_keeps_nothing_is_caught():
    with server(disk="null:8M") as s:
        b = bench(s.target, "--rw=write", "--bs=4K", "--verify", "--ios=64", want=1)
        check("nothing but zeroes" in b.err or "brought nothing" in b.err, b.err)
        check(b.json["write"]["requests"] == 64 and b.json["verify"]["wrong"] > 0, b.json)


@case
def a_read_only_disk_is_not_written():
    with server(disk="file=disk.raw,readonly=on") as s:
        b = bench(s.target, "--rw=write", "--ios=1", want=1)
        check("read-only" in b.err and not b.out, b.err)
        bench(s.target, "--rw=read", "--ios=1")


@case
def reading_writes_nothing():
    with server(size=MIB) as s:
        with open(s.image, "wb") as file:
            file.write(os.urandom(MIB))
        with open(s.image, "rb") as file:
            before = file.read()
        bench(s.target, "--rw=randread", "--bs=512-16K", "--depth=8", "--ios=2000")
        with open(s.image, "rb") as file:
            check(file.read() == before, "the image has changed")


@case
def the_seed_decides_what_is_written():
    images = []
    for seed in (1, 1, 2):
        with server(size=MIB) as s:
            bench(s.target, "--rw=randwrite", "--bs=512-8K", "--ios=300", f"--seed={seed}")
            with open(s.image, "rb") as file:
                images.append(file.read())
    check(images[0] == images[1] and images[0] != images[2], "images do not go by seed")


@case
def bad_lines_are_usage_errors():
    with server(disk="null:1M") as s:
        for line in (["--bs=5"], ["--depth=0"], ["--what=1"], ["--rw=erase"], ["--poll=1"], ["--ramp=1"]):
            check("Try 'ringside bench --help'." in bench(s.target, *line, want=2).err, line)
        check("local:DISK" in bench("nowhere", want=2).err)
        bench(s.target + "?colour=red", want=2)
        bench(s.target, "--size=2M", want=1)


@case
def a_disk_of_our_own_has_the_name_that_was_given():
    check(bench("local:null:16M", "--ios=10").json["target"] == "local:null:16M")


@case
def no_server_is_a_failure():
    with server(disk="null:1M") as s:
        check("/nowhere.sock" in bench(f"vhost-user:{s.folder}/nowhere.sock", want=1).err)


@case
def a_dead_back_end_ends_the_run():
    with server(disk="null:64M") as s:
        process = start(s.target, "--runtime=50", "--depth=4")
        time.sleep(0.3)
        s.stop(signal.SIGKILL)
        b = Bench(process)
        check(b.status == 1 and "went away" in b.err and b.json["error"], b.status, b.err)


@case
def a_hung_back_end_ends_the_run():
    with server(disk="null:64M") as s:
        process = start(s.target + "?timeout-ms=200", "--runtime=50", "--depth=4", "--timeout=500ms")
        time.sleep(0.3)
        s.process.send_signal(signal.SIGSTOP)
        b = Bench(process)
        check(b.status == 1 and "none came back" in b.err, b.status, b.err)


@case
def a_restart_loses_and_repeats_nothing():
    for signals in ((signal.SIGKILL, signal.SIGKILL), (signal.SIGTERM,)):
        with server(disk="file=disk.raw,queues=2") as s:
            process = start(s.target, "--rw=randrw", "--verify", "--bs=4K-32K", "--depth=16", "--queues=2",
                            "--runtime=50", "--reconnect")
            for number in signals:
                time.sleep(0.5)
                s.stop(number)
                s.start()
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            b = Bench(process)
            check(b.status == 130, b.status, b.err)
            check(b.json["reconnects"] == len(signals) and b.json["verify"]["complete"], b.json)


ZONES = "zoned=host-managed,zone-size=1M,zone-capacity=960K,zone-conventional=1,zone-max-open=6,zone-max-active=8,queues=2"


@case
def zones_are_filled_and_found_again():
    with server(disk="memory:16M," + ZONES) as s:
        for words in ("--rw=zonewrite", "--rw=zonewrite --bs=4K,8K,64K --depth=3 --queues=2 --ios=2000", "--rw=append --bs=16K --depth=8",
                      "--rw=append --bs=4K-64K --depth=32 --queues=2 --ios=1500 --flush-every=9"):
            b = bench(s.target, *words.split(), "--verify").json
            op = b["append" if "append" in words else "write"]
            check(b["job"]["rw"] == words.split()[0][5:] and b["verify"]["complete"] and b["verify"]["wrong"] == 0, words, b)
            # Once: what 15 zones hold.  Else: more than they hold, so that full ones are reset.
            if "ios" not in words:
                check(op["bytes"] == 15 * 960 * 1024, words, op)
            else:
                check(op["requests"] >= 1500 and b["reset"]["requests"] > 15, words, b)
        check(bench(s.target, "--ios=100").json["requests"] == 100)
        b = bench(s.target, "--rw=write", "--bs=4K", "--offset=2M", "--ios=10", want=1)
        check("offset" in b.err and "failed" in b.err, b.err)


@case
def zone_jobs_are_held_against_the_disk():
    with server(disk="memory:16M," + ZONES) as s:
        for words, want, text in (("--rw=append --bs=2M", 1, "at most"), ("--rw=zonewrite --bs=512", 2, "multiple"),
                                  ("--rw=zonewrite --bs=12K", 2, "zones"), ("--rw=append --offset=4K", 2, "--offset"),
                                  ("--rw=append --size=1M", 1, "sequentially"), ("--rw=zonewrite --discard=5", 2, "discard")):
            b = bench(s.target, *words.split(), want=want)
            check(text in b.err, words, b.err)
    with server(disk="memory:16M") as s:
        check("no zones" in bench(s.target, "--rw=append", want=1).err)


@case
def zones_survive_a_restart():
    for rw in ("zonewrite", "append"):
        with server(disk="file=disk.raw," + ZONES, size=16 * MIB) as s:
            process = start(s.target, "--rw=" + rw, "--verify", "--bs=16K", "--depth=3", "--queues=2", "--runtime=50", "--reconnect")
            for _ in range(2):
                time.sleep(0.4)
                s.stop(signal.SIGKILL)
                s.start()
            time.sleep(0.4)
            process.send_signal(signal.SIGINT)
            b = Bench(process)
            check(b.status == 130, b.status, b.err)
            check(b.json["reconnects"] == 2 and b.json["verify"]["complete"], b.json)


@case
def an_image_that_fell_back_is_caught():
    with server() as s:
        process = start(s.target, "--rw=randrw", "--verify", "--rate=2000", "--depth=4", "--runtime=50", "--reconnect")
        for step in ("keep", "restore"):
            time.sleep(0.4)
            s.stop(signal.SIGKILL)
            if step == "keep":
                shutil.copy(s.image, s.image + ".old")
            else:
                shutil.copy(s.image + ".old", s.image)
            s.start()
        process.send_signal(signal.SIGINT)
        b = Bench(process)
        check(b.status == 1 and "the sector at offset" in b.err, b.status, b.err)
        check(b.json["verify"]["wrong"] > 0, b.json["verify"])


@case
def interrupted_runs_tell_what_they_have():
    with server() as s:
        process = start(s.target, "--rw=randwrite", "--verify", "--runtime=50")
        time.sleep(0.4)
        process.send_signal(signal.SIGINT)
        b = Bench(process)
        check(b.status == 130 and b.json["interrupted"] and b.json["verify"]["complete"], b.status, b.err)
        check(b.json["seconds"] < 50 and b.json["requests"] > 0, b.json)


@case
def a_signal_in_the_ramp_tells_what_the_ramp_showed():
    with server(disk="null:64M") as s:
        for number, text in ((signal.SIGINT, False), (signal.SIGTERM, True)):
            process = start(s.target, "--ramp=40", "--runtime=50", text=text)
            time.sleep(0.3)
            process.send_signal(number)
            b = Bench(process)
            check(b.status == 128 + number, b.status, b.err)
            if text:
                check("the ramp's" in b.out and "read: IOPS=" in b.out, b.out)
            else:
                check(b.json["only_ramp"] and b.json["requests"] > 0 and 0 < b.json["seconds"] < 40, b.json)


@case
def rates_are_over_the_time_that_was_asked_for():
    with server(disk="null:64M") as s:
        b = bench(s.target, "--rate=1", "--runtime=1.9").json
        check(b["requests"] <= 2 and abs(b["seconds"] - 1.9) < 1e-3 and b["iops"] < 1.1, b)
        for queues in ("--queues=1", "--poll"):
            b = bench(s.target, "--rate=10", "--runtime=1", "--depth=8", queues).json
            check(b["requests"] <= 10 and abs(b["seconds"] - 1) < 1e-3, b)
        b = bench(s.target, "--rate=0.5", "--runtime=0.2").json
        check(b["requests"] == 1 and abs(b["seconds"] - 0.2) < 1e-3, b)
        for rate in ("0", "-1", "nan", "0x10", "1e3", "", "1.2.3", ".5"):
            bench(s.target, f"--rate={rate}", "--runtime=0.1", want=2)


class Fake:
    """A back end of our own making: answers messages, and never completes a request."""

    def __init__(self, config=None, features=1 << 32 | 1 << 30 | 1 << 6):
        self.folder = tempfile.mkdtemp(prefix="ringside-bench-", dir="/tmp")  # a socket needs a short path
        self.target = f"vhost-user:{self.folder}/s"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.folder}/s")
        self.listener.listen()
        self.config = bytearray(64)
        struct.pack_into("<Q", self.config, 0, 2048)
        struct.pack_into("<I", self.config, 20, 512)
        for at, form, value in config or ():
            struct.pack_into(form, self.config, at, value)
        self.features = features
        self.messages = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        shutil.rmtree(self.folder)

    def serve(self):
        with contextlib.suppress(OSError, struct.error):
            client = self.listener.accept()[0]
            while True:
                head, fds, _, _ = socket.recv_fds(client, 12, 8)
                for fd in fds:
                    os.close(fd)
                request, _, size = struct.unpack("<III", head)
                body = client.recv(size, socket.MSG_WAITALL) if size else b""
                self.messages.append((request, body))
                answer = None
                if request == 1:
                    answer = struct.pack("<Q", self.features)
                elif request == 15:
                    answer = struct.pack("<Q", 1 << 9)
                elif request in (11, 17):
                    answer = struct.pack("<Q", 1) if request == 17 else body
                elif request == 24:
                    at, length, _ = struct.unpack_from("<III", body)
                    answer = body[:12] + bytes(self.config[at:at + length]).ljust(length, b"\0")
                if answer is not None:
                    client.sendall(struct.pack("<III", request, 5, len(answer)) + answer)


@case
def a_hang_is_a_hang():
    with Fake() as f:
        b = bench(f.target, "--runtime=0.2", "--timeout=500ms", want=1)
        check("none came back" in b.err, b.err)
        check(b.json["requests"] == 0 and abs(b.json["seconds"] - 0.2) < 1e-3, b.json)
    with Fake() as f:
        b = bench(f.target, "--ios=5", "--timeout=500ms", want=1)
        check(b.json["requests"] == 0 and b.json["seconds"] >= 0.5, b.json)
    with Fake() as f:
        b = bench(f.target, "--runtime=0.2", "--timeout=500ms", "--poll", want=1)
        check(b.json["client"]["cpu_ns"] <= 0.21e9, b.json)


@case
def nonsense_of_the_back_end_is_its_failure_not_a_usage_error():
    for config in ((20, "<I", 3), (20, "<I", 0), (20, "<I", 1 << 31), (0, "<Q", (1 << 64) - 1)):
        with Fake(config=[config]) as f:
            b = bench(f.target, "--ios=5", want=1)
            check("Try " not in b.err and "claims" in b.err, b.err)


@case
def a_back_end_that_knows_no_virtio_1_is_driven():
    with Fake(features=1 << 30 | 1 << 6) as f:
        b = bench(f.target, "--runtime=0.1", "--timeout=300ms", want=1)
        check("none came back" in b.err, b.err)
        accepted = [struct.unpack("<Q", body)[0] for request, body in f.messages if request == 2]
        check(accepted and all(a >> 31 == 0 for a in accepted), accepted)


@case
def an_offset_behind_the_end_is_told_as_it_is():
    with server(disk="null:1M") as s:
        b = bench(s.target, "--offset=1M", want=1)
        check("--offset is 1048576" in b.err and "1048577" not in b.err, b.err)


@case
def progress_is_for_terminals_only():
    with server(disk="null:64M") as s:
        check(bench(s.target, "--runtime=1.3").err == "")
        for quiet in (False, True):
            try:
                far, near = pty.openpty()
            except OSError as error:
                raise Skip(f"there is no pseudo terminal: {error}") from error
            process = spawn([RINGSIDE, "bench", "--runtime=1.3", s.target] + quiet * ["--quiet"],
                            stdout=subprocess.DEVNULL, stderr=near)
            os.close(near)
            text = b""
            with contextlib.suppress(OSError):
                while data := os.read(far, 4096):
                    text += data
            os.close(far)
            check(process.wait(PATIENCE) == 0 and (b"IOPS" in text) != quiet, text)


@case
def qemu_storage_daemon_passes_too():
    if not shutil.which("qemu-storage-daemon"):
        raise Skip("qemu-storage-daemon is not installed")
    with server(kind=Peer) as s:
        b = verified(s, "--rw=randrw", "--bs=512,4K,24K", "--ios=2000", "--depth=16", "--queues=2", "--flush-every=50")
        check(b["requests"] == 2000 + b["flush"]["requests"], b)
        flip(s.image, 0)
        bench(s.target, "--rw=write", "--verify", "--size=64K")
        flip(s.image, 40 * SECTOR)
        b = bench(s.target, "--rw=read", "--verify", "--size=64K", want=1)
        check(f"offset {40 * SECTOR}" in b.err, b.err)


def main():
    wanted = sys.argv[1:]
    chosen = [c for c in cases if not wanted or c.__name__ in wanted]
    failed = 0
    print(f"1..{len(chosen)}", flush=True)
    for number, function in enumerate(chosen, 1):
        try:
            function()
            print(f"ok {number} - {function.__name__}", flush=True)
        except Skip as why:
            print(f"ok {number} - {function.__name__} # SKIP {why}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {function.__name__}", flush=True)
            print("# " + traceback.format_exc().strip().replace("\n", "\n# "), flush=True)
    return 1 if failed else 0


sys.exit(main())

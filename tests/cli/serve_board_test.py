#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside serve --vfio-user` as a person or a script meets it: each word of the board, targets, the tree.  TAP on standard output."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import time

from cli import DEADLINE, RINGSIDE, Server, case, main, run, until

VERSION, REGION_INFO, IRQ_INFO, REGION_READ = 1, 5, 7, 9
CONFIG = 7


class Client:
    """Says what it is told to; numbers are little-endian."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(path)
        text = b'{"capabilities":{"max_msg_fds":8}}\0'
        self.terms = json.loads(self.ask(VERSION, struct.pack("<HH", 0, 1) + text)[4:].rstrip(b"\0"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def take(self, n):
        data = b""
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            if not piece:
                raise OSError("the server has closed the connection")
            data += piece
        return data

    def ask(self, command, body):
        """The answer's body; an errno is an OSError."""
        self.sock.sendall(struct.pack("<HHIII", 7, command, 16 + len(body), 0, 0) + body)
        _, _, size, flags, error = struct.unpack("<HHIII", self.take(16))
        body = self.take(size - 16)
        if flags & 0x20:
            raise OSError(error, os.strerror(error))
        return body

    def config(self, offset, size):
        return int.from_bytes(self.ask(REGION_READ, struct.pack("<QII", offset, CONFIG, size))[16:], "little")

    def region(self, index):
        return struct.unpack("<IIIIQQ", self.ask(REGION_INFO, struct.pack("<IIIIQQ", 32, 0, index, 0, 0, 0)))[4]

    def vectors(self):
        return struct.unpack("<IIII", self.ask(IRQ_INFO, struct.pack("<IIII", 16, 0, 2, 0)))[3]


def board(words, what="--disk"):
    """What a client is told of a board with these words: its device number, vectors, regions."""
    with Server("--vfio-user", "b.sock", what, words) as server:
        try:
            with Client("b.sock") as client:
                return {"device": client.config(2, 2), "pin": client.config(0x3d, 1), "vectors": client.vectors(),
                        "regions": [i for i in range(9) if client.region(i)], "terms": client.terms["capabilities"]}
        except OSError as error:
            return f"{error}\n{server.text()}"


def words_of_the_board():
    got = board("memory:1M,queues=3")
    case("a_disk_is_a_transitional_board", isinstance(got, dict) and got["device"] == 0x1001 and got["regions"] == [0, 1, 4, 7] and
         got["vectors"] == 4 and got["pin"] == 1, got)
    case("limits_are_told", isinstance(got, dict) and got["terms"]["max_msg_fds"] >= 1 and got["terms"]["max_data_xfer_size"] >= 4096, got)
    got = board("memory:1M,disable-legacy=on")
    case("disable_legacy_is_a_modern_board", isinstance(got, dict) and got["device"] == 0x1042 and got["regions"] == [1, 4, 7], got)
    got = board("memory:1M,disable-modern=on")
    case("disable_modern_is_a_legacy_board", isinstance(got, dict) and got["device"] == 0x1001 and got["regions"] == [0, 1, 7], got)
    got = board("memory:1M,vectors=0")
    case("no_vectors", isinstance(got, dict) and got["vectors"] == 0 and got["regions"] == [0, 4, 7], got)
    got = board("memory:1M,vectors=9")
    case("more_vectors_than_queues", isinstance(got, dict) and got["vectors"] == 9, got)
    got = board("user", "--net")
    case("a_network_card_is_a_board", isinstance(got, dict) and got["device"] == 0x1000 and got["vectors"] == 4, got)
    got = board("user,disable-legacy=on", "--net")
    case("a_modern_network_card", isinstance(got, dict) and got["device"] == 0x1041, got)
    for name, args, words in (
            ("no_board_without_a_face", ("--vfio-user", "b.sock", "--disk", "memory:1M,disable-legacy=on,disable-modern=on"), "disable"),
            ("board_words_need_a_board", ("--vhost-user", "b.sock", "--disk", "memory:1M,vectors=2"), "vectors"),
            ("a_card_needs_a_board", ("--vhost-user", "b.sock", "--net", "user"), "--vfio-user"),
            ("too_many_vectors", ("--vfio-user", "b.sock", "--disk", "memory:1M,vectors=2049"), "vectors"),
            ("a_socket_without_a_disk", ("--vfio-user", "b.sock"), "--disk")):
        got = run("serve", *args)
        case(name, got.returncode in (1, 2) and words in got.stderr.splitlines()[0] and not os.path.exists("b.sock"), got)


def targets():
    for words in ("", ",disable-legacy=on", ",disable-modern=on", ",packed=off", ",ioeventfd=off,irqfd=off", ",event-idx=off"):
        with Server("--vfio-user", "b.sock", "--disk", "memory:4M,queues=2" + words) as server:
            got = run("bench", "--quiet", "--rw=randwrite", "--verify", "--ios=500", "--bs=4K", "--depth=8", "--queues=2", "vfio-user:b.sock")
            case("bench_verifies" + words.replace(",", "_").replace("=", "_").replace("-", "_"), got.returncode == 0, got.stderr + server.text())
    with Server("--vfio-user", "b.sock", "--disk", "memory:4M,queues=2") as server:
        for how in ("", "&packed=on", "&event-idx=off", "&indirect=off&queue-size=16"):
            got = run("bench", "--quiet", "--rw=randrw", "--verify", "--ios=200", "--bs=4K", "--depth=8", "--queues=2",
                      "vfio-user:b.sock?dma-messages=on" + how)
            name = "memory_by_messages" + re.sub(r"\W", "_", how)
            case(name, got.returncode == 0 and "by messages" in server.text(), got.stderr + server.text())
    with Server("--vfio-user", "b.sock", "--disk", "memory:4M", "--read-only") as server:
        got = run("bench", "--quiet", "--rw=randwrite", "--ios=10", "vfio-user:b.sock")
        case("read_only_disk", got.returncode == 1 and "read-only" in got.stderr, got.stderr + server.text())
        got = run("conform", "--only=PCI-D-01.*,PCI-D-09.*", "vfio-user:b.sock")
        case("conform_reaches_it", got.returncode == 0 and "broken: 0 MUST" in got.stdout, got.stdout + got.stderr)
    with Server("--vfio-user", "b.sock", "--disk", "memory:4M", "--vhost-user", "a.sock", "--disk", "memory:4M") as server:
        begun = time.monotonic()
        other = [run("bench", "--quiet", "--ios=1", target) for target in ("vhost-user:b.sock?timeout-ms=60000", "vfio-user:a.sock?timeout-ms=60000")]
        case("the_other_protocol_is_told_at_once",
             all(got.returncode == 1 for got in other) and "vhost-user" in other[1].stderr and time.monotonic() - begun < 50,
             [got.stderr for got in other])
    got = run("bench", "--quiet", "--ios=1", "vfio-user:b.sock")
    case("nobody_is_there", got.returncode == 1 and "b.sock" in got.stderr and len(got.stderr.splitlines()) == 1, got)


def of_tree(path):
    return json.loads(run("tree", "--of", path, "--format=json").stdout)["children"]


def find(node, name):
    if node["name"] == name:
        return node
    return next(filter(None, (find(child, name) for child in node.get("children", []))), None)


def tree():
    with Server("--vhost-user", "a.sock", "--disk", "memory:4M", "--vfio-user", "b.sock", "--disk", "null:4M,queues=2",
                "--vfio-user", "c.sock", "--net", "user", "--control", "control") as server:
        idle = of_tree("control")
        case("tree_has_all_in_order", [(s["name"], s["properties"]["socket"]) for s in idle] ==
             [("vhost-user", "a.sock"), ("vfio-user", "b.sock"), ("vfio-user", "c.sock")], idle)
        case("nobody_is_served", [s["properties"].get("client") for s in idle] == [None, "none", "none"], idle)
        bench = subprocess.Popen([RINGSIDE, "bench", "--quiet", "--rw=randrw", "--runtime=60", "--queues=2", "vfio-user:b.sock"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def both_work():
            disk = find(of_tree("control")[1], "virtio-blk")
            queues = [child["properties"] for child in disk.get("children", []) if child["name"] == "queue"]
            return len(queues) == 2 and all(int(q.get("requests", 0)) > 0 for q in queues) and disk, queues

        until(lambda: both_work()[0])
        disk, queues = both_work()
        busy = of_tree("control")[1]
        case("tree_shows_queues_at_work", disk and all(q["state"] == "running" and q["kick"] == "ioeventfd" for q in queues), busy)
        case("tree_shows_vectors", [q.get("interrupt") for q in queues] == ["vector 1, eventfd", "vector 2, eventfd"], queues)
        case("tree_shows_the_client", busy["properties"]["client"] == "serving" and int(busy["properties"]["memory-regions"]) > 0, busy)
        bench.send_signal(signal.SIGKILL)
        bench.wait()
        case("the_client_has_gone", until(lambda: of_tree("control")[1]["properties"]["client"] == "none"), of_tree("control"))
        got = run("bench", "--quiet", "--rw=randread", "--ios=100", "vhost-user:a.sock")
        case("vhost_user_beside_it", got.returncode == 0, got.stderr)
        case("sigterm_ends_it", server.stop() == 0 and not [f for f in os.listdir(".") if f.endswith("sock") or f == "control"], server.text())


main(words_of_the_board, targets, tree)

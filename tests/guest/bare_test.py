#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Ringside's driver in a guest without an operating system (guest/), against QEMU's own virtio-blk-pci, against `ringside serve` behind
QEMU's vhost-user-blk-pci, and on `ringside pc`.

What the guest says ("ok NAME", "not ok NAME: why", "skip NAME: why") comes out as VARIANT_NAME.  What the host then finds in the image, and
what was counted, are cases too.
"""

import json
import os
import re
import struct
import subprocess

from guest import MIB, Scene, host_tool, spawn

ELF = os.environ.get("GUEST_ELF")
SIZE = 8 * MIB
AREA = 1 * MIB
DEADLINE = 120

WRITES = ["write", "read_back", "flush", "discard", "write_zeroes", "around_is_untouched", "write_again"]
OWN = ["own_arithmetic", "own_text", "own_memory"]
CHECKS = ["serial", "past_the_end"] + WRITES + ["queue_reset", "device_reset", "reset_in_flight", "data_after_reset"]
MEASURED = re.compile(r"measured (\w+): (\d+) requests of (\d+) bytes in (\d+) batches, (\d+) kicks, (\d+) interrupts")


def pattern(seed, area=AREA):
    """What guest/pattern.h says."""
    sectors = []
    for sector in range(area // 512):
        word = (((sector + 1) * 2654435761) ^ (seed * 2246822519)) & 0xffffffff
        sectors.append(struct.pack("<II", sector, seed) + struct.pack("<I", word) * 126)
    return b"".join(sectors)


class Run:
    """One boot: what the guest said, line by line, and how the machine ended."""

    def __init__(self, scene, name, command):
        self.name = name
        try:
            with open(scene.path(f"{name}.err"), "wb") as errors:
                process = spawn(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
                out, _ = process.communicate(timeout=DEADLINE)
            self.status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            self.status = None
        self.lines = out.decode(errors="replace").replace("\r", "").splitlines()
        self.text = "\n".join(self.lines + scene.text(f"{name}.err").splitlines() + [f"exit status {self.status}"])

    def results(self):
        """NAME: "ok", "skip", or why not."""
        found = {}
        for line in self.lines:
            if match := re.fullmatch(r"(ok|not ok|skip) (\w+)(?:: (.*))?", line):
                verdict, name, why = match.groups()
                found[name] = (verdict, why)
        return found

    def line(self, start):
        return next((line for line in self.lines if line.startswith(start)), "")

    def measured(self):
        return {match[1]: [int(n) for n in match.groups()[1:]] for line in self.lines if (match := MEASURED.match(line))}

    def passed(self):
        return self.status == 0 and "result: passed" in self.lines


def judge(scene, run, words, disk=None, skips=(), checks=None, depth=32, seed=1, area=AREA):
    """The cases of one boot."""
    measured = ["read_depth_1", f"read_depth_{depth}", "write_depth_1", f"write_depth_{depth}"]
    results = run.results()
    for name in (checks or CHECKS + measured):
        verdict, why = results.get(name, ("missing", run.text))
        if verdict == "skip" and name in skips:
            scene.skip(f"{run.name}_{name}", why)
        else:
            scene.case(f"{run.name}_{name}", verdict == "ok", f"{verdict}: {why}")
    scene.case(f"{run.name}_ends_well", run.passed(), run.text)
    said = run.line("card ") + "\n" + run.line("disk: ")
    scene.case(f"{run.name}_is_what_was_asked", all(word in said for word in words), f"{words} of {said}")
    counts = run.measured()
    scene.case(f"{run.name}_at_most_one_kick_per_batch",
               len(counts) == (4 if not checks else 0) and all(kicks <= batches for _, _, batches, kicks, _ in counts.values()), counts)
    if disk:
        scene.case(f"{run.name}_host_sees_the_pattern", disk.read(0, area) == pattern(seed, area))


# ---- QEMU ------------------------------------------------------------------------------------------------------------------------------------


def qemu(append, args, kernel=ELF, memory=64):
    return ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-M", "pc,memory-backend=mem",
            "-accel", "tcg", "-m", str(memory), "-object", f"memory-backend-memfd,id=mem,size={memory}M,share=on",
            "-kernel", kernel, "-append", append, "-serial", "stdio"] + args


def own_card(disk, card=""):
    return ["-drive", f"if=none,id=disk,file={disk.path},format=raw,discard=unmap", "-device", f"virtio-blk-pci,drive=disk{card}"]


MODERN, LEGACY = "modern interface", "legacy interface"
LEGACY_LACKS = ["queue_reset"]

# name, words of the device, words for the guest, what it has to say, what may be skipped
QEMU_CARDS = [
    ("qemu_modern", ",disable-legacy=on,serial=from-qemu", "serial=from-qemu", ["1af4:1042", MODERN, "split", "MSI-X", "ring-reset"], []),
    ("qemu_transitional", "", "", ["1af4:1001", MODERN, "split"], []),
    ("qemu_transitional_by_legacy", "", "legacy=on", ["1af4:1001", LEGACY, "split"], LEGACY_LACKS),
    ("qemu_legacy", ",disable-modern=on", "", [LEGACY, "split", "MSI-X", "1 queue of 256"], LEGACY_LACKS),
    ("qemu_legacy_polled", ",disable-modern=on,vectors=0", "irq=poll event-idx=off", [LEGACY, "polled"], LEGACY_LACKS),
    ("qemu_legacy_many", ",disable-modern=on,num-queues=4,queue-size=128", "queues=4", [LEGACY, "4 queues of 128"], LEGACY_LACKS),
    ("qemu_packed", ",disable-legacy=on,packed=on", "packed=on", ["packed", "event-idx", "indirect"], []),
    ("qemu_packed_plain", ",packed=on", "packed=on event-idx=off indirect=off", ["packed"], []),
    ("qemu_packed_odd_size", ",packed=on", "packed=on queue-size=37", ["packed", "1 queue of 37"], []),
    ("qemu_packed_polled", ",packed=on", "packed=on irq=poll", ["packed", "polled"], []),
    ("qemu_split_plain", ",event_idx=off,indirect_desc=off", "", [MODERN, "1 queue of 256, split, flush"], []),
    ("qemu_split_tiny", "", "queue-size=8 indirect=off depth=2", [MODERN, "1 queue of 8, split"], []),
    ("qemu_polled", "", "irq=poll", [MODERN, "split", "polled"], []),
    ("qemu_many_queues", ",num-queues=4,disable-legacy=on", "queues=4 size=16K", ["4 queues of 256"], []),
    ("qemu_many_packed", ",num-queues=4,packed=on", "queues=3 packed=on", ["3 queues of 256, packed"], []),
    ("qemu_few_vectors", ",num-queues=4,vectors=3", "queues=4", ["2 queues of 256", "3 vectors"], []),
    ("qemu_platform_access", ",disable-legacy=on,iommu_platform=on", "", [MODERN], []),
    ("qemu_writethrough", ",write-cache=off", "", [MODERN], []),
    ("qemu_big_blocks", ",logical_block_size=512,physical_block_size=4096,seg-max-adjust=off", "depth=64", [MODERN], []),
]


def qemu_cards(scene):
    for name, card, append, words, skips in QEMU_CARDS:
        disk = scene.disk(name, size=SIZE)
        depth = int((re.findall(r"depth=(\d+)", append) or ["32"])[0])
        judge(scene, Run(scene, name, qemu(append, own_card(disk, card))), words, disk, skips, depth=depth)
        os.unlink(disk.path)


def other_ways(scene):
    """A disk of several, another bus, entry by PVH, a disk that must not be written."""
    first, second = scene.disk("first", size=SIZE), scene.disk("second", size=SIZE)
    two = own_card(first) + [word.replace("=disk", "=more") for word in own_card(second)]
    run = Run(scene, "program", qemu("requests=0", own_card(first)))
    for name in OWN:
        scene.case(f"program_{name}", run.results().get(name, ("missing",))[0] == "ok", run.text)
    first.write(0, bytes(AREA))
    judge(scene, Run(scene, "second_of_two", qemu("disk=1 seed=7", two)), [MODERN], second, seed=7)
    scene.case("first_of_two_is_untouched", first.read(0, AREA) == bytes(AREA))

    # Where there is no multiboot header QEMU takes the other way in.
    with open(ELF, "rb") as file:
        program = file.read().replace(struct.pack("<I", 0x1badb002), bytes(4), 1)
    with open(scene.path("pvh.elf"), "wb") as file:
        file.write(program)
    run = Run(scene, "by_pvh", qemu("seed=3", own_card(first), kernel=scene.path("pvh.elf")))
    judge(scene, run, [MODERN], first, seed=3)
    scene.case("by_pvh_says_so", "started by PVH" in run.line("Ringside guest"), run.text)

    q35 = [word.replace("pc,", "q35,") for word in qemu("seed=4", own_card(first, ",disable-legacy=on"))]
    judge(scene, Run(scene, "on_q35", q35), [MODERN], first, seed=4)

    readonly = [word.replace("format=raw", "format=raw,readonly=on") for word in own_card(first)]
    run = Run(scene, "read_only", qemu("seed=4 requests=0", readonly))
    judge(scene, run, ["read-only"], first, seed=4, checks=["serial", "past_the_end", "read_only_refuses_a_write", "data_after_reset"])


# ---- what must fail --------------------------------------------------------------------------------------------------------------------------


def failures(scene):
    disk = scene.disk("spoiled", size=SIZE)
    disk.write(0, pattern(5))
    for place, port in ((0, "iobase=0xf4,iosize=4"), (700 * 512 + 76, "iobase=0x501"), (AREA - 4, "iobase=0xf4,iosize=4")):
        good = disk.read(place, 4)
        look = qemu("write=off seed=5 requests=0", own_card(disk) + ["-device", "isa-debug-exit," + port])
        scene.case(f"good_at_{place}", Run(scene, "good", look).passed())
        disk.write(place, bytes([good[0] ^ 0x10]) + good[1:])
        run = Run(scene, "spoiled", look)
        scene.case(f"one_wrong_bit_at_{place}_is_found",
                   run.status == 3 and f"not ok data_after_reset: wrong data at byte {place}" in run.lines and
                   "result: FAILED" in run.lines, run.text)
        disk.write(place, good)
    debug_exit = own_card(disk, ",vectors=0") + ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    for name, append, words in (("no_msix", "", "has no MSI-X"), ("no_such_disk", "disk=1", "there are 1 virtio-blk cards"),
                                ("no_packed", "packed=on irq=poll", "lacks feature bit 34"),
                                ("unknown_word", "frob=1", "frob=1 is not understood"), ("bad_number", "size=513", "whole sectors")):
        run = Run(scene, name, qemu(append, debug_exit))
        scene.case(f"{name}_is_said", run.status == 3 and words in run.text, run.text)


# ---- behind QEMU's vhost-user-blk-pci ----------------------------------------------------------------------------------------------------------


SERVED = [
    ("served_modern", {"serial": "served"}, ",disable-legacy=on", "serial=served", [MODERN, "split"], []),
    ("served_packed", {"queues": 2, "packed": True}, "", "queues=2 packed=on", ["2 queues", "packed"], []),
    ("served_legacy", {"queues": 2}, ",disable-modern=on", "queues=2", [LEGACY, "2 queues", "split"], LEGACY_LACKS),
    ("served_polled", {"event_idx": False}, "", "irq=poll", ["polled"], []),
]


def served(scene):
    for name, how, card, append, words, skips in SERVED:
        disk = scene.disk(name, size=SIZE, **how)
        server = scene.serve(disk)
        # QEMU 7.2 offers no queue reset for this card.
        run = Run(scene, name, qemu(append, disk.qemu_args(card.lstrip(","))))
        judge(scene, run, words, disk, skips + ["queue_reset"])
        scene.case(f"{name}_server_ends_well", server.stop() == 0)


# ---- on our own PC -----------------------------------------------------------------------------------------------------------------------------


PC_AREA = 128 * 1024
PC_WORDS = f"area={PC_AREA} depth=8"

PC_CARDS = [
    ("pc_modern", ",disable-legacy=on,serial=ours", "serial=ours", [MODERN, "packed", "MSI-X"], []),
    ("pc_legacy", ",disable-modern=on", "", [LEGACY, "split"], LEGACY_LACKS),
    ("pc_in_order", ",queues=2,packed=off", "queues=2 in-order=on", ["2 queues", "split", "in-order"], []),
    ("pc_polled", ",vectors=0,packed=on", "irq=poll", ["polled", "packed"], []),
]


def own_pc(scene, name, disk, card, append, options=()):
    command = [os.environ["RINGSIDE"], "pc", "--memory", "64", "--no-reboot", "--kernel", ELF, "--append", f"{PC_WORDS} {append}",
               "--disk", f"file={disk.path}{card}", "--stats", scene.path(f"{name}.json"), *options]
    run = Run(scene, name, command)
    counts = json.loads(scene.text(f"{name}.json") or '{"exits": [], "disks": [], "interrupts": {}}')
    return run, counts


def pc_cards(scene):
    for name, card, append, words, skips in PC_CARDS:
        disk = scene.disk(name, size=SIZE)
        run, _ = own_pc(scene, name, disk, card, append + " requests=16")
        judge(scene, run, words, disk, skips, depth=8, area=PC_AREA)


def writes_out(counts):
    return sum(cpu["memory-write"] for cpu in counts["exits"])


def queue(counts):
    return counts["disks"][0]["queues"][0]


def guest_kicks(run):
    return sum(kicks for _, _, _, kicks, _ in run.measured().values())


def pc_counts(scene):
    """What a batch costs: the same guest with few and with more requests, so that all the rest is the same."""
    few, more, depth = 8, 40, 8
    batches = 2 * more + 2 * more // depth  # reads and writes, one by one and together
    for name, card, options in (("in_kernel", "", ()), ("by_exits", ",ioeventfd=off,irqfd=off", ()),
                                ("all_by_exits", "", ("--ioeventfd", "off", "--irqfd", "off"))):
        disk = scene.disk(name, size=SIZE)
        runs = [own_pc(scene, f"{name}_{n}", disk, ",disable-legacy=on" + card, f"checks=off requests={n}", options) for n in (few, more)]
        if not scene.case(f"{name}_runs", all(run.passed() for run, _ in runs), runs[1][0].text):
            continue
        (run_before, before), (run_after, after) = runs
        made, seen = guest_kicks(run_after), queue(after)["kicks"]
        more_kicks, more_exits = made - guest_kicks(run_before), writes_out(after) - writes_out(before)
        calls, messages = queue(after)["calls"], after["interrupts"]["messages"]
        found = (f"{batches} batches, {made} kicks made, {seen} seen; {more_exits} exits for {more_kicks} further kicks; "
                 f"{calls} calls, {messages} messages sent")
        scene.note(f"{name}: {found}")
        scene.case(f"{name}_at_most_one_kick_per_batch", 0 < seen <= made <= batches, found)
        if name == "in_kernel":
            scene.case("in_kernel_no_exit_for_a_kick", more_exits == 0, found)
            scene.case("in_kernel_no_exit_for_an_interrupt", calls > batches / 2 and messages == 0, found)
        else:
            scene.case(f"{name}_one_exit_for_a_kick", more_exits == more_kicks, found)
            scene.case(f"{name}_interrupts_are_sent", batches / 2 < messages <= calls, found)


# ---- the program itself ------------------------------------------------------------------------------------------------------------------------


def program(scene):
    status, text = host_tool("nm", "--undefined-only", ELF)
    scene.case("no_symbol_is_missing", status == 0 and not text.strip(), text)
    status, text = host_tool("objdump", "-d", "--no-show-raw-insn", ELF)
    exotic = [line for line in text.splitlines() if re.search(r"%[xyz]?mm\d|%st|\biret|\bcpuid\b", line)]
    scene.case("only_plain_instructions", status == 0 and not exotic, "\n".join(exotic[:5]))


with Scene("bare") as scene:
    if not ELF:
        scene.skip("guest", "no 32-bit program can be made here")
    else:
        program(scene)
        qemu_cards(scene)
        other_ways(scene)
        failures(scene)
        if os.environ.get("RINGSIDE"):
            served(scene)
        if os.environ.get("RINGSIDE") and os.access("/dev/kvm", os.R_OK | os.W_OK):
            pc_cards(scene)
            pc_counts(scene)
        else:
            scene.skip("pc", "there is no /dev/kvm for us")

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a request costs in user space, counted by callgrind, the same in every run: instructions against a record, and no
allocation, no locked instruction but one barrier a turn.  TAP on standard output.

    counts_test.py [--record]     --record prints the counts as a line of RECORDS
"""

import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.environ["COUNT_REQUESTS"]
COMPILER = os.environ["COUNT_COMPILER"]  # "gcc 12 -O2"
BATCHES, DEPTH, TURN = 100, 32, 8
LAYOUTS = ("split", "packed", "tables")
PARTS = ("device_turn", "driver_submit", "driver_reap")
SLACK = 1.02

# Instructions per request, of each of PARTS.  A change that lowers a count lowers its record, too.
RECORDS = {
    "gcc 12 -O2": {
        "split": (461.4, 221.1, 143.4),
        "packed": (498.7, 264.3, 133.7),
        "tables": (650.3, 223.1, 131.4),
    },
    "gcc 12 -O3": {
        "split": (435.7, 230.1, 142.4),
        "packed": (473.0, 274.4, 132.7),
        "tables": (624.7, 232.1, 130.4),
    },
}


def collect(layout, part, where):
    out = os.path.join(where, f"{layout}.{part}")
    subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--toggle-collect={part}", "--dump-instr=yes",
                    "--compress-pos=no", "--compress-strings=no", PROGRAM, layout, str(BATCHES)], check=True, capture_output=True)
    with open(out, encoding="utf-8") as file:
        return file.read()


def functions(text):
    return set(re.findall(r"^c?fn=(\S+)", text, re.M))


def executed(text):
    """How often each instruction of the program ran, by its address."""
    counts = collections.Counter()
    ours = call = False
    for line in text.splitlines():
        if line.startswith("ob="):
            ours = os.path.basename(PROGRAM) in line
        elif line.startswith("calls="):
            call = True  # the next line is the cost of what was called
        elif line.startswith("0x"):
            fields = line.split()
            if ours and not call:
                counts[int(fields[0], 16)] += int(fields[2])
            call = False
    return counts


def locked():
    """Addresses of instructions that lock the bus or are a full barrier."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", PROGRAM], check=True, capture_output=True, text=True).stdout
    return {int(m.group(1), 16) for m in re.finditer(r"^\s*([0-9a-f]+):\s+(?:lock\b|mfence|xchg\s.*\().*$", text, re.M)}


def main():
    number = 0

    def case(name, ok, evidence):
        nonlocal number
        number += 1
        print(f"{'ok' if ok else 'not ok'} {number} - {name}\n# {evidence}")

    if not shutil.which("valgrind") or not shutil.which("objdump"):
        print("1..0 # SKIP valgrind and objdump are needed")
        return
    locks = locked()
    record = RECORDS.get(COMPILER)
    counts = {}
    with tempfile.TemporaryDirectory(prefix="ringside-counts-") as where:
        for layout in LAYOUTS:
            for part in PARTS:
                text = collect(layout, part, where)
                total = int(re.search(r"^(?:totals|summary): (\d+)", text, re.M).group(1))
                count = round(total / (BATCHES * DEPTH), 1)
                counts.setdefault(layout, []).append(count)
                memory = functions(text) & {"malloc", "calloc", "realloc", "free"}
                case(f"{layout} {part}: nothing is allocated", not memory, memory or "nothing")
                ran = executed(text)
                barriers = sum(n for at, n in ran.items() if at in locks)
                turns = BATCHES * (DEPTH // TURN if part == "device_turn" else 1)
                case(f"{layout} {part}: at most one barrier a turn", ran and barriers <= turns, f"{barriers} in {turns}")
                name = f"{layout} {part}: instructions"
                if record:
                    known = record[layout][PARTS.index(part)]
                    case(name, count <= known * SLACK, f"{count} a request, the record is {known}")
                else:
                    case(f"{name} # SKIP no record for {COMPILER}", True, f"{count} a request")
    print(f"1..{number}")
    if "--record" in sys.argv:
        print(f'    "{COMPILER}": {{')
        for layout, of_parts in counts.items():
            print(f'        "{layout}": {tuple(of_parts)},')
        print("    },")


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that the conformance suite can fail: every mutation of the mutant is noticed by the case that names its rule.

    mutants_test.py RINGSIDE MUTANT [MUTATION...]

Without names: the mutant without a mutation keeps every rule, then all mutations.  TAP on standard output.
"""

import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
import time

# The mutant maps memory like everybody and does not survive that it is cut away.
NEVER = "R-21.*"


def conform(ringside, socket, *options):
    """Outcome of each case: {id: case}."""
    done = subprocess.run(
        [ringside, "conform", "--format=json", "--allow-writes", "--timeout=1", *options, "vhost-user:" + socket],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
    return {case["id"]: case for case in json.loads(done.stdout)["cases"]}, done.returncode


class Mutant:
    def __init__(self, program, folder, *options):
        self.socket = os.path.join(folder, "socket")
        self.process = subprocess.Popen([program, *options, self.socket], stderr=subprocess.DEVNULL)
        while not os.path.exists(self.socket) and self.process.poll() is None:
            time.sleep(0.005)

    def __enter__(self):
        return self.socket

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def clean(ringside, program, *options):
    """What the mutant without a mutation breaks: nothing."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder, Mutant(program, folder, *options) as socket:
        cases, status = conform(ringside, socket, "--skip=" + NEVER)
    broken = [f"{case['id']}: {case['expected']}; {case['got']}"
              for case in cases.values() if case["outcome"] == "failed"]
    if status or not cases:
        broken.append(f"exit status {status}, {len(cases)} cases")
    return broken


def caught(ringside, program, name, where):
    """Why a mutation went unnoticed: nothing if it was noticed."""
    options = ["--mutation=" + name] + (["--readonly"] if where.startswith("BLK-D-09") else [])
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder, Mutant(program, folder, *options) as socket:
        cases, status = conform(ringside, socket, "--only=" + where)
    if where not in cases:
        return [f"{where} did not run, exit status {status}"]
    case = cases[where]
    if case["outcome"] != "failed":
        return [f"{where}: {case['outcome']} {case.get('why', '')}"]
    if case["level"] == "MUST" and status != 1:
        return [f"a broken MUST and exit status {status}"]
    return []


def main():
    ringside, program, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
    listed = subprocess.run([program, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout
    mutations = [line.split("\t") for line in listed.splitlines()]
    jobs = [(f"{name} is noticed by {where}", caught, (name, where))
            for name, where, _ in mutations if not wanted or name in wanted]
    if not wanted:
        jobs.insert(0, ("without a mutation every rule is kept", clean, ()))
        jobs.insert(1, ("the same on a read-only disk", clean, ("--readonly",)))
    print("TAP version 13")
    print(f"1..{len(jobs)}")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = [pool.submit(function, ringside, program, *arguments) for _, function, arguments in jobs]
        for number, ((title, _, _), result) in enumerate(zip(jobs, results), 1):
            why = result.result()
            failed += bool(why)
            print(f"{'not ok' if why else 'ok'} {number} - {title}")
            for line in why:
                print("# " + line)
            sys.stdout.flush()
    return 1 if failed else 0


sys.exit(main())

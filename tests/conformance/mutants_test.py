#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that the conformance suite can fail: every mutation of the mutant is noticed by the case that names its rule.

    mutants_test.py RINGSIDE MUTANT MUTANT_PCI [MUTATION...]

Without names: each mutant without a mutation keeps every rule, then all mutations, and how the program behaves when a back end
is missing or dies.  TAP on standard output.
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
        [ringside, "conform", "--format=json", "--allow-writes", "--timeout=2", *options, "vhost-user:" + socket],
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
    with tempfile.TemporaryDirectory(prefix="mutant-", dir="/tmp") as folder, Mutant(program, folder, *options) as socket:
        cases, status = conform(ringside, socket, "--timeout=10", "--size=8M", "--skip=" + NEVER)
    broken = [f"{case['id']}: {case['expected']}; {case['got']}"
              for case in cases.values() if case["outcome"] == "failed"]
    if status or not cases:
        broken.append(f"exit status {status}, {len(cases)} cases")
    return broken


def caught(ringside, program, name, where):
    """Why a mutation went unnoticed: nothing if it was noticed."""
    options = ["--mutation=" + name] + (["--readonly"] if where.startswith("BLK-D-09") else [])
    options += ["--zoned"] if name.startswith("zoned-") else []
    with tempfile.TemporaryDirectory(prefix="mutant-", dir="/tmp") as folder, Mutant(program, folder, *options) as socket:
        cases, status = conform(ringside, socket, "--timeout=0.5", "--size=8M", "--only=" + where)
    return judge(cases, status, where)


def judge(cases, status, where):
    if where not in cases:
        return [f"{where} did not run, exit status {status}"]
    case = cases[where]
    if case["outcome"] != "failed":
        return [f"{where}: {case['outcome']} {case.get('why', '')}"]
    if case["level"] == "MUST" and status != 1:
        return [f"a broken MUST and exit status {status}"]
    return []


def on_board(program, *options):
    """Outcome of each case on the mutant board, which has the suite in it."""
    done = subprocess.run([program, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
    return {case["id"]: case for case in json.loads(done.stdout)["cases"]}, done.returncode


def board_clean(_, program, *options):
    """What the mutant board without a mutation breaks: nothing."""
    cases, status = on_board(program, "--timeout-ms=10000", *options)
    broken = [f"{case['id']}: {case['expected']}; {case['got']}"
              for case in cases.values() if case["outcome"] == "failed"]
    if status or not cases:
        broken.append(f"exit status {status}, {len(cases)} cases")
    return broken


def board_caught(_, program, name, where):
    options = ["--mutation=" + name, "--only=" + where, "--timeout-ms=500"]
    cases, status = on_board(program, *options, *(["--modern"] if where == "PCI-D-02.modern" else []))
    return judge(cases, status, where)


def absent(ringside, _):
    """Nobody listens: exit status 2 and one sentence."""
    done = subprocess.run([ringside, "conform", "--timeout=0.1", "vhost-user:/nonexistent/socket"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    good = done.returncode == 2 and done.stderr.startswith("ringside: ") and done.stderr.count("\n") == 1
    good = good and "no back end at /nonexistent/socket" in done.stderr and "went away" not in done.stdout
    return [] if good else [f"exit status {done.returncode}: {done.stderr} {done.stdout}"]


def died(ringside, program):
    """A back end that dies and that nobody starts again: the case failed, the rest is skipped, exit status 2."""
    with tempfile.TemporaryDirectory(prefix="mutant-", dir="/tmp") as folder, \
            Mutant(program, folder, "--mutation=die-unknown") as socket:
        cases, status = conform(ringside, socket, "--timeout=0.5", "--only=V-03.*")
    outcomes = [case["outcome"] for case in cases.values()]
    return [] if outcomes == ["failed", "skipped", "skipped"] and status == 2 else [f"{outcomes}, exit status {status}"]


def respawned(ringside, program):
    """A back end that dies is started again: the case failed, the rest runs, a broken practice does not count."""
    with tempfile.TemporaryDirectory(prefix="mutant-", dir="/tmp") as folder:
        socket = os.path.join(folder, "socket")
        with open(os.path.join(folder, "start"), "w", encoding="utf-8") as script:
            script.write(f"'{program}' '{socket}' </dev/null >/dev/null 2>&1 & echo $! >'{folder}/pid'\n")
        with Mutant(program, folder, "--mutation=die-unknown"):
            cases, status = conform(ringside, socket, "--only=V-03.*", f"--respawn=sh '{folder}/start'")
        with open(os.path.join(folder, "pid"), encoding="utf-8") as pid:
            os.kill(int(pid.read()), 9)
    outcomes = [case["outcome"] for case in cases.values()]
    return [] if outcomes == ["failed", "ok", "ok"] and status == 0 else [f"{outcomes}, exit status {status}"]


def as_in_a_shell(ringside, program):
    """What is started by --respawn has the limit of files and the signals that conform itself was started with."""
    with tempfile.TemporaryDirectory(prefix="mutant-", dir="/tmp") as folder:
        report = f"{{ ulimit -Sn; awk '/^SigIgn/ {{ print $2 }}' /proc/self/status; }} >'{folder}/seen'"
        start = f"'{program}' '{folder}/socket' </dev/null >/dev/null 2>&1 & echo $! >'{folder}/pid'"
        with Mutant(program, folder, "--mutation=die-unknown") as socket:
            shell = f"trap - PIPE; ulimit -Sn 400; {report.replace('seen', 'wanted')}; exec \"$@\""
            subprocess.run(["sh", "-c", shell, "sh", ringside, "conform", "--allow-writes", "--only=V-03.*", "--timeout=2",
                            f"--respawn={report}; {start}", "vhost-user:" + socket], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=300, check=False, restore_signals=True)
        text = []
        for name in ("pid", "wanted", "seen"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                text.append(file.read())
        os.kill(int(text[0]), 9)
    # The C library ignores signals of its own, 32 and 33, in what system() starts.
    wanted, seen = ([int(files), int(ignored, 16) & 0x7fffffff] for files, ignored in (t.split() for t in text[1:]))
    return [] if wanted == seen and wanted[0] == 400 else [f"wanted {wanted}, seen {seen}"]


def untouched(ringside, program):
    """What cases overwrite is put back, and without --allow-writes nothing is written."""
    with tempfile.TemporaryDirectory(prefix="mutant-", dir="/tmp") as folder, Mutant(program, folder, "--fingerprint") as socket:
        subprocess.run([ringside, "conform", "vhost-user:" + socket], stdout=subprocess.DEVNULL, timeout=300, check=False)
        conform(ringside, socket, "--only=BLK-W.*,BLK-D-1*,VU-18.*")
        with open(socket + ".fingerprint", encoding="utf-8") as file:
            prints = file.read().split()
    return [] if len(set(prints)) == 1 else ["the disk at the end is not the disk of the beginning"]


def documented(_, program):
    """docs/mutations.md has the mutant's table."""
    table = subprocess.run([program, "--table"], stdout=subprocess.PIPE, check=True, text=True).stdout
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(folder, "docs", "mutations.md"), encoding="utf-8") as file:
        return [] if table in file.read() else ["the table in docs/mutations.md is not what --table prints"]


def mutations(program, wanted):
    listed = subprocess.run([program, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout
    return [line.split("\t")[:2] for line in listed.splitlines() if not wanted or line.split("\t")[0] in wanted]


def main():
    ringside, program, board, wanted = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    jobs = [(f"{name} is noticed by {where}", caught, program, (name, where)) for name, where in mutations(program, wanted)]
    jobs += [(f"{name} is noticed by {where}", board_caught, board, (name, where))
             for name, where in mutations(board, wanted)]
    if not wanted:
        jobs = [("without a mutation every rule is kept", clean, program, ()),
                ("the same on a read-only disk", clean, program, ("--readonly",)),
                ("the same on a zoned disk", clean, program, ("--zoned",)),
                ("without a mutation the board keeps every rule", board_clean, board, ()),
                ("the same on a modern board", board_clean, board, ("--modern",)),
                ("the same on a read-only disk on a board", board_clean, board, ("--readonly",)), *jobs,
                ("no back end", absent, program, ()), ("a back end that dies", died, program, ()),
                ("a back end that dies and is started again", respawned, program, ()),
                ("what starts it is as in a shell", as_in_a_shell, program, ()),
                ("the disk is as it was", untouched, program, ()),
                ("the table of mutations is in docs/mutations.md", documented, program, ()),
                ("the table of the board's mutations is in docs/mutations.md", documented, board, ())]
    print("TAP version 13")
    print(f"1..{len(jobs)}")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = [pool.submit(function, ringside, which, *arguments) for _, function, which, arguments in jobs]
        for number, ((title, *_), result) in enumerate(zip(jobs, results), 1):
            why = result.result()
            failed += bool(why)
            print(f"{'not ok' if why else 'ok'} {number} - {title}")
            for line in why:
                print("# " + line)
            sys.stdout.flush()
    return 1 if failed else 0


sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside ctl` and a server that is changed while it runs, as a person or a script meets them.  TAP on standard output."""

import json
import os
import select
import signal
import socket
import subprocess

from cli import DEADLINE, RINGSIDE, Server, case, image, listening, main, run, until


def ctl(*words, to="control"):
    return run("ctl", to, *words)


def told(*words, to="control"):
    """The answer, or the sentence on standard error."""
    got = ctl(*words, "--json", to=to)
    return json.loads(got.stdout) if not got.returncode else got.stderr


def names():
    return [row["name"] for row in told("list")]


def refused(name, word, *words, status=1):
    got = ctl(*words)
    case(name, got.returncode == status and word in got.stderr and got.stderr.startswith("ringside: ") and not got.stdout, got)


def command_lines():
    for name, status, word, args in (
            ("no_disk_without_control", 2, "which disk", ()),
            ("a_name_for_nothing", 2, "no --disk follows", ("--vhost-user", "s0", "--disk", "null:1M", "--name", "a")),
            ("two_names_for_one", 2, "another --name", ("--name", "a", "--name", "b", "--vhost-user", "s0", "--disk", "null:1M")),
            ("a_name_twice", 2, "is there twice", ("--vhost-user", "s0", "--vhost-user", "s1", "--name", "a", "--disk", "null:1M", "--name", "a",
                                                    "--disk", "null:1M")),
            ("a_name_that_is_none", 2, "is no name", ("--vhost-user", "s0", "--name", "a/b", "--disk", "null:1M")),
            ("a_mode_that_is_none", 2, "octal", ("--control-mode", "9", "--control", "c")),
            ("nothing_to_change_and_no_disk", 2, "which disk", ("--control-readonly", "c"))):
        got = run("serve", *args)
        case(name, got.returncode == status and word in got.stderr and not os.path.exists("s0"), got)
    got = run("ctl")
    case("ctl_needs_words", got.returncode == 2 and "verb" in got.stderr, got)
    got = run("ctl", "--help")
    case("ctl_has_help", not got.returncode and "--json" in got.stdout, got)


def for_people():
    image("a.raw", 8 << 20)
    with Server("--vhost-user", "s0", "--name", "web", "--disk", "file=a.raw,throttle.iops=100", "--vfio-user", "s1", "--disk", "memory:1M",
                "--control", "control") as server:
        text = ctl("list").stdout.splitlines()
        case("list_is_a_table", len(text) == 3 and text[0].split()[:3] == ["NAME", "PROTOCOL", "SOCKET"] and text[1].split()[0] == "web" and
             "throttle/file" in text[1] and text[2].split()[0] == "disk1", text)
        got = ctl("show", "web").stdout
        case("show_tells_all_of_one", "size: 8388608" in got and "virtio-blk  (path web" in got and "throttle  (state iops=100" in got, got)
        case("stats_of_all", [row["name"] for row in told("stats")] == ["web", "disk1"], told("stats"))
        case("stats_of_one", told("stats", "disk1")[0]["queues"] == [{"kicks": 0, "requests": 0, "calls": 0}], told("stats", "disk1"))
        case("tree_is_the_tree", ctl("tree").stdout == run("tree", "--of", "control").stdout, ctl("tree"))
        case("several_options_at_once", "iops=50, bps=3145728" in ctl("set", "web", "throttle.iops=50", "throttle.bps=3M").stdout, ctl("show", "web"))
        got = ctl("--help").stdout
        case("the_program_says_its_verbs", all(word in got for word in ("list", "set NAME OPTIONS...", "stats [NAME]", "resize NAME SIZE [--shrink]")), got)
        case("the_schema_is_for_programs", {"list", "add", "events"} <= {verb["name"] for verb in told("schema")["verbs"]}, told("schema"))
        refused("no_such_verb", 'there is no "frob" here; there is list', "frob", "x")
        refused("no_such_option", "is no option of list", "list", "--frob", status=2)
        refused("a_word_too_many", "nothing to do with 'more'", "resume", "web", "more", status=2)
        refused("a_word_is_missing", "set needs options", "set", "web", status=2)
        refused("nobody_is_called_so", "there is no disk frob", "resume", "frob")
        refused("nothing_is_called_so", "nothing here is called frob", "show", "frob")
        case("stop_is_sigterm", not ctl("stop").returncode and server.status() == 0 and not os.path.exists("s0") and not os.path.exists("control"), server.text())


def sockets():
    with Server("--control", "control", "--control-readonly", "reads", "--control-mode", "0660") as server:
        case("modes", [os.stat(path).st_mode & 0o777 for path in ("control", "reads")] == [0o660] * 2)
        got = told("add", "--vhost-user", "s0", "--disk", "null:1M", to="reads")
        case("for_reading_alone", "this socket is for reading" in got and not os.path.exists("s0"), got)
        case("and_that_it_does", told("list", to="reads") == [], told("list", to="reads"))
        case("an_empty_server_sleeps_and_ends", server.stop() == 0 and not os.path.exists("reads"), server.text())


def add_and_remove():
    image("a.raw", 8 << 20)
    with Server("--control", "control") as server:
        got = told("add", "--vhost-user", "s0", "--disk", "file=a.raw", "--name", "web")
        case("add", isinstance(got, dict) and got["name"] == "web" and got["size"] == 8 << 20 and listening("s0"), got)
        got = told("add", "--vfio-user", "s1", "--disk", "memory:1M,vectors=2")
        case("add_over_vfio_user", isinstance(got, dict) and got["name"] == "disk1" and listening("s1"), got)
        for name, word, words in (
                ("its_socket_is_taken", "another server listens", ("--vhost-user", "s0", "--disk", "null:1M")),
                ("its_name_is_taken", "called web already", ("--vhost-user", "s2", "--disk", "null:1M", "--name", "web")),
                ("its_name_is_none", "is no name", ("--vhost-user", "s2", "--disk", "null:1M", "--name", "")),
                ("its_image_is_taken", "in use by web", ("--vhost-user", "s2", "--disk", "file=a.raw")),
                ("its_image_is_not_there", "does not exist", ("--vhost-user", "s2", "--disk", "file=b.raw")),
                ("its_words_are_wrong", "no option", ("--vhost-user", "s2", "--disk", "file=a.raw,frob=1")),
                ("no_socket", "one of vhost-user and vfio-user", ("--disk", "null:1M")),
                ("two_sockets", "one of vhost-user and vfio-user", ("--vhost-user", "s2", "--vfio-user", "s3", "--disk", "null:1M")),
                ("nothing_on_it", "one of disk and net", ("--vhost-user", "s2")),
                ("no_card_over_vhost_user", "behind --vfio-user only", ("--vhost-user", "s2", "--net", "user"))):
            got = told("add", *words)
            case("add_" + name, isinstance(got, str) and word in got and not os.path.exists("s2") and names() == ["web", "disk1"], got)
        load = subprocess.Popen([RINGSIDE, "bench", "--rw=randwrite", "--depth=8", "--runtime=60", "vhost-user:s0"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)
        until(lambda: told("stats", "web")[0]["queues"][0]["requests"] > 1000 or load.poll() is not None)
        got = told("remove", "web")
        case("remove_drains_and_sends_away", got is True and "went away" in load.communicate(timeout=DEADLINE)[1] and not os.path.exists("s0"), got)
        case("and_the_others_stay", names() == ["disk1"], names())
        case("removed_is_gone", "nothing here is called web" in told("remove", "web"), told("list"))
        got = run("bench", "--rw=randread", "--ios=10", "file=a.raw")
        got = told("add", "--vhost-user", "s0", "--disk", "file=a.raw", "--name", "web")
        case("and_may_come_back", isinstance(got, dict), got)
        got = run("bench", "--rw=randread", "--ios=100", "vhost-user:s0")
        case("and_works", not got.returncode and "100 requests" in got.stdout, got)
        case("the_last_one_goes", told("remove", "web") is True and told("remove", "disk1") is True and told("list") == [], told("list"))
        for i in range(12):
            told("add", "--vhost-user", f"m{i}", "--disk", "memory:1M")
        # Perhaps with that of a client that is just leaving.
        before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        for i in range(0, 12, 2):
            told("remove", f"disk{i}")
        for i in range(0, 12, 2):
            told("add", "--vhost-user", f"m{i}", "--disk", "memory:1M", "--name", f"disk{i}")
        case("come_and_go_leave_nothing", until(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) <= before) and len(names()) == 12, server.text())


def slow_adds():
    """An NBD server that takes the connection and says nothing: nobody else waits."""
    mutes = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    with Server("--control", "control", "--vhost-user", "s0", "--disk", "null:1M") as server:
        waiting = []
        for i, mute in enumerate(mutes):
            mute.bind(f"mute{i}")
            mute.listen(8)
            mute.settimeout(DEADLINE)
            waiting.append(subprocess.Popen([RINGSIDE, "ctl", "control", "add", "--vhost-user", "s1", "--disk", f"nbd+unix:///?socket=mute{i}",
                                             *(("--name", "slow") if i else ())], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        until(lambda: all(process.poll() is not None for process in waiting) or len(select.select(mutes, [], [], 0)[0]) == 2)
        peers = [mute.accept() for mute in select.select(mutes, [], [], 0)[0]]
        if not peers:
            texts = [process.communicate(timeout=DEADLINE)[1] for process in waiting]
            case("slow_adds # SKIP built without libnbd", any("libnbd" in text for text in texts), texts)
            return
        case("others_are_answered", names() == ["disk0"], names())
        got = told("add", "--vhost-user", "s2", "--disk", "null:1M")
        case("others_are_added", isinstance(got, dict) and got["name"] not in ("disk0", "disk1", "slow"), got)
        got = told("add", "--vhost-user", "s3", "--disk", "null:1M", "--name", "slow")
        case("a_name_that_is_coming_is_taken", isinstance(got, str) and "being added is called slow" in got, got)
        case("stop_waits_for_nobody", server.stop() == 0, server.text())
        case("who_waits_is_told", all(process.wait(DEADLINE) == 1 for process in waiting))
        for held in [peer for peer, _ in peers] + mutes:
            held.close()


def sizes():
    image("a.raw", 8 << 20)
    with Server("--vhost-user", "s0", "--disk", "file=a.raw,throttle.iops=1000000", "--vhost-user", "s1", "--disk", "memory:1M", "--vhost-user", "s2", "--disk",
                f"file={image('r.raw', 1 << 20)},readonly=on", "--vhost-user", "s3", "--disk", f"file={image('l.raw', 1 << 20)},record=log", "--control", "control"):
        case("grows", told("resize", "disk0", "16M") == {"name": "disk0", "size": 16 << 20} and os.stat("a.raw").st_size == 16 << 20, told("list"))
        refused("shrinks_when_told_twice", "say --shrink, too", "resize", "disk0", "4M")
        case("shrinks", told("resize", "disk0", "4M", "--shrink") == {"name": "disk0", "size": 4 << 20}, told("list"))
        for name, word, words in (("whole_blocks", "whole blocks", ("disk0", "5000001")), ("no_size", "is no size", ("disk0", "big")), ("nothing", "whole blocks", ("disk0", "0", "--shrink")),
                                  ("memory_has_no_length", "no file of its own", ("disk1", "2M")), ("read_only", "read-only", ("disk2", "2M")),
                                  ("a_log_knows_the_size", "because of its record", ("disk3", "2M"))):
            refused("resize_" + name, word, "resize", *words)
        case("nothing_changed", [row["size"] for row in told("list")] == [4 << 20] + [1 << 20] * 3, told("list"))


def events():
    with Server("--control", "control", "--control-readonly", "reads"):
        listener = subprocess.Popen([RINGSIDE, "ctl", "reads", "events", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        people = subprocess.Popen([RINGSIDE, "ctl", "control", "events"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # They are subscribed when the first event comes through.
        lines, i = [], 0
        for process in (listener, people):
            os.set_blocking(process.stdout.fileno(), False)
        said = {listener: "", people: ""}

        def heard():
            for process in said:
                said[process] += (process.stdout.read() or b"").decode()
            return all(said.values())
        while not heard() and i < 200:
            told("add", "--vhost-user", f"s{i}", "--disk", "null:1M", "--name", f"d{i}")
            i += 1
        told("set", "d0", "throttle.iops=5")
        told("remove", "d0")
        until(lambda: heard() and all("removed" in text for text in said.values()))
        lines = [json.loads(line) for line in said[listener].splitlines()]
        case("events_for_scripts", lines[0]["event"] == "added" and lines[-1] == {"event": "removed", "name": "d0"}, said)
        case("events_for_people", said[people].splitlines()[-1] == "removed name=d0", said)
        listener.send_signal(signal.SIGINT)
        listener.communicate(timeout=DEADLINE)
        told("stop")
        case("events_end_with_the_program", people.wait(DEADLINE) == 1 and b"has gone" in people.stderr.read())


def protocol():
    with Server("--vhost-user", "s0", "--disk", "null:1M", "--control", "control"):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(DEADLINE)
            peer.connect("control")
            lines = [{"jsonrpc": "2.0", "method": "list", "id": 1}, {"jsonrpc": "2.0", "method": "show", "params": ["disk0"], "id": "b"},
                     {"jsonrpc": "2.0", "method": "show", "params": {"name": "disk0", "more": 1}, "id": 3}, {"jsonrpc": "2.0", "method": "list"},
                     {"jsonrpc": "2.0", "method": "remove", "params": ["disk0"], "id": 4}, {"jsonrpc": "2.0", "method": "list", "id": 5}]
            peer.sendall("".join(json.dumps(line) + "\n" for line in lines).encode())
            with peer.makefile("rb") as answers:
                got = [json.loads(answers.readline()) for _ in range(5)]
        case("json_rpc", [answer["id"] for answer in got] == [1, "b", 3, 4, 5] and got[2]["error"]["code"] == -32602 and got[4]["result"] == [], got)


main(command_lines, for_people, sockets, add_and_remove, slow_adds, sizes, events, protocol)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside serve` as a person or a script meets it: command lines, images, sockets, signals.  TAP on standard output."""

import fcntl
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

RINGSIDE = os.environ["RINGSIDE"]
NO_URING = os.environ["NO_URING"]
DEADLINE = 20

results = []
home = tempfile.mkdtemp(prefix="ringside-cli-")
os.chdir(home)


def case(name, ok, evidence=""):
    results.append(bool(ok))
    print(f"{'ok' if ok else 'not ok'} {len(results)} - {name}")
    if not ok:
        for line in str(evidence).splitlines():
            print("# " + line)
    sys.stdout.flush()


def run(*args, **kwargs):
    return subprocess.run([RINGSIDE, *args], capture_output=True, text=True, timeout=DEADLINE, check=False, **kwargs)


def refused(name, status, words, *args, sentences=1, **kwargs):
    """Ends with the status; its first line has the words; no socket is left behind."""
    got = run(*args, **kwargs)
    lines = got.stderr.splitlines()
    ok = got.returncode == status and len(lines) == sentences and not got.stdout
    ok = ok and all(word in lines[0] for word in words) and lines[0].startswith("ringside: ")
    ok = ok and (status != 2 or "--help" in lines[-1])
    case(name, ok and not os.path.exists("s.sock"), f"{args}: status {got.returncode}\n{got.stderr}{got.stdout}")


class Server:
    """A running `ringside serve`; ready when its socket answers."""

    def __init__(self, *args, wait="s.sock", wrapper=(), **kwargs):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([*wrapper, RINGSIDE, "serve", *args], stderr=self.log, **kwargs)
        end = time.monotonic() + DEADLINE
        while wait and self.process.poll() is None and time.monotonic() < end:
            if answers(wait):
                return
            time.sleep(0.02)

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
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


def features(sock):
    """GET_FEATURES: is there a vhost-user back end at the other end?"""
    sock.settimeout(DEADLINE)
    sock.sendall(bytes([1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]))
    reply = b""
    while len(reply) < 20:
        more = sock.recv(20 - len(reply))
        if not more:
            return 0
        reply += more
    return int.from_bytes(reply[12:], "little")


def answers(path):
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            return features(sock) != 0
    except OSError:
        return False


def image(name, size):
    with open(name, "wb") as f:
        f.truncate(size)
    return name


def command_lines():
    serve = ("serve", "--vhost-user", "s.sock", "--disk")
    refused("no_command", 2, ["missing"], sentences=2)
    refused("unknown_command", 2, ["'frob'"], "frob", sentences=2)
    refused("no_disk", 2, ["--disk"], "serve", "--vhost-user", "s.sock", sentences=2)
    refused("no_socket", 2, ["--vhost-user"], "serve", "--disk", "a.raw", sentences=2)
    refused("more_sockets_than_disks", 2, ["2 sockets", "1 disk"], *serve, "a.raw", "--vhost-user", "t.sock",
            sentences=2)
    refused("unknown_option", 2, ["--frob"], "serve", "--frob", sentences=2)
    refused("option_without_value", 2, ["--disk"], "serve", "--disk", sentences=2)
    refused("stray_word", 2, ["a.raw", "--disk"], "serve", "a.raw", sentences=2)
    refused("unknown_disk_word", 2, ['"frob"', "readonly"], *serve, "file=a.raw,frob=1", sentences=2)
    refused("foreign_disk_word", 2, ["null: has no option \"cache\", which is for an image file; it has readonly"], *serve,
            "null:1G,cache=none", sentences=2)
    refused("bad_disk_value", 2, ["readonly"], *serve, "file=a.raw,readonly=maybe", sentences=2)
    refused("bad_poll", 2, ["--poll-us"], "serve", "--poll-us", "-1", sentences=2)
    refused("bad_workers", 2, ["--workers"], "serve", "--workers", "0", sentences=2)
    refused("bad_mode", 2, ["octal"], "serve", "--socket-mode", "rw", sentences=2)
    refused("closed_fd", 1, ["--fd 77"], "serve", "--fd", "77", "--disk", "a.raw")
    for args in (["--help"], ["serve", "--help"], ["--version"]):
        got = run(*args)
        case("_".join(args).replace("-", "") + "_works", got.returncode == 0 and got.stdout and not got.stderr, got)
    got = run("serve", "--print-capabilities")
    case("print_capabilities", json.loads(got.stdout)["type"] == "block" and got.returncode == 0, got)
    with open("/dev/full", "w", encoding="ascii") as full:
        got = subprocess.run([RINGSIDE, "serve", "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
        case("help_on_a_full_disk_fails", got.returncode == 1, got)


def images():
    serve = ("serve", "--vhost-user", "s.sock", "--disk")
    os.mkdir("folder")
    refused("h_01_missing_image", 1, ["none.raw"], *serve, "none.raw")
    refused("h_01_folder_as_image", 1, ["folder", "directory"], *serve, "folder")
    refused("h_01_empty_image", 1, ["empty.raw"], *serve, image("empty.raw", 0))
    refused("h_01_odd_size", 1, ["odd.raw", "512"], *serve, image("odd.raw", 1000))
    refused("h_01_bad_serial", 2, ["serial"], *serve, "file=a.raw,serial=123456789012345678901", sentences=2)
    refused("bad_blk_size", 1, ["blk-size=4096"], *serve, "file=" + image("sectors.raw", 4096 + 512) + ",blk-size=4096")
    # What the words say alone is said before anything is looked at.
    for name, word, words in (("blocks", "physical-block-size", "none.raw,blk-size=4096,physical-block-size=512"),
                              ("a_key_for_nothing", "has no key", "none.raw,key-file=none"), ("no_key", "is encrypted", "none.raw,format=luks")):
        refused("words_that_contradict_" + name, 2, [word], *serve, "file=" + words, sentences=2)
    refused("one_image_as_two_disks", 1, ["twice.raw is in use by disk0"], "serve", "--quiet", *serve[1:], image("twice.raw", 1 << 20), "--vhost-user", "t.sock",
            "--disk", "twice.raw")
    readers = ("--vhost-user", "s.sock", "--disk", "twice.raw", "--vhost-user", "t.sock", "--disk", "twice.raw")
    server = Server("--read-only", *readers, wait="t.sock")
    case("readers_share_an_image", answers("s.sock") and answers("t.sock"), server.text())
    server.stop()
    server = Server("--vhost-user", "first.sock", "--disk", image("locked.raw", 1 << 20), wait="first.sock")
    refused("h_01_image_in_use", 1, ["locked.raw"], *serve, "locked.raw")
    case("locked_image_is_still_served", answers("first.sock"))
    case("first_server_ends", server.stop() == 0, server.text())


def sockets():
    disk = ("--disk", image("disk.raw", 1 << 20))
    refused("h_05_path_too_long", 1, ["long"], "serve", "--vhost-user", "x" * 200, *disk)
    refused("h_05_no_such_folder", 1, ["nowhere"], "serve", "--vhost-user", "nowhere/s.sock", *disk)
    refused("h_05_a_file_is_in_the_way", 1, ["sectors.raw"], "serve", "--vhost-user", "sectors.raw", *disk)

    server = Server("--vhost-user", "s.sock", *disk)
    got = run("serve", "--vhost-user", "s.sock", "--disk", "memory:1M")
    case("h_05_live_server_is_not_displaced", got.returncode == 1 and "s.sock" in got.stderr and answers("s.sock"), got)
    server.process.kill()
    server.process.wait()
    case("killed_server_leaves_its_socket", os.path.exists("s.sock"))
    server = Server("--vhost-user", "s.sock", *disk)
    case("h_05_stale_socket_is_replaced", answers("s.sock"), server.text())
    case("stops_and_removes_it", server.stop() == 0 and not os.path.exists("s.sock"), server.text())

    server = Server("--socket-mode", "0640", "--vhost-user", "s.sock", *disk)
    case("socket_mode", os.stat("s.sock").st_mode & 0o777 == 0o640)
    server.stop()

    server = Server("--vhost-user", "s.sock", *disk, "--vhost-user", "t.sock", "--disk", "null:1G", wait="t.sock")
    case("two_disks_two_sockets", answers("s.sock") and answers("t.sock"), server.text())
    case("both_sockets_go", server.stop() == 0 and not os.path.exists("s.sock") and not os.path.exists("t.sock"))

    many = [word for i in range(300) for word in ("--vhost-user", f"m{i}.sock", "--disk", "null:1M")]
    server = Server(*many, wait="m299.sock")
    case("three_hundred_disks", all(answers(f"m{i}.sock") for i in (0, 150, 256, 299)), server.text())
    case("all_sockets_go", server.stop() == 0 and not [name for name in os.listdir(".") if name.startswith("m")])

    image("a,b.raw", 1 << 20)
    server = Server("--socket-path", "s.sock", "--blk-file", "a,b.raw", "--read-only")
    case("back_end_program_conventions", answers("s.sock"), server.text())
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("s.sock")
        case("read_only_is_offered", features(sock) & 1 << 5)
    server.stop()

    # A folder the server may not write to; root may write anywhere.
    if os.geteuid() != 0:
        os.mkdir("closed", 0o500)
        refused("h_05_folder_without_permission", 1, ["closed"], "serve", "--vhost-user", "closed/s.sock", *disk)


def abstract_sockets():
    """@name in each place that takes a socket: no file comes into being."""
    name, ctl = f"@serve-test-{os.getpid()}", f"@serve-test-ctl-{os.getpid()}"
    server = Server("--vhost-user", name, "--disk", "memory:1M", "--control", ctl, wait=None)
    end = time.monotonic() + DEADLINE
    while run("tree", "--of", ctl).returncode and time.monotonic() < end and server.process.poll() is None:
        time.sleep(0.02)
    case("abstract_socket_answers", answers("\0" + name[1:]), server.text())
    text = run("tree", "--of", ctl).stdout
    case("abstract_control_socket_answers", f"socket {name}" in text, text)
    got = run("bench", "--quiet", "--ios=10", "--rw=randread", f"vhost-user:{name}")
    case("abstract_socket_for_the_driver", got.returncode == 0, got.stderr)
    got = run("conform", "--only=B-08.*", f"vhost-user:{name}")
    case("abstract_socket_for_conform", "cannot connect" not in got.stderr and got.returncode in (0, 1), got.stderr + got.stdout)
    case("abstract_sockets_have_no_files", not [f for f in os.listdir(".") if f.startswith("@")] and server.stop() == 0, server.text())
    refused("abstract_socket_without_a_name", 1, ["@NAME"], "serve", "--quiet", "--vhost-user", "@", "--disk", "memory:1M")
    refused("abstract_socket_has_no_mode", 1, ["0660"], "serve", "--quiet", "--socket-mode", "0660", "--vhost-user", name, "--disk",
            "memory:1M")


def inherited_sockets():
    disk = ("--disk", "memory:1M")
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    server = Server("--fd", str(theirs.fileno()), *disk, wait=None, pass_fds=[theirs.fileno()])
    theirs.close()
    case("fd_connected", features(ours), server.text())
    ours.close()
    case("fd_connected_ends_with_its_front_end", server.status() == 0, server.text())

    listening = socket.socket(socket.AF_UNIX)
    listening.bind("l.sock")
    listening.listen()
    server = Server("--fd", str(listening.fileno()), *disk, wait="l.sock", pass_fds=[listening.fileno()])
    case("fd_listening", answers("l.sock") and answers("l.sock"), server.text())
    case("fd_listening_ends", server.stop() == 0, server.text())

    def activate():
        os.dup2(listening.fileno(), 3)
        fcntl.fcntl(3, fcntl.F_SETFD, 0)
        os.environ["LISTEN_PID"] = str(os.getpid())

    # LISTEN_PID is the pid of the process that execs: a shell sets it, as the service manager does between fork and exec.
    server = Server(*disk, wait="l.sock", close_fds=False, preexec_fn=activate,
                    wrapper=["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh"])
    case("socket_activation", answers("l.sock"), server.text())
    server.stop()
    case("activated_socket_stays", os.path.exists("l.sock"))
    listening.close()


STRANGE_TREES = {
    "of_nothing": {},
    "without_a_name": {"properties": {}},
    "with_a_number_for_a_name": {"name": 1},
    "with_a_number_for_a_property": {"name": "a", "properties": {"b": 1}},
    "with_a_text_for_properties": {"name": "a", "properties": "b"},
    "with_a_child_that_is_none": {"name": "a", "children": [{"name": "b"}, 1]},
}


def strange_tree(answer):
    """What `ringside tree` makes of that."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("strange")
        listener.listen(1)

        def give():
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                peer.sendall((json.dumps({"jsonrpc": "2.0", "result": answer, "id": 1}) + "\n").encode())
        giver = threading.Thread(target=give)
        giver.start()
        got = run("tree", "--of", "strange")
        giver.join()
    os.unlink("strange")
    return got


def control():
    image("tree.raw", 1 << 20)
    server = Server("--vhost-user", "s.sock", "--disk", "file=tree.raw,queues=2", "--control", "control")
    end = time.monotonic() + DEADLINE
    while True:  # the one who looked whether the server answers may not have been seen off yet
        idle = json.loads(run("tree", "--of", "control", "--format", "json").stdout)["children"]
        if idle[0]["properties"]["front-end"] == "no front end" or time.monotonic() > end:
            break
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("s.sock")
        features(sock)
        busy = run("tree", "--of", "control").stdout
    case("tree_of_a_server", len(idle) == 1 and idle[0]["properties"] == {"socket": "s.sock", "front-end": "no front end"} and
         idle[0]["children"][0]["children"][0]["properties"]["queues"] == "2", idle)
    case("tree_of_a_server_with_a_front_end", "front-end serving, protocol-features" in busy, busy)
    got = run("tree", "--of", "s.sock")
    case("tree_of_a_disk_socket", got.returncode == 1 and "s.sock is no control socket" in got.stderr and "--control" in got.stderr and
         len(got.stderr.splitlines()) == 1, got.stderr)
    case("and_the_disk_is_still_served", answers("s.sock"))
    for name, answer in STRANGE_TREES.items():
        got = strange_tree(answer)
        case("tree_" + name, got.returncode == 1 and "strange answers with something that is no tree" in got.stderr, f"{got.returncode} {got.stderr}")
    got = strange_tree({"name": "a\x1b[31m\nb", "properties": {"k\r": "v\x7f"}})
    case("tree_with_orders_to_the_terminal", got.returncode == 0 and got.stdout == "a?[31m?b  (k? v?)\n", got.stdout)
    case("control_goes_with_the_server", server.stop() == 0 and not os.path.exists("control"), server.text())
    refused("control_nowhere", 1, ["nowhere/control"], "serve", "--vhost-user", "s.sock", "--disk", "file=tree.raw",
            "--control", "nowhere/control")


def signals():
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        server = Server("--vhost-user", "s.sock", "--disk", "memory:1M")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect("s.sock")
            features(sock)
            case(f"h_06_{sig.name.lower()}_ends_cleanly", server.stop(sig) == 0 and not os.path.exists("s.sock"),
                 server.text())
    server = Server("--vhost-user", "s.sock", "--disk", "memory:1M")
    server.process.send_signal(signal.SIGPIPE)
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    server.process.send_signal(signal.SIGCONT)
    case("h_06_h_07_sigpipe_stop_and_continue", answers("s.sock"), server.text())
    server.stop()


def opening():
    """A server that takes the connection and says nothing: the disk behind it is being opened for seconds."""
    for name, sig in (("others", None), ("sigint", signal.SIGINT), ("sigterm", signal.SIGTERM)):
        disks = ("--vhost-user", "s.sock", "--disk", f"nbd+unix:///?socket={name}.mute", "--vhost-user", "t.sock", "--disk")
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(f"{name}.mute")
            mute.listen(16)
            mute.settimeout(DEADLINE)
            if not sig:
                refused("a_mute_server_delays_no_others_sentence", 1, ["none.raw"], "serve", *disks, "none.raw")
                continue
            server = Server("--quiet", *disks, image("opened.raw", 1 << 20), wait=None)
            caller = mute.accept()[0]
            case(f"{name}_while_a_disk_is_opened_ends_it", server.stop(sig) == 0 and not server.text(), server.text())
            caller.close()


def resource_limit(pid):
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]


def poor_hosts():
    server = Server("--vhost-user", "s.sock", "--disk", image("f.raw", 1 << 20), wrapper=[NO_URING])
    case("h_04_io_uring_forbidden", answers("s.sock") and "without io_uring" in server.text(), server.text())
    case("h_04_and_ends", server.stop() == 0, server.text())
    got = subprocess.run(["sh", "-c", f"ulimit -n 7; exec {RINGSIDE} serve --vhost-user s.sock --disk f.raw"],
                         capture_output=True, text=True, timeout=DEADLINE, check=False)
    case("h_04_out_of_fds", got.returncode == 1 and not os.path.exists("s.sock") and "too many open files: the limit is 7" in got.stderr,
         got)
    server = Server("--vhost-user", "s.sock", "--disk", "null:1M,queues=128", wrapper=["sh", "-c", 'ulimit -n 200; exec "$@"', "sh"])
    case("too_few_files_for_the_queues_are_told_at_the_start",
         answers("s.sock") and "128 queues in all) need" in server.text() and "the limit is 200" in server.text(), server.text())
    server.stop()
    server = Server("--vhost-user", "s.sock", "--disk", "null:1M,queues=128", wrapper=["sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh"])
    case("the_soft_limit_of_files_is_raised", answers("s.sock") and "need" not in server.text()
         and resource_limit(server.process.pid) > 64, server.text())
    server.stop()
    # Nothing of ours becomes standard input, output or error.
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        server = Server("--vhost-user", "s.sock", "--disk", "null:1M", wrapper=["sh", "-c", f'exec "$@" {closed}', "sh"])
        alive = answers("s.sock")
        ends = [os.readlink(f"/proc/{server.process.pid}/fd/{fd}") for fd in range(3)]
        numbers = {"<&-": [0], ">&-": [1], "2>&-": [2]}.get(closed, [0, 1, 2])
        case("closed_descriptors_" + "_".join(map(str, numbers)), alive and all(ends[fd] == "/dev/null" for fd in numbers), ends)
        server.stop()
    # An idle server sleeps: hardly any CPU time in half a second.
    server = Server("--vhost-user", "s.sock", "--disk", "memory:1M")
    ticks = [sum(map(int, open(f"/proc/{server.process.pid}/stat", encoding="ascii").read().split()[13:15]))]
    select.select([], [], [], 0.5)
    ticks.append(sum(map(int, open(f"/proc/{server.process.pid}/stat", encoding="ascii").read().split()[13:15])))
    case("idle_server_sleeps", ticks[1] - ticks[0] <= 10, ticks)
    server.stop()


try:
    for part in (command_lines, images, sockets, abstract_sockets, inherited_sockets, control, signals, opening, poor_hosts):
        part()
finally:
    os.chdir("/")
    shutil.rmtree(home, ignore_errors=True)
print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)

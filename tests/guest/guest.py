# SPDX-License-Identifier: MIT
"""Real guests against a real server: what every test in this folder is made of.

A Scene is one test program.  It makes disks in a folder of its own, serves them with the server under test, boots a stock
Linux in QEMU with those disks, runs a shell script inside, and prints each case as a line of TAP.  A script's cases are its
lines "check NAME ..."; one that the guest never came to counts as failed.  Everything has a deadline, the scene ends only
processes that it started, and the logs are shown, and kept in $GUEST_LOGS, when something failed.

Environment:
    RINGSIDE        the program under test
    TRANSPORT       "vhost-user" (the default) or "vfio-user", for which QEMU 10.1 or a newer one is needed
    QEMU            the emulator (qemu-system-x86_64)
    SERVER          "ringside" (the default) or "qemu-storage-daemon": the same tests against somebody else's server
    SERVER_WRAPPER  words put before the server's command line, for instance "valgrind -q"
    GUEST_KERNEL    folder made by tools/guest-kernel (default: run it)
    GUEST_LOGS      where the logs of a failed test are kept
    GUEST_TIMEOUT   seconds that one boot may take (default 240), without those in which QEMU waited for a processor
"""

import contextlib
import ctypes
import glob
import hashlib
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
MIB = 1 << 20
PEER = os.environ.get("SERVER", "ringside") != "ringside"
VFIO_USER = os.environ.get("TRANSPORT") == "vfio-user"
QEMU = os.environ.get("QEMU", "qemu-system-x86_64")
BOOT_TIMEOUT = float(os.environ.get("GUEST_TIMEOUT", "240"))
START_TIMEOUT = 30
STOP_TIMEOUT = 60
SILENCE = 90
RETRIES = 2  # of a boot that failed by a fault of the emulator
SANITIZER = re.compile(r"(ERROR|WARNING): \w+Sanitizer|runtime error:|Assertion .* failed")

_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """The scene cannot go on; what was not reached counts as failed."""


class EmulatorCrash(Failure):
    """QEMU 7.2's emulation dies now and then of its own faults, or stands still."""


class Clock:
    """Seconds since now as an emulator has them: those in which it waited for a processor, because this machine is busy, do not count."""

    def __init__(self, pid):
        self.pid, self.began, self.lost = pid, time.monotonic(), 0.0

    def now(self):
        for path in glob.glob(f"/proc/{self.pid}/task/*/schedstat"):
            with contextlib.suppress(OSError, IndexError), open(path, encoding="ascii") as stat:
                self.lost = max(self.lost, int(stat.read().split()[1]) / 1e9)
        return time.monotonic() - self.began - self.lost


def _child_setup():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nothing outlives a test program that is killed


def spawn(command, **options):
    return subprocess.Popen(command, preexec_fn=_child_setup, **options)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def host_tool(*command):
    """Runs a program of this machine; returns (its status, what it said)."""
    env = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", timeout=120, env=env, check=False)
    return done.returncode, done.stdout


def clients(control):
    """What `ringside tree` says of the client of each socket."""
    status, text = host_tool(os.environ["RINGSIDE"], "tree", "--format=json", "--of", control)
    if status:
        return text

    def walk(node):
        properties = node.get("properties", {})
        if "client" in properties:
            yield properties["client"]
        for child in node.get("children", []):
            yield from walk(child)

    return list(walk(json.loads(text)))


class Disk:
    """An image, how the server presents it, and how QEMU plugs it in."""

    def __init__(self, folder, name, size=64 * MIB, **how):
        self.name = name
        self.path = os.path.join(folder, name + ".img")
        self.size = size
        self.socket = os.path.join(folder, name + ".sock")
        self.queues = how.pop("queues", 1)
        self.packed = how.pop("packed", False)
        self.event_idx = how.pop("event_idx", True)
        self.readonly = how.pop("readonly", False)
        self.serial = how.pop("serial", None)
        self.reconnect = how.pop("reconnect", False)
        self.board = how.pop("board", "")  # words of the board: QEMU's device has them, or the server
        self.options = how  # further words of --disk
        self.empty()

    def empty(self):
        with open(self.path, "wb") as file:
            file.truncate(self.size)

    def blocks(self):
        """Bytes that the image really takes on the host."""
        return os.stat(self.path).st_blocks * 512

    def read(self, offset, length):
        with open(self.path, "rb") as file:
            file.seek(offset)
            return file.read(length)

    def write(self, offset, data):
        """Before anybody serves it, or while the guest has not looked at that place yet."""
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def ringside_args(self):
        words = [f"file={self.path}", f"queues={self.queues}"]
        if self.packed or VFIO_USER:
            words.append(f"packed={'on' if self.packed else 'off'}")
        if VFIO_USER:  # nobody between the guest and the board keeps features back
            words.append(f"event-idx={'on' if self.event_idx else 'off'}")
        if self.readonly:
            words.append("readonly=on")
        if self.serial:
            words.append(f"serial={self.serial}")
        words += [f"{key}={value}" for key, value in self.options.items()]
        if VFIO_USER and self.board:
            words.append(self.board)
        return ["--vfio-user" if VFIO_USER else "--vhost-user", self.socket, "--disk", ",".join(words)]

    def peer_args(self):
        writable = "off" if self.readonly else "on"
        return ["--blockdev", f"driver=file,node-name={self.name},filename={self.path},discard=unmap,"
                f"read-only={'on' if self.readonly else 'off'}",
                "--export", f"type=vhost-user-blk,id=export-{self.name},node-name={self.name},addr.type=unix,"
                f"addr.path={self.socket},writable={writable},num-queues={self.queues}"]

    def vfio_user_device(self):
        """The arguments of QEMU's device_add."""
        return {"driver": "vfio-user-pci", "id": "device-" + self.name, "socket": {"type": "unix", "path": self.socket}}

    def qemu_args(self, more=""):
        if VFIO_USER:
            device = self.vfio_user_device()
            for word in filter(None, more.split(",")):
                key, value = word.split("=")
                device[key] = int(value) if value.isdigit() else value
            return ["-device", json.dumps(device)]
        more = ",".join(filter(None, [self.board, more]))
        reconnect = ",reconnect=1" if self.reconnect else ""
        return ["-chardev", f"socket,id={self.name},path={self.socket}{reconnect}",
                "-device", f"vhost-user-blk-pci,chardev={self.name},num-queues={self.queues},"
                f"packed={'on' if self.packed else 'off'},event_idx={'on' if self.event_idx else 'off'}{',' + more if more else ''}"]


class Card(Disk):
    """A network card over vfio-user; spec holds the words of --net."""

    def __init__(self, folder, name, spec):
        super().__init__(folder, name, size=0)
        self.spec = spec

    def ringside_args(self):
        return ["--vfio-user", self.socket, "--net", self.spec]


class EmulatedDisk(Disk):
    """A disk of QEMU's own: no server of ours; device holds further words for QEMU's virtio-blk-pci."""

    def __init__(self, folder, name, device="", **how):
        super().__init__(folder, name, **how)
        self.device = device

    def qemu_args(self, more=""):
        words = [f"num-queues={self.queues}", f"packed={'on' if self.packed else 'off'}",
                 f"event_idx={'on' if self.event_idx else 'off'}", self.device, more]
        if self.serial:
            words.append(f"serial={self.serial}")
        return ["-blockdev", f"driver=file,node-name={self.name}-file,filename={self.path},discard=unmap",
                "-blockdev", f"driver=raw,node-name={self.name},file={self.name}-file,discard=unmap",
                "-device", f"virtio-blk-pci,drive={self.name},id=device-{self.name}," + ",".join(filter(None, words))]


def listening(path):
    """Whether somebody accepts at the socket; without connecting, which would be a visit to the server."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if len(words) > 7 and words[7] == path and int(words[3], 16) & 0x10000:
                return True
    return False


class Server:
    """The server under test, one process for all its disks."""

    def __init__(self, scene, disks, more=()):
        self.scene = scene
        self.disks = disks
        self.more = list(more)  # further words of its command line
        self.process = None
        self.stopped = True

    def command(self):
        wrapper = shlex.split(os.environ.get("SERVER_WRAPPER", ""))
        if PEER:
            return wrapper + [os.environ["SERVER"]] + [word for disk in self.disks for word in disk.peer_args()]
        if not os.environ.get("RINGSIDE"):
            raise Failure("RINGSIDE does not name the program under test")
        return wrapper + [os.environ["RINGSIDE"], "serve"] + self.more + [word for disk in self.disks
                                                                          for word in disk.ringside_args()]

    def start(self):
        command = self.command()
        with open(self.scene.server_log, "ab") as log:
            log.write(("$ " + shlex.join(command) + "\n").encode())
            log.flush()
            try:
                self.process = spawn(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            except OSError as error:
                raise Failure(f"cannot start the server: {error}") from error
        self.stopped = False
        deadline = time.monotonic() + START_TIMEOUT
        while not all(listening(disk.socket) for disk in self.disks):
            if self.process.poll() is not None:
                raise Failure(f"the server ended at once with status {self.process.returncode}")
            if time.monotonic() > deadline:
                raise Failure(f"the server did not listen within {START_TIMEOUT} seconds")
            time.sleep(0.02)

    def must_run(self):
        if not self.stopped and self.process.poll() is not None:
            raise Failure(f"the server ended with status {self.process.returncode} while the guest was running")

    def stop(self):
        """Asks it to end by SIGTERM; returns its exit status (negative: the signal that ended it)."""
        self.stopped = True
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if PEER:  # it leaves its sockets behind
            for disk in self.disks:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(disk.socket)
        return self.process.returncode

    def kill(self):
        """Ends it on the spot, by SIGKILL."""
        self.stopped = True
        self.process.kill()
        self.process.wait()


class Scene:
    """One test program: with Scene("name") as scene: ..."""

    # What a guest does first: its processors but one start here.  QEMU 7.2's emulation of several processors has two races that a
    # starting kernel runs into.  It died in memory_region_dispatch_write(), which was given no memory region: one processor wrote to a
    # device while another one changed the memory map, as a kernel does that sets up its PCI devices.  And it stood still, see nested.py.
    opening = "start_processors\n"

    def __init__(self, name, memory=512, cpu="max", more=(), append="", machine="pc"):
        self.name = name
        self.machine = machine  # QEMU's -M
        self.more = list(more)  # further words of QEMU's command line
        self.append = append  # and of the kernel's
        self.memory = memory  # MiB of the guest
        self.cpu = cpu
        self.folder = None
        self.cases = 0
        self.failed = 0
        self.expected = []
        self.servers = []
        self.guest = None
        self.boots = 0
        self.told = {}
        self.good = set()  # the guest's cases in this boot
        self.kept = set()  # and those before the emulator ended it

    # -- TAP ----------------------------------------------------------------------------------------------------------

    def case(self, name, good, detail=""):
        self.cases += 1
        self.failed += not good
        if name in self.expected:
            self.expected.remove(name)
        self.note(detail if not good else "")
        print(f"{'ok' if good else 'not ok'} {self.cases} - {name}", flush=True)
        return good

    def skip(self, name, reason):
        self.cases += 1
        if name in self.expected:
            self.expected.remove(name)
        print(f"ok {self.cases} - {name} # SKIP {reason}", flush=True)

    def note(self, text):
        for line in str(text).splitlines():
            print("# " + line, flush=True)

    def fail(self, text):
        """Ends the scene: what was not reached counts as failed."""
        raise Failure(text)

    def expect(self, *names):
        """Names cases that will come; those that never come count as failed."""
        self.expected += names

    # -- life ---------------------------------------------------------------------------------------------------------

    def __enter__(self):
        # Short, since a socket's path may have 107 bytes only.
        self.folder = tempfile.mkdtemp(prefix="ringside-guest-", dir="/tmp")
        self.server_log = self.path("server.log")
        open(self.server_log, "wb").close()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        print("TAP version 13", flush=True)
        return self

    def __exit__(self, kind, value, trace):
        if kind is Failure:
            self.note(value)
        elif kind not in (None, SystemExit):
            import traceback
            self.note("".join(traceback.format_exception(kind, value, trace)))
        self.end_qemu()
        for server in self.servers:
            if server.process:
                server.stop()
        for name in list(self.expected):
            self.case(name, False, "the test did not get this far")
        log = self.text("server.log")
        self.case("server_log_is_clean", not SANITIZER.search(log), "a sanitizer or an assertion spoke up")
        if kind is not None and not self.failed:
            self.case("test_ran_to_its_end", False)
        if self.failed:
            self.show_logs()
        print(f"1..{self.cases}", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        if kind is not SystemExit:
            sys.exit(1 if self.failed else 0)

    def show_logs(self):
        kept = os.environ.get("GUEST_LOGS")
        for name in sorted(os.listdir(self.folder)):
            if not name.endswith(".log"):
                continue
            self.note(f"--- the end of {name}:")
            self.note("\n".join(self.text(name).splitlines()[-40:]))
            if kept:
                folder = os.path.join(kept, self.name)
                os.makedirs(folder, exist_ok=True)
                shutil.copy(self.path(name), folder)
        if kept:
            self.note(f"the logs are in {kept}/{self.name}")

    # -- things -------------------------------------------------------------------------------------------------------

    def path(self, name):
        return os.path.join(self.folder, name)

    def text(self, name):
        with contextlib.suppress(FileNotFoundError):
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        return ""

    def disk(self, name, **how):
        return Disk(self.folder, name, **how)

    def card(self, name, spec):
        return Card(self.folder, name, spec)

    def serve(self, *disks, more=()):
        server = Server(self, disks, more)
        self.servers.append(server)
        server.start()
        return server

    def pattern(self, name, length):
        """A file of bytes that nobody wrote before; returns (its path, the bytes)."""
        data = os.urandom(length)
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name), data

    # -- the guest ----------------------------------------------------------------------------------------------------

    def boot(self, script, disks, programs=(), files=(), answers=None, cpus=1, modules=(), seconds=None):
        """Boots a guest, runs the script in it to its end, powers off.

        answers: what the host does when the script says "ask NAME".  What the script says with "tell NAME VALUE" is in
        self.told afterwards.  Raises Failure when the guest did not come to the end of its script.
        """
        self.expect(*re.findall(r"^\s*check (\w+)", script, re.MULTILINE))
        seconds = seconds or BOOT_TIMEOUT
        self.boots += 1
        self.good, self.kept = set(), set()
        console = self.path(f"console-{self.boots}.log")
        image = self.initramfs(self.opening + script, programs, files, modules)
        words = (["-smp", str(cpus), "-kernel", os.path.join(kernel(), "vmlinuz"), "-initrd", image,
                  "-append", "console=ttyS0 loglevel=5 panic=-1 maxcpus=1 results=/dev/ttyS1 " + self.append,
                  "-serial", "file:" + console, "-serial", "stdio"] +
                 [word for disk in disks for word in disk.qemu_args()])
        try:
            for _ in range(RETRIES):
                try:
                    return self.run_guest(words, answers, seconds)
                except EmulatorCrash as crash:
                    self.note(f"{crash}; once more")
                    self.kept |= self.good
                for disk in disks:
                    if isinstance(disk, EmulatedDisk):
                        disk.empty()
            return self.run_guest(words, answers, seconds)
        finally:
            os.unlink(image)

    def run_guest(self, words, answers, seconds):
        self.start_qemu(words)
        self.spoken = False
        self.beat = None  # when a guest that says "beat" did so last
        try:
            self.follow(answers or {}, seconds)
        finally:
            self.end_qemu()

    def boot_firmware(self, disk):
        """Lets the BIOS boot from the disk; returns QEMU's exit status when the boot sector has ended the machine."""
        self.start_qemu(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"] + disk.qemu_args("bootindex=0"))
        clock = Clock(self.guest.pid)
        try:
            while clock.now() < BOOT_TIMEOUT:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return self.guest.wait(1)
            raise Failure(f"the boot sector was not done within {BOOT_TIMEOUT:.0f} seconds")
        finally:
            self.end_qemu()

    def start_qemu(self, args):
        command = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                   "-M", self.machine + ",memory-backend=mem", "-accel", "tcg", "-cpu", self.cpu, "-m", str(self.memory),
                   "-object", f"memory-backend-memfd,id=mem,size={self.memory}M,share=on",
                   "-qmp", f"unix:{self.path('monitor')},server=on,wait=off"] + self.more + args
        with open(self.path("qemu.log"), "ab") as log:
            log.write(("$ " + shlex.join(command) + "\n").encode())
            log.flush()
            self.guest = spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)

    def tell_qemu(self, command, **arguments):
        """Has QEMU carry out a command of its monitor protocol while the guest runs."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(30)
            monitor.connect(self.path("monitor"))
            lines = monitor.makefile("rw", encoding="utf-8")
            lines.readline()  # the greeting
            for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                lines.write(json.dumps(request) + "\n")
                lines.flush()
                while True:
                    answer = json.loads(lines.readline())
                    if "error" in answer:
                        raise Failure(f"QEMU refuses {command}: {answer['error'].get('desc')}")
                    if "return" in answer:
                        break

    def end_qemu(self):
        if self.guest:
            self.guest.kill()
            self.guest.wait()
            self.guest = None

    def initramfs(self, script, programs, files, modules=(), name="initramfs", of=None):
        """of: the kernel's folder, if it is another one than the scene's own."""
        with open(os.path.join(HERE, "prelude.sh"), encoding="utf-8") as file:
            prelude = file.read()
        with open(self.path("script.sh"), "w", encoding="utf-8") as file:
            file.write(prelude + script)
        image = self.path(name)
        command = [os.path.join(TOP, "tools", "guest-initramfs"), "--kernel", of or kernel(), "--out", image,
                   "--script", self.path("script.sh")]
        for module in modules:
            command += ["--module", module]
        for program in programs:
            command += ["--program", program]
        for source, path in files:
            command += ["--file", f"{source}:{path}"]
        status, text = host_tool(*command)
        if status:
            raise Failure("cannot make the guest's initramfs: " + text)
        return image

    def follow(self, answers, seconds):
        """Reads what the guest says until it is off."""
        self.clock = Clock(self.guest.pid)
        finished = False
        buffer = b""
        out = self.guest.stdout.fileno()
        while True:
            left = seconds - self.clock.now()
            if left <= 0:
                raise Failure(f"the guest was not done within {seconds:.0f} seconds")
            if self.beat is not None and self.clock.now() > self.beat + SILENCE:
                raise EmulatorCrash(f"QEMU stands still: no sign of life from the guest for {SILENCE} seconds")
            if not select.select([out], [], [], min(left, 1))[0]:
                for server in self.servers:
                    server.must_run()
                continue
            data = os.read(out, 65536)
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                finished |= self.heard(line.decode(errors="replace").strip("\r"), answers)
        status = self.guest.wait()
        # Without a server of ours there is nobody who could have brought it down by what he said.
        if status < 0 and not (self.spoken and self.servers):
            raise EmulatorCrash(f"QEMU died of signal {-status}")
        if not finished:
            raise Failure(f"the guest went away before its script ended (QEMU's exit status {status})")

    def heard(self, line, answers):
        if line == "@@ beat":
            self.beat = self.clock.now()
            return False
        with open(self.path(f"results-{self.boots}.log"), "a", encoding="utf-8") as log:
            log.write(line + "\n")
        mark, _, rest = line.partition(" ")
        verb, _, rest = rest.partition(" ")
        if mark != "@@":
            return False
        self.spoken = True
        if verb == "ok":
            self.good.add(rest)
            if rest not in self.kept:
                self.case(rest, True)
        elif verb == "not-ok":
            name, _, detail = rest.partition(" ")
            self.case(name, False, detail)
        elif verb == "tell":
            name, _, value = rest.partition(" ")
            self.told[name] = value
        elif verb == "ask":
            if rest not in answers:
                raise Failure(f"the guest asks for '{rest}', which this test does not know")
            answers[rest]()
            self.guest.stdin.write(f"done {rest}\n".encode())
            self.guest.stdin.flush()
        elif verb == "exit":
            return True
        else:
            self.note(line)
        return False


_kernel = None


def fetch_kernel(*package):
    done = subprocess.run([os.path.join(TOP, "tools", "guest-kernel"), *package], stdout=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode:
        raise Failure("there is no kernel to boot (tools/guest-kernel failed)")
    return done.stdout.strip()


def kernel():
    """The folder of the stock kernel, fetched once."""
    global _kernel
    _kernel = _kernel or os.environ.get("GUEST_KERNEL") or fetch_kernel()
    return _kernel

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`ringside pc` and `ringside tree` as a person or a script meets them.  TAP on standard output.

Guests here are a few instructions of 32-bit code (tests/guest/pvh.S); where there is no /dev/kvm for us these cases are skipped.
"""

import gzip
import json
import lzma
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time

RINGSIDE = os.environ["RINGSIDE"]
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEADLINE = 20

results = []
home = tempfile.mkdtemp(prefix="ringside-pc-")
os.chdir(home)


def say(ok, name, more=""):
    results.append(bool(ok))
    print(f"{'ok' if ok else 'not ok'} {len(results)} - {name}{more}", flush=True)


def case(name, ok, evidence=""):
    say(ok, name)
    if not ok:
        for line in str(evidence).splitlines():
            print("# " + line, flush=True)


def run(*args):
    return subprocess.run([RINGSIDE, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False)


def refused(name, status, words, *args):
    """Ends with the status, and one sentence that has the words."""
    got = run(*args)
    lines = got.stderr.splitlines()
    ok = got.returncode == status and not got.stdout and len(lines) == (2 if status == 2 else 1)
    ok = ok and all(word in lines[0] for word in words) and lines[0].startswith("ringside: ")
    case(name, ok, f"{args}: status {got.returncode}\n{got.stderr}{got.stdout}")


def command_lines():
    open("empty", "wb").close()
    with open("junk", "wb") as file:
        file.write(b"x" * 100000)
    with open("disk", "wb") as file:
        file.truncate(1 << 20)
    refused("nothing_to_boot", 2, ["--kernel FILE or --bios FILE"], "pc")
    refused("unknown_option", 2, ["--frob"], "pc", "--frob")
    refused("missing_value", 2, ["--kernel needs a value"], "pc", "--kernel")
    refused("stray_word", 2, ["'vmlinuz' stands alone"], "pc", "vmlinuz")
    refused("memory_no_size", 2, ["--memory lots"], "pc", "--memory", "lots")
    refused("memory_too_small", 2, ["--memory 1:"], "pc", "--memory", "1")
    refused("memory_not_whole", 2, ["whole MiB"], "pc", "--memory", "4097K")
    refused("cpus_none", 2, ["--cpus 0"], "pc", "--cpus", "0")
    refused("cpus_many", 2, ["1 to 64"], "pc", "--cpus", "65")
    refused("switch", 2, ["say on or off"], "pc", "--irqfd", "maybe")
    refused("bios_and_kernel", 2, ["takes no kernel"], "pc", "--bios", "junk", "--kernel", "junk")
    refused("disk_unknown_word", 2, ["frob"], "pc", "--kernel", "junk", "--disk", "file=disk,frob=1")
    refused("disk_foreign_word", 2, ["null: has no option \"cache\", which is for an image file", "vectors"], "pc", "--kernel", "junk",
            "--disk", "null:1G,cache=none")
    refused("disk_no_interface", 2, ["nothing is left"], "pc", "--kernel", "junk", "--disk",
            "file=disk,disable-legacy=on,disable-modern=on")
    refused("net_unknown_word", 2, ["frob"], "pc", "--kernel", "junk", "--net", "user,frob=1")
    refused("net_without_a_cable", 2, ["begin with user"], "pc", "--kernel", "junk", "--net", "queues=2")
    refused("net_group_mac", 2, ["mac=03:"], "pc", "--kernel", "junk", "--net", "user,mac=03:00:00:00:00:01")
    refused("disk_bad_switch", 2, ["ioeventfd=perhaps", "on or off"], "pc", "--kernel", "junk", "--disk", "file=disk,ioeventfd=perhaps")
    refused("ide_too_many", 2, ["more than 4"], "pc", "--kernel", "junk", *["--ide", "null:1M"] * 5)
    refused("ide_has_no_queues", 2, ["an IDE disk of null: has no option \"queues\""], "pc", "--kernel", "junk", "--ide", "null:1M,queues=2")
    refused("ide_missing", 1, ["nowhere"], "tree", "--ide", "file=nowhere")
    refused("format_is_for_tree", 2, ["ringside tree"], "pc", "--format", "json")
    refused("kernel_missing", 1, ["nowhere"], "pc", "--kernel", "nowhere")
    refused("kernel_empty", 1, ["empty is empty"], "pc", "--kernel", "empty")
    refused("kernel_is_a_folder", 1, ["is a directory"], "pc", "--kernel", "/")
    refused("initrd_missing", 1, ["nowhere"], "pc", "--kernel", "junk", "--initrd", "nowhere")
    os.mkfifo("pipe")
    refused("kernel_is_a_device", 1, ["/dev/zero is a device"], "pc", "--kernel", "/dev/zero")
    refused("initrd_is_a_folder", 1, ["is a directory"], "pc", "--kernel", "junk", "--initrd", "/")
    refused("initrd_empty", 1, ["empty is empty"], "pc", "--kernel", "junk", "--initrd", "empty")
    refused("disk_is_a_pipe", 1, ["pipe is a pipe"], "tree", "--disk", "file=pipe")
    refused("bios_missing", 1, ["nowhere"], "pc", "--bios", "nowhere", "--disk", "file=disk")
    refused("bios_empty", 1, ["empty is empty"], "pc", "--bios", "empty", "--disk", "file=disk")
    refused("bios_is_a_folder", 1, ["is a directory"], "pc", "--bios", "/", "--disk", "file=disk")
    for name, size in {"bios_odd": 100000, "bios_small": 32768, "bios_big": (16 << 20) + 65536}.items():
        with open("bios", "wb") as file:
            file.truncate(size)
        refused(name, 1, ["not a firmware image", str(size)], "pc", "--bios", "bios", "--disk", "file=disk")


def trees():
    got = run("tree", "--disk", "file=disk,serial=abc,queues=2", "--disk", "null:1G")
    order = ["main-system-bus", "i440FX-pcihost", "pci.0", "00:00.0 i440FX", "00:01.0 PIIX3 ISA bridge", "isa.0", "serial", "rtc",
             "00:01.3 PIIX4 ACPI PM", "virtio-blk-pci", "virtio-bus", "virtio-blk  (", "queues 2", "serial abc", "null:1G"]
    at = [got.stdout.find(word) for word in order]
    case("tree_text", got.returncode == 0 and at == sorted(at) and -1 not in at, f"{at}\n{got.stdout}{got.stderr}")
    got = run("tree", "--ide", "file=disk,serial=abc", "--ide", "null:1G", "--ide", "null:2G")
    order = ["00:01.1 PIIX3 IDE", "ide.0  (", "irq 14", "disk  (", "serial abc", "disk  (", "null:1G", "ide.1  (", "disk  (", "null:2G",
             "00:01.3 PIIX4"]
    at = [0]
    for word in order:
        at.append(got.stdout.find(word, at[-1] + 1))
    case("tree_ide", got.returncode == 0 and -1 not in at, f"{at}\n{got.stdout}{got.stderr}")
    got = run("tree", "--disk", "file=disk", "--net", "user", "--net", "tap=no-such-tap,queues=4,disable-legacy=on")
    order = ["00:02.0 virtio-blk-pci", "00:03.0 virtio-net-pci", "1af4:1000", "virtio-bus", "virtio-net", "queues 3", "mac 02:", "00:04.0 virtio-net-pci",
             "1af4:1041", "virtio-bus", "virtio-net", "queues 9", "pairs 4"]
    at = [got.stdout.find(order[0])]
    for word in order[1:]:
        at.append(got.stdout.find(word, at[-1] + 1))
    case("tree_of_network_cards", got.returncode == 0 and -1 not in at, got.stdout + got.stderr)
    case("tree_leaves_the_host_alone", not os.path.exists("/sys/class/net/no-such-tap"))
    got = run("tree", "--format", "json", "--cpus", "3", "--disk", "file=disk")
    root = json.loads(got.stdout)
    bus = root["children"][0]["children"][0]
    case("tree_json", root["properties"]["cpus"] == "3" and [n["at"] for n in bus["children"]] ==
         ["00:00.0", "00:01.0", "00:01.3", "00:02.0"], got.stdout)
    got = run("tree", "--scsi", "file=disk,serial=abc", "--scsi", "null:1G,readonly=on")
    at = [got.stdout.find(word) for word in ("LSI53C895A", "scsi-bus", "id 0 scsi-disk", "serial abc", "blocks 2048", "id 1 scsi-disk",
                                             "blocks 2097152")]
    case("tree_scsi", got.returncode == 0 and at == sorted(at) and -1 not in at, f"{at}\n{got.stdout}{got.stderr}")
    refused("tree_of_a_missing_scsi_disk", 1, ["nowhere"], "tree", "--scsi", "file=nowhere")
    refused("scsi_disk_with_huge_blocks", 1, ["512 to 4096"], "tree", "--scsi", "null:1G,blk-size=65536")
    refused("scsi_disk_has_no_queues", 2, ["--scsi null:1G,queues=2", "a SCSI disk of null: has no option \"queues\""], "tree", "--scsi", "null:1G,queues=2")
    refused("scsi_disk_with_a_wrong_word", 2, ["--scsi null:1G,frob=1"], "tree", "--scsi", "null:1G,frob=1")
    refused("more_cards_than_slots", 1, ["has no empty slot"], "tree", *["--disk", "null:1M"] * 40)
    got = run("tree", *["--net", "user"] * 12, *["--disk", "null:1M"] * 12)
    case("as_many_cards_as_slots", got.returncode == 0 and got.stdout.count("virtio-net-pci") == 12 and
         got.stdout.count("virtio-blk-pci") == 12, got.stdout + got.stderr)
    refused("too_many_scsi_disks", 2, ["more than 15"], "tree", *["--scsi", "null:1M"] * 16)
    refused("of_is_for_tree", 2, ["ringside tree"], "pc", "--of", "control")
    refused("tree_of_nobody", 1, ["nobody answers at nowhere"], "tree", "--of", "nowhere")
    refused("tree_of_a_missing_disk", 1, ["nowhere"], "tree", "--disk", "file=nowhere")


def build_kernel():
    source = os.path.join(TOP, "tests/guest/pvh.S")
    for command in (["gcc", "-m32", "-c", "-o", "pvh.o", source],
                    ["ld", "-m", "elf_i386", "-Ttext-segment=0x200000", "-e", "_start", "-z", "noseparate-code", "-o", "kernel", "pvh.o"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr
    return None


def pc(do, *more):
    return run("pc", "--memory", "16", "--kernel", "kernel", "--append", do, *more)


def ends(name, do, status, words, *more):
    got = pc(do, *more)
    case(name, got.returncode == status and words in got.stdout + got.stderr, f"status {got.returncode}\n{got.stdout}{got.stderr}")


def start(do, *more, **how):
    return subprocess.Popen([RINGSIDE, "pc", "--memory", "16", "--kernel", "kernel", "--append", do, *more], **how)


def wait_for(fd, word):
    seen = b""
    end = time.monotonic() + DEADLINE
    while word not in seen and time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                seen += os.read(fd, 1000)
            except OSError:
                break
    return seen


def broken_kernels():
    """What is only found out when the machine is about to start."""
    with open("kernel", "rb") as file:
        good = file.read()
    with open("cut", "wb") as file:
        file.write(good[:200])
    with open("arm", "wb") as file:
        file.write(good[:18] + b"\x28\0" + good[20:])
    with open("packed", "wb") as file:
        file.write(b"\x1f\x8b" + bytes(1000))
    with open("initrd", "wb") as file:
        file.truncate(20 << 20)
    refused("kernel_is_junk", 1, ["junk is not a kernel"], "pc", "--kernel", "junk")
    refused("kernel_is_cut_off", 1, ["cut"], "pc", "--kernel", "cut")
    refused("kernel_of_another_processor", 1, ["not an x86 ELF program"], "pc", "--kernel", "arm")
    refused("kernel_is_packed", 1, ["compressed by gzip"], "pc", "--kernel", "packed")  # and damaged, or not to be unpacked here
    refused("initrd_larger_than_memory", 1, ["initrd has 20480 KiB", "give the guest more"], "pc", "--memory", "16",
            "--kernel", "kernel", "--initrd", "initrd")
    refused("command_line_too_long", 1, ["the command line has 100000 bytes"], "pc", "--kernel", "kernel", "--append", "x" * 100000)


def power_off():
    ends("power_off_is_0", "o", 0, "")


def exit_port():
    ends("exit_port_is_33", "x", 33, "")


def reset_ends():
    ends("no_reboot_ends_at_a_reset", "r", 0, "R", "--no-reboot")


def triple_fault():
    # A KVM that emulates instructions has other words for it.
    ends("triple_fault_is_said", "t", 1, "virtual CPU 0", "--no-reboot")


def resets_go_on():
    process = start("r", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    seen = b""
    while seen.count(b"R") < 3 and (more := wait_for(process.stdout.fileno(), b"R")):
        seen += more
    process.terminate()
    case("a_reset_starts_again", process.wait(DEADLINE) == 143 and seen.count(b"R") >= 3, seen)


def sigterm():
    process = start("s", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    wait_for(process.stdout.fileno(), b"!")
    process.send_signal(signal.SIGTERM)
    case("sigterm_ends_a_spinning_guest", process.wait(DEADLINE) == 128 + signal.SIGTERM)


def closed_descriptors():
    """A serial line whose input is closed or over goes on, and nothing of ours becomes standard output."""
    ok = []
    for ends in ("</dev/null", "<&-", ">&-", "<&- >&-", "2>&-"):
        got = subprocess.run(["sh", "-c", f'exec "$@" {ends}', "sh", RINGSIDE, "pc", "--memory", "16", "--kernel", "kernel", "--append", "x"],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False)
        ok.append((ends, got.returncode, got.stdout, got.stderr))
    case("closed_descriptors_are_as_dev_null", all(status == 33 for _, status, _, _ in ok), ok)


def echo():
    done = subprocess.run([RINGSIDE, "pc", "--memory", "16", "--kernel", "kernel", "--append", "e"], input=b"hello.\x01x",
                          capture_output=True, timeout=DEADLINE, check=False)
    case("serial_takes_and_gives", done.returncode == 0 and done.stdout == b">hello.", done)


def pseudo_terminal(name):
    """Two descriptors, or none: the case is skipped."""
    try:
        return pty.openpty()
    except OSError as error:
        say(True, name, f" # SKIP there is no pseudo terminal: {error}")
        return None, None


def terminal(name, keys, status):
    """On a terminal: raw while it runs, as before afterwards."""
    main, other = pseudo_terminal(name)
    if main is None:
        return
    before = termios.tcgetattr(other)
    process = start("s", stdin=other, stdout=other, stderr=other, start_new_session=True,
                    preexec_fn=lambda: __import__("fcntl").ioctl(0, termios.TIOCSCTTY, 0))
    wait_for(main, b"!")
    raw = termios.tcgetattr(other)
    if isinstance(keys, bytes):
        os.write(main, keys)
    else:
        process.send_signal(keys)
    ended = process.wait(DEADLINE)
    after = termios.tcgetattr(other)
    case(name, ended == status and not raw[3] & termios.ICANON and after == before, f"status {ended}\n{before}\n{raw}\n{after}")
    os.close(main)
    os.close(other)


def ctrl_a_x():
    terminal("ctrl_a_x_ends_it", b"\x01x", 0)


def terminal_signals():
    """Whichever of the signals that end a program."""
    for name in ["SIGTERM", "SIGQUIT", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGXCPU", "SIGRTMAX"]:
        number = getattr(signal, name)
        terminal(name.lower() + "_puts_the_terminal_back", number, 128 + number)


def terminal_stop():
    """Stopped, the terminal is the shell's; continued, the machine's again."""
    main, other = pseudo_terminal("terminal_stop")
    if main is None:
        return
    before = termios.tcgetattr(other)
    process = start("s", stdin=other, stdout=other, stderr=other, start_new_session=True,
                    preexec_fn=lambda: __import__("fcntl").ioctl(0, termios.TIOCSCTTY, 0))
    wait_for(main, b"!")
    os.kill(process.pid, signal.SIGTSTP)
    stopped = os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
    meanwhile = termios.tcgetattr(other)
    os.kill(process.pid, signal.SIGCONT)
    end = time.monotonic() + DEADLINE
    while termios.tcgetattr(other)[3] & termios.ICANON and time.monotonic() < end:
        time.sleep(0.01)
    again = termios.tcgetattr(other)
    os.write(main, b"\x01x")
    ended = process.wait(DEADLINE)
    case("a_stopped_machine_leaves_the_terminal_to_the_shell",
         stopped and meanwhile == before and not again[3] & termios.ICANON and ended == 0 and termios.tcgetattr(other) == before,
         f"{stopped} {ended}\n{before}\n{meanwhile}\n{again}")
    os.close(main)
    os.close(other)


def packed_kernels():
    """Compressed as a whole, and through a pipe."""
    with open("kernel", "rb") as file:
        good = file.read()
    for name, data in {"gzip": gzip.compress(good), "xz": lzma.compress(good)}.items():
        with open("packed", "wb") as file:
            file.write(data)
        got = subprocess.run([RINGSIDE, "pc", "--memory", "16", "--kernel", "packed", "--append", "x"], stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=DEADLINE, check=False)
        without = "built without" in got.stderr
        case(f"kernel_packed_by_{name}", got.returncode == 33 or without, got)
    with subprocess.Popen(["cat", "kernel"], stdout=subprocess.PIPE) as cat:
        got = subprocess.run([RINGSIDE, "pc", "--memory", "16", "--kernel", f"/dev/fd/{cat.stdout.fileno()}", "--append", "x"],
                             stdin=subprocess.DEVNULL, pass_fds=[cat.stdout.fileno()], capture_output=True, text=True,
                             timeout=DEADLINE, check=False)
    case("kernel_from_a_pipe", got.returncode == 33, got)


def firmware_without_a_disk():
    """A firmware that halts at its first instruction: it is run, but what it may lack is said."""
    with open("bios", "wb") as file:
        file.write(bytes(65520) + b"\xf4\xeb\xfd" + bytes(13))
    process = subprocess.Popen([RINGSIDE, "pc", "--bios", "bios"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = wait_for(process.stderr.fileno(), b"\n")
    process.terminate()
    case("firmware_without_a_disk_is_said", process.wait(DEADLINE) in (143, -signal.SIGTERM) and b"there is no disk that bios could boot from" in said, said)


def tree_of_a_running_machine():
    process = start("s", "--disk", "file=disk", "--control", "control", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    wait_for(process.stdout.fileno(), b"!")
    text = run("tree", "--of", "control")
    # A plan of the same machine knows no addresses.
    plan = run("tree", "--memory", "16", "--disk", "file=disk")
    at = " at 0xc000,"
    # The path is the one that log lines begin with.
    case("tree_of_a_running_machine", text.returncode == 0 and at in text.stdout and "(path pc/pci.0/disk0," in text.stdout and at not in plan.stdout and
         text.stdout.splitlines()[:4] == plan.stdout.splitlines()[:4], text.stdout + text.stderr + plan.stdout)
    tree = json.loads(run("tree", "--of", "control", "--format", "json").stdout)
    case("tree_of_a_running_machine_json", tree["name"] == "main-system-bus", tree)
    stats = run("ctl", "control", "stats", "--json")
    case("ctl_tells_the_counters", stats.returncode == 0 and json.loads(stats.stdout)["end"] == "running", stats.stderr)
    got = run("ctl", "control", "nonsense")
    case("ctl_passes_a_refusal_on", got.returncode == 1 and "refuses" in got.stderr, got.stderr)
    got = run("ctl", "control", "no word")
    case("ctl_takes_words_only", got.returncode == 2 and "is no verb" in got.stderr, got.stderr)
    got = run("ctl", "nowhere", "stats")
    case("ctl_says_when_nobody_listens", got.returncode == 1 and "nowhere" in got.stderr, got.stderr)
    case("control_lets_only_its_owner_in", os.stat("control").st_mode & 0o777 == 0o600)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(DEADLINE)
        peer.connect("control")
        ask = b'{"jsonrpc": "2.0", "method": "tree", "id": 1}'
        questions = [ask] * 20 + [b"junk", b"", ask.replace(b"tree", b"frob"), ask.replace(b'"tree"', b"5"), b"[]", b"x" * 20000, ask]
        peer.sendall(b"\n".join(questions) + b"\n")
        with peer.makefile("rb") as answers:
            told = [json.loads(answers.readline()) for _ in questions]
    good = [list(answer)[1] for answer in told] == ["result"] * 20 + ["error"] * 6 + ["result"]
    case("control_answers_each_line", good and told[0] == told[-1], told[20:])
    got = pc("o", "--control", "control")
    case("control_of_another_is_left_alone", got.returncode == 1 and "another server" in got.stderr, got.stderr)
    process.terminate()
    process.wait(DEADLINE)
    case("control_leaves_no_file", not os.path.exists("control"))


def silent_peers():
    process = start("s", "--control", "control", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    wait_for(process.stdout.fileno(), b"!")
    # More than are let in, saying half a line, and one that asks and does not listen.
    peers = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for peer in peers:
        peer.connect("control")
        peer.setblocking(False)
        try:
            peer.send(b'{"jsonrpc": "2.0"')
        except OSError:
            pass
    time.sleep(0.1)
    for peer in peers[1:]:
        peer.close()
    try:
        peers[0].send(b', "method": "tree", "id": 1}\n' + b'{"jsonrpc": "2.0", "method": "tree", "id": 1}\n' * 100000)
    except OSError:
        pass
    got = run("tree", "--of", "control")
    case("control_waits_for_nobody", got.returncode == 0, got.stderr)
    peers[0].close()
    process.terminate()
    case("control_ends_with_the_machine", process.wait(DEADLINE) == 143)


def signal_while_a_disk_is_opened():
    """Its server takes the connection and says nothing."""
    for kind in ("--disk", "--ide", "--scsi"):
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(f"mute{kind}")
            mute.listen(16)
            mute.settimeout(DEADLINE)
            process = start("s", kind, f"nbd+unix:///?socket=mute{kind}", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            caller = mute.accept()[0]
            process.send_signal(signal.SIGINT)
            case(f"signal_while_{kind[2:]}_is_opened", process.wait(DEADLINE) == 128 + signal.SIGINT)
            caller.close()


def guests():
    reason = None if os.access("/dev/kvm", os.R_OK | os.W_OK) else "there is no /dev/kvm for us"
    if not reason and build_kernel():
        reason = "no 32-bit kernel can be made here"
    for test in (broken_kernels, power_off, exit_port, reset_ends, triple_fault, resets_go_on, sigterm, closed_descriptors, echo, ctrl_a_x,
                 terminal_signals, terminal_stop, packed_kernels, firmware_without_a_disk,
                 tree_of_a_running_machine, silent_peers, signal_while_a_disk_is_opened):
        if reason:
            say(True, test.__name__, f" # SKIP {reason}")
        else:
            test()


print("TAP version 13")
try:
    command_lines()
    trees()
    guests()
finally:
    shutil.rmtree(home)
    print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)

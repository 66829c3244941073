# SPDX-License-Identifier: MIT
"""What a guest does with a disk whose bytes lie elsewhere, and how others look at it afterwards."""

import os
import shutil
import signal
import time

from guest import Disk, Failure, host_tool, sha256, spawn

# In the guest: a file system made, filled, put under load while the host does what it does, checked, and read again.
HELPERS = r"""
fill() { # FOLDER
	for f in 1 2 3 4 5 6; do
		dd if=/dev/urandom of=$1/$f bs=$((f * 997)) count=$((f * 37)) conv=fsync || return
	done
	(cd $1 && find . -type f ! -name sums -exec sha256sum {} + >/tmp/sums && mv /tmp/sums sums && sync)
}
read_back() { (cd $1 && sha256sum -c sums); }

# Writes a file past the page cache and reads it back, over and over, until it is enough.
load() { # FOLDER
	rounds=0
	until [ -e /tmp/enough ]; do
		dd if=/pattern of=$1/load bs=64k oflag=direct conv=notrunc || return
		dd if=$1/load bs=64k iflag=direct | cmp - /pattern || return
		rounds=$((rounds + 1))
		echo $rounds >/tmp/rounds
	done
}
begin_load() { rm -f /tmp/enough /tmp/rounds; load $1 2>/tmp/load.log & loader=$!; }
rounds() { cat /tmp/rounds 2>/dev/null || echo 0; }
# Two more rounds: it goes on, with what was under way done.
load_goes_on() {
	before=$(rounds)
	wait_for 120 sh -c "kill -0 $loader && [ \$(cat /tmp/rounds 2>/dev/null || echo 0) -ge $((before + 2)) ]"
}
end_load() { >/tmp/enough; wait $loader && rm $1/load; }

# What the host sees of it is the same: the sums of all files, in one number.
tell_sums() { tell $1 $(sha256sum </mnt/sums); }
"""


def life(name, device, made=False, asks=()):
    """The script of one disk.  made: it has a file system and a file "sums"; asks: what the host does under load."""
    lines = [f"echo {name} >/dev/console"]
    if not made:
        lines.append(f"check {name}_mkfs mkfs.ext4 -q {device}")
    lines.append(f"check {name}_mount mount -t ext4 {device} /mnt")
    if made:
        lines.append(f"check {name}_what_was_there read_back /mnt")
    lines.append(f"check {name}_fill fill /mnt")
    if asks:
        lines.append("begin_load /mnt")
        for number, ask in enumerate(asks):
            lines += [f"check {name}_load_{number} load_goes_on", f"ask {ask}"]
        lines += [f"check {name}_load_{len(asks)} load_goes_on", f"check {name}_load end_load /mnt"]
    lines += [
        f"check {name}_unmount umount /mnt", f"check {name}_fsck e2fsck -fn {device}", f"check {name}_mount_again mount -t ext4 {device} /mnt",
        "drop_caches", f"check {name}_read_back read_back /mnt", f"tell_sums {name}", f"check {name}_unmount_again umount /mnt"]
    return "\n".join(lines) + "\n"


def expect_outside(scene, *names):
    for name in names:
        scene.expect(f"{name}_fsck_outside", f"{name}_files_outside")


def look_outside(scene, name, raw):
    """The file system in @raw, as another program has taken it out of the disk."""
    status, text = host_tool("e2fsck", "-fn", raw)
    scene.case(f"{name}_fsck_outside", status == 0, text)
    folder = scene.path(name + ".files")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    host_tool("debugfs", "-R", f"rdump / {folder}", raw)
    sums = os.path.join(folder, "sums")
    same = os.path.exists(sums) and sha256(sums) == scene.told.get(name, "").split(" ")[0]
    status, text = host_tool("sh", "-c", f"cd {folder} && sha256sum --quiet -c sums")
    scene.case(f"{name}_files_outside", same and status == 0, text)


class EngineDisk(Disk):
    """A disk of the server's whose bytes are at @target; further words as Disk's."""

    def __init__(self, folder, name, target, **how):
        super().__init__(folder, name, size=0, **how)
        self.path = target

    def empty(self):
        pass


class Daemon:
    """A server elsewhere: stopped, continued, killed and started anew."""

    def __init__(self, scene, command, socket):
        self.scene, self.command, self.socket = scene, command, socket
        self.process = None
        self.start()

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        with open(self.scene.path("daemons.log"), "ab") as log:
            self.process = spawn(self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"{self.command[0]} does not come")
            time.sleep(0.02)

    def hang(self):
        """For a moment: what the guest asks meanwhile waits, and is done later."""
        hang(self.process.pid)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        os.kill(self.process.pid, signal.SIGSTOP)
        time.sleep(0.5)  # so that something is under way
        self.kill()
        time.sleep(0.3)  # and something meets the absent one
        self.start()


def hang(pid):
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1)
    os.kill(pid, signal.SIGCONT)

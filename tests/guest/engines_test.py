#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""File systems on NBD servers and on images in other formats.

An NBD server that hangs, is killed and comes back under verified load; one behind TLS; a qcow2 whose base is compressed and which has a snapshot, all
made by qemu-img, and looked at by it afterwards; vmdk, vdi and vhdx written by our own driver and found in what qemu-img makes of them."""

import os
import shutil

from engines import HELPERS, Daemon, EngineDisk, expect_outside, life, look_outside
from guest import MIB, PEER, VFIO_USER, Scene, host_tool, sha256

SIZE = 40
FORMATS = ("vmdk", "vdi", "vhdx")
NEEDED = ("nbdkit", "qemu-nbd", "qemu-img", "psktool")


def need(scene, *command):
    status, text = host_tool(*command)
    if status:
        scene.fail(f"{' '.join(command)}: {text}")
    return text


def make_qcow2(scene):
    """An overlay with a snapshot on a compressed base that has a file system; returns (its path, the base's, a raw copy)."""
    files, raw, base, top = (scene.path(name) for name in ("base.files", "base.raw", "base.qcow2", "top.qcow2"))
    os.mkdir(files)
    for number in range(8):
        with open(os.path.join(files, f"old-{number}"), "wb") as file:
            file.write(os.urandom(1000) * (number * number * 40 + 1))  # it is compressed
    need(scene, "sh", "-c", f"cd {files} && sha256sum old-* >sums")
    need(scene, "mkfs.ext4", "-q", "-d", files, raw, f"{SIZE}M")
    need(scene, "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, base)
    need(scene, "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top)
    need(scene, "qemu-img", "snapshot", "-c", "before", top)
    return top, base, raw


def own_driver(scene, kind):
    """Written by our own driver half; what it wrote is found in what another program takes out of the image."""
    image, raw = scene.path("image." + kind), scene.path("image.raw")
    bench = [os.environ["RINGSIDE"], "bench", "--verify", "--quiet"]
    need(scene, "qemu-img", "create", "-q", "-f", kind, image, "24M")
    disk = f"local:{image},format={kind}"
    need(scene, *bench, "--rw=write", "--bs=128K", "--depth=4", disk)
    status, text = host_tool(*bench, "--rw=randrw", "--bs=512-128K", "--depth=16", "--ios=1000", "--flush-every=20", disk)
    scene.case(f"{kind}_written_and_verified", status == 0, text)
    status, text = host_tool("qemu-img", "check", "-q", "-f", kind, image)
    scene.case(f"{kind}_check", status in (0, 63), text)  # 63: that format has none
    need(scene, "qemu-img", "convert", "-f", kind, "-O", "raw", image, raw)
    status, text = host_tool(*bench, "--rw=read", "--bs=64K", f"local:{raw}")
    scene.case(f"{kind}_is_what_was_written", status == 0, text)


with Scene("engines") as scene:
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing or PEER or VFIO_USER:
        scene.skip("engines", f"{', '.join(missing)} not installed" if missing else "this is about ringside's own engines, over vhost-user")
    else:
        expect_outside(scene, "nbd", "tls", "qcow2")
        scene.expect("sigterm_exits_0", "qcow2_check", "qcow2_snapshot_untouched", "qcow2_base_untouched", "qcow2_snapshot_goes",
                     *(f"{kind}_{what}" for kind in FORMATS for what in ("written_and_verified", "check", "is_what_was_written")))
        pattern, _ = scene.pattern("pattern", MIB)
        images = {}
        for name in ("nbd", "tls"):
            images[name] = scene.path(name + ".raw")
            with open(images[name], "wb") as file:
                file.truncate(SIZE * MIB)
        sockets = {name: scene.path(name + ".nbd") for name in images}
        need(scene, "sh", "-c", f"umask 077; psktool -u guest -p {scene.path('psk')}")
        nbd = Daemon(scene, ["nbdkit", "-f", "-U", sockets["nbd"], "file", images["nbd"]], sockets["nbd"])
        tls = Daemon(scene, ["nbdkit", "-f", "--tls=require", f"--tls-psk={scene.path('psk')}", "-U", sockets["tls"], "file", images["tls"]],
                     sockets["tls"])
        top, base, raw = make_qcow2(scene)
        base_was = sha256(base)
        disks = [EngineDisk(scene.folder, "nbd", f"nbd+unix:///?socket={sockets['nbd']}"),
                 EngineDisk(scene.folder, "tls", f"nbds+unix://guest@/?socket={sockets['tls']}&tls-psk-file={scene.path('psk')}"),
                 EngineDisk(scene.folder, "qcow2", top, format="qcow2")]
        server = scene.serve(*disks)
        try:
            scene.boot(HELPERS + life("nbd", "/dev/vda", asks=["hang", "restart", "hang", "restart"]) + life("tls", "/dev/vdb") +
                       life("qcow2", "/dev/vdc", made=True),
                       disks, programs=["mkfs.ext4", "e2fsck"], files=[(pattern, "/pattern")], answers={"hang": nbd.hang, "restart": nbd.restart})
        finally:
            status = server.stop()
            nbd.kill()
            tls.kill()
        scene.case("sigterm_exits_0", status == 0, f"exit status {status}")
        for name, image in images.items():
            look_outside(scene, name, image)

        status, text = host_tool("qemu-img", "check", "-f", "qcow2", top)
        scene.case("qcow2_check", status == 0, text)
        now, then = scene.path("now.raw"), scene.path("then.raw")
        need(scene, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", top, now)
        look_outside(scene, "qcow2", now)
        need(scene, "qemu-img", "convert", "-l", "snapshot.name=before", "-f", "qcow2", "-O", "raw", top, then)
        status, text = host_tool("qemu-img", "compare", "-f", "raw", "-F", "raw", then, raw)
        scene.case("qcow2_snapshot_untouched", status == 0, text)
        scene.case("qcow2_base_untouched", sha256(base) == base_was)
        need(scene, "qemu-img", "snapshot", "-a", "before", top)
        status, text = host_tool("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, top)
        scene.case("qcow2_snapshot_goes", status == 0, text)
        for kind in FORMATS:
            own_driver(scene, kind)

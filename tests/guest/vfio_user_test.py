#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The whole board behind a socket, for QEMU's vfio-user-pci: what only a board can show.

MSI-X, the pin, the legacy interface; boards that are unplugged, plugged in and served by another process while the guest runs; a driver
that lets go and comes back, and a machine that is reset; a network card.  With TRANSPORT=vfio-user only.
"""

import os
import socket
import sys
import threading
import time

from guest import MIB, VFIO_USER, Scene, clients

HELPERS = r"""
device() { readlink -f /sys/block/$1/device/..; }
vectors() { ls "$(device $1)/msi_irqs" 2>/dev/null | wc -l; }
# interrupts DISK: how many its driver has had; lines may be shared
interrupts()
{
	awk -v name="$(basename "$(readlink /sys/block/$1/device)")" '{
			mine = 0
			for (i = 2; i <= NF; i++) mine += $i ~ "^" name "(-|,|$)"
			for (i = 2; mine && $i ~ /^[0-9]+$/; i++) sum += $i
		}
		END { print sum + 0 }' /proc/interrupts
}
line_of() { grep -w "$(basename "$(readlink /sys/block/$1/device)")" /proc/interrupts; }
verify()
{
	fio --name=verify --filename=/dev/$1 --numjobs=2 --size=3M --offset=8M --offset_increment=3M --direct=1 --ioengine=libaio \
		--iodepth=16 --rw=randwrite --bssplit=512/20:4k/50:64k/30 --blockalign=512 --verify=crc32c --verify_fatal=1 \
		--do_verify=1 --randrepeat=0 --thread --allow_file_create=0
}
# It has interrupts of its own while it works.
verify_with_interrupts() { before=$(interrupts $1); verify $1 && [ "$(interrupts $1)" -gt "$before" ]; }
write() { dd if=/pattern of=/dev/$1 bs=64k conv=fsync; }
compare() { drop_caches && dd if=/dev/$1 bs=64k count=16 | cmp - /pattern; }
is_there() { [ -b /dev/$1 ]; }
is_away() { [ ! -e /sys/block/$1 ]; }
"""

FIRST = r"""
check msix_vectors is "$(vectors vda)" $(($(ls /sys/block/vda/mq | wc -l) + 1))
check msix_modern has_feature vda 32
check msix_io verify_with_interrupts vda
check legacy_face lacks_feature vdb 32
check legacy_io verify_with_interrupts vdb
check pin_has_no_vectors is "$(vectors vdc)" 0
check pin_is_a_line line_of vdc
check pin_io verify_with_interrupts vdc
check write write vda
check write_legacy write vdb
check write_pin write vdc
check write_plugged write vdd

# The driver lets go, which resets the device, and takes it again.
rebind()
{
	virtio=$(basename "$(readlink /sys/block/$1/device)")
	echo $virtio >/sys/bus/virtio/drivers/virtio_blk/unbind && is_away $1 && echo $virtio >/sys/bus/virtio/drivers/virtio_blk/bind &&
		wait_for 10 is_there $1 && compare $1
}
check driver_lets_go_and_comes_back rebind vda
check driver_lets_go_and_comes_back_legacy rebind vdb
check driver_lets_go_and_comes_back_pin rebind vdc

ask unplug
check unplugged wait_for 60 is_away vdd
ask unplugged
ask plug
check plugged_again wait_for 60 is_there vdd
check plugged_compare compare vdd
check plugged_io verify_with_interrupts vdd
# The server ends and another one comes; QEMU has to be given the board anew.
ask unplug
check unplugged_for_restart wait_for 60 is_away vdd
ask unplugged
ask restart
ask plug
check plugged_after_restart wait_for 60 is_there vdd
check plugged_after_restart_compare compare vdd
check plugged_after_restart_io verify_with_interrupts vdd
# In the middle of requests.
verify vdd >/dev/null 2>&1 &
sleep 1
ask unplug
check unplugged_under_load wait_for 60 is_away vdd
wait $!
ask unplugged
ask plug
check plugged_after_load wait_for 60 is_there vdd
check plugged_after_load_io verify vdd
# The machine is reset with requests in flight; what follows runs in the kernel that it boots then.
verify vda >/dev/null 2>&1 &
verify vdc >/dev/null 2>&1 &
sleep 0.5
echo again | dd of=/dev/vdb bs=512 seek=16000 conv=sync,fsync 2>/dev/null
reboot -f
sleep 60
"""

AGAIN = r"""
check reboot_compare compare vda
check reboot_compare_legacy compare vdb
check reboot_compare_pin compare vdc
check reboot_io verify_with_interrupts vda
check reboot_io_legacy verify_with_interrupts vdb
check reboot_io_pin verify_with_interrupts vdc
"""

SCRIPT = HELPERS + f"""
if [ "$(dd if=/dev/vdb bs=512 skip=16000 count=1 2>/dev/null | head -c 5)" != again ]; then
{FIRST}
fi
{AGAIN}
"""

# A kernel that takes no message-signalled interrupts of any card.
NO_MSI = HELPERS + r"""
check nomsi_no_vectors is "$(vectors vda)$(vectors vdb)$(vectors vdc)" 000
check nomsi_io verify_with_interrupts vda
check nomsi_io_legacy verify_with_interrupts vdb
check nomsi_io_pin verify_with_interrupts vdc
check nomsi_compare compare vda
# All at once, on lines that they share.
together() { verify vda & a=$!; verify vdb & b=$!; verify vdc && wait $a && wait $b; }
check nomsi_together together
"""

NET = r"""
check net_is_there wait_for 20 test -e /sys/class/net/eth0
feature() { [ "$(cut -c $(($1 + 1)) /sys/class/net/eth0/device/features)" = 1 ]; }
check net_modern feature 32
check net_packed feature 34
check net_vectors is "$(ls /sys/class/net/eth0/device/../msi_irqs | wc -l)" 3
cat >/tmp/dhcp.sh <<'END'
[ "$1" = bound ] && ip address add "$ip/$mask" dev "$interface" && ip route add default via "$router" && echo "$ip" >/tmp/ip
END
chmod 755 /tmp/dhcp.sh
ip link set eth0 up
check net_dhcp udhcpc -i eth0 -n -q -t 20 -T 1 -s /tmp/dhcp.sh
check net_address is "$(cat /tmp/ip)" 10.0.2.15
fetch() { nc 10.0.2.2 PORT </dev/null >/tmp/file; cmp /tmp/file /pattern; }
check net_fetch fetch
give() { nc 10.0.2.2 PORT </pattern >/dev/null; }
check net_give give
"""


class Peer(threading.Thread):
    """A TCP server of the host: sends the pattern, takes whatever comes."""

    def __init__(self, pattern):
        super().__init__(daemon=True)
        self.pattern = pattern
        self.taken = []
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]

    def run(self):
        while True:
            peer, _ = self.sock.accept()
            with peer:
                peer.sendall(self.pattern)
                peer.shutdown(socket.SHUT_WR)
                data = b""
                while piece := peer.recv(65536):
                    data += piece
                self.taken.append(data)


if not VFIO_USER:
    print("1..0 # SKIP TRANSPORT is not vfio-user")
    sys.exit(0)

# -no-reboot is QEMU's word for all scenes; a later word takes it back.
with Scene("vfio_user", more=["-action", "reboot=reset"]) as scene:
    msix = scene.disk("msix", queues=2, packed=True)
    legacy = scene.disk("legacy", board="disable-modern=on")
    pin = scene.disk("pin", board="vectors=0")
    # QEMU 11.1 ends by an assertion of its own when a board with MSI-X is unplugged (vfio_user_msix_teardown() comes too late).
    plugged = scene.disk("plugged", board="vectors=0")
    pattern_path, pattern = scene.pattern("pattern", MIB)
    scene.expect("tree_shows_clients", "host_pattern", "sigterm_exits_0")
    server = scene.serve(msix, legacy, pin)
    other = scene.serve(plugged, more=["--control", scene.path("control")])
    statuses = []
    states = []

    def unplugged():
        """QEMU lets go some time after the guest has."""
        deadline = time.monotonic() + 60
        while (state := clients(scene.path("control"))) != ["none"] and time.monotonic() < deadline:
            time.sleep(0.1)
        states.append(state)

    def plug():
        scene.tell_qemu("device_add", **plugged.vfio_user_device())
        states.append(clients(scene.path("control")))

    def restart():
        statuses.append(other.stop())
        other.start()

    scene.boot(SCRIPT, [msix, legacy, pin, plugged], programs=["fio"], files=[(pattern_path, "/pattern")], cpus=2,
               answers={"unplug": lambda: scene.tell_qemu("device_del", id="device-plugged"), "unplugged": unplugged,
                        "plug": plug, "restart": restart})
    scene.case("tree_shows_clients", states == 3 * [["none"], ["serving"]], f"states {states}")
    scene.append = "pci=nomsi"
    scene.boot(NO_MSI, [msix, legacy, pin], programs=["fio"], files=[(pattern_path, "/pattern")], cpus=2)
    scene.append = ""
    statuses += [server.stop(), other.stop()]
    scene.case("host_pattern", all(disk.read(0, MIB) == pattern for disk in (msix, legacy, pin, plugged)))

    peer = Peer(pattern)
    peer.start()
    card = scene.card("net", "user")
    server = scene.serve(card)
    scene.boot(NET.replace("PORT", str(peer.port)), [card], files=[(pattern_path, "/pattern")], modules=["virtio_net"])
    statuses.append(server.stop())
    scene.case("net_host_took_it", pattern in peer.taken)
    scene.case("sigterm_exits_0", statuses == [0] * len(statuses), f"exit statuses {statuses}")

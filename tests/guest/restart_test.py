#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The server ends and comes back while the guest runs: QEMU connects again and the guest never notices.

With a split ring the new server finds its place in the ring's own memory.  A packed ring does not tell it, and QEMU does not
keep it; so packed disks are restarted only if the server keeps the in-flight record (VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD).
"""

import socket
import struct

from guest import MIB, Scene

GET_FEATURES, GET_PROTOCOL_FEATURES = 1, 15
PROTOCOL_F_INFLIGHT_SHMFD = 12

HELPERS = r"""
# write DISK MIB / compare DISK MIB: the pattern at that place, past the guest's page cache.
write() { dd if=/pattern of=/dev/$1 bs=64k seek=$(($2 * 16)) conv=fsync; }
compare() { drop_caches && dd if=/dev/$1 bs=64k skip=$(($2 * 16)) count=16 | cmp - /pattern; }
"""

SPLIT = r"""
check write_before write vda 1
check plain_write_before write vdb 1
ask restart
check read_after_restart compare vda 1
check write_after_restart write vda 9
check plain_read_after_restart compare vdb 1
check plain_write_after_restart write vdb 9

# The disk is away; what the guest asks meanwhile waits, and is done when the disk is back.
ask stop
write vda 17 2>/dev/null &
sleep 2
check request_waits_without_server kill -0 $!
ask start
check request_done_when_server_is_back wait $!
check waiting_request_wrote compare vda 17

ask restart
check read_after_third_restart compare vda 9
check plain_read_after_third_restart compare vdb 9
"""

PACKED = r"""
check packed_write_before write vdc 1
ask restart
check packed_read_after_restart compare vdc 1
check packed_write_after_restart write vdc 9
ask restart
check packed_read_after_second_restart compare vdc 9
"""

# Four on each disk write and read back, past the page cache, while servers are killed.
LOAD = r"""
loads=
load() { # DISK MIB
	until [ -e /tmp/enough ]; do
		dd if=/pattern of=/dev/$1 bs=64k seek=$(($2 * 16)) oflag=direct || return
		dd if=/dev/$1 bs=64k skip=$(($2 * 16)) count=16 iflag=direct | cmp - /pattern || return
	done
}
for disk in $DISKS; do
	for place in 18 20 22 24; do
		load $disk $place 2>/tmp/load-$disk-$place &
		loads="$loads $!"
	done
done
for round in 1 2 3 4 5 6; do
	ask kill
	sleep 1
done
>/tmp/enough
all_loads() { for pid in $loads; do wait $pid || return; done; }
check load_survives_killed_servers all_loads
all_compared() { for disk in $DISKS; do for place in 18 20 22 24; do compare $disk $place || return; done; done; }
check everything_written_under_load all_compared
"""

LAST = r"""
dmesg >/tmp/dmesg
check no_io_error_in_the_guest refused grep -q 'I/O error' /tmp/dmesg
"""


def ask_server(path, *requests):
    """The answer to the last of some vhost-user requests that have no payload and answer with 64 bits."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(path)
        answers = sock.makefile("rb")
        for request in requests:
            sock.sendall(struct.pack("<III", request, 1, 0))
            answer = answers.read(20)
    return struct.unpack("<IIIQ", answer)[3]


with Scene("restart") as scene:
    split = scene.disk("split", size=32 * MIB, reconnect=True)
    plain = scene.disk("plain", size=32 * MIB, reconnect=True, event_idx=False, queues=2)
    packed = scene.disk("packed", size=32 * MIB, reconnect=True, packed=True)
    pattern_path, pattern = scene.pattern("pattern", MIB)
    scene.expect("sigterm_exits_0", "host_split_pattern", "host_plain_pattern")
    disks = [split, plain, packed]
    server = scene.serve(*disks)
    statuses = []

    def stop():
        statuses.append(server.stop())

    def restart():
        stop()
        server.start()

    def kill():
        server.kill()
        server.start()

    record = ask_server(packed.socket, GET_FEATURES, GET_PROTOCOL_FEATURES) >> PROTOCOL_F_INFLIGHT_SHMFD & 1
    if not record:
        scene.skip("packed_read_after_restart", "the server keeps no in-flight record")
        script = HELPERS + SPLIT + LAST
    else:
        script = HELPERS + "DISKS='vda vdb vdc'\n" + SPLIT + PACKED + LOAD + LAST
    scene.boot(script, disks if record else [split, plain], files=[(pattern_path, "/pattern")], cpus=2,
               answers={"restart": restart, "stop": stop, "start": server.start, "kill": kill})
    stop()
    loaded = (18, 20, 22, 24) if record else ()
    scene.case("sigterm_exits_0", statuses == [0] * len(statuses), f"exit statuses {statuses}")
    scene.case("host_split_pattern", all(split.read(at * MIB, MIB) == pattern for at in (1, 9, 17, *loaded)))
    scene.case("host_plain_pattern", all(plain.read(at * MIB, MIB) == pattern for at in (1, 9, *loaded)))
    if record:
        scene.case("host_packed_pattern", all(packed.read(at * MIB, MIB) == pattern for at in (1, 9, *loaded)))

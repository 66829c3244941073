#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The server ends and comes back while the guest runs: QEMU connects again and the guest never notices."""

from guest import MIB, Scene

SCRIPT = r"""
# write MIB / compare MIB: the pattern at that place of the disk, past the guest's page cache.
write() { dd if=/pattern of=/dev/$1 bs=64k seek=$(($2 * 16)) conv=fsync; }
compare() { drop_caches && dd if=/dev/$1 bs=64k skip=$(($2 * 16)) count=16 | cmp - /pattern; }

check split_write write vda 1
check packed_write write vdb 1
ask restart
check split_read_after_restart compare vda 1
check split_write_after_restart write vda 9
check packed_read_after_restart compare vdb 1
check packed_write_after_restart write vdb 9

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
dmesg >/tmp/dmesg
check no_io_error_in_the_guest refused grep -q 'I/O error' /tmp/dmesg
"""

with Scene("restart") as scene:
    split = scene.disk("split", size=32 * MIB, reconnect=True)
    packed = scene.disk("packed", size=32 * MIB, reconnect=True, packed=True)
    pattern_path, pattern = scene.pattern("pattern", MIB)
    scene.expect("sigterm_exits_0", "host_split_pattern", "host_packed_pattern")
    server = scene.serve(split, packed)
    statuses = []

    def stop():
        statuses.append(server.stop())

    def restart():
        stop()
        server.start()

    scene.boot(SCRIPT, [split, packed], files=[(pattern_path, "/pattern")],
               answers={"restart": restart, "stop": stop, "start": server.start})
    stop()
    scene.case("sigterm_exits_0", statuses == [0] * 4, f"exit statuses {statuses}")
    scene.case("host_split_pattern", all(split.read(at * MIB, MIB) == pattern for at in (1, 9, 17)))
    scene.case("host_packed_pattern", all(packed.read(at * MIB, MIB) == pattern for at in (1, 9)))

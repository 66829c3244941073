#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Network cards of `ringside pc` under stock kernels: user-mode networking, a TAP interface, two machines joined by a socket.

As pc_test.py: the machines run under KVM inside an emulated machine, one after another; what an inner guest finds comes out as
VARIANT_CASE.  The outer guest serves a file over HTTP and takes one back.
"""

import os
import re

from guest import kernel
from nested import chosen, outer_scene, run

MIB_COPIED = 4
TAP_ADDRESS = "10.9.0.1"

COMMON = rf"""
word() {{ sed -n "s/.*\<$1=\([^ ]*\).*/\1/p" /proc/cmdline; }}
feature() {{ is "$(cut -c $(($1 + 1)) /sys/class/net/eth0/device/features)" "$2"; }}
check there_is_a_card wait_for 20 test -e /sys/class/net/eth0
check packed feature 34 "$(word want_packed)"
check modern feature 32 "$(word want_modern)"
check mergeable feature 15 1
check link_is_up ip link set eth0 up
fetch() {{ wget -q -O /tmp/file "http://$1:8080/file" && wget -q -O /tmp/sum "http://$1:8080/sum"; }}
same() {{ is "$(sha256sum </tmp/file)" "$(cat /tmp/sum)"; }}
give() {{ nc "$1" 8081 </tmp/file; }}
"""

# The port of the host that is forwarded leads here; the host says when it has what it wanted.
USER = r"""
cat >/tmp/dhcp.sh <<'END'
[ "$1" = bound ] && ip address add "$ip/$mask" dev "$interface" && ip route add default via "$router" && echo "$ip" >/tmp/ip
END
chmod 755 /tmp/dhcp.sh
check dhcp_gives_an_address udhcpc -i eth0 -n -q -t 20 -T 1 -s /tmp/dhcp.sh
check it_is_the_first_one is "$(cat /tmp/ip)" 10.0.2.15
check fetched_over_tcp fetch 10.0.2.2
check file_is_whole same
check given_over_tcp give 10.0.2.2
httpd -p 80 -h /tmp
served() { wget -q -O /dev/null http://10.0.2.2:8080/served; }
check forwarded_port_leads_here wait_for 60 served
"""

TAP = rf"""
check address ip address add 10.9.0.2/24 dev eth0
check checksums_are_left_to_the_host feature 0 1
check segments_are_left_to_the_host feature 11 1
check large_frames_come feature 7 1
check two_pairs is "$(ls /sys/class/net/eth0/queues | grep -c rx)" "$(word want_pairs)"
check pings wait_for 20 ping -c 1 -W 2 {TAP_ADDRESS}
check fetched_over_tcp fetch {TAP_ADDRESS}
check file_is_whole same
check given_over_tcp give {TAP_ADDRESS}
# From each processor, so that each pair has something to do.
each_cpu() {{ for cpu in 0 1; do taskset $((1 << cpu)) ping -c 3 -i 0.2 {TAP_ADDRESS} || return 1; done; }}
check pings_from_each_cpu each_cpu
"""

# Two machines: the server waits until the other has what it wants.
SERVER = r"""
ip address add 10.8.0.1/24 dev eth0
dd if=/dev/urandom of=/tmp/file bs=64k count=16 2>/dev/null
sha256sum </tmp/file >/tmp/sum
httpd -p 8080 -h /tmp
check other_side_is_done nc -l -p 8082
"""
CLIENT = r"""
ip address add 10.8.0.2/24 dev eth0
check pings wait_for 60 ping -c 1 -W 1 10.8.0.1
check fetched_over_tcp wait_for 60 fetch 10.8.0.1
check file_is_whole same
say_done() { echo done | nc 10.8.0.1 8082; }
check says_so wait_for 20 say_done
"""


class Variant:
    def __init__(self, name, net, script, cpus=1, packed=1, modern=1, pairs=1, outer=""):
        self.name = name
        self.options = f"--cpus {cpus} --net {net}{'' if packed else ',packed=off'}{'' if modern else ',disable-modern=on'}"
        self.append = f"want_packed={packed if modern else 0} want_modern={modern} want_pairs={pairs}"
        self.script = COMMON + script
        self.outer = outer

    def inner_cases(self):
        return [f"{self.name}_{case}" for case in re.findall(r"^\s*check (\w+)", self.script, re.MULTILINE)]


USER_NET = "user,hostfwd=tcp:127.0.0.1:8090-:80"
USER_OUTER = "forwarded &\nrun {}\ncheck {}_came_back_whole cmp /www/file /tmp/up\n" \
    "check {}_forwarded_whole cmp /www/file /tmp/forwarded\n"
TAP_OUTER = "tap_up &\nrun {}\ncheck {}_came_back_whole cmp /www/file /tmp/up\ncheck {}_frames_are_large large_frames\n" \
    "check {}_second_pair_sends second_pair\n"
VARIANTS = [
    Variant("user", USER_NET, USER, outer=USER_OUTER),
    Variant("split", USER_NET, USER, packed=0, outer=USER_OUTER),
    Variant("legacy", USER_NET, USER, modern=0, outer=USER_OUTER),
    Variant("tap", "tap=tap0,queues=2", TAP, cpus=2, pairs=2, outer=TAP_OUTER),
    Variant("server", "socket=/tmp/wire,mac=02:00:00:00:00:01", SERVER),
    Variant("client", "socket=/tmp/wire,mac=02:00:00:00:00:02", CLIENT, outer="run server &\nsleep 1\nrun client\nwait_for 60 test -e /tmp/server.ended\n"),
]

OUTER = rf"""
# machine NAME COMMAND...: runs a PC, passes on what its guest found, and looks how it ended.
machine()
{{
	linux "$@" --memory 192 --no-reboot
	touch /tmp/$variant.ended
}}
# nc hangs up when its input ends, and when the other side does.
mkfifo /tmp/silence
exec 9<>/tmp/silence
taken() {{ rm -f /tmp/up; nc -l -p 8081 >/tmp/up <&9; }}
served() {{ wget -q -O /tmp/forwarded http://127.0.0.1:8090/file && cmp /tmp/forwarded /www/file; }}
forwarded() {{ rm -f /www/served /tmp/forwarded; taken; wait_for 60 served && touch /www/served; }}
tap_up() {{ wait_for 30 ip link set tap0 up; ip address add {TAP_ADDRESS}/24 dev tap0; taken; }}
# pair I: bytes and frames that pair I has sent.
sent() {{ tr -d '\n ' </tmp/stats.tap | sed 's/.*"nets"//; s/"sent"/\n&/g' | sed -n "$(($1 + 2))s/.*\"sent\":{{\"frames\":\([0-9]*\),\"bytes\":\([0-9]*\).*/\2 \1/p"; }}
large_frames() {{ set -- $(sent 0) $(sent 1); echo "$*"; [ $((($1 + $3) / ($2 + $4))) -gt 1514 ]; }}
second_pair() {{ set -- $(sent 1); echo "$*"; [ "$2" -gt 0 ]; }}
ip link set lo up
mkdir /www
dd if=/dev/urandom of=/www/file bs=1M count={MIB_COPIED} 2>/dev/null
sha256sum </www/file >/www/sum
httpd -p 8080 -h /www
"""

with outer_scene("pc_net") as scene:
    wanted = chosen([v.name for v in VARIANTS])
    files = [(os.path.join(kernel(), "vmlinuz"), "/inner/vmlinuz")]
    outer = OUTER + "run()\n{\n\tcase $1 in\n"
    parts = ""
    for variant in VARIANTS:
        if variant.name not in wanted:
            continue
        scene.expect(*variant.inner_cases(), f"{variant.name}_power_off_is_exit_0")
        image = scene.initramfs(variant.script, [], [], ["virtio_net"], name=variant.name)
        files.append((image, "/inner/" + variant.name))
        outer += f"\t{variant.name}) machine {variant.name} {variant.options} --append 'console=ttyS0 quiet panic=-1 {variant.append}' ;;\n"
        parts += variant.outer.replace("{}", variant.name)
    outer += "\tesac\n}\n" + parts
    run(scene, outer, len(wanted), files, modules=["tun"])

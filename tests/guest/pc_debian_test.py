#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A whole Debian on a disk image comes up in `ringside pc --bios`, by SeaBIOS, GRUB and Debian's own kernel: no --kernel, no --initrd.

The machine runs under KVM inside an emulated machine, as in pc_test.py.  The image stays on this host: `ringside serve` hands it to the
outer guest, whose `ringside pc` hands it on.  The outer guest sits at the inner one's serial console, logs in, and works there.
"""

import os
import shutil
import subprocess

import guest
from guest import MIB, TOP, host_tool
from nested import outer_scene

# Emulation within emulation: some two minutes on two idle CPUs.
guest.BOOT_TIMEOUT = float(os.environ.get("GUEST_TIMEOUT", "800"))

BIOS = "/usr/share/seabios/bios-256k.bin"
MEMORY = 512
TIMES = ("grub_after", "login_after", "off_after")

OUTER = rf"""
check kvm_is_here test -c /dev/kvm
trap '' PIPE
mkfifo /tmp/keys
started=$(cut -d. -f1 /proc/uptime)
/usr/bin/ringside pc --bios /inner/bios --memory {MEMORY} --disk file=/dev/vda,serial=debian --control /tmp/control --no-reboot \
	</tmp/keys >/tmp/screen 2>/tmp/errors &
pc=$!
exec 3>/tmp/keys
# What the machine says goes on to this one's console, so that it is seen while it happens.
tail -n +1 -f /tmp/screen >/dev/console &
says() {{ grep -q "$1" /tmp/screen; }}
alive() {{ kill -0 $pc 2>/dev/null; }}
# seen SECONDS TEXT: whether the screen shows it while the machine lives.
seen()
{{
	left=$1
	until says "$2"; do
		left=$((left - 1))
		[ $left -gt 0 ] && alive || return 1
		sleep 1
	done
}}
type() {{ printf '%s\n' "$1" >&3; }}
# The shell shall print words that its echo of the typed line does not show.
check grub_shows_its_menu seen 120 'Booting .Debian'
tell grub_after $(($(cut -d. -f1 /proc/uptime) - started))
check login_prompt seen 500 'ringside login:'
tell login_after $(($(cut -d. -f1 /proc/uptime) - started))
type root
check password_prompt seen 60 'Password:'
type ringside
check shell_prompt seen 60 'root@ringside'
type 'echo "[root=$(findmnt -no SOURCE,FSTYPE,OPTIONS /)]"'
check root_is_the_disk seen 60 '\[root=/dev/vda1 ext4 *rw'
type 'echo "[serial=$(cat /sys/block/vda/serial)] [$(cat /etc/debian_version)]"'
check disk_has_its_serial seen 60 '\[serial=debian\] \[12'
type 'dd if=/dev/urandom of=/root/data bs=1M count=8 && sync && echo "[sum=$(sha256sum </root/data | cut -c 1-64)]"'
check writes_a_file seen 60 '\[sum=[0-9a-f]\{{64\}}'
tell sum "$(sed -n 's/.*\[sum=\([0-9a-f]*\)\].*/\1/p' /tmp/screen)"
type 'echo "[state=$(systemctl is-system-running --wait)]"'
check system_is_running seen 120 '\[state=running\]'
type 'rtcwake -m on -s 4 && echo "[alarm=$(sed -n "s/.*8: *\([0-9]*\).*rtc0/\1/p" /proc/interrupts)]"'
check clock_wakes_it seen 60 '\[alarm=[1-9]'
# What the guest's own tools see, and what the machine tells of itself.
type 'echo "[bar4=$(sed -n 5p /sys/block/vda/device/../resource | cut -c 9-18)]"'
check guest_tells_its_bar seen 60 '\[bar4=[0-9a-f]'
bar=$(sed -n 's/.*\[bar4=0*\([0-9a-f]*\)\].*/\1/p' /tmp/screen)
/usr/bin/ringside tree --of /tmp/control >/tmp/tree
cat /tmp/tree >/dev/console
check tree_has_the_bar grep -q "virtio-blk-pci.*bar4 [^,]*, 16384 bytes at 0x$bar" /tmp/tree
check tree_has_the_driver grep -q 'virtio-blk .*status 0xf .*driver-ok.*features 0x.*version-1' /tmp/tree
check tree_has_the_queue grep -q '0 queue .*running, kick ioeventfd, interrupt vector 1.*irqfd.*requests [1-9]' /tmp/tree
type 'systemctl --failed --no-legend --plain; systemctl poweroff'
check powers_off wait_for 120 refused alive
wait $pc
check exit_status_is_0 is $? 0
check nothing_to_complain is "$(cat /tmp/errors)" ""
tell off_after $(($(cut -d. -f1 /proc/uptime) - started))
cat /tmp/errors >/dev/console
"""


def whole_debian(scene, ringside, image):
    disk = scene.disk("debian", size=MIB)
    shutil.copy(image, disk.path)
    scene.serve(disk)
    scene.boot(OUTER, [disk], programs=[ringside], modules=["kvm_amd"], cpus=2, files=[(BIOS, "/inner/bios")])
    partition = f"{disk.path}?offset={MIB}"
    status, text = host_tool("e2fsck", "-fn", partition)
    scene.case("host_finds_the_file_system_clean", status == 0, text)
    status, text = host_tool("debugfs", "-R", f"dump /root/data {scene.path('data')}", partition)
    status, text = host_tool("sha256sum", scene.path("data"))
    scene.case("host_reads_the_file", text.split()[0] == scene.told.get("sum"), text)
    scene.note("seconds to GRUB, to the login prompt, to power-off: " + ", ".join(scene.told.get(key, "never") for key in TIMES))


with outer_scene("pc_debian") as scene:
    ringside = os.environ.get("RINGSIDE")
    if not ringside:
        scene.fail("RINGSIDE does not name the program under test")
    made = subprocess.run([os.path.join(TOP, "tools", "guest-debian")], stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode == 77:
        scene.skip("whole_debian", "there is no image, and making one takes root")
    elif made.returncode:
        scene.fail("there is no Debian to boot (tools/guest-debian failed)")
    else:
        whole_debian(scene, ringside, made.stdout.strip())

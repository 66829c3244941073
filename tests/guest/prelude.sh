# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Put before every guest script.  Lines that begin with "@@" are for the host; everything else ends in its log.

# check NAME COMMAND...: one case of the test; on failure the command's output is passed on.
check()
{
	name=$1
	shift
	if "$@" >/tmp/check.log 2>&1; then
		echo "@@ ok $name"
	else
		echo "@@ not-ok $name exit status $? of: $*"
		tail -n 20 /tmp/check.log | sed 's/^/@@ # /'
	fi
}

# tell NAME VALUE...: a value that the host checks.
tell() { echo "@@ tell $*"; }

# ask NAME: lets the host do something and waits until it is done.
ask()
{
	echo "@@ ask $1"
	read -r answer
	[ "$answer" = "done $1" ]
}

is() { [ "$1" = "$2" ] || { echo "is '$1', should be '$2'"; false; }; }
refused() { ! "$@"; }

# virtio device bits as the driver took them: has_feature vda 34
has_feature() { [ "$(cut -c $(($2 + 1)) "/sys/block/$1/device/features")" = 1 ]; }
lacks_feature() { ! has_feature "$@"; }

# The block layer must not answer from memory: everything read after this comes from the disk.
drop_caches() { sync && echo 3 >/proc/sys/vm/drop_caches; }

# wait_for SECONDS COMMAND...
wait_for()
{
	tries=$(($1 * 10))
	shift
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

# start_processors: all that the kernel left alone.
start_processors()
{
	for processor in /sys/devices/system/cpu/cpu[1-9]*/online; do
		[ ! -e "$processor" ] || echo 1 >"$processor"
	done
}

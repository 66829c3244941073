# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Not a program: sourced by those that fetch packages of another Debian release than the machine's.

# suite_apt FOLDER SUITE: from now on apt-get and apt-cache know the packages of SUITE, as on a machine that has none.  Lists and what is
# downloaded lie in FOLDER; nothing in /etc or /var is read or changed.  DEBIAN_MIRROR names another mirror.
suite_apt()
{
	local apt=$1

	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
	: >"$apt/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $2 main" \
		>"$apt/sources.list"
	# Lists of a mirror that stands still are taken, too; they are signed all the same.
	cat >"$apt/apt.conf" <<-CONF
		APT::Architecture "amd64";
		APT::Architectures { "amd64"; };
		APT::Sandbox::User "";
		APT::Install-Recommends "false";
		Acquire::Retries "3";
		Acquire::Check-Valid-Until "false";
		Debug::NoLocking "true";
		Dir::State "$apt";
		Dir::State::lists "$apt/lists";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt/cache";
		Dir::Etc::parts "$apt/parts";
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "-";
		Dir::Etc::preferencesparts "-";
	CONF
	export APT_CONFIG=$apt/apt.conf
}

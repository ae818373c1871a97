#!/usr/bin/env bash
# debian-suite-postgres.sh SUITE MAJOR DEST
#
# Unpacks PostgreSQL MAJOR (server, client programs, pg_cron) of another Debian SUITE into the folder DEST and makes its
# programs runnable there: each becomes a wrapper that starts it with DEST's own loader and libraries, because it needs
# a newer C library than this machine may have. The system is not changed. trixie has 17, sid has 18.
#
# Example: debian-suite-postgres.sh trixie 17 target/pg17; target/pg17/usr/lib/postgresql/17/bin/pg_dump --version
set -euo pipefail
if [ $# -ne 3 ]; then
  echo "usage: $0 SUITE MAJOR DEST" >&2
  exit 2
fi
suite=$1 major=$2
mkdir -p "$3"
dest=$(cd "$3" && pwd)
apt=$dest/.apt
mkdir -p "$apt"/{lists/partial,cache/archives/partial,etc/apt.conf.d,etc/preferences.d,etc/sources.list.d,state}

# The mirror that this machine itself uses.
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } \
  | grep -v '^ *#' | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')
if [ -z "$mirror" ]; then
  echo "no Debian mirror in this machine's apt sources" >&2
  exit 1
fi
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror%/} $suite main" > "$apt/etc/sources.list"
: > "$apt/state/status"
options=(-o Dir::Etc="$apt/etc" -o Dir::Etc::sourcelist="$apt/etc/sources.list" -o Dir::Etc::sourceparts="$apt/etc/sources.list.d"
  -o Dir::State="$apt/state" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/state/status" -o Dir::Cache="$apt/cache"
  -o APT::Sandbox::User=root -o APT::Install-Recommends=false -o Debug::NoLocking=1 -o Acquire::Languages=none)
apt-get "${options[@]}" -q update
apt-get "${options[@]}" -q -y --download-only install "postgresql-$major" "postgresql-client-$major" "postgresql-$major-cron" libpq5
for package in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$package" "$dest"; done

bin=$dest/usr/lib/postgresql/$major/bin
libraries=$(echo "$dest"/usr/lib/*-linux-gnu)
loader=$(echo "$libraries"/ld-linux*.so.*)
for program in "$bin"/*; do
  case $program in *.bin) continue ;; esac
  if [ ! -e "$program.bin" ]; then
    [ "$(head -c 4 "$program" | tr -d '\0')" = $'\x7fELF' ] || continue
    mv "$program" "$program.bin"
  fi
  printf '#!/bin/sh\nexec "%s" --argv0 "%s" --library-path "%s:%s" "%s" "$@"\n' \
    "$loader" "$program" "$libraries" "${libraries/\/usr\/lib\///lib/}" "$program.bin" > "$program"
  chmod +x "$program"
done
rm -r "$apt" # 100 MB of packages
chmod -R a+rX "$dest"
"$bin/postgres" --version

# shellcheck shell=bash
# Debian packages: what is missing of packages-*.txt is installed.

# install_for LIST…: build, run, test, lint.
install_for() {
    local list missing=()
    have dpkg-query || die "this needs Debian 12 (there is no dpkg-query here)"
    for list in "$@"; do
        mapfile -t -O "${#missing[@]}" missing < <(missing_packages "$list")
    done
    # The gateway's build takes the documentation page's files from npm; any Node will do.
    if [[ " $* " == *" build "* ]]; then
        have node || missing+=(nodejs)
        have npm || missing+=(npm)
    fi
    # Any kubectl will do; another package's would be in the way of Debian's.
    if [[ " $* " == *" test "* ]]; then
        have kubectl || missing+=(kubernetes-client)
    fi
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    apt_install "${missing[@]}"
}

missing_packages() {
    local packages installed
    packages=$(grep -v '^#' "$ROOT/deploy/dev/packages-$1.txt" | sort)
    # shellcheck disable=SC2086
    # It fails when it knows none of one name; what it does know is printed all the same.
    installed=$({ dpkg-query -W -f='${db:Status-Status} ${Package}\n' $packages 2>/dev/null || true; } |
        awk '$1 ~ /^(installed|triggers-awaited|triggers-pending)$/ { print $2 }' | sort)
    comm -23 <(echo "$packages") <(echo "$installed")
}

apt_install() {
    local root=()
    if ((EUID != 0)); then
        have sudo || die "these packages are missing; install them as root, then try again:" \
            "apt-get install --no-install-recommends $*"
        root=(sudo)
    fi
    apt_retry "${root[@]}" apt-get -q update
    if [[ " $* " == *" postgresql-15 "* ]]; then
        without_system_cluster "${root[@]}"
    fi
    local service
    for service in redis-server prometheus; do
        if [[ " $* " == *" $service "* ]]; then
            install_unstarted "$service" "${root[@]}"
        fi
    done
    apt_retry "${root[@]}" env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 \
        apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
    if [[ " $* " == *" postgresql-15 "* ]]; then
        with_system_cluster "${root[@]}"
    fi
}

apt_retry() {
    local try
    for try in 1 2 3; do
        "$@" >&2 && return 0
        warn "failed ($try of 3): $*"
        sleep $((try * 2))
    done
    die "the packages could not be installed: is there a network, and a mirror in" \
        "/etc/apt/sources.list? Without: put them there by hand, ./dev then takes what is there"
}

# Debian would make and start a PostgreSQL cluster of the machine's own on installing; mcpbus keeps
# its private one in the run folder. The machine's setting is put back afterwards.
readonly CLUSTER_CONF=/etc/postgresql-common/createcluster.conf

without_system_cluster() {
    apt_retry "$@" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends postgresql-common
    "$@" cp -p "$CLUSTER_CONF" "$CLUSTER_CONF.mcpbus"
    "$@" sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' "$CLUSTER_CONF"
}

with_system_cluster() {
    "$@" mv "$CLUSTER_CONF.mcpbus" "$CLUSTER_CONF"
}

# install_unstarted PACKAGE [sudo]: Debian would start such a service for the machine on installing, and
# at each boot; the benchmarks start a Redis of their own, and of Prometheus the tests want promtool.
install_unstarted() {
    local package=$1 policy=/usr/sbin/policy-rc.d made=0
    shift
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "$@" tee "$policy" >/dev/null
        "$@" chmod 755 "$policy"
        made=1
    fi
    apt_retry "$@" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y install --no-install-recommends "$package"
    ((!made)) || "$@" rm -f "$policy"
    ! have systemctl || "$@" systemctl disable "$package" >&2 || true
}

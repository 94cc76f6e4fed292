#!/usr/bin/env bash
# Sees to it that the images which deploy/Dockerfile builds from are there.
#
# Where they are present or can be pulled, that is all. Where no registry is reached, it makes stand-ins under the same
# names: Debian's from a root file system by debootstrap (from the mirror that this host's apt uses), and Rust's from that
# one, gcc and this host's own Rust toolchain. A stand-in bears the label `lyceum.stand-in`.
#
# Needs for a stand-in: a Debian host or a relative of it, root, a Rust toolchain.
set -euo pipefail
cd "$(dirname "$0")"

scratch=$(mktemp --directory)
trap 'rm --recursive --force "$scratch"' EXIT

fail() {
    echo "base-images: $*" >&2
    exit 1
}

# The images that the Dockerfile's stages start from.
names() {
    sed --quiet 's/^FROM \([^ ]*\).*/\1/p' Dockerfile
}

# Whether the image $1 is there, pulled now if need be.
is_there() {
    docker image inspect "$1" >"$scratch/answer" 2>&1 || timeout 900 docker pull --quiet "$1" >"$scratch/answer" 2>&1
}

# The mirror that this host's apt takes main packages from.
mirror() {
    apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(SITE)' 'Created-By: Packages' |
        awk '$2 == "main" && $1 !~ /security|updates|backports/ { print $3; exit }'
}

# debian:SUITE-slim, as $1: a minimal root file system.
make_debian() {
    local image=$1 suite
    suite=${image#debian:}
    suite=${suite%-slim}
    [ "$(id --user)" = 0 ] || fail "$image is not to be pulled, and making it takes root"
    command -v apt-get >/dev/null || fail "$image is not to be pulled, and making it takes a Debian host"
    if ! command -v debootstrap >/dev/null; then
        apt-get update --quiet=2
        apt-get install --yes --quiet=2 --no-install-recommends debootstrap >/dev/null
    fi
    debootstrap --variant=minbase "$suite" "$scratch/root" "$(mirror)" >"$scratch/log" 2>&1 ||
        { cat "$scratch/log" >&2; fail "debootstrap failed"; }
    rm --recursive --force "$scratch"/root/var/cache/apt/archives/*.deb "$scratch"/root/var/lib/apt/lists/*
    tar --create --directory="$scratch/root" . |
        docker import --change 'CMD ["bash"]' --change 'LABEL lyceum.stand-in=true' - "$image" >/dev/null
    rm --recursive --force "$scratch/root"
}

# rust:VERSION-slim-SUITE, as $1: Debian, gcc, this host's toolchain, certificates and cargo configuration.
make_rust() {
    local image=$1 sysroot cargo_home=${CARGO_HOME:-$HOME/.cargo}
    command -v rustc >/dev/null || fail "$image is not to be pulled, and making it takes a Rust toolchain on this host"
    sysroot=$(rustc --print sysroot)
    mkdir "$scratch/context" "$scratch/context/certs" "$scratch/context/cargo"
    cp --dereference /etc/ssl/certs/ca-certificates.crt "$scratch/context/certs/" 2>/dev/null || true
    cp "$cargo_home"/config.toml "$scratch/context/cargo/" 2>/dev/null || true
    cat >"$scratch/context/Dockerfile" <<END
FROM debian:${image##*-}-slim
RUN apt-get update --quiet=2 \
    && apt-get install --yes --quiet=2 --no-install-recommends gcc libc6-dev >/dev/null \
    && rm -rf /var/lib/apt/lists/*
COPY certs /etc/ssl/certs
COPY cargo /root/.cargo
COPY lib /usr/local/lib
COPY bin /usr/local/bin
LABEL lyceum.stand-in=true
END
    # The host's network: what reaches the mirror from here reaches it from there.
    tar --create --directory="$scratch/context" . --directory="$sysroot" bin lib |
        docker build --quiet --network host --tag "$image" - >"$scratch/log" 2>&1 ||
        { cat "$scratch/log" >&2; fail "making $image failed"; }
}

# Debian's first: the stand-in for Rust's is made from it.
for image in $(names | sort --unique); do
    is_there "$image" && continue
    echo "base-images: $image is neither here nor to be pulled ($(tail --lines=1 "$scratch/answer")): making a stand-in"
    case $image in
        debian:*-slim) make_debian "$image" ;;
        rust:*-slim-*) make_rust "$image" ;;
        *) fail "no way is known to make $image" ;;
    esac
done

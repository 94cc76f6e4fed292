#!/usr/bin/env bash
# Brings deploy/compose.yaml up with three workers for a short run, and compares the digest of the final parameters with
# that of the same run without containers. Builds the image; leaves the image, nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! docker info >/dev/null 2>&1; then
    echo "SKIPPED: no Docker engine answers, compose was not tested"
    exit 0
fi

workers=3
# A run of seconds, long enough that every worker joins it. LYCEUM_TEST_ARGUMENTS may name another.
arguments=${LYCEUM_TEST_ARGUMENTS:---set training.meta_steps=400 --set training.validate_every=200 --set training.validation_episodes=16 --set training.test_episodes=32}
scratch=$(mktemp --directory)

if docker compose version >/dev/null 2>&1; then
    composer=(docker compose)
else
    composer=(docker-compose)
fi
compose() {
    "${composer[@]}" --project-name "lyceum-test-$$" --file deploy/compose.yaml "$@"
}

tear_down() {
    local status=$?
    if [ "$status" != 0 ]; then
        compose logs --no-color --tail=50 || true
    fi
    compose down --volumes --timeout 5 >"$scratch/down" 2>&1 || cat "$scratch/down"
    rm --recursive --force "$scratch"
    exit "$status"
}
trap tear_down EXIT

fail() {
    echo "test-compose: $*" >&2
    exit 1
}

# The digest in the one-line objects of standard input.
digest() {
    sed --quiet 's/.*"digest": *"\([^"]*\)".*/\1/p' | tail --lines=1
}

deploy/base-images.sh
# A stand-in was made because no registry is reached by the engine: the build then takes the host's own way to the crates.
base=$(sed --quiet 's/^FROM \([^ ]*\).*/\1/p' deploy/Dockerfile | head --lines=1)
if [ "$(docker image inspect --format '{{index .Config.Labels "lyceum.stand-in"}}' "$base")" = true ]; then
    export LYCEUM_BUILD_NETWORK=host
fi

echo "test-compose: building the image"
compose build coordinator >"$scratch/build" 2>&1 || { tail --lines=60 "$scratch/build"; fail "the image does not build"; }
docker image inspect --format 'test-compose: the image has {{.Size}} bytes and runs as {{.Config.User}}' lyceum

echo "test-compose: the run without containers"
cargo build --quiet --release --locked --bin lyceum
# shellcheck disable=SC2086 # the arguments are words
"${CARGO_TARGET_DIR:-target}/release/lyceum" train glyphs-maml --runs "$scratch/runs" --json $arguments \
    >"$scratch/local" 2>"$scratch/local.log" || { tail --lines=20 "$scratch/local.log"; fail "the run without containers failed"; }
local_digest=$(digest <"$scratch/local")
[ -n "$local_digest" ] || fail "the run without containers printed no digest"

echo "test-compose: the run with a coordinator and $workers workers in containers"
# The port is of no use to the test: any free one.
export LYCEUM_ARGUMENTS=$arguments LYCEUM_PORT=0
compose up --no-build --detach --scale worker="$workers" coordinator worker >"$scratch/up" 2>&1 ||
    { cat "$scratch/up"; fail "up failed"; }

# Compose starts the workers only once the coordinator is healthy, so its health has been seen by now.
coordinator=$(compose ps --all --quiet coordinator)
started=$(compose ps --all --quiet worker | wc --lines)
[ "$started" = "$workers" ] || fail "$started workers are there, not $workers"
echo "test-compose: coordinator is $(docker inspect --format '{{.State.Status}}, {{.State.Health.Status}}' "$coordinator")"

status=$(timeout 600 docker wait "$coordinator") || fail "the run did not end"
[ "$status" = 0 ] || fail "the coordinator ended with status $status"
compose_digest=$(docker logs "$coordinator" 2>/dev/null | digest)
[ "$compose_digest" = "$local_digest" ] || fail "the digests differ: $compose_digest in containers, $local_digest without"

# Workers end by themselves with the run.
for worker in $(compose ps --all --quiet worker); do
    status=$(timeout 60 docker wait "$worker") || fail "worker $worker did not end with the run"
    [ "$status" = 0 ] || fail "worker $worker ended with status $status"
    policy=$(docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' "$worker")
    [ "$policy" = on-failure ] || fail "worker $worker begins anew by the policy $policy, not on-failure"
    # One that failed on the way would have begun anew.
    restarts=$(docker inspect --format '{{.RestartCount}}' "$worker")
    [ "$restarts" = 0 ] || fail "worker $worker failed $restarts times"
done
echo "test-compose: passed, $compose_digest on both sides"

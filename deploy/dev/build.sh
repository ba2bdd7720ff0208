# shellcheck shell=bash
# ./dev build

readonly PRESETS="release asan tsan clang fuzz"

cmd_build() {
    local preset=${1:-release}
    [[ " $PRESETS " == *" $preset "* ]] || die "build takes one of: $PRESETS"
    case $preset in
    fuzz) install_for build run test ;;
    *) install_for build run ;;
    esac
    build "$preset"
}

# build PRESET: configure and compile, without a word when all goes well.
build() {
    local preset=$1 log
    log=$(mktemp)
    say "building ($preset)"
    progress_start "compiling" "$log"
    have ccache && export CMAKE_C_COMPILER_LAUNCHER=ccache
    if ! (cd "$ROOT" && cmake --preset "$preset" && cmake --build --preset "$preset") >"$log" 2>&1
    then
        progress_stop
        tail -n 60 "$log" >&2
        rm -f "$log"
        die "the $preset build failed"
    fi
    progress_stop
    rm -f "$log"
}

# The folder with the programs: MCPBUS_BIN as it is, or the release build, brought up to date.
find_programs() {
    if is_set MCPBUS_BIN; then
        BIN=$(realpath -- "$MCPBUS_BIN") || die "MCPBUS_BIN: there is no folder $MCPBUS_BIN"
        install_for run
    else
        install_for build run
        build release
        BIN=$ROOT/build/bin
    fi
}

# Started anew for each of the conformance suite's scenarios: what is built is taken as it is.
cmd_mcp_client() {
    local client=${MCPBUS_BIN:-$ROOT/build/bin}/mcpbus-mcp-client
    (($# == 1)) || die "mcp-client takes the URL of an MCP server"
    if [[ ! -x $client ]]; then
        find_programs
        client=$BIN/mcpbus-mcp-client
    fi
    exec "$client" "$@"
}

# shellcheck shell=bash
# ./dev lint, ./dev fmt

cmd_fmt() {
    install_for lint
    our_c_files | xargs -0 clang-format -i
}

cmd_lint() {
    local failed=()
    install_for build lint
    [[ -f $ROOT/build/compile_commands.json ]] || build release
    cd "$ROOT" || die "there is no $ROOT"
    lint_step clang-format lint_format
    lint_step shellcheck lint_shell
    lint_step "style rules" /usr/bin/python3 deploy/dev/check_style.py
    lint_step "generated protocol files" /usr/bin/python3 proto/generate.py --check
    lint_step "generated reference" /usr/bin/python3 docs/reference/generate.py --check
    lint_step "clients' generated types" /usr/bin/python3 clients/generate.py --check
    lint_step mypy lint_mypy
    lint_step cppcheck lint_cppcheck
    lint_step clang-tidy lint_tidy
    ((${#failed[@]} == 0)) || die "lint failed: ${failed[*]}"
    say "lint: nothing to complain of"
}

lint_step() {
    local name=$1
    shift
    say "lint: $name"
    ("$@") || failed+=("$name")
}

our_c_files() {
    git -C "$ROOT" ls-files -z --full-name -- '*.c' '*.h'
}

lint_format() {
    our_c_files | xargs -0 clang-format --dry-run -Werror
}

lint_shell() {
    local scripts
    mapfile -d '' -t scripts < <(git ls-files -z -- dev .ci/run '*.sh' \
        deploy/docker/{entrypoint,health,keys} deploy/package/{postinst,postrm,prerm})
    shellcheck -x "${scripts[@]}"
}

lint_mypy() {
    (cd clients/python && mypy --strict --no-error-summary --cache-dir=/dev/null mcpbus_client)
}

# cppcheck reads neither __VA_OPT__ nor the headers of the libraries.
lint_cppcheck() {
    git ls-files -z -- 'libcommon/*.c' 'libmcp/*.c' 'libmcpbus/*.c' 'services/*.c' 'proto/*.c' |
        xargs -0 cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr -I . -D_GNU_SOURCE \
            --include=deploy/dev/cppcheck.h --enable=warning,performance,portability \
            --suppressions-list=deploy/dev/cppcheck.txt
}

lint_tidy() {
    jq -r '.[].file' build/compile_commands.json | grep -E "^$ROOT/(libcommon|libmcp|libmcpbus|services|proto)/" |
        sort -u | xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p build 2>/dev/null
}

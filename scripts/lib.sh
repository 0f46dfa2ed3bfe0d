# What scripts/run and scripts/test share: saying what is done, installing what is missing, building. POSIX sh; sourced.

: "${HOME:=/root}" # CI may start without one
export HOME
top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cache=${DASKTOP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dasktop}

say() { printf '\033[1m==>\033[0m %s\n' "$*" | if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }
die() { printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif have sudo; then sudo "$@"
  else die "these packages are missing and need root to install: $*"
  fi
}

# Debian starts every server that it installs, unless this file says no. Tests start their own.
keep_services_off() {
  policy=/usr/sbin/policy-rc.d
  [ ! -e "$policy" ] || { policy=; return 0; }
  trap services_as_before EXIT
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
}

services_as_before() {
  [ -z "$policy" ] || as_root rm -f "$policy"
  policy=
  trap - EXIT
}

# install_packages KIND: build (compiler and libraries), test (what the tests need on top), demo (a Python that can make venvs),
# pictures (a terminal without a screen), browser (Chromium and its driver).
install_packages() {
  if have apt-get; then
    case $1 in
      build) set -- ca-certificates gcc cmake ninja-build pkg-config libncurses-dev libcurl4-openssl-dev libcjson-dev libyaml-dev libexpat1-dev libpcre2-dev ncurses-term
             if apt-cache show libmsgpack-c-dev >/dev/null 2>&1; then set -- "$@" libmsgpack-c-dev; else set -- "$@" libmsgpack-dev; fi ;;
      test)  set -- libcmocka-dev clang llvm openssl procps python3 python3-venv tmux htop openssh-client openssh-server iproute2 tcsh fish
             v=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
             [ -z "$v" ] || set -- "$@" "libclang-rt-$v-dev" ;;
      demo)  set -- python3 python3-venv ;;
      gateway) set -- krb5-kdc krb5-admin-server krb5-user libkrb5-dev python3-dev ;;
      batch) set -- slurmctld slurmd slurm-client slurmrestd slurm-wlm-basic-plugins slurm-wlm-jwt-plugin munge gridengine-master gridengine-exec gridengine-client
             set -- "$@" oar-server oar-server-pgsql oar-node oar-user oar-user-pgsql postgresql postgresql-client ;;
      browser) set -- chromium chromium-driver ;;
      pictures) set -- xterm xvfb imagemagick xdotool iproute2 fonts-jetbrains-mono fonts-dejavu-core fonts-wqy-zenhei ;;
    esac
    missing=
    for package; do
      [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    keep_services_off
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing </dev/null >/dev/null 2>&1 || {
      as_root apt-get update -q </dev/null >/dev/null || die "apt-get update failed: is the network there?"
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing </dev/null >/dev/null ||
        die "apt-get could not install$missing"
    }
    services_as_before
  elif have dnf; then
    case $1 in
      build) set -- gcc cmake ninja-build pkgconf ncurses-devel libcurl-devel cjson-devel libyaml-devel expat-devel msgpack-devel pcre2-devel ncurses-term ;;
      test)  set -- libcmocka-devel clang compiler-rt libasan libubsan libtsan openssl procps-ng python3 tmux htop openssh-clients openssh-server iproute tcsh fish ;;
      demo)  set -- python3 ;;
      batch | gateway) die "the real systems for the tests are Debian's" ;;
      browser) set -- chromium chromedriver ;;
      pictures) set -- xterm xorg-x11-server-Xvfb ImageMagick xdotool iproute hostname jetbrains-mono-fonts dejavu-sans-mono-fonts ;;
    esac
    rpm -q "$@" >/dev/null 2>&1 && return 0
    say "installing $*"
    as_root dnf install -y -q "$@" </dev/null || die "dnf could not install $*"
  elif have brew; then
    case $1 in
      build) set -- cmake ninja pkg-config ncurses curl cjson expat libyaml msgpack pcre2 ;;
      test)  set -- cmocka python3 tmux htop ;;
      demo)  set -- python3 ;;
      batch | gateway) die "the real systems for the tests are Debian's" ;;
      browser | pictures) die "the pictures, and the tests in a browser, need Linux" ;;
    esac
    for package; do
      brew list "$package" >/dev/null 2>&1 || { say "installing $package"; brew install -q "$package" </dev/null || die "brew could not install $package"; }
    done
    for package in ncurses curl; do
      PKG_CONFIG_PATH="$(brew --prefix "$package")/lib/pkgconfig:${PKG_CONFIG_PATH:-}"
    done
    export PKG_CONFIG_PATH
  else
    say "no apt-get, dnf or brew here: going on with what is installed"
  fi
}

# build PRESET [TARGET…] into build/PRESET.
build() {
  preset=$1; shift
  log=$top/build/$preset.log
  mkdir -p "$top/build"
  say "building $preset"
  { cd "$top" && cmake --preset "$preset" ${DASKTOP_CMAKE:-} && cmake --build --preset "$preset" ${1:+--target "$@"}; } </dev/null >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    die "the build failed: $log has all of it"
  }
}

# venv NAME PACKAGE…: a private Python environment in the cache, made once for each list of packages.
venv() {
  name=$1; shift
  dir=$cache/venv/$name
  if [ "$(cat "$dir/packages" 2>/dev/null)" != "$*" ] || ! "$dir/bin/python" -c '' 2>/dev/null; then
    say "making the Python environment $name: $*"
    rm -rf "$dir"
    mkdir -p "$cache/venv"
    "${PYTHON:-python3}" -m venv "$dir" || die "python3 -m venv failed: is python3-venv installed?"
    "$dir/bin/pip" install -q --disable-pip-version-check "$@" </dev/null || die "pip could not install $*"
    printf '%s\n' "$*" >"$dir/packages"
  fi
}

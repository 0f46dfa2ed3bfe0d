"""Dependencies point one way (README, "How it is built"); read from the includes."""
import re

import pytest

from homes import TOP

MAY_USE = {
    "base": set(),
    "core": {"base"},
    "io": {"base"},
    "dask": {"io", "base"},
    "backends": {"core", "dask", "io", "base"},
    "cli": {"core", "base"},
    "ui": {"core", "base"},
}
SOURCES = sorted((TOP / "src").rglob("*.[ch]"))
CURSES = re.compile(r'#\s*include\s*<(ncursesw?/)?(n?curses|term)\.h>')
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|atoi|system|popen|localtime|strerror|gets|tmpnam|alloca)\(")


def layer(path):
    return path.relative_to(TOP / "src").parts[0]


@pytest.mark.parametrize("path", [p for p in SOURCES if layer(p) in MAY_USE], ids=lambda p: str(p.relative_to(TOP)))
def test_includes(path):
    own = layer(path)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if not found:
            continue
        include = found.group(1)
        assert not include.startswith("."), f"{path}:{number}: includes are from src/, not relative"
        other = include.split("/")[0]
        assert (TOP / "src" / include).exists(), f"{path}:{number}: {include} is not below src/"
        assert other == own or other in MAY_USE[own], f"{path}:{number}: {own} must not use {other}"
        if own == "backends" and other == "backends":
            mine, theirs = path.relative_to(TOP / "src/backends").parts, include.split("/")[1:]
            assert path.name == "registry.c" or len(theirs) == 1 or theirs[0] in ("common", mine[0]), \
                f"{path}:{number}: a backend never names another"


def test_curses_is_in_one_place():
    users = [str(p.relative_to(TOP)) for p in SOURCES if CURSES.search(p.read_text())]
    assert users == ["src/ui/screen.c"]


@pytest.mark.parametrize("path", [p for p in SOURCES if p.suffix == ".c"], ids=lambda p: str(p.relative_to(TOP)))
def test_dangerous_calls(path):
    """Calls that have a better wrapper in base, or start a shell."""
    code = re.sub(r'"(\\.|[^"\\])*"|/\*.*?\*/|//[^\n]*', '""', path.read_text(), flags=re.S)
    found = BANNED.search(code)
    assert not found, f"{path}: {found.group(1)}"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.suffix == ".h"], ids=lambda p: str(p.relative_to(TOP)))
def test_headers_stand_alone(path, tmp_path):
    """Each header can be included by itself."""
    import shlex
    import subprocess
    flags = subprocess.run(["sh", "-c", "pkg-config --cflags ncursesw libcurl libcjson yaml-0.1 libpcre2-8; "
                            "pkg-config --cflags msgpack-c 2>/dev/null || pkg-config --cflags msgpack"], capture_output=True, text=True)
    done = subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Werror", "-x", "c", f"-I{TOP}/src",
                           *shlex.split(flags.stdout), "-include", str(path), "/dev/null"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_is_imported_from_a_conftest():
    """There are several: which of them has the name depends on what is tested with what."""
    for top in ("tests", "integrations"):
        for path in (TOP / top).rglob("*.py"):
            assert not re.search(r"^\s*(from|import) conftest\b", path.read_text(), re.M), path

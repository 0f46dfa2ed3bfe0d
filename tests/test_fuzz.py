"""Each fuzz target for a minute, from the recorded conversations as seeds. A crash, a leak or a timeout fails."""
import os
import shutil
import subprocess

import pytest

from conftest import TESTS, TOP, ahead

SECONDS = int(os.environ.get("DASKTOP_FUZZ_SECONDS", "60"))
TARGETS = sorted(p.stem for p in (TESTS / "fuzz").glob("fuzz_*.c"))
assert TARGETS, "no fuzz targets"
SEEDS = [TESTS / "captures" / name for name in ("dask", "batch", "gateway", "kubernetes", "jupyter")] + [TESTS / "fuzz/seeds"]


@pytest.fixture(scope="module")
def fuzzing(request, tmp_path_factory):
    def fuzz(target):
        where = tmp_path_factory.mktemp(target)
        corpus = where / "corpus"
        corpus.mkdir()
        return subprocess.run([TOP / "build/fuzz/tests" / target, f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=2048",
                               "-print_final_stats=1", f"-artifact_prefix={where}/", corpus, *(s for s in SEEDS if s.is_dir())],
                              capture_output=True, text=True, errors="replace")
    yield from ahead(request, "target", fuzz)


@pytest.mark.skipif(shutil.which("clang") is None, reason="libFuzzer needs clang")
@pytest.mark.timeout(SECONDS * 3 + 120)
@pytest.mark.parametrize("target", TARGETS)
def test_fuzz(target, fuzzing):
    done = fuzzing[target].result()
    assert done.returncode == 0, done.stderr[-6000:]

"""Each fuzz target for a minute, from the recorded conversations as seeds. A crash, a leak or a timeout fails."""
import os
import shutil
import subprocess

import pytest

from homes import TESTS, TOP

SECONDS = int(os.environ.get("DASKTOP_FUZZ_SECONDS", "60"))
TARGETS = sorted(p.stem for p in (TESTS / "fuzz").glob("fuzz_*.c"))
assert TARGETS, "no fuzz targets"
SEEDS = [TESTS / "captures" / name for name in ("dask", "batch", "gateway", "kubernetes", "jupyter")] + [TESTS / "fuzz/seeds"]


def run_beside(target, where):
    """The finished fuzzer. It yields to the tests that run meanwhile."""
    corpus = where / "corpus"
    corpus.mkdir()
    return subprocess.run(["nice", TOP / "build/fuzz/tests" / target, f"-max_total_time={SECONDS}", "-timeout=25", "-rss_limit_mb=2048",
                           "-print_final_stats=1", f"-artifact_prefix={where}/", corpus, *(s for s in SEEDS if s.is_dir())],
                          capture_output=True, text=True, errors="replace")


@pytest.mark.skipif(shutil.which("clang") is None, reason="libFuzzer needs clang")
@pytest.mark.timeout(SECONDS * 3 + 120)
@pytest.mark.parametrize("target", TARGETS)
def test_fuzz(target, beside, request):
    done = beside[request.node.nodeid].result()
    assert done.returncode == 0, done.stderr[-6000:]

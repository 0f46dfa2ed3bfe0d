"""The program that is watched: started when somebody looks, ended when nobody does, started again where it ends by itself."""
import asyncio
import logging
import os
import time

import pytest
from dasktop_jupyter import watch as watching
from dasktop_jupyter.watch import Watch, is_look


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watching, "PAUSE_S", 0.05)
    monkeypatch.setattr(watching, "PAUSE_MOST_S", 0.2)


def watch_of(pretender, linger=60, program=None):
    return Watch(lambda: str(program or pretender.program), lambda: ["list", "--watch", "--output=json"], lambda: linger, logging.getLogger("sidebar"))


async def until(test, seconds=20):
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "not in time"
        await asyncio.sleep(0.01)


def names(watch):
    return sorted(row["name"] for row in watch.rows())


def cluster(row):
    return {"event": "cluster", "cluster": row}


def test_rows_come_change_and_go(pretender, row):
    async def main():
        watch = watch_of(pretender)
        assert watch.rows() == [] and pretender.calls("list") == []  # nobody has looked yet
        pretender.say(cluster(row("a")), cluster(row("b")), {"event": "synced"})
        watch.look()
        watch.look()
        await until(lambda: names(watch) == ["a", "b"])
        pretender.say(cluster(row("a", threads=16)), {"event": "gone", "id": "slurm/b"}, cluster(row("c")))
        await until(lambda: names(watch) == ["a", "c"])
        assert [r["threads"] for r in watch.rows() if r["name"] == "a"] == [16]
        watch.forget("slurm/c")
        assert names(watch) == ["a"]
        await watch.stop()
        call, = pretender.calls("list")
        assert call["argv"] == ["list", "--watch", "--output=json"] and not os.path.exists(f"/proc/{call['pid']}")
        watch.look()  # the server is ending: a last request starts nothing
        await asyncio.sleep(0.1)
        assert len(pretender.calls("list")) == 1
    asyncio.run(main())


def test_it_ends_when_nobody_looks_and_starts_when_somebody_does(pretender, row):
    async def main():
        watch = watch_of(pretender, linger=0.5)
        pretender.say(cluster(row("a")), {"event": "synced"})
        await until(lambda: watch.look() or names(watch) == ["a"])
        call, = pretender.calls("list")[-1:]
        started = len(pretender.calls("list"))
        await until(lambda: not os.path.exists(f"/proc/{call['pid']}"))
        await until(lambda: watch.look() or len(pretender.calls("list")) == started + 1)
        await watch.stop()
    asyncio.run(main())


def test_it_is_started_again_and_what_has_gone_meanwhile_goes(pretender, row, caplog):
    async def main():
        watch = watch_of(pretender)
        pretender.say(cluster(row("a")), cluster(row("b")), {"event": "synced"})
        watch.look()
        await until(lambda: names(watch) == ["a", "b"])
        pretender.say("EXIT 1\n")
        await until(lambda: len(pretender.calls("list")) == 2)
        assert names(watch) == ["a", "b"]  # no flicker
        pretender.say(cluster(row("b")), {"event": "synced"})
        await until(lambda: names(watch) == ["b"])
        await watch.stop()
    asyncio.run(main())
    assert "dasktop: slurm: nobody answers: wait" in caplog.text


def test_what_was_said_long_ago_is_not_said_again(pretender, row, monkeypatch):
    monkeypatch.setattr(watching, "KEPT_S", 0.2)

    async def main():
        watch = watch_of(pretender, linger=0.3)
        pretender.say(cluster(row("a")), {"event": "synced"})
        await until(lambda: watch.look() or names(watch) == ["a"])
        await until(lambda: watch.rows() == [])
        (pretender.path / "says.txt").write_text("")
        started = len(pretender.calls("list"))
        await until(lambda: watch.look() or len(pretender.calls("list")) > started)
        assert watch.rows() == []
        await watch.stop()
    asyncio.run(main())


@pytest.mark.parametrize("says", ["Traceback (most recent call last):\n", '{"event": "cluster"}\n', "[1]\n", '{"event": "cluster", "cluster": {"id": 7}}\n',
                                  '{"event": "cluster", "cluster": {"id": "slurm/a", "threads": NaN}}\n', '{"event": "cluster", "cluster": "' + "x" * 9000000 + '"}\n'],
                         ids=["no JSON", "no cluster", "no event", "no id", "no number", "no end"])
def test_a_program_that_is_another_one_is_one_line_in_the_log(pretender, row, says, caplog):
    async def main():
        watch = watch_of(pretender)
        pretender.say(says)
        watch.look()
        await until(lambda: len(pretender.calls("list")) >= 3)
        assert watch.rows() == []
        await watch.stop()
    asyncio.run(main())
    line, = [record.getMessage() for record in caplog.records if record.name == "sidebar"]
    assert line.endswith("does not speak as `dasktop list --watch -o json` does: is it an older one, or another program?")


@pytest.mark.parametrize("what", ["missing", "no program", "a directory"])
def test_a_program_that_cannot_be_run_is_one_line_in_the_log(pretender, tmp_path, what, caplog):
    bad = tmp_path / "bad"
    if what == "no program":
        bad.write_text("\x00\x01")
        bad.chmod(0o755)
    elif what == "a directory":
        bad.mkdir()

    async def main():
        watch = watch_of(pretender, program=bad)
        watch.look()
        await asyncio.sleep(0.5)
        assert watch.rows() == []
        await watch.stop()
    asyncio.run(main())
    line, = [record.getMessage() for record in caplog.records if record.name == "sidebar"]
    assert str(bad) in line


def test_backends_that_fail_are_told_once(pretender, caplog):
    async def main():
        watch = watch_of(pretender)
        failed = {"event": "backend", "backend": {"name": "prod", "instance": "dev", "state": "failed", "error": "prod:dev: no route"}}
        pretender.say(failed, failed, {"event": "backend", "backend": {"name": "lsf", "instance": None, "state": "absent", "error": "lsf: there is no bjobs"}}, {"event": "synced"})
        watch.look()
        await until(lambda: watch._synced)
        await watch.stop()
    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records if record.name == "sidebar"] == ["prod:dev: no route"]


def test_who_looks():
    assert is_look("GET", "/dask/clusters", 200, "Mozilla/5.0") and is_look("GET", "/user/ada/dask/clusters/", 200, "")
    assert not is_look("GET", "/dask/clusters", 200, "dasktop/0.1.0")
    assert not is_look("GET", "/dask/clusters", 403, "Mozilla/5.0") and not is_look("DELETE", "/dask/clusters", 200, "")
    assert not is_look("GET", "/dask/clusters/0f-0-0-0-0", 200, "") and not is_look("GET", "/api/contents/dask", 200, "")

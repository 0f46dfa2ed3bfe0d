"""A real JupyterLab with the real Dask sidebar in a real browser: a cluster that was made by neither, and one of the sidebar's own beside it."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1]
TOP = PACKAGE.parents[1]

sys.path.append(str(TOP / "tests"))

import rig as rigs  # noqa: E402
from browser import Browser  # noqa: E402
from homes import built_program  # noqa: E402
from lab import lab  # noqa: E402


@pytest.fixture(scope="module")
def program():
    return built_program()


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """As pip installs it, from a copy: nothing is built in the tree, and nothing but what is installed enables it."""
    where = tmp_path_factory.mktemp("installed")
    shutil.copytree(PACKAGE, where / "source", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    subprocess.run([rigs.python("browser"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation",
                    "--ignore-installed", "--prefix", where, where / "source"], check=True, timeout=240)
    return {"PYTHONPATH": str(next(where.glob("lib/python3*/site-packages"))), "JUPYTER_CONFIG_PATH": str(where / "etc/jupyter")}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with rigs.Rig(tmp_path_factory.mktemp("world"), rigs.python("jupyter")) as rig:  # a Dask with dashboards
        yield rig


@pytest.fixture(scope="module")
def research(world):
    """A scheduler and a worker as somebody starts them in a terminal."""
    scheduler = world.scheduler("research")
    world.worker(scheduler.address, "w1")
    scheduler.workers(1)
    return scheduler


@pytest.fixture
def server(tmp_path, program, installed):
    """Starts a JupyterLab with this config of the extension."""
    def start(**config):
        env = {**installed, "PATH": f"{rigs.python('jupyter').parent}:{rigs.plain_path()}", "DASK_ROOT_CONFIG": str(tmp_path / "no-etc"),
               "DASK_DASKTOP__REFRESH": "1s"}
        return lab(tmp_path, program, env, **config)
    return start


def watching(server):
    """Process ids of the dasktop that the server has running."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"\nPPid:\t{server.process.pid}\n" in (entry / "status").read_text() and b"--watch" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            pass
    return found


def config(server, text):
    (server.home / ".config/dask/dasktop.yaml").write_text(text)


def notebook(server, *cells):
    """A notebook of these cells in the server's folder; its name."""
    name = "note.ipynb"
    (server.root / name).write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}}, "cells": [
        {"cell_type": "code", "id": f"cell{number}", "metadata": {}, "outputs": [], "execution_count": None, "source": text} for number, text in enumerate(cells)]}))
    return name


def test_listed_beside_its_own_and_untouched_by_default(server, browser, research, world, program):
    with server() as jupyter:
        browser.open_sidebar(jupyter, notebook(jupyter, "print('it says', client.submit(sum, [19, 23]).result())"))
        found = browser.cluster("research")
        assert re.fullmatch(r"research \[\w+, discovered: local\]", found.title)
        assert found.lines == [f"Scheduler Address: {research.address}", f"Dashboard URL: http://127.0.0.1:{research.dashboard}/status", "Number of Cores: 1",
                               "Memory: 190.73 MiB", "Number of Workers: 1"]
        browser.wait_for_plots()  # the sidebar's dashboards, of the discovered cluster, through Jupyter's proxy

        # its code connects a notebook, and the cluster computes for it
        assert f'client = Client("{research.address}")' in browser.inject("research")
        browser.run_cells("it says 42")

        # its own is made, is listed first and once, is scaled and shut down as ever
        browser.new()
        own = browser.cluster("LocalCluster 1")
        address = own.lines[0].split(": ")[1]
        later = world.scheduler("later")
        browser.cluster("later")  # by now dasktop has asked again, and has seen Jupyter's own too
        assert [re.sub(r" \[.*", "", title) for title in browser.titles()] == ["LocalCluster 1", "later", "research"]
        assert sum(address in text for text in browser.texts()) == 1
        listed = json.loads(subprocess.run([program, "list", "-o", "json"], env={**jupyter.env, "HOME": str(jupyter.home)}, capture_output=True, timeout=60).stdout)
        assert [row["name"] for row in listed["clusters"] if row["backend"] == "jupyter"] == ["LocalCluster 1"]  # what is only shown there is none of Jupyter's
        browser.scale("LocalCluster 1", 2)
        browser.cluster("LocalCluster 1", "Number of Workers: 2")
        browser.shut_down("LocalCluster 1")
        browser.gone("LocalCluster 1")

        # the others are refused, in words, and go on
        browser.scale("research", 3)
        assert "c.DasktopJupyter.allow_scale = True" in browser.error("Failed to scale cluster")
        browser.shut_down("research")
        assert "c.DasktopJupyter.allow_shutdown = True" in browser.error("Failed to close cluster")
        assert browser.has("research") and research.counts()["workers"] == 1

        # with Auto-Start Dask kernels would be connected to the first in the list: nothing that nobody chose is
        setting = jupyter.path / "jupyter/lab/user-settings/dask-labextension/plugin.jupyterlab-settings"
        assert len(jupyter.clusters()) == 2
        setting.parent.mkdir()
        setting.write_text('{"autoStartClient": true} // JSON with comments')
        assert jupyter.clusters() == []
        setting.unlink()
        assert len(jupyter.clusters()) == 2

        watcher, = watching(jupyter)
        browser.leave()
    assert jupyter.process.returncode == 0 and not rigs.alive(watcher)
    assert research.counts()["workers"] == 1 and later.process.poll() is None, "Jupyter's end closes only what Jupyter made"
    said = [line for line in jupyter.log().splitlines() if "DasktopJupyter]" in line]
    assert len(said) == 1 and "Auto-Start Dask is on" in said[0], said


def test_scaled_and_shut_down_where_it_is_allowed(server, browser, research):
    with server(allow_scale=True, allow_shutdown=True) as jupyter:
        config(jupyter, "dasktop: {read-only: true, verdict: {unattended: 1s}}\n")
        browser.open_sidebar(jupyter)
        browser.scale("research", 2)
        assert "read-only" in browser.error("Failed to scale cluster")
        browser.shut_down("research")
        assert "read-only" in browser.error("Failed to close cluster")

        config(jupyter, "")
        browser.scale("research", 2)
        research.workers(2)
        browser.cluster("research", "Number of Workers: 2")

        # what `dasktop delete --yes` would not take is not taken: it is active until its config says when it no longer is
        browser.shut_down("research")
        said = browser.error("Failed to close cluster")
        assert "active" in said and "`dasktop delete local/" in said and research.process.poll() is None
        config(jupyter, "dasktop: {verdict: {unattended: 1s}}\n")
        browser.shut_down("research")
        browser.gone("research")
        rigs.until(lambda: research.process.poll() is not None, what="the end of its scheduler")
        browser.leave()

        # who is killed can end nothing: dasktop sees that nobody reads it
        watcher, = rigs.until(lambda: watching(jupyter))
        os.kill(jupyter.process.pid, signal.SIGKILL)
        rigs.until(lambda: not rigs.alive(watcher), what="the end of dasktop")

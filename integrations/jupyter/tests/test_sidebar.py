"""What takes the place of the manager's methods: its own clusters as ever, discovered ones beside them, and only what is allowed is done."""
import asyncio
import inspect
import logging
import os
import types

import pytest
from dasktop_jupyter.model import entry_id
from dasktop_jupyter.program import DasktopError, run
from dasktop_jupyter.sidebar import Refused, Sidebar


class Manager:
    """As of release 7.0.0: the methods that handlers call, and what ends everything with the server."""

    def __init__(self):
        self.calls, self._clusters = [], {}

    def add(self, identity, scheduler, address):
        self._clusters[identity] = types.SimpleNamespace(scheduler_info={"id": scheduler} if scheduler else {}, scheduler_address=address)

    def list_clusters(self):
        return [{"id": identity, "name": "LocalCluster 1", "scheduler_address": cluster.scheduler_address} for identity, cluster in self._clusters.items()]

    def get_cluster(self, cluster_id):
        return next((model for model in Manager.list_clusters(self) if model["id"] == cluster_id), None)

    async def scale_cluster(self, cluster_id, n):
        self.calls.append(("scale", cluster_id, n))
        return {"id": cluster_id}

    def adapt_cluster(self, cluster_id, minimum, maximum):
        self.calls.append(("adapt", cluster_id, minimum, maximum))
        return {"id": cluster_id}

    async def close_cluster(self, cluster_id):
        self.calls.append(("close", cluster_id))
        return self._clusters.pop(cluster_id, None)

    async def close(self):
        for cluster_id in list(self._clusters):
            await self.close_cluster(cluster_id)


class LaterManager(Manager):
    """As after it: coroutines."""

    async def list_clusters(self):
        return super().list_clusters()

    async def get_cluster(self, cluster_id):
        return super().get_cluster(cluster_id)

    async def adapt_cluster(self, cluster_id, minimum, maximum):
        return super().adapt_cluster(cluster_id, minimum, maximum)


@pytest.fixture(params=[Manager, LaterManager])
def place(request, pretender, row):
    """A manager with its one own cluster, whose place is taken."""
    place = types.SimpleNamespace(manager=request.param(), rows=[row()], gone=[], unasked=False, id=entry_id(row()),
                                  config=types.SimpleNamespace(allow_scale=False, allow_shutdown=False, limit=200))
    place.manager.add("own", "Scheduler-own", "tcp://127.0.0.1:1111")

    async def change(*arguments):
        await run(str(pretender.program), *arguments, timeout=10)
    place.sidebar = Sidebar(place.manager, lambda: place.rows, place.gone.append, change, place.config, lambda: place.unasked, logging.getLogger("sidebar"))
    place.sidebar.take_place()
    return place


async def ready(answer):
    return await answer if inspect.isawaitable(answer) else answer


async def listed(place):
    return [model["id"] for model in await ready(place.manager.list_clusters())]


def test_own_clusters_first_and_as_ever(place):
    async def main():
        models = await ready(place.manager.list_clusters())
        assert models[0] == {"id": "own", "name": "LocalCluster 1", "scheduler_address": "tcp://127.0.0.1:1111"}
        assert [model["id"] for model in models[1:]] == [place.id]
        assert (await ready(place.manager.get_cluster("own")))["name"] == "LocalCluster 1"
        assert (await ready(place.manager.get_cluster(place.id)))["name"] == "train-042 [unattended, discovered: slurm]"
        assert await ready(place.manager.get_cluster("nobody")) is None
        await place.manager.scale_cluster("own", 3)
        await ready(place.manager.adapt_cluster("own", 0, 2))
        assert await place.manager.close_cluster("nobody") is None
        await place.manager.close_cluster("own")
        assert place.manager.calls == [("scale", "own", 3), ("adapt", "own", 0, 2), ("close", "nobody"), ("close", "own")]
        assert await listed(place) == [place.id]
        place.sidebar.give_back()
        assert await listed(place) == []
    asyncio.run(main())


def test_its_own_are_not_discovered_again(place, row):
    async def main():
        place.rows = [row("by-id", scheduler_id="Scheduler-own", address="tcp://10.0.0.9:1111"), row("by-address", scheduler_id=None, address="tcp://127.0.0.1:1111"),
                      row("folded", same_as="slurm/other"), row("elsewhere", address="tcp://127.0.0.1:1111")]
        assert await listed(place) == ["own", entry_id(place.rows[3])]  # loopback of another host: another scheduler has that address there
        place.rows = [row("making", origin={"kind": "command", "pid": os.getpid(), "host": None}), row("far", origin={"pid": os.getpid(), "host": "n7"})]
        assert await listed(place) == ["own", entry_id(place.rows[1])]
        await place.manager.close_cluster("own")  # which dasktop has not seen yet
        place.rows = [row("closed", scheduler_id="Scheduler-own")]
        assert await listed(place) == []
        place.manager.add("young", None, "tcp://10.0.0.5:8786")
        place.rows = [row("same")]
        assert await listed(place) == ["young"]
    asyncio.run(main())


def test_nothing_is_done_by_default(place, pretender):
    async def main():
        await listed(place)
        with pytest.raises(Refused, match="allow_scale = True"):
            await place.manager.scale_cluster(place.id, 4)
        with pytest.raises(Refused, match="allow_shutdown = True.*`dasktop delete slurm/train-042`"):
            await place.manager.close_cluster(place.id)
        with pytest.raises(Refused):
            await ready(place.manager.adapt_cluster(place.id, 0, 4))
    asyncio.run(main())
    assert pretender.calls("scale") == pretender.calls("delete") == [] and place.manager.calls == []


def test_what_is_allowed_is_done_to_that_very_incarnation(place, pretender):
    place.config.allow_scale = place.config.allow_shutdown = True

    async def main():
        await listed(place)
        assert (await place.manager.scale_cluster(place.id, 4))["id"] == place.id
        assert (await place.manager.close_cluster(place.id))["id"] == place.id
    asyncio.run(main())
    assert [call["argv"] for call in pretender.calls("scale")] == [["scale", "--uid=Scheduler-train-042", "--no-wait", "--", "slurm/train-042", "4"]]
    assert [call["argv"] for call in pretender.calls("delete")] == [["delete", "--uid=Scheduler-train-042", "--yes", "--", "slurm/train-042"]]
    assert place.gone == ["slurm/train-042"] and place.manager.calls == []


def test_what_cannot_be_done_is_said_with_its_reason(place, pretender, row):
    """Neither a setting nor the command would do it."""
    async def main():
        place.rows = [row(cannot={"scale": "it has no manager", "adapt": "its own process does that", "delete": "it is protected"})]
        await listed(place)
        for allowed in False, True:
            place.config.allow_scale = place.config.allow_shutdown = allowed
            for change, reason in ((lambda: place.manager.scale_cluster(place.id, 3), "it has no manager"),
                                   (lambda: place.manager.adapt_cluster(place.id, 0, 4), "its own process does that"),
                                   (lambda: place.manager.close_cluster(place.id), "it is protected")):
                with pytest.raises(Refused, match=f"^slurm/train-042: {reason}$"):
                    await ready(change())
    asyncio.run(main())
    assert pretender.calls("scale") == pretender.calls("delete") == []


def test_adapting_is_told_the_truth_about(place, pretender):
    place.config.allow_scale = True

    async def main():
        await listed(place)
        if isinstance(place.manager, LaterManager):
            await place.manager.adapt_cluster(place.id, 0, 4)
        else:  # its handler would not wait for the end
            with pytest.raises(Refused, match="--adapt MIN:MAX"):
                place.manager.adapt_cluster(place.id, 0, 4)
    asyncio.run(main())
    done = [["scale", "--uid=Scheduler-train-042", "--no-wait", "--adapt=0:4", "--", "slurm/train-042"]]
    assert [call["argv"] for call in pretender.calls("scale")] == (done if isinstance(place.manager, LaterManager) else [])


@pytest.mark.parametrize("status, stderr, expected", [
    (6, "dasktop: /etc/dask/dasktop.yaml: read-only: nothing is changed\n", "dasktop: /etc/dask/dasktop.yaml: read-only: nothing is changed"),
    (3, "train-042: submitting (1 of 2)\ndasktop: train-042: the queue takes 4 at most\n", "dasktop: train-042: the queue takes 4 at most"),
    (6, "delete train-042\n  job 5\ndasktop: not confirmed: it is active: give --yes --force\n",
     "dasktop: not confirmed: it is active: give --yes --force: not from here, but by `dasktop delete slurm/train-042` in a terminal"),
    (9, "", "dasktop ended with status 9 and said nothing"),
])
def test_what_dasktop_refuses_is_said_in_its_own_words(place, pretender, status, stderr, expected):
    place.config.allow_shutdown = True
    pretender.answer(status, stderr)

    async def main():
        await listed(place)
        with pytest.raises((DasktopError, Refused)) as error:
            await place.manager.close_cluster(place.id)
        assert str(error.value) == expected and place.gone == []
        assert await listed(place) == ["own", place.id]
    asyncio.run(main())


def test_a_second_click_does_it_once(place, pretender):
    place.config.allow_shutdown = True
    pretender.answer(seconds=1)

    async def main():
        await listed(place)
        first = asyncio.ensure_future(place.manager.close_cluster(place.id))
        await asyncio.sleep(0.2)
        with pytest.raises(Refused, match="is being changed already"):
            await place.manager.close_cluster(place.id)
        await first
    asyncio.run(main())
    assert len(pretender.calls("delete")) == 1


def test_a_change_that_never_ends_is_ended(pretender):
    pretender.answer(seconds=600)

    async def main():
        with pytest.raises(DasktopError, match="no end after 1 s"):
            await run(str(pretender.program), "delete", "x", timeout=1)
    asyncio.run(main())


def test_an_incarnation_that_is_not_known_is_not_changed(place, pretender, row):
    place.config.allow_shutdown = True
    place.rows = [row(uid=None)]

    async def main():
        _, identity = await listed(place)
        with pytest.raises(DasktopError, match="not known yet"):
            await place.manager.close_cluster(identity)
    asyncio.run(main())
    assert pretender.calls("delete") == []


@pytest.mark.parametrize("n", [None, -1, 2.5, "3", True])
def test_a_number_that_is_none(place, pretender, n):
    place.config.allow_scale = True

    async def main():
        await listed(place)
        with pytest.raises(Refused, match="whole number"):
            await place.manager.scale_cluster(place.id, n)
    asyncio.run(main())
    assert pretender.calls("scale") == []


def test_the_servers_end_reaches_only_its_own(place, pretender):
    place.config.allow_shutdown = True

    async def main():
        assert len(await listed(place)) == 2
        await place.manager.close()
        assert await listed(place) == [place.id]
    asyncio.run(main())
    assert pretender.calls("delete") == [] and place.manager.calls == [("close", "own")]


def test_nobody_is_connected_to_a_cluster_that_nobody_chose(place, caplog):
    """Auto-Start Dask gives kernels a client of the first in the list."""
    async def main():
        place.unasked = True
        assert await listed(place) == ["own", place.id]
        await place.manager.close_cluster("own")
        assert await listed(place) == await listed(place) == []
        place.unasked = False
        assert await listed(place) == [place.id]
    asyncio.run(main())
    assert caplog.text.count("Auto-Start Dask is on") == 1


def test_whatever_is_wrong_the_sidebars_own_stay(place, caplog):
    place.rows = [{"no": "id"}]
    assert asyncio.run(listed(place)) == ["own"]
    assert "cannot be listed" in caplog.text


def test_no_more_than_the_limit(place, row, caplog):
    place.config.limit = 3
    place.rows = [row(f"c{i}") for i in range(9, 0, -1)]

    async def main():
        assert await listed(place) == ["own"] + [entry_id(row(f"c{i}")) for i in (1, 2, 3)]
        await listed(place)
    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records if record.name == "sidebar"] == [
        "only 3 discovered clusters are listed, and there are more (c.DasktopJupyter.limit, filter)"]


def test_a_manager_that_is_another_one_is_left_alone():
    manager = types.SimpleNamespace(list_clusters=list)
    sidebar = Sidebar(manager, list, print, print, None, bool, logging.getLogger("sidebar"))
    with pytest.raises(AttributeError):
        sidebar.take_place()
    assert manager.list_clusters is list

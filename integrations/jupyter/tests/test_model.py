"""A row as the sidebar's model: true figures, no doubt about whose it is, nothing that would be run."""
import re

import pytest
from dasktop_jupyter.model import as_model, binary, entry_id, label


def test_a_whole_row(row):
    model = as_model(row())
    assert model.pop("id") == entry_id(row())
    assert model == {"name": "train-042 [unattended, discovered: slurm]", "scheduler_address": "tcp://10.0.0.5:8786",
                     "dashboard_link": "http://10.0.0.5:8787/status", "workers": 3, "memory": "24.00 GiB", "cores": 12,
                     "discovered": {"by": "dasktop", "id": "slurm/train-042", "uid": "Scheduler-train-042"}}
    assert as_model(row(adaptive={"minimum": 0, "maximum": 8}))["adapt"] == {"minimum": 0, "maximum": 8}
    assert "adapt" not in as_model(row(adaptive=False))


def test_what_is_not_known_is_no_number(row):
    model = as_model({"id": "local/1"})
    assert (model["workers"], model["cores"], model["memory"], model["scheduler_address"], model["dashboard_link"]) == ("unknown",) * 4 + ("",)
    assert model["name"] == "local/1 [unknown, discovered: dasktop]"
    model = as_model(row(workers={"ready": 0, "wanted": 0}, threads=0, memory=0))
    assert (model["workers"], model["cores"], model["memory"]) == (0, 0, "0 B")


@pytest.mark.parametrize("status, verdict, stale, words", [
    ("running", "unknown", False, ""), ("pending", "starting", False, "starting, "), ("failed", "orphaned", True, "orphaned, not confirmed of late, "),
    ("closing", "active", False, "active, closing, "), ("unresponsive", "unknown", False, "unresponsive, ")])
def test_labels(row, status, verdict, stale, words):
    assert label(row(status=status, verdict={"state": verdict}, stale=stale)) == f"train-042 [{words}discovered: slurm]"


def test_a_long_name_does_not_hide_that_it_is_discovered(row):
    assert label(row("a" * 40)) == f"{'a' * 40} [unattended, discovered: slurm]"
    assert label(row("LocalCluster 1" + "\xa0" * 200 + "end")) == f"LocalCluster 1{chr(160) * 6}…{chr(160) * 16}end [unattended, discovered: slurm]"


def test_an_id_is_of_one_incarnation_and_one_that_the_sidebar_takes(row):
    first, again, other = (entry_id(row(uid=uid)) for uid in ("a", "a", "b"))
    assert first == again != other and entry_id(row("another", uid="a")) != first
    assert re.fullmatch(r"\w+-\w+-\w+-\w+-\w+", first)  # the route of release 7.0.0


@pytest.mark.parametrize("address", ['tcp://1.2.3.4:1"); import os; os.abort(); ("', "tcp://1.2.3.4:1'", "tcp://a b:1", "tcp://a:1\n", "", None, 5, "1.2.3.4:8786"])
def test_an_address_that_is_none_gets_into_no_code(row, address):
    assert as_model(row(address=address))["scheduler_address"] == "unknown"


@pytest.mark.parametrize("address", ["tcp://10.0.0.5:8786", "tls://[fe80::1%25eth0]:8786", "gateway://gateway.example.org:443/0f1e", "ucx://ib0:13337"])
def test_addresses(row, address):
    assert as_model(row(address=address))["scheduler_address"] == address


@pytest.mark.parametrize("link, shown", [("javascript:alert(1)", ""), ('http://a/"onclick="x', ""), ("http://a:8787/status\n", ""),
                                         ("https://gw.example.org/clusters/0f/status?a=b", "https://gw.example.org/clusters/0f/status?a=b")])
def test_links(row, link, shown):
    assert as_model(row(dashboard=link))["dashboard_link"] == shown


def test_sizes_as_dask_prints_them():
    assert [binary(n) for n in (0, 900, 1000, 200000000, 25275523072)] == ["0 B", "900 B", "0.98 kiB", "190.73 MiB", "23.54 GiB"]

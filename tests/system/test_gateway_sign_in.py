"""Real authorities behind a real Dask Gateway: Kerberos, and a JupyterHub's tokens (scripts/test all)."""
import json
import urllib.request

import authorities
import gateways


def configure(home, gateway, auth, address=None):
    home.config(f"""\
dasktop:
  auto: false
  backends:
    uni: {{type: gateway, address: '{address or gateway.address}', proxy-address: '{gateway.proxy}', timeout: 8s, auth: {auth}}}
""")
    return home


def state(home):
    return json.loads(home.run("backends", "-o", "json").stdout)["backends"][0]


def make_and_delete(home, *secrets):
    done = home.run("create", "--backend", "uni", timeout=120)
    assert done.returncode == 0, done.stderr
    row = home.list()["clusters"][0]
    assert row["id"] in done.stdout and row["status"] == "running"
    done = home.run("delete", row["id"], "--yes", "--force", timeout=120)
    assert done.returncode == 0, done.stderr
    kept = "".join(p.read_text(errors="replace") for p in (home.path / ".local/state").rglob("*") if p.is_file())
    assert not [s for s in secrets if s in kept + done.stdout + done.stderr]
    return row


def test_kerberos(home, tmp_path):
    with authorities.Kdc(tmp_path / "kdc") as kdc:
        sign_in = f'c.DaskGateway.authenticator_class = "dask_gateway_server.auth.KerberosAuthenticator"\nc.KerberosAuthenticator.keytab = "{kdc.keytab}"\n'
        with gateways.Gateway(tmp_path / "gateway", sign_in, kdc.env) as gateway:
            home.env.update(kdc.env)
            configure(home, gateway, "{type: kerberos}", gateway.address.replace("127.0.0.1", "localhost"))
            found = state(home)
            assert found["state"] == "needs sign-in" and "kinit" in found["error"], found
            kdc.kinit()
            assert state(home)["state"] == "ok"
            row = make_and_delete(home)
            assert row["owner"] is None, "whose ticket it is, the gateway does not say"
            assert "HTTP/localhost" in kdc.log()
            kdc.kdestroy()
            assert state(home)["state"] == "needs sign-in"


def its_single_user_server(home, hub):
    """Found as any other of this user's servers, by the file that it leaves; there it has a token of the Hub's."""
    said, runtime = hub.server("ada")
    request = urllib.request.Request(said["url"] + "dask/clusters", method="PUT", data=b"{}", headers={"Authorization": f"token {said['token']}"})
    made = json.loads(urllib.request.urlopen(request, timeout=120).read())
    home.env["JUPYTER_RUNTIME_DIR"] = str(runtime)
    home.config("dasktop: {auto: false, timeout: 15s, backends: {jupyter: {}}}\n")
    row, = home.list()["clusters"]
    assert row["id"].endswith(made["id"]) and row["instance"] == f"localhost:{said['port']}/user/ada" and row["status"] == "running" and row["address"] == made["scheduler_address"], row
    assert row["workers"]["ready"] == 1 and row["origin"]["kind"] == "jupyterlab" and row["origin"]["pid"] == said["pid"], row
    done = home.run("delete", row["id"], "--yes", "--force", timeout=120)
    assert done.returncode == 0 and home.list()["clusters"] == [], done.stderr
    assert said["token"] not in done.stdout + done.stderr


def test_jupyterhub(home, tmp_path):
    with authorities.Hub(tmp_path / "hub") as hub, gateways.Gateway(tmp_path / "gateway", hub.gateway) as gateway:
        hub.spawn("ada")
        token = hub.token("ada")
        configure(home, gateway, "{type: jupyterhub}")
        home.env.update(JUPYTERHUB_API_TOKEN=token, JUPYTERHUB_USER="ada")
        assert state(home)["state"] == "ok"
        assert make_and_delete(home, token)["owner"] == "ada"
        hub.revoke(token)
        found = state(home)
        assert found["state"] == "needs sign-in" and "expired" in found["error"] and token not in found["error"], found
        done = home.run("list")
        assert done.returncode == 1 and "JupyterHub token" in done.stderr and token not in done.stderr
        its_single_user_server(home, hub)

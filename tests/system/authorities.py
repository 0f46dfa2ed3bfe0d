"""Who says who somebody is, for real and on loopback: a Kerberos KDC, a JupyterHub without its web proxy, and what it starts."""
import json
import os
import pathlib
import signal
import subprocess
import textwrap
import urllib.error
import urllib.request

import jupyters
import rig as rigs

REALM = "DASKTOP.TEST"


class Kdc:
    """MIT's: `with Kdc(path) as kdc:`; kdc.env has what clients need; kdc.kinit(user) gets a ticket, kdc.keytab is HTTP/localhost's."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True)
        port = rigs.free_port()
        (self.path / "krb5.conf").write_text(textwrap.dedent(f"""\
            [libdefaults]
              default_realm = {REALM}
              dns_lookup_kdc = false
              dns_lookup_realm = false
              dns_canonicalize_hostname = false
              rdns = false
            [realms]
              {REALM} = {{
                kdc = 127.0.0.1:{port}
              }}
            [domain_realm]
              localhost = {REALM}
            """))
        (self.path / "kdc.conf").write_text(textwrap.dedent(f"""\
            [kdcdefaults]
              kdc_listen = 127.0.0.1:{port}
              kdc_tcp_listen = 127.0.0.1:{port}
            [realms]
              {REALM} = {{
                database_name = {self.path}/principal
                key_stash_file = {self.path}/stash
                acl_file = {self.path}/acl
              }}
            [logging]
              kdc = FILE:{self.path}/kdc.log
            """))
        self.keytab = self.path / "http.keytab"
        self.env = {"KRB5_CONFIG": str(self.path / "krb5.conf"), "KRB5_KDC_PROFILE": str(self.path / "kdc.conf"), "KRB5CCNAME": f"FILE:{self.path}/tickets"}

    def run(self, *command, **more):
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        done = subprocess.run(command, env=dict(os.environ, PATH=path, **self.env), capture_output=True, text=True, timeout=60, **more)
        assert done.returncode == 0, (command, done.stdout, done.stderr)

    def __enter__(self):
        self.run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master")
        for what in ("addprinc -pw sesame alice", "addprinc -randkey HTTP/localhost", f"ktadd -k {self.keytab} HTTP/localhost"):
            self.run("kadmin.local", "-q", what)
        self.process = subprocess.Popen(["/usr/sbin/krb5kdc", "-n"], env=dict(os.environ, **self.env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        rigs.until(lambda: "commencing operation" in self.log(), 30, what="krb5kdc")
        return self

    def log(self):
        log = self.path / "kdc.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def kinit(self, user="alice"):
        self.run("kinit", user, input="sesame\n")

    def kdestroy(self):
        self.run("kdestroy", "-A")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


class Hub:
    """`with Hub(path) as hub:`; hub.token(user) makes an API token, hub.revoke(token) ends it."""
    ADMIN = "token-of-the-maker-of-tokens-0000"
    SERVICE = "token-of-the-gateway-itself-00000"

    def __init__(self, path):
        self.path, self.port, self.ids = pathlib.Path(path), rigs.free_port(), {}
        self.path.mkdir(parents=True)
        self.api = f"http://127.0.0.1:{self.port}/hub/api"
        hub = next(rigs.python("gateway").parents[1].glob("lib/python3*/site-packages"))  # Jupyter's environment has no JupyterHub
        (self.path / "hub.py").write_text(textwrap.dedent(f"""\
            from jupyterhub.proxy import Proxy

            class Nothing(Proxy):
                should_start = False

                async def add_route(self, *_):
                    pass

                async def delete_route(self, *_):
                    pass

                async def get_all_routes(self):
                    return {{}}

            c.JupyterHub.proxy_class = Nothing
            c.JupyterHub.authenticator_class = "dummy"
            c.Authenticator.allowed_users = {{"ada", "bob"}}
            c.JupyterHub.hub_ip = "127.0.0.1"
            c.JupyterHub.hub_port = {self.port}
            c.JupyterHub.db_url = "sqlite:///{self.path}/hub.sqlite"
            c.JupyterHub.cookie_secret_file = "{self.path}/cookie"
            c.JupyterHub.services = [{{"name": "maker", "api_token": "{self.ADMIN}"}}, {{"name": "dask-gateway", "api_token": "{self.SERVICE}"}}]
            c.JupyterHub.load_roles = [{{"name": "maker", "scopes": ["admin:users", "admin:servers", "tokens"], "services": ["maker"]}},
                                       {{"name": "user", "scopes": ["self", "access:services!service=dask-gateway"]}}]
            c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
            c.JupyterHub.spawner_class = "simple"
            c.SimpleLocalProcessSpawner.home_dir_template = "{self.path}/{{username}}"
            c.Spawner.cmd = ["{rigs.python("jupyter")}", "-c", "import sys; sys.path.append('{hub}'); from jupyterhub.singleuser import main; main()"]
            c.Spawner.args = ["--allow-root"]
            """))
        self.gateway = textwrap.dedent(f"""\
            c.DaskGateway.authenticator_class = "dask_gateway_server.auth.JupyterHubAuthenticator"
            c.JupyterHubAuthenticator.jupyterhub_api_url = "{self.api}"
            c.JupyterHubAuthenticator.jupyterhub_api_token = "{self.SERVICE}"
            c.JupyterHubAuthenticator.jupyterhub_service_name = "dask-gateway"
            """)

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.api + path, method=method, data=body and json.dumps(body).encode(), headers={"Authorization": f"token {self.ADMIN}"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.loads(answer.read() or b"null")
        except OSError:
            return None

    def __enter__(self):
        python = rigs.python("gateway")
        with open(self.path / "hub.log", "ab") as log:
            self.process = subprocess.Popen([python, "-m", "jupyterhub", "-f", self.path / "hub.py"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.path,
                                            start_new_session=True, env=dict(os.environ, HOME=str(self.path), PATH=f"{python.parent}:{os.environ['PATH']}"))
        rigs.until(lambda: self.ask("GET", "/users"), 90, what=f"JupyterHub: {self.path}/hub.log")
        return self

    def token(self, user):
        made = self.ask("POST", f"/users/{user}/tokens", {})
        self.ids[made["token"]] = f"/users/{user}/tokens/{made['id']}"
        return made["token"]

    def revoke(self, token):
        self.ask("DELETE", self.ids[token])

    def spawn(self, user):
        """Has their single-user server started."""
        settings = self.path / user / ".config/dask"
        settings.mkdir(parents=True)
        (settings / "labextension.yaml").write_text(jupyters.FACTORY)
        self.ask("POST", f"/users/{user}/server", {})

    def server(self, user):
        """What that server, once it is up, says of itself in its runtime directory; where that is."""
        def runs():
            return any(server["ready"] for server in (self.ask("GET", f"/users/{user}") or {}).get("servers", {}).values())
        rigs.until(runs, 120, 0.5, what=f"JupyterHub: {self.path}/hub.log")
        file, = (self.path / user / ".local/share/jupyter/runtime").glob("jpserver-*.json")
        return json.loads(file.read_text()), file.parent

    def log(self):
        return (self.path / "hub.log").read_text(errors="replace")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

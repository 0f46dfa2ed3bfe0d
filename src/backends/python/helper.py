"""The helper of dasktop's backend `python`: every `dask_cluster_discovery` entry point of this Python, by the plugin protocol.

JSON-RPC 2.0, one message a line, on standard input and output (dasktop's contract, section 3). Every request but hello and create
names its "entry_point". Needs Python 3.8 and nothing that is not installed beside it; dask_ctl is imported only by its own entry
point. What runs here is other people's code, so: nothing of it may write to the protocol's descriptors, none of it may keep the
others or a deadline waiting, and `close()` is never called where it is not known what it does.

A class may say of itself what this file cannot know: `__dasktop__ = {"delete": "name of the method that deletes", "adapt": True,
"lives_elsewhere": True}`; the last two: adaptive scaling, or the cluster, goes on without the Python process that asked for it.
"""
import asyncio
import heapq
import importlib
import importlib.metadata
import inspect
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

GROUP = "dask_cluster_discovery"
LOAD_S, LOOK_S, CHANGE_S, IDLE_S, POLL_S, PROXY_S = 30, 60, 3600, 60, 2, 5
CLUSTERS_MAX, THREADS_MAX, TEXT_MAX, LANES_MAX = 100000, 64, 65536, 4

MISSING, PARAMS, INTERNAL = -32601, -32602, -32603
DENIED, NOT_FOUND, CONFLICT, UNSUPPORTED, UNREACHABLE, LATE, CANCELLED = -32001, -32002, -32003, -32004, -32005, -32006, -32800


class Refused(Exception):
    """An answer that is no result."""

    def __init__(self, code, message, **data):
        super().__init__(message)
        self.code, self.data = code, data


def in_words(error):
    """An exception as one line."""
    if isinstance(error, Refused):
        return str(error)
    lines = str(error).split("\n")
    words = re.sub(r"(//[^/@\s:]*):[^/@\s]*@", r"\1:…@", lines[0].strip())[:300]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def clean(value):
    """Only what every JSON parser takes: no halves of characters, no NUL, no NaN; what JSON does not know as text."""
    if isinstance(value, str):
        return value[:TEXT_MAX].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {clean(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value if value is None or isinstance(value, (bool, int, float)) else clean(str(value))


def as_json(message):
    """Cleaning costs more than writing, and nearly nothing needs it."""
    try:
        text = json.dumps(message, separators=(",", ":"), allow_nan=False)
        if len(text) <= TEXT_MAX and "\\ud" not in text and "\\u0000" not in text:
            return text
    except (TypeError, ValueError, RecursionError):
        pass
    return json.dumps(clean(message), separators=(",", ":"))


# ------------------------------------------------------------------------------------------------------------------- the line


class Line:
    """Both ends of the protocol, on descriptors of their own: print(), os.write(1), input() and children reach others."""

    def __init__(self):
        buffered = sys.stdin.buffer  # the bootstrap has read through it, and it may hold our first messages
        os.set_blocking(0, False)
        self.rest = bytes(buffered.peek() or b"")
        os.set_blocking(0, True)
        self.input, self.output = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        sys.stdin, sys.stdout = open(os.devnull), sys.stderr
        self.lock = threading.Lock()

    def send(self, **message):
        text = as_json(dict(message, jsonrpc="2.0")).encode() + b"\n"
        with self.lock:
            while text:
                try:
                    text = text[os.write(self.output, text):]
                except BrokenPipeError:
                    leave()

    def messages(self):
        """Until the end of input."""
        while True:
            line, newline, after = self.rest.partition(b"\n")
            if newline:
                self.rest = after
                try:
                    message = json.loads(line)
                except ValueError:
                    continue
                if isinstance(message, dict):
                    yield message
                continue
            more = os.read(self.input, 1 << 16)
            if not more:
                return
            self.rest += more


folders = set()  # of certificates, as long as their route is held


def leave(*_):
    """At once: exit hooks of other people's packages may hang, and may close clusters."""
    for folder in list(folders):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


# --------------------------------------------------------------------------------------------------------------- requests


class Request:
    """Answered exactly once: by its work, its deadline or its cancel, whichever comes first. What comes after that is dropped."""

    def __init__(self, helper, message):
        self.helper, self.id, self.method = helper, message.get("id"), message.get("method")
        params = message.get("params")
        self.params = params if isinstance(params, dict) else {}
        self.lock, self.over, self.late = threading.Lock(), threading.Event(), None

    def note(self, method, **params):
        with self.lock:
            if not self.over.is_set():
                self.helper.line.send(method=method, params=dict(params, request=self.id))

    def answer(self, **message):
        with self.lock:
            if self.over.is_set():
                return
            self.over.set()
            self.helper.line.send(id=self.id, **message)
        self.helper.requests.pop(self.id, None)

    def refuse(self, error):
        code = error.code if isinstance(error, Refused) else INTERNAL
        data = getattr(error, "data", None) if isinstance(error, Refused) else None
        self.answer(error=dict({"code": code, "message": in_words(error)}, **({"data": data} if data else {})))

    def within(self, seconds, why):
        """From now on it has so long; why() tells what to say then. Takes the place of the deadline before it."""
        self.late = why
        self.helper.clock.add(seconds, self, why)

    def limit(self, default):
        given = self.params.get("deadline_ms")
        return given / 1000 if isinstance(given, (int, float)) and not isinstance(given, bool) and given > 0 else default


class Clock:
    """One thread for all deadlines, so that work which blocks cannot keep its own from being noticed."""

    def __init__(self, idle):
        self.heap, self.order, self.changed, self.idle = [], itertools.count(), threading.Condition(), idle
        threading.Thread(target=self.run, daemon=True, name="clock").start()

    def add(self, seconds, request, why):
        with self.changed:
            heapq.heappush(self.heap, (time.monotonic() + seconds, next(self.order), request, why))
            self.changed.notify()

    def run(self):
        while True:
            due = []
            with self.changed:
                wait = self.heap[0][0] - time.monotonic() if self.heap else IDLE_S
                if wait > 0:
                    self.changed.wait(min(wait, IDLE_S))
                while self.heap and self.heap[0][0] <= time.monotonic():
                    due.append(heapq.heappop(self.heap))
            for _, _, request, why in due:
                if request.late is why and not request.over.is_set():
                    try:
                        why()
                    except Exception as error:
                        request.refuse(error)
            self.idle()


# ------------------------------------------------------------------------------------------------ what is known of which class


def own_words(cls):
    words = getattr(cls, "__dasktop__", None)
    return words if isinstance(words, dict) else {}


def delete_kube(obj):
    obj.shutdown_on_close = True  # else close() only disconnects what from_name() gave
    return obj.close()


PROXY, KUBE = "dask_ctl.proxy.ProxyCluster", "dask_kubernetes.operator.kubecluster.kubecluster.KubeCluster"
HELM, GATEWAY = "dask_kubernetes.helm.helmcluster.HelmCluster", "dask_gateway.client.GatewayCluster"
SPEC, BASE = "distributed.deploy.spec.SpecCluster", "distributed.deploy.cluster.Cluster"
MACHINES = ("dask_cloudprovider.generic.vmcluster.VMCluster", "dask_cloudprovider.aws.ecs.ECSCluster")

# How each class deletes: read in its sources, not guessed.
DELETES = {
    KUBE: (delete_kube, "close() with shutdown_on_close deletes its DaskCluster resource; the operator takes its pods and services away"),
    GATEWAY: (lambda obj: obj.shutdown(), "shutdown(): the gateway stops its scheduler and workers"),
}
REFUSES_DELETE = {
    PROXY: "a ProxyCluster only looks at a scheduler on this host and cannot end it: the backend local can",
    HELM: "Helm made it, and its close() deletes nothing: helm uninstall does",
    SPEC: "its processes or jobs belong to the Python process that made it",
}
REFUSES_SCALE = {PROXY: "a ProxyCluster only looks at a scheduler on this host: it has no part in how the workers were started"}
ADAPTS_WITHOUT_US = (KUBE, GATEWAY)
LIVES_ELSEWHERE = (KUBE, GATEWAY) + MACHINES
REFUSES_CREATE = {
    HELM: "HelmCluster makes nothing: it connects to a release that Helm has installed",
    PROXY: "ProxyCluster makes nothing: it connects to a scheduler that is there",
}


def lineage(cls):
    return [f"{base.__module__}.{base.__qualname__}" for base in getattr(cls, "__mro__", ())]


def first_of(table, cls):
    return next((table[name] for name in lineage(cls) if name in table), None)


def overrides(cls, method):
    """It has this method, and not only as distributed's base class pretends it."""
    owner = next((base for base in getattr(cls, "__mro__", ()) if method in vars(base)), None)
    return owner is not None and f"{owner.__module__}.{owner.__qualname__}" != BASE


def why_not(cls, capability):
    """None: it can; else the reason why it cannot."""
    name = getattr(cls, "__name__", str(cls))
    if capability in ("scale", "adapt") and first_of(REFUSES_SCALE, cls):
        return first_of(REFUSES_SCALE, cls)
    if capability == "scale":
        ready = overrides(cls, "scale") and getattr(cls, "_supports_scaling", True)
        return None if ready else f"{name} has no scale()"
    if capability == "adapt":
        if not overrides(cls, "adapt"):
            return f"{name} adapts only within the Python process that asked for it" if hasattr(cls, "adapt") else f"{name} has no adapt()"
        if own_words(cls).get("adapt") is True or any(known in lineage(cls) for known in ADAPTS_WITHOUT_US):
            return None
        return f"it is not known whether the adaptive scaling of {name} goes on without the Python process that asked for it"
    if capability == "logs":
        return None if hasattr(cls, "get_logs") else f"{name} has no get_logs()"
    if capability == "delete":
        if way_to_delete(cls):
            return None
        return first_of(REFUSES_DELETE, cls) or f"it is not known whether close() of {name} deletes the cluster or only lets go of it"
    return None


def way_to_delete(cls):
    method = own_words(cls).get("delete")
    if isinstance(method, str) and callable(getattr(cls, method, None)):
        return lambda obj: getattr(obj, method)(), f"{method}(), which its class names as what deletes"
    return first_of(DELETES, cls)


def abilities(cls, known={}):
    """(can, cannot), looked up once for each class."""
    if id(cls) in known and known[id(cls)][0] is cls:
        return known[id(cls)][1:]
    reasons = {word: why_not(cls, word) for word in ("scale", "adapt", "logs", "delete")}
    can = [word for word, why in reasons.items() if why is None] + ["connect", "snippet"]
    cannot = {word: why for word, why in reasons.items() if why}
    if len(known) < 1000:
        known[id(cls)] = cls, can, cannot
    return can, cannot


def at_a_glance(name, key, cls):
    """What the name and the class tell, without a word to the cluster."""
    can, cannot = abilities(cls)
    cluster = {"id": key, "name": key, "type": getattr(cls, "__name__", None) or str(cls), "can": can, "cannot": cannot}
    port = re.fullmatch(r"proxycluster-(\d{1,5})", name)
    if port and PROXY in lineage(cls):  # it is the one class whose names are addresses
        cluster["address"] = f"tcp://localhost:{port.group(1)}"
    return cluster


# ----------------------------------------------------------------------------------------------------------- entry points


class Lane(threading.Thread):
    """A thread with an event loop for one entry point: who blocks it blocks only himself."""

    def __init__(self, name):
        super().__init__(daemon=True, name=f"entry point {name}")
        self.loop = None
        self.ready = threading.Event()
        self.start()

    def run(self):
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.ready.set()
        self.loop.run_forever()

    def submit(self, work):
        self.ready.wait()
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def is_blocked(self):
        self.ready.wait()
        answered = threading.Event()
        self.loop.call_soon_threadsafe(answered.set)
        return not answered.wait(0.25)


class Discovery:
    """One run of an entry point's generator. It outlives the request that it is too slow for: the next one takes it over, so that
    what is slow comes late and not never."""

    def __init__(self, seconds):
        self.began, self.most = time.monotonic(), max(60, 10 * seconds)
        self.found, self.seen, self.requests = [], {}, []
        self.twice, self.nameless, self.loaded = 0, 0, None
        self.over, self.error, self.reason, self.task = threading.Event(), None, None, None


class EntryPoint:
    def __init__(self, helper, point, distribution):
        self.helper, self.point, self.distribution = helper, point, distribution
        self.name, self.lock, self.lane, self.lanes = point.name, threading.RLock(), None, 0
        self.function, self.discovery = None, None
        self.classes, self.names = {}, {}  # by the id that dasktop knows
        self.handles, self.making = {}, {}

    def discover(self, request):
        seconds = request.limit(5)
        with self.lock:
            old = self.discovery
            if old and time.monotonic() - old.began > old.most:
                self.give_up(old)
                old = None
            discovery = self.discovery = old or Discovery(seconds)
            for cluster in discovery.found:
                request.note("cluster", cluster=cluster)
            discovery.requests.append((request, seconds))
            if discovery.loaded:
                request.within(seconds, lambda: self.out_of_time(discovery, request, seconds))
            else:
                request.within(LOAD_S, lambda: self.load_is_late(request))
            if not old:
                if not self.lane:
                    self.lane = Lane(self.name)
                discovery.task = self.lane.submit(self.run(discovery))

    def give_up(self, discovery):
        discovery.task.cancel()
        self.discovery = None
        if self.lane.is_blocked():
            if self.lanes >= LANES_MAX:
                self.discovery = discovery
                raise Refused(LATE, f"blocked {LANES_MAX + 1} times, for ever each time: it is not asked any more", retry_after=600)
            self.lanes += 1
            self.lane = None

    def load_is_late(self, request):
        request.refuse(Refused(LATE, f"{self.point.value} is not imported after {LOAD_S} s"))

    def out_of_time(self, discovery, request, seconds):
        blocked = self.lane.is_blocked() if self.lane else False
        words = f"blocked: no answer in {seconds:g} s, and its thread is held" if blocked else f"timeout: not done after {seconds:g} s"
        if discovery.found:
            request.answer(result={"complete": False, "reason": words})
        else:
            request.refuse(Refused(LATE, words))

    def load(self):
        try:
            function = self.point.load()
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                raise
            words = f"{self.point.value} cannot be imported: {in_words(error)}"
            if isinstance(error, ModuleNotFoundError) and error.name and f"{self.point.value.partition(':')[0]}.".startswith(f"{error.name}."):
                # dask-kubernetes announces helmcluster to this day, and has it no more: that is nobody's failure
                raise Refused(UNREACHABLE, f"{self.distribution} announces it and does not have it: {words}", absent=True) from error
            raise Refused(INTERNAL, words) from error
        if not callable(function):
            raise Refused(INTERNAL, f"{self.point.value} cannot be called")
        if self.point.value == "dask_ctl.proxy:discover":
            sys.modules["dask_ctl.proxy"].Client = Knock
        self.function = function

    async def run(self, discovery):
        try:
            if not self.function:
                self.load()
            with self.lock:
                discovery.loaded = time.monotonic()
                for request, seconds in discovery.requests:
                    request.within(seconds, lambda r=request, s=seconds: self.out_of_time(discovery, r, s))
            generator = self.function()
            if not hasattr(generator, "__aiter__"):
                if inspect.iscoroutine(generator):
                    generator.close()
                raise Refused(INTERNAL, f"{self.point.value} is no async generator")
            async for item in generator:
                if not self.take(discovery, item):
                    break
        except asyncio.CancelledError:
            discovery.error = Refused(LATE, "timeout: given up")
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: they are this provider's failure alone
            discovery.error = error
        self.end(discovery)

    def take(self, discovery, item):
        """False: that is enough."""
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise Refused(INTERNAL, f"{self.point.value} does not yield (name, class)")
        name, cls = str(item[0]), item[1]
        key = clean(name)
        with self.lock:
            if not key or key in discovery.seen:
                discovery.nameless, discovery.twice = discovery.nameless + (not key), discovery.twice + bool(key)
                return True
            if len(discovery.found) >= CLUSTERS_MAX:
                discovery.reason = f"more than {CLUSTERS_MAX} clusters"
                return False
            cluster = at_a_glance(name, key, cls)
            discovery.seen[key], self.names[key] = cls, name
            self.classes[key] = cls
            discovery.found.append(cluster)
            for request, _ in discovery.requests:
                request.note("cluster", cluster=cluster)
        return True

    def end(self, discovery):
        with self.lock:
            left_out = [f"{count} left out: {why}" for count, why in ((discovery.twice, "another cluster has that name"), (discovery.nameless, "without a name"))
                        if count]
            discovery.reason = discovery.reason or "; ".join(left_out) or None
            if not discovery.error and not discovery.reason:
                self.classes = dict(discovery.seen)
                self.names = {key: self.names[key] for key in discovery.seen}
            if self.discovery is discovery:
                self.discovery = None
            discovery.over.set()
            for request, _ in discovery.requests:
                if discovery.error:
                    request.refuse(discovery.error)
                else:
                    request.answer(result={"complete": False, "reason": discovery.reason} if discovery.reason else {"complete": True})

    def look(self, request):
        """A discovery for our own use, whole."""
        inner = Request(self.helper, {"id": None})
        done, said = threading.Event(), {}
        inner.note = lambda method, **params: None

        def answer(**message):
            said.update(message)
            inner.over.set()
            done.set()
        inner.answer = answer
        inner.params = {"deadline_ms": request.limit(LOOK_S) * 1000}
        self.discover(inner)
        while not done.wait(0.1):
            if request.over.is_set():
                raise Refused(CANCELLED, "cancelled")
        if "error" in said:
            raise Refused(said["error"]["code"], said["error"]["message"])
        return said["result"]["complete"]

    def class_of(self, request, key):
        if key not in self.classes:
            whole = self.look(request)
            if key not in self.classes:
                raise Refused(NOT_FOUND if whole else LATE, f"{self.name} does not know it" + ("" if whole else ", but did not tell of all"))
        return self.classes[key]

    # -------------------------------------------------------------------------------------------------------- handles

    def handle(self, request, key):
        """The manager object, made once at a time; from_name may connect, start threads, block."""
        cls = self.class_of(request, key)
        while True:
            with self.lock:
                handle = self.handles.get(key)
                if handle:
                    handle.used = time.monotonic()
                    return handle
                other = self.making.get(key)
                if not other:
                    mine = self.making[key] = threading.Event()
                    break
            while not other.wait(0.1):
                if request.over.is_set():
                    raise Refused(CANCELLED, "cancelled")
        try:
            handle = Handle(self, key, make(cls, self.names.get(key, key)))
            with self.lock:
                self.handles[key] = handle
            return handle
        except Exception as error:
            self.explain(request, key, error, "from_name() failed")
        finally:
            with self.lock:
                self.making.pop(key, None)
            mine.set()

    def explain(self, request, key, error, words):
        """Whether it failed because the cluster is gone is for its own discovery to say; one that was under way began before."""
        if isinstance(error, Refused) and error.code != UNREACHABLE:
            raise error
        with self.lock:
            self.classes.pop(key, None)
        for _ in range(2):
            if self.look(request) and key not in self.classes:
                raise Refused(NOT_FOUND, f"{self.name} does not know it any more") from error
        code = DENIED if isinstance(error, PermissionError) else UNREACHABLE
        raise Refused(code, f"{words}: {in_words(error)}") from error

    def facts(self, request, key):
        """The handle and what its cluster says now. A handle that went stale is made anew once."""
        for last in (False, True):
            handle = self.handle(request, key)
            try:
                return handle, handle.facts()
            except Exception as error:
                self.drop(key)
                if last:
                    self.explain(request, key, error, "it does not answer")

    def drop(self, key):
        with self.lock:
            handle = self.handles.pop(key, None)
        if handle:
            threading.Thread(target=handle.disconnect, daemon=True).start()

    def drop_idle(self):
        now = time.monotonic()
        with self.lock:
            idle = [key for key, handle in self.handles.items() if not handle.held and now - handle.used > IDLE_S and handle.can_disconnect()]
        for key in idle:
            self.drop(key)


class Knock:
    """In the place of the Client by which dask-ctl finds out whether a scheduler listens: as one it would count as somebody's, every
    time, and a cluster that nobody uses would look used."""

    def __init__(self, address, timeout=1, **_):
        self.address, self.timeout = address, timeout

    async def __aenter__(self):
        core = importlib.import_module("distributed.core")
        comm = await core.connect(self.address, timeout=self.timeout)
        try:
            said = await asyncio.wait_for(core.send_recv(comm, op="identity", reply=True), self.timeout)
        finally:
            comm.abort()
        if not isinstance(said, dict) or said.get("type") != "Scheduler":
            raise OSError("no scheduler listens there")

    async def __aexit__(self, *_):
        pass


def make(cls, name):
    if not hasattr(cls, "from_name"):
        raise Refused(UNSUPPORTED, f"{getattr(cls, '__name__', cls)} has no from_name(): it cannot be reconstructed")
    if PROXY in lineage(cls):
        return make_proxy(cls, name)
    # KubeCluster draws a moving picture unless it is told not to
    obj = finished(cls.from_name(name, quiet=True) if KUBE in lineage(cls) else cls.from_name(name))
    task = getattr(obj, "_sync_cluster_info_task", None)
    if BASE in lineage(type(obj)) and task is not None:
        obj.loop.add_callback(task.cancel)  # it writes to the scheduler every second what its maker has written
    return obj


def make_proxy(cls, name):
    """ProxyCluster.from_port without what fails with distributed of today: a loop that does not run yet, and one that is assigned."""
    cluster = cls(loop=running_loop())
    cluster.name = name
    cluster._sync_cluster_info = nothing  # which would tell the scheduler that it is a ProxyCluster
    cluster.scheduler_comm = importlib.import_module("distributed.core").rpc(f"tcp://localhost:{name.rpartition('-')[2]}")
    try:
        cluster.sync(cluster._start, callback_timeout=PROXY_S)
    except BaseException:
        cluster.sync(cluster.scheduler_comm.close_rpc)
        raise
    return cluster


async def nothing():
    pass


def running_loop(made=[], lock=threading.Lock()):
    """Tornado's, in distributed's own thread; one for all."""
    with lock:
        if not made:
            made.append(importlib.import_module("distributed.utils").LoopRunner())
            made[0].start()
        return made[0].loop


def finished(value):
    """What a method gave back: of one that turned out to be asynchronous, its end."""
    if not inspect.isawaitable(value):
        return value

    async def wait():
        return await value
    return asyncio.run(wait())


class Handle:
    def __init__(self, entry, key, obj):
        self.entry, self.key, self.obj, self.used, self.held = entry, key, obj, time.monotonic(), 0
        self.cls = type(obj)

    def can_disconnect(self):
        return BASE in lineage(self.cls) and SPEC not in lineage(self.cls) or GATEWAY in lineage(self.cls)

    def disconnect(self):
        """Lets go without ending anything: the base class's own close, never an override's."""
        try:
            if GATEWAY in lineage(self.cls):
                self.obj.close(shutdown=False)
            elif self.can_disconnect():
                base = next(b for b in self.cls.__mro__ if f"{b.__module__}.{b.__qualname__}" == BASE)
                self.obj.sync(base._close, self.obj, callback_timeout=10)
        except Exception as error:
            print(f"letting go of {self.key}: {in_words(error)}", file=sys.stderr)

    def scheduler(self):
        """What its scheduler says now; where it cannot be asked, what the object remembers of it."""
        comm, watched = getattr(self.obj, "scheduler_comm", None), getattr(self.obj, "_watch_worker_status_comm", None)
        if watched is not None and watched.closed():
            raise Refused(UNREACHABLE, "its scheduler has closed the connection")  # asked, it would be tried for half a minute
        if comm is not None and hasattr(self.obj, "sync") and hasattr(comm, "identity"):
            async def ask():
                return await asyncio.wait_for(comm.identity(), 20)
            return self.obj.sync(ask)
        info = getattr(self.obj, "scheduler_info", None)
        return info if isinstance(info, dict) else {}

    def facts(self):
        """The cluster, its workers, its resources. The resource's uid is what deletion is bound to."""
        info = self.scheduler()
        workers = info.get("workers")
        workers = workers if isinstance(workers, dict) else {}
        known = "workers" in info
        cluster = at_a_glance(self.entry.names.get(self.key, self.key), self.key, self.cls)
        uid, resource = self.identity(info)
        cluster.update({
            "uid": uid, "scheduler_id": text_or_none(info.get("id")), "address": self.address() or text_or_none(info.get("address")),
            "dashboard": self.dashboard(), "status": self.status(), "created": stamp(info.get("started")),
            "workers": {"ready": len(workers) if known else None, "wanted": self.wanted(len(workers) if known else None)},
            "threads": total(workers, "nthreads") if known else None, "memory": total(workers, "memory_limit") if known else None})
        return cluster, workers, [resource] if resource else []

    def identity(self, info):
        name = text_or_none(getattr(self.obj, "name", None)) or self.key
        if KUBE in lineage(self.cls):
            found = self.obj.sync(kube_object, self.obj)
            uid, where = found["metadata"]["uid"], found["metadata"].get("namespace")
            return uid, {"kind": "DaskCluster", "name": f"{where}/{name}", "uid": uid, "status": found.get("status", {}).get("phase")}
        uid = name if GATEWAY in lineage(self.cls) else text_or_none(info.get("id"))
        return uid, {"kind": "cluster", "name": name, "uid": uid, "status": self.status()} if uid else None

    def address(self):
        address = text_or_none(getattr(self.obj, "scheduler_address", None))
        return address if address and "://" in address else None

    def dashboard(self):
        try:
            return text_or_none(getattr(self.obj, "dashboard_link", None))
        except Exception:  # it is put together from what may not be there yet
            return None

    def status(self):
        status = getattr(self.obj, "status", None)
        word = str(getattr(status, "name", status)).lower()
        words = {"running": "running", "closing": "closing", "closed": "stopped", "failed": "failed", "created": "pending", "starting": "pending"}
        return words.get(word, "unknown")

    def wanted(self, default):
        if SPEC in lineage(self.cls):
            return len(getattr(self.obj, "worker_spec", ()))
        return default


async def kube_object(obj):
    """Its DaskCluster resource as it is now."""
    objects = importlib.import_module("dask_kubernetes.operator._objects")
    found = await objects.DaskCluster.get(obj.name, namespace=obj.namespace)
    return found.raw


def text_or_none(value):
    return value if isinstance(value, str) and value else None


def total(workers, key):
    values = [worker.get(key) for worker in workers.values() if isinstance(worker, dict)]
    return sum(values) if all(isinstance(value, int) for value in values) else None


def stamp(seconds):
    if not isinstance(seconds, (int, float)) or not 0 < seconds < 1e11:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# ---------------------------------------------------------------------------------------------------------------- methods


def show(request, entry, key):
    _, (cluster, workers, resources) = entry.facts(request, key)
    for address, worker in workers.items():
        if not isinstance(worker, dict):
            continue
        metrics = worker.get("metrics") if isinstance(worker.get("metrics"), dict) else {}
        request.note("worker", worker={
            "name": str(worker.get("name", address)), "address": str(address), "host": text_or_none(worker.get("host")),
            "status": text_or_none(worker.get("status")), "threads": worker.get("nthreads"), "memory_limit": worker.get("memory_limit"),
            "memory": metrics.get("memory"), "cpu": metrics.get("cpu")})
    return {"cluster": cluster, "workers": [], "resources": resources}


def supported(entry, key, request, capability):
    reason = why_not(entry.class_of(request, key), capability)
    if reason:
        raise Refused(UNSUPPORTED, reason)


def same_one(request, cluster):
    """What dasktop has seen is what is there."""
    token = request.params.get("plan")
    token = token if isinstance(token, dict) else {}
    for seen in (request.params.get("uid"), token.get("uid")):
        if seen and cluster["uid"] and seen not in (cluster["uid"], cluster["scheduler_id"]):
            raise Refused(CONFLICT, "another cluster has this name by now")
    if token.get("scheduler_id") and cluster["scheduler_id"] and token["scheduler_id"] != cluster["scheduler_id"]:
        raise Refused(CONFLICT, "its scheduler is another one by now")


def plan(request, entry, key):
    change = request.params.get("change")
    change = change if isinstance(change, dict) else {}
    capability = next((word for word in ("delete", "scale", "adapt") if word in change), None)
    if not capability:
        raise Refused(PARAMS, "change is one of delete, scale, adapt")
    supported(entry, key, request, capability)
    handle, (cluster, workers, resources) = entry.facts(request, key)
    same_one(request, cluster)
    if capability == "delete" and not resources:
        raise Refused(UNSUPPORTED, f"{handle.cls.__name__} tells nothing by which this very cluster is known again: without an identity nothing is deleted")
    note = f"by {handle.cls.__name__}.{way_to_delete(handle.cls)[1]}" if capability == "delete" else \
        f"by {handle.cls.__name__}.{'adapt' if capability == 'adapt' else 'scale'}()"
    if capability == "delete" and workers:
        note += f"; {len(workers)} worker{'s' if len(workers) != 1 else ''} go with it"
    return {"resources": resources, "plan": {"uid": cluster["uid"], "scheduler_id": cluster["scheduler_id"]}, "note": note}


def scale(request, entry, key):
    adapt = "workers" not in request.params
    supported(entry, key, request, "adapt" if adapt else "scale")
    handle, (cluster, workers, _) = entry.facts(request, key)
    same_one(request, cluster)
    if not adapt:
        wanted = request.params["workers"]
        if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 0:
            raise Refused(PARAMS, "workers is a number")
        finished(handle.obj.scale(wanted))
        cluster["workers"]["wanted"] = wanted
        cluster["adaptive"] = False
        return {"cluster": cluster}
    limits = request.params.get("adapt")
    if isinstance(limits, dict):
        finished(handle.obj.adapt(minimum=limits.get("minimum"), maximum=limits.get("maximum")))
    elif GATEWAY in lineage(handle.cls):
        finished(handle.obj.adapt(active=False))
    else:
        finished(handle.obj.scale(len(workers)))  # a fixed number is what ends adapting
    cluster["adaptive"] = limits if isinstance(limits, dict) else False
    return {"cluster": cluster}


def delete(request, entry, key):
    supported(entry, key, request, "delete")
    handle, (cluster, _, resources) = entry.facts(request, key)
    same_one(request, cluster)
    allowed = request.params.get("resources")
    allowed = allowed if isinstance(allowed, list) else []
    if not resources or any(resource["uid"] not in allowed for resource in resources):
        raise Refused(CONFLICT, "it is not what the plan showed: nothing was done")
    request.note("progress", message=f"{handle.cls.__name__}: deleting", done=0, total=1)
    handle.held += 1  # nobody lets go of it in between
    try:
        finished(way_to_delete(handle.cls)[0](handle.obj))
    finally:
        handle.held -= 1
    with entry.lock:
        entry.handles.pop(key, None)
        entry.classes.pop(key, None)  # whether it is gone is its discovery's to say
    return {"left_over": []}


LEVEL = re.compile(r"\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
TIMED = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6}))?(Z)?")


def fresh_lines(before, now):
    """Of a log that is read whole each time, and forgets its beginning: the lines that were not there."""
    if not before:
        return now
    for start in range(len(now), 0, -1):
        if now[start - 1] == before[-1] and now[max(0, start - len(before)):start] == before[max(0, len(before) - start):]:
            return now[start:]
    return now


def log_time(line):
    """Only where the line says UTC: without a zone it is some other machine's local time."""
    found = TIMED.match(line)
    return f"{found.group(1)}T{found.group(2)}Z" if found and found.group(4) else None


def logs(request, entry, key):
    cls = entry.class_of(request, key)
    if PROXY in lineage(cls) or not hasattr(cls, "get_logs"):
        raise Refused(MISSING, "dasktop asks its scheduler itself")
    handle = entry.handle(request, key)
    wanted, tail, before = request.params.get("components"), request.params.get("tail"), {}
    while not request.over.is_set():
        handle.used = time.monotonic()
        got = finished(handle.obj.get_logs())
        for component, text in (got.items() if isinstance(got, dict) else [("cluster", got)]):
            if isinstance(wanted, list) and wanted and not any(matches(word, component) for word in wanted):
                continue
            now = [line for line in str(text).splitlines() if line]
            new = fresh_lines(before.get(component), now)
            if component not in before and isinstance(tail, int) and not isinstance(tail, bool) and tail >= 0:
                new = new[len(new) - tail:] if tail < len(new) else new
            before[component] = now
            for line in new:
                level = LEVEL.search(line[:120])
                request.note("log", component=str(component), time=log_time(line), level=level.group(1).lower() if level else None, line=line)
        if not request.params.get("follow"):
            return {}
        request.over.wait(POLL_S)
    return {}


def matches(word, component):
    return word == component or (word in ("scheduler", "worker") and word in str(component).lower())


def certificates(handle):
    """Paths of what its own security object gives; PEM texts go to files of ours for as long as the route is held."""
    security, folder, paths = getattr(handle.obj, "security", None), None, {}
    if security is None or not (handle.address() or "").startswith(("tls://", "gateway://")):
        return paths, folder
    own = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}
    if GATEWAY in lineage(handle.cls):
        own = {"ca": "tls_cert", "cert": "tls_cert", "key": "tls_key"}
    for word, attribute in own.items():
        value = text_or_none(getattr(security, attribute, None))
        if value and "\n" in value:
            if not folder:
                folder = tempfile.mkdtemp(prefix="dasktop-route-", dir=os.environ.get("XDG_RUNTIME_DIR"))
                folders.add(folder)
            path = os.path.join(folder, f"{word}.pem")
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(value)
            value = path
        if value:
            paths[word] = value
    return paths, folder


def route(request, entry, key):
    """Held until cancelled: a forwarded port lives in the manager object."""
    handle, (cluster, _, _) = entry.facts(request, key)
    same_one(request, cluster)
    if not cluster["address"]:
        raise Refused(UNSUPPORTED, f"{handle.cls.__name__} names no address of its scheduler")
    folder = None
    handle.held += 1
    try:
        paths, folder = certificates(handle)
        request.note("route", address=cluster["address"], dashboard=cluster["dashboard"], tls=paths or None)
        request.over.wait()
    finally:
        handle.held -= 1
        handle.used = time.monotonic()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
            folders.discard(folder)


def snippet(request, entry, key):
    cls = entry.class_of(request, key)
    if overrides(cls, "get_snippet"):
        return {"python": str(finished(entry.handle(request, key).obj.get_snippet()))}
    name = entry.names.get(key, key)
    return {"python": f"from dask.distributed import Client\nfrom {cls.__module__} import {cls.__qualname__}\n\n"
                      f"cluster = {cls.__qualname__}.from_name({name!r})\nclient = Client(cluster)\n"}


# ----------------------------------------------------------------------------------------------------------------- create


def read_spec(params):
    spec = params.get("spec") if isinstance(params.get("spec"), dict) else {}
    module, name, args, kwargs = spec.get("module"), spec.get("class"), spec.get("args") or [], spec.get("kwargs") or {}
    if spec.get("version", 1) != 1:
        raise Refused(PARAMS, f"version: there is no version {spec['version']} of cluster specs")
    if not isinstance(module, str) or not isinstance(name, str):
        raise Refused(PARAMS, "module and class: both are needed")
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise Refused(PARAMS, "args is a list, kwargs a map")
    return module, name, args, {str(key).replace("-", "_"): value for key, value in kwargs.items()}


def find_class(module, name):
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise Refused(PARAMS, f"module {module} cannot be imported: {in_words(error)}") from error
    cls = getattr(found, name, None)
    if not callable(cls):
        raise Refused(PARAMS, f"class: there is no class {name} in {module}")
    return cls


def lives_elsewhere(cls):
    """False: it, or its scheduler, may live in the process that makes it, which then has to stay."""
    reason = first_of(REFUSES_CREATE, cls)
    if reason:
        raise Refused(UNSUPPORTED, reason)
    return inspect.isclass(cls) and (own_words(cls).get("lives_elsewhere") is True or any(known in lineage(cls) for known in LIVES_ELSEWHERE))


def arguments(cls, args, kwargs, params):
    """kwargs with the name and the number of workers that were asked for, as this class calls them; checked against its signature."""
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError):
        return kwargs
    for given, word in (("name", "name"), ("workers", "n_workers")):
        value = params.get(given)
        if value is None or (given == "workers" and value < 0):
            continue
        if word not in signature.parameters and not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
            raise Refused(PARAMS, f"{cls.__name__} takes no {word}")
        kwargs = dict(kwargs, **{word: value})
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise Refused(PARAMS, f"kwargs: {cls.__name__}: {error}") from error
    if KUBE in lineage(cls):  # it takes any and hands them to its base, which complains when it is too late
        known = {word for base in cls.__mro__[:-1] if "__init__" in vars(base) for word in inspect.signature(base.__init__).parameters}
        for word in kwargs:
            if word not in known:
                raise Refused(PARAMS, f"kwargs: {cls.__name__} takes no {word}")
    return kwargs


# A process of its own for a manager that must stay: it says what it made, and waits until it is told to end, which ends the cluster.
HOLDER = """
import importlib, json, os, signal, sys, threading, time

globals().pop("__file__", None)  # "<stdin>": processes that multiprocessing spawns would look for it

def end(*_):
    raise SystemExit

signal.signal(signal.SIGTERM, end)
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
cluster = None
try:
    cluster = getattr(importlib.import_module(SPEC["module"]), SPEC["class"])(*SPEC["args"], **SPEC["kwargs"])
    info = cluster.scheduler_info
    said = {"name": str(getattr(cluster, "name", "")), "address": cluster.scheduler_address, "id": info.get("id"), "workers": len(info.get("workers", {}))}
except BaseException as problem:
    said = {"problem": type(problem).__name__ + ": " + (str(problem).strip().splitlines() or [""])[0][:300]}
json.dump(said, out)
out.close()


def is_there():
    states = [getattr(cluster, "status", None), getattr(getattr(cluster, "scheduler", None), "status", None)]
    return not any(getattr(state, "name", state) in ("closed", "closing", "failed", "stopped") for state in states)


try:
    while "address" in said and is_there():
        time.sleep(1)
finally:
    if cluster is not None:  # what is gone already may keep close() waiting
        last = threading.Thread(target=cluster.close, daemon=True)
        last.start()
        last.join(10)
    os._exit(0)
"""


def holder_log(name):
    """Where what it says goes: beside what else dasktop keeps, for nobody else to read."""
    state = os.path.join(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "dasktop")
    os.makedirs(state, mode=0o700, exist_ok=True)
    path = os.path.join(state, "held-" + re.sub(r"[^\w.-]", "_", name)[:64] + ".log")
    return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)


def hold(request, spec, name):
    path, log = holder_log(name)
    try:
        # "-": its program comes on standard input, so that its command line is its name and nothing of the spec
        holder = subprocess.Popen([sys.executable, "-", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd="/", start_new_session=True)
    finally:
        os.close(log)
    holder.stdin.write(f"import json\nSPEC = json.loads({json.dumps(spec)!r})\n{HOLDER}".encode())
    holder.stdin.close()
    said = {}
    reader = threading.Thread(target=lambda: said.update(text=holder.stdout.read()), daemon=True)
    reader.start()
    while reader.is_alive():
        reader.join(0.1)
        if request.over.is_set():
            holder.terminate()
            raise Refused(CANCELLED, "cancelled: what was begun is ended")
    made = json.loads(said.get("text") or b"{}")
    if not made.get("address"):
        raise Refused(PARAMS, f"{spec['class']}: {made.get('problem') or 'its process ended at once'} ({path} says more)")
    return {"cluster": {"id": made["name"] or made["address"], "name": made["name"] or made["address"], "type": spec["class"], "uid": made["id"],
                        "scheduler_id": made["id"], "address": made["address"], "workers": {"ready": made["workers"], "wanted": None}},
            "entry_point": None}


def create(request, helper):
    module, name, args, kwargs = read_spec(request.params)
    cls = find_class(module, name)
    elsewhere = lives_elsewhere(cls)
    kwargs = arguments(cls, args, kwargs, request.params)
    wanted = kwargs.get("name") if isinstance(kwargs.get("name"), str) else request.params.get("name")
    if request.params.get("dry_run"):
        note = "which lives on without this process" if elsewhere else "held by a Python process of its own, which stays for as long as the cluster does"
        return {"cluster": {"id": wanted, "name": wanted, "type": cls.__name__}, "note": f"{cls.__module__}.{cls.__qualname__}, {note}"}
    request.note("progress", message=f"making a {cls.__name__}")
    if not elsewhere:
        return hold(request, {"module": module, "class": name, "args": args, "kwargs": kwargs}, wanted or name)
    obj = finished(cls(*args, **kwargs))
    helper.made.append(obj)  # collected, it might close what it made
    try:
        obj.shutdown_on_close = False
    except AttributeError:
        pass  # it has no such thing
    made = text_or_none(getattr(obj, "name", None)) or wanted
    if not made:
        raise Refused(INTERNAL, f"it was made, but {cls.__name__} tells no name of it")
    entry = helper.finder(cls)
    if entry:
        with entry.lock:
            entry.classes[clean(made)], entry.names[clean(made)] = cls, made
    return {"cluster": {"id": made, "name": made, "type": cls.__name__, "address": text_or_none(getattr(obj, "scheduler_address", None))},
            "entry_point": entry.name if entry else None}


# ---------------------------------------------------------------------------------------------------------------- the helper

METHODS = {"show": (show, LOOK_S), "plan": (plan, LOOK_S), "scale": (scale, CHANGE_S), "delete": (delete, CHANGE_S), "logs": (logs, None),
           "route": (route, None), "snippet": (snippet, LOOK_S)}


def installed():
    """(entry point, its distribution's name) of each, by what is on disk: nothing is imported."""
    seen = set()
    for distribution in importlib.metadata.distributions():
        try:
            text = distribution.read_text("entry_points.txt")
            if not text or GROUP not in text:
                continue
            name = distribution.metadata["Name"] or "?"
            points = [point for point in distribution.entry_points if point.group == GROUP]
        except Exception as error:
            print(f"a package that cannot be read: {in_words(error)}", file=sys.stderr)
            continue
        if re.sub(r"[-_.]+", "-", name).lower() == "dasktop":
            continue  # it would find what dasktop finds
        for point in points:
            if point.name not in seen:
                seen.add(point.name)
                yield point, name


class Helper:
    def __init__(self):
        self.line, self.requests, self.entries, self.made = Line(), {}, {}, []
        self.clock = Clock(self.drop_idle)
        self.threads = threading.BoundedSemaphore(THREADS_MAX)

    def drop_idle(self):
        for entry in list(self.entries.values()):
            entry.drop_idle()

    def finder(self, cls):
        """The entry point that will find a cluster of this class: the one whose module is its nearest."""
        path, best, most = cls.__module__.split("."), None, 0
        for entry in self.entries.values():
            other = entry.point.value.partition(":")[0].split(".")
            common = next((i for i, (a, b) in enumerate(zip(path, other)) if a != b), min(len(path), len(other)))
            if common > most:
                best, most = entry, common
        return best

    def hello(self, request):
        config = request.params.get("config")
        wanted = config.get("entry_points") if isinstance(config, dict) else None
        listed = []
        for point, distribution in installed():
            if isinstance(wanted, list) and point.name not in wanted:
                continue
            self.entries.setdefault(point.name, EntryPoint(self, point, distribution))
            listed.append({"name": point.name, "value": point.value, "distribution": distribution, "error": None})
        for name in wanted if isinstance(wanted, list) else ():
            if name not in self.entries:
                listed.append({"name": name, "value": None, "distribution": None, "error": "no installed package has it"})
        return {"protocol": 1, "name": "python", "version": ".".join(map(str, sys.version_info[:3])), "watch": False, "probe": True,
                "can": ["scale", "adapt", "logs", "connect", "delete", "snippet"],
                "python": f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}", "entry_points": listed}

    def entry(self, request):
        name = request.params.get("entry_point")
        if name is None and len(self.entries) == 1:
            return next(iter(self.entries.values()))
        if name is None:
            raise Refused(PARAMS, "entry_point is missing")
        if name not in self.entries:
            raise Refused(NOT_FOUND, f"no installed package has the entry point {name}")
        return self.entries[name]

    def work(self, request, function, *arguments):
        def run():
            try:
                result = function(request, *arguments)
                request.answer(result=result if result is not None else {})
            except BaseException as error:
                request.refuse(error)
            finally:
                self.threads.release()
        if not self.threads.acquire(blocking=False):
            raise Refused(LATE, f"{THREADS_MAX} requests are under way", retry_after=5)
        threading.Thread(target=run, daemon=True, name=f"{request.method} {request.id}").start()

    def begin(self, request):
        if request.method == "hello":
            request.answer(result=self.hello(request))
        elif request.method == "discover":
            self.entry(request).discover(request)
        elif request.method == "create":
            request.within(request.limit(CHANGE_S), lambda: request.refuse(Refused(LATE, "it is not made yet; what was begun goes on")))
            self.work(request, create, self)
        elif request.method in METHODS:
            function, seconds = METHODS[request.method]
            key = request.params.get("id")
            if not isinstance(key, str):
                raise Refused(PARAMS, "id is missing")
            entry = self.entry(request)
            if seconds:
                limit = request.limit(seconds)
                request.within(limit, lambda: request.refuse(Refused(LATE, f"{request.method} is not done after {limit:g} s")))
            self.work(request, function, entry, key)
        else:
            raise Refused(MISSING, f"no method {request.method}")

    def take(self, message):
        if message.get("method") == "cancel" and "id" not in message:
            params = message.get("params")
            request = self.requests.get(params.get("request")) if isinstance(params, dict) else None
            if request:
                request.refuse(Refused(CANCELLED, "cancelled"))
            return
        if not isinstance(message.get("id"), (int, str)) or not isinstance(message.get("method"), str):
            return
        request = Request(self, message)
        self.requests[request.id] = request
        try:
            self.begin(request)
        except Exception as error:
            request.refuse(error)


def main():
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = [path for path in sys.path if path]  # never what lies in the working directory
    os.environ.setdefault("DASK_CLIENT_NAME", "dasktop")  # clients that are made here say whose they are
    helper = Helper()
    for message in helper.line.messages():
        helper.take(message)
    leave()


if __name__ == "__main__":
    main()

"""What the demo, the benchmarks and the end-to-end tests share: a server of their own, its API, and a guest's agent. Standard library only."""
import base64
import hashlib
import json
import os
import pathlib
import secrets
import select
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
WRITER = pathlib.Path(os.environ.get("RAMETD", ROOT / "build/release/bin/rametd")).parent / "guest-writer"


class ApiError(Exception):
    def __init__(self, status, body):
        super().__init__(f"HTTP {status}: {body[:600]}")
        self.status, self.body = status, body
        try:
            self.error = json.loads(body).get("error", {})
        except ValueError:
            self.error = {}

    @property
    def code(self):
        return self.error.get("code", "")


class Api:
    """Calls below /zstack/v1; a 202 is polled until its job ends."""

    job_seconds = 1800  # more than any job that is right

    def __init__(self, url, account="admin", password=None):
        self.url, self.session = url, None
        if password is not None:
            digest = hashlib.sha512(password.encode()).hexdigest()
            self.session = self.put("/accounts/login", {"logInByAccount": {"accountName": account, "password": digest}})["inventory"]["uuid"]

    def send(self, method, path, body=None, headers=None, raw=None):
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Content-Type", "application/json;charset=UTF-8")
        if self.session:
            request.add_header("Authorization", "OAuth " + self.session)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), dict(error.headers)

    def call(self, method, path, body=None, headers=None):
        status, text, _ = self.send(method, "/zstack/v1" + path, body, headers)
        job, end = path.rsplit("/", 1)[1], time.monotonic() + self.job_seconds
        while status == 202:
            job = json.loads(text).get("location", job).rsplit("/", 1)[-1]
            if time.monotonic() > end:
                raise TimeoutError(f"{method} {path}: job {job} has not ended in {self.job_seconds} s")
            time.sleep(0.05)
            status, text, _ = self.send("GET", "/zstack/v1/api-jobs/" + job)
        if status != 200:
            raise ApiError(status, text)
        return json.loads(text)

    def get(self, path):
        return self.call("GET", path)

    def put(self, path, body, headers=None):
        return self.call("PUT", path, body, headers)

    def post(self, path, body):
        return self.call("POST", path, body)

    def delete(self, path):
        return self.call("DELETE", path)

    def rows(self, path, *conditions):
        query = "&".join("q=" + urllib.parse.quote(condition) for condition in conditions)
        return self.get(path + ("?" + query if query else ""))["inventories"]

    def action(self, vm, key, **parameters):
        return self.put(f"/vm-instances/{vm}/actions", {key: parameters})

    def vm(self, uuid):
        found = self.rows("/vm-instances", "uuid=" + uuid)
        return found[0] if found else None

    def add_image(self, path, name="tiny", **more):
        storage = self.rows("/backup-storage")[0]["uuid"]
        params = {"name": name, "url": "file://" + str(path), "format": "qcow2", "mediaType": "RootVolumeTemplate", "backupStorageUuids": [storage], **more}
        return self.post("/images", {"params": params})["inventory"]

    def create_vm(self, name, image, **more):
        network = self.rows("/l3-networks", "name=default")[0]["uuid"]
        params = {"name": name, "cpuNum": 1, "memorySize": 128 << 20, "imageUuid": image, "l3NetworkUuids": [network], **more}
        return self.post("/vm-instances", {"params": params})["inventory"]

    def clone(self, vm, names, **more):
        return self.action(vm, "cloneVmInstance", names=names, **more)["result"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A rametd on a data directory; leaves its VMs running when it is stopped, unless torn down."""

    def __init__(self, data_dir, port=None, password=None, binary=None, environment=None, arguments=()):
        self.data_dir = pathlib.Path(data_dir)
        self.binary = str(binary or os.environ.get("RAMETD", ROOT / "build/release/bin/rametd"))
        self.port = port or free_port()
        self.password = password or secrets.token_hex(8)
        self.environment = dict(os.environ, RAMET_ADMIN_PASSWORD=self.password, **(environment or {}))
        self.arguments = list(arguments)
        self.process = None
        self.log = pathlib.Path(str(self.data_dir) + ".log")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, wait=True, patience=300, **environment):
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self.close_output()  # of one that was killed
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.binary, "--data-dir", str(self.data_dir), "--listen", f"127.0.0.1:{self.port}", *self.arguments],
                                            stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, env={**self.environment, **environment},
                                            start_new_session=True, text=True)
        if wait:
            speaks, _, _ = select.select([self.process.stdout], [], [], patience)
            if not speaks or "ready" not in self.process.stdout.readline():
                raise RuntimeError(f"rametd did not start; see {self.log}: {self.log_tail()}")
        return self

    def close_output(self):
        if self.process and self.process.poll() is not None:
            self.process.stdout.close()

    def log_tail(self, lines=15):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def api(self):
        return Api(self.url, "admin", self.password)

    def stop(self, how=signal.SIGTERM, patience=90):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(patience)
        self.close_output()

    def teardown(self):
        """Removes all that the server made outside of its data directory; one that does not end by itself is an error, but ends too."""
        try:
            self.stop()
        finally:
            if self.process and self.process.poll() is None:
                self.stop(signal.SIGKILL)
            done = subprocess.run([self.binary, "--data-dir", str(self.data_dir), "--teardown"], env=self.environment, capture_output=True, text=True, timeout=120)
        return done


class Agent:
    """A guest's agent on its unix socket, which serves one client at a time: each exchange waits for its turn."""

    def __init__(self, data_dir, vm):
        self.path = str(pathlib.Path(data_dir) / "run" / vm / "agent.sock")

    def _exchange(self, command, arguments, patience):
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(patience)
            directory, name = os.path.split(self.path)
            folder = os.open(directory, os.O_RDONLY)
            try:
                channel.connect(f"/proc/self/fd/{folder}/{name}")  # a socket's path may be 107 characters long, a directory's is not bounded so
            finally:
                os.close(folder)
            token = secrets.randbelow(1 << 31)
            channel.sendall(b"\xff" + json.dumps({"execute": "guest-sync-delimited", "arguments": {"id": token}}).encode() + b"\n")
            stream = channel.makefile("rb")
            while True:
                line = stream.readline()
                if not line:
                    raise OSError("the agent's socket was closed")
                try:
                    if json.loads(line.rsplit(b"\xff", 1)[-1]).get("return") == token:
                        break
                except ValueError:
                    continue
            channel.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            answer = json.loads(stream.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer["return"]

    def what_is_known(self):
        """What the guest, its QEMU and the server last said."""
        run = pathlib.Path(self.path).parent
        logs = {"guest": run / "serial.log", "QEMU": run / "qemu.log", "server": pathlib.Path(str(run.parents[1]) + ".log")}
        return "\n".join(f"{name}: {path.read_text(errors='replace')[-1500:] if path.exists() else 'no log'}" for name, path in logs.items())

    def call(self, command, patience=60, **arguments):
        end = time.monotonic() + patience
        while True:
            try:
                return self._exchange(command, arguments, min(2.0, patience))
            except (OSError, ValueError):
                if time.monotonic() > end:
                    raise TimeoutError(f"the guest agent behind {self.path} does not answer\n{self.what_is_known()}")
                time.sleep(0.1)

    def put_program(self, path, content):
        """On a file system that may forbid to execute, as /run does."""
        handle = self.call("guest-file-open", path=path, mode="w")
        self.call("guest-file-write", **{"handle": handle, "buf-b64": base64.b64encode(content).decode()})
        self.call("guest-file-close", handle=handle)
        self.run(f"mount -o remount,exec $(dirname {path}); chmod 755 {path}")

    def start(self, script, patience=60):
        """Nobody asks how it ends: the way to do what ends or stops the agent, a moment after the agent has answered."""
        self.call("guest-exec", patience, path="/bin/sh", arg=["-c", script])

    def run(self, script, patience=60):
        pid = self.call("guest-exec", patience, path="/bin/sh", arg=["-c", script], **{"capture-output": True})["pid"]
        end = time.monotonic() + patience
        while time.monotonic() < end:
            status = self.call("guest-exec-status", patience, pid=pid)
            if status["exited"]:
                out = base64.b64decode(status.get("out-data", "")).decode(errors="replace")
                if status.get("exitcode", 0) != 0:
                    raise RuntimeError(f"{script!r} failed in the guest: {out} {base64.b64decode(status.get('err-data', '')).decode(errors='replace')}")
                return out.strip()
            time.sleep(0.05)
        raise TimeoutError(script)

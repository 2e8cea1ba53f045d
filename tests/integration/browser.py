"""Visits to the dashboard with Debian's Chromium, driven through playwright-core: browser/ has what people do there."""
import json
import os
import pathlib
import queue
import shutil
import subprocess
import tempfile
import threading

import program

HERE = pathlib.Path(__file__).resolve().parent / "browser"
PICTURES = program.ROOT / "build/screenshots"


def prerequisites():
    found = sorted((program.ROOT / "build/browser").glob("playwright-core-*/index.mjs"))
    for name, there in (("chromium", shutil.which("chromium")), ("node", shutil.which("node")), ("playwright-core", found)):
        if not there:
            raise program.Missing(f"no {name}. mend: make deps")
    return {"chromium": shutil.which("chromium"), "library": str(found[-1].parent)}


class Visit:
    """One scenario: a browser window in a process of its own, which this test accompanies."""

    def __init__(self, scenario, node, token, *, wide=True, dark=False, **settings):
        from network import PORTS
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.scenario, self.node = scenario, node
        self.home = tempfile.mkdtemp(prefix="pgkeel-browser-")
        settings |= prerequisites() | {
            "url": f"https://{node.address}:{PORTS['api']}/dashboard/", "token": token, "pictures": str(PICTURES),
            "width": 1360 if wide else 390, "height": 900 if wide else 844, "colours": "dark" if dark else "light"}
        self.process = subprocess.Popen(["node", HERE / "visit.mjs", scenario], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, start_new_session=True, env=os.environ | {"HOME": self.home})
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.write(json.dumps(settings))

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put({"failed": f"{self.scenario}: the browser's process ended"})

    def write(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def next(self, seconds):
        try:
            found = self.lines.get(timeout=seconds)
        except queue.Empty:
            found = {"failed": f"{self.scenario}: nothing happened for {seconds} s"}
        assert "failed" not in found, f"{found['failed']}\n{self.node.cluster.describe()}"
        return found

    def at(self, place, seconds=120):
        """Waits until the scenario is there; it goes on after go()."""
        found = self.next(seconds)
        assert found.get("at") == place, found
        return found

    def go(self):
        self.write("go")

    def end(self, seconds=180):
        assert self.next(seconds) == {"done": True}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, 9)  # with the browser, which is in its session
                self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

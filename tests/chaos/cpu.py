"""Processes that do nothing but burn processor time."""
import subprocess
import sys


class Burners:
    def __init__(self, count):
        self.count, self.processes = count, []

    def __enter__(self):
        self.processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(self.count)]
        return self

    def __exit__(self, *exception):
        for process in self.processes:
            process.kill()
            process.wait()

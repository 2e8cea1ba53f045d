"""A program of its own, because it must not wait for its turn: freezes a process at the moment when a server is being
prepared for its promotion, which shows in pgkeel.conf. Usage: stall.py <pgkeel.conf> <pid>; prints "watching", then
"frozen"."""
import os
import signal
import sys

path, pid = sys.argv[1], int(sys.argv[2])
print("watching", flush=True)
while True:
    with open(path) as file:
        names = [line for line in file if line.startswith("synchronous_standby_names")]
    if names and "pgkeel_nobody" not in names[0]:
        os.kill(pid, signal.SIGSTOP)
        print("frozen", flush=True)
        break

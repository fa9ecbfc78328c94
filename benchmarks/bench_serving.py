"""Songs over HTTP from a real server process: latencies, memory, failures; then bad requests.

    python -m benchmarks.bench_serving [NUM_REQUESTS] [AT_ONCE] [NUM_BAD]

The server is `phraseldm serve` with the release, on one thread. Every song has sections of 16 bars
and a seed of its own; the first ones are asked for again at the end and must be the same bytes.
Bad requests come from a seeded generator and must get an answer below 500, while songs are made.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np

from benchmarks.bad_requests import bad_request

SECTIONS = ("A8 B8", "i4 A8 o4", "A4 A4 B4 B4")
NUM_REPEATED = 5


def start() -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "flows", "serve", "--port", "0", "--threads", "1"]
    command += ["--timeout", "7200"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdout is not None
    for line in server.stdout:
        found = re.search(r"http://[^,]+", line)
        if found:
            return server, found[0]
    message = "The server did not start."
    raise RuntimeError(message)


def memory(pid: int) -> dict[str, int]:
    status = Path(f"/proc/{pid}/status").read_text()
    return {
        name: int(re.search(rf"{name}:\s+(\d+)", status)[1]) // 1024  # type: ignore[index]
        for name in ("VmRSS", "VmHWM")
    }


def processor_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def ask(client: httpx.Client, number: int) -> tuple[int, float, bytes]:
    asked = {"sections": SECTIONS[number % len(SECTIONS)], "seed": number}
    began = time.perf_counter()
    answer = client.post("/generate", json=asked)
    return answer.status_code, time.perf_counter() - began, answer.content


def main(num_requests: int, at_once: int, num_bad: int) -> None:
    server, address = start()
    try:
        with httpx.Client(base_url=address, timeout=7200, trust_env=False) as client:
            ask(client, 0)
            before, used = memory(server.pid), processor_seconds(server.pid)
            began = time.perf_counter()
            with ThreadPoolExecutor(at_once) as clients:
                answers = list(clients.map(lambda k: ask(client, k), range(num_requests)))
            took = time.perf_counter() - began
            used = processor_seconds(server.pid) - used
            after = memory(server.pid)
            again = [ask(client, k) for k in range(min(NUM_REPEATED, num_requests))]
            rng = random.Random(0)
            codes: dict[int, int] = {}
            for _ in range(num_bad):
                answer = client.request(**bad_request(rng))
                codes[answer.status_code] = codes.get(answer.status_code, 0) + 1
            end = memory(server.pid)
            health = client.get("/health").json()
    finally:
        server.send_signal(signal.SIGTERM)
        began_end = time.perf_counter()
        code = server.wait(timeout=30)
    seconds = np.array([item[1] for item in answers])
    print(
        json.dumps(
            {
                "requests": num_requests,
                "at_once": at_once,
                "failures": sum(item[0] != 200 for item in answers),
                "same_again": [x[2] for x in again] == [x[2] for x in answers[: len(again)]],
                "seconds": round(took, 1),
                "processor_seconds_a_song": round(used / num_requests, 2),
                "latency_median": round(float(np.median(seconds)), 2),
                "latency_95": round(float(np.quantile(seconds, 0.95)), 2),
                "latency_max": round(float(seconds.max()), 2),
                "memory_mb": {"first": before, "after": after, "end": end},
                "bad_requests": codes,
                "load_average": os.getloadavg(),
                "health": health,
                "exit_code": code,
                "seconds_to_end": round(time.perf_counter() - began_end, 1),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name, number in (("num_requests", 200), ("at_once", 8), ("num_bad", 300)):
        parser.add_argument(name, nargs="?", type=int, default=number)
    main(**vars(parser.parse_args()))

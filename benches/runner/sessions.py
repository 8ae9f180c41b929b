"""What saving sessions does to other requests, and what a stored session takes."""

import json
import os
import pathlib
import subprocess
import time
from statistics import median

import measure
import report
from contestants import maypole

STORES = ["file", "table"]
# Few enough that the plain requests are not waiting for the cores alone.
PLAIN, BESIDE = 16, 16
# The control: as many requests beside, which save nothing.
NEIGHBOURS = [("nothing", None, None), ("plain requests", "file", "/")] + [
    (f"{store} bumps", store, "/bump") for store in STORES]
SIZES = [100, 1024]


def beside(bin_dir, options):
    """Latency of plain requests while sessions are written beside, in interleaved rounds."""
    seen = {name: [] for name, _, _ in NEIGHBOURS}
    loads = []
    for number in range(options.rounds):
        shift = number % len(NEIGHBOURS)
        for name, store, path in NEIGHBOURS[shift:] + NEIGHBOURS[:shift]:
            loads.append(os.getloadavg()[0])
            sample = beside_one(bin_dir, store or "file", path, options.seconds)
            seen[name].append(sample)
            print(f"beside {number + 1}/{options.rounds} {name}: p99 {sample['p99_us']:,.0f} µs",
                  flush=True)
    lines = [
        "### Plain requests beside session writes", "",
        f"{report.now()}, maypole at {report.commit()}; {options.rounds} interleaved rounds of"
        f" {options.seconds:g} s; {PLAIN} connections ask for plain text, {BESIDE} others of the"
        f" same server for what stands in the row; load average {min(loads):.1f} to"
        f" {max(loads):.1f}.", "",
        report.row(["beside", "plain requests/s", "p50 µs", "p99 µs", "x plain requests beside",
                    "the others' requests/s"]),
        report.row(["---"] + ["---:"] * 5),
    ]
    for name, samples in seen.items():
        ratios = [ours["p99_us"] / theirs["p99_us"]
                  for ours, theirs in zip(samples, seen["plain requests"])]
        lines.append(report.row([
            name,
            f"{median(s['requests'] / s['seconds'] for s in samples):,.0f}",
            f"{median(s['p50_us'] for s in samples):,.0f}",
            f"{median(s['p99_us'] for s in samples):,.0f}",
            report.span((median(ratios), min(ratios), max(ratios))),
            f"{median(s['beside'] for s in samples):,.0f}",
        ]))
    # Two loads and the server keep about three threads running by themselves.
    if min(loads) > os.cpu_count() + 3:
        lines += ["", "- No verdict on timings: others kept the machine busy."]
    return "\n".join(lines)


def beside_one(bin_dir, store, path, seconds):
    """Plain requests on a fresh server, with a second load for longer than that."""
    with measure.Server(maypole(store), bin_dir) as server:
        server.load("/", "--seconds", 0.3)
        other = None
        if path:
            jar = ["--jar", "own"] if path == "/bump" else []
            command = [bin_dir / "load", f"127.0.0.1:{server.port}", path, "--connections", BESIDE,
                       "--seconds", seconds + 1, *jar]
            other = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
            time.sleep(0.5)
        seen = server.load("/", "--connections", PLAIN, "--seconds", seconds)
        seen["beside"] = 0.0
        if other:
            theirs = json.loads(other.communicate()[0])
            seen["beside"] = theirs["requests"] / theirs["seconds"]
        return seen


def sizes(bin_dir, options):
    """Bytes a session takes, in the server's memory and on the disk."""
    number = 2_000 if options.quick else 10_000
    lines = [
        "### Bytes per stored session", "",
        f"{report.now()}, maypole at {report.commit()}; {number:,} sessions of one value each,"
        " against the same server before them; load average"
        f" {os.getloadavg()[0]:.1f} (which matters little here).", "",
        report.row(["store", "bytes of the value", "resident", "file lengths", "disk blocks"]),
        report.row(["---"] + ["---:"] * 4),
    ]
    for store in STORES:
        for size in SIZES:
            resident, length, blocks = sizes_one(bin_dir, store, size, number)
            lines.append(report.row(
                [store, f"{size:,}", f"{resident:,.0f}", f"{length:,.0f}", f"{blocks:,.0f}"]))
            print(lines[-1], flush=True)
    return "\n".join(lines)


def sizes_one(bin_dir, store, size, number):
    """What so many new sessions add, each divided by their number."""
    with measure.Server(maypole(store), bin_dir) as server:
        # Connections, buffers and the pool's threads are there before the first look.
        server.load(f"/put/{size}", "--connections", 16, "--requests", 500)
        time.sleep(1)
        before = [resident_bytes(server), *disk_bytes(server.scratch)]
        server.load(f"/put/{size}", "--connections", 16, "--requests", number)
        time.sleep(1)
        after = [resident_bytes(server), *disk_bytes(server.scratch)]
        return [(b - a) / number for a, b in zip(before, after)]


def resident_bytes(server):
    """Resident memory of the server."""
    status = pathlib.Path(f"/proc/{server.processes[0].pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def disk_bytes(directory):
    """Lengths and allocated blocks of all files."""
    stats = [path.lstat() for path in directory.rglob("*") if path.is_file()]
    return sum(s.st_size for s in stats), sum(s.st_blocks * 512 for s in stats)

"""Measures maypole and its peers side by side; `benches/run` is the way to call it."""

import argparse
import os
import pathlib
import signal
import sys

import contestants
import measure
import report
import sessions
from suites import COUNTED, SUITES, WITH_REDIS

OWN = {"beside": sessions.beside, "sizes": sessions.sizes}
NAMES = [suite.key for suite in SUITES] + ["instructions", *OWN]


def main():
    """Builds, measures in interleaved rounds, prints and writes the tables."""
    options = arguments()
    # The ordinary way out runs every `with`, so servers and directories go on any signal.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    suites = [suite for suite in SUITES if suite.key in options.only]
    counted = COUNTED if "instructions" in options.only else []
    for suite in suites:
        suite.contestants = [c for c in suite.contestants if chosen(options, c.key, suite)]
    entrants = [c for suite in suites for c in suite.contestants]
    entrants += [c for _path, group, _requests in counted for c in group]
    own = [key for key in OWN if key in options.only]
    entrants += [contestants.maypole(store) for store in sessions.STORES] if own else []
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", contestants.BENCHES / "target"))
    bin_dir = contestants.build(entrants, target.resolve())
    sections, unkept = {"machine": report.machine()}, set()
    for suite in suites:
        sections[suite.key], is_busy = run_suite(suite, bin_dir, options)
        if is_busy and not options.busy:
            unkept.add(suite.key)
    if counted:
        sections["instructions"] = run_counted(counted, bin_dir, options)
    for key in own:
        sections[key] = OWN[key](bin_dir, options)
    for key, text in sections.items():
        print("\n" + text)
        if options.write and key in unkept:
            print("Not written down: the machine was busy (--busy writes it all the same).")
        elif options.write:
            report.write(key, text)


def arguments():
    """The command line; `--quick` shortens all that was not given."""
    parser = argparse.ArgumentParser(prog="benches/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round; writes nothing")
    parser.add_argument("--only", action="append", choices=NAMES, help="a suite; may be repeated")
    parser.add_argument("--with", dest="who", action="append",
                        help="a contestant besides the reference; may be repeated")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each run")
    parser.add_argument("--no-write", dest="write", action="store_false",
                        help="leave README.md alone")
    parser.add_argument("--busy", action="store_true",
                        help="write timings of a busy machine, without verdicts")
    parser.add_argument("--keep", type=pathlib.Path, help="a directory for callgrind's files")
    options = parser.parse_args()
    asked_for = set(contestants.BACKENDS) & set(contestants.IN_REDIS)
    options.only = options.only or [
        name for name in NAMES if asked_for or name not in WITH_REDIS]
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 3)
    # A table without some of its rows, or from one round, is not for keeps.
    options.write = options.write and not options.quick and not options.who
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    return options


def chosen(options, key, suite):
    """Whether a contestant takes part."""
    return not options.who or key in options.who or key == suite.reference


def run_suite(suite, bin_dir, options):
    """Round after round, each beginning with another contestant."""
    load_before = os.getloadavg()[0]
    samples = {c.key: [] for c in suite.contestants}
    for number in range(options.rounds):
        shift = number % len(suite.contestants)
        for contestant in suite.contestants[shift:] + suite.contestants[:shift]:
            seen = measure.sample(contestant, bin_dir, suite, options.seconds)
            samples[contestant.key].append(seen)
            trips = f", {seen.redis_us:.1f} µs redis, {seen.trips:.2f} trips" if seen.trips else ""
            lost = "" if seen.lost is None else f", lost {seen.lost:,}"
            print(f"{suite.key} {number + 1}/{options.rounds} {contestant.key}: "
                  f"{seen.rps:,.0f}/s, {seen.cpu_us:.1f} µs{trips}{lost}", flush=True)
    conditions = report.conditions(load_before, samples, options.rounds, options.seconds)
    return report.table(suite, samples, conditions), report.is_busy(samples)


def run_counted(counted, bin_dir, options):
    """Instructions per request under callgrind."""
    counts, labels = {}, {}
    for path, group, requests in counted:
        for contestant in group:
            if options.who and contestant.key not in options.who:
                continue
            number = requests // 10 if options.quick else requests
            count = measure.instructions(contestant, bin_dir, path, number, options.keep)
            counts[path, contestant.key] = count
            labels[contestant.key] = contestant.label
            print(f"instructions {path} {contestant.key}: {count:,.0f}", flush=True)
    conditions = f"{report.now()}, maypole at {report.commit()}; callgrind, long run minus short."
    return report.counted_table(counts, labels, conditions)


if __name__ == "__main__":
    main()

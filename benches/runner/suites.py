"""What is measured, with whom, and what the budgets say."""

from dataclasses import dataclass

from contestants import (
    ACTIX, ACTIX_REDIS, AXUM, AXUM_REDIS, BACKENDS, IN_REDIS, MINIHTTP, MINIHTTP_STILL,
    PHP, PHP_KEPT, PLAIN_MAYPOLE, POEM, POEM_REDIS, maypole,
)

# Stores in redis are measured in suites of their own, against peers that use redis too.
LOCAL = [backend for backend in BACKENDS if backend not in IN_REDIS]
SHARED = [backend for backend in IN_REDIS if backend in BACKENDS] or IN_REDIS
SESSIONS = [maypole(backend) for backend in LOCAL] + [AXUM, POEM, ACTIX, PHP, PHP_KEPT]
REDIS_SESSIONS = [maypole(backend, user) for backend in SHARED for user in (False, True)] + [
    AXUM_REDIS, POEM_REDIS, ACTIX_REDIS]


@dataclass
class Budget:
    """`what` of `who` against a factor times that of `than`; without `than`, against the factor."""

    who: str
    what: str
    at_least: bool
    factor: float
    than: str | None = None


@dataclass
class Suite:
    """One table. The first of `reference` is what the ratios are taken against."""

    key: str
    title: str
    contestants: list
    reference: str
    path: str = "/"
    options: tuple = ()
    budgets: tuple = ()
    wrk: bool = False


SUITES = [
    Suite(
        "plain",
        "Plain text, 13 bytes, no session",
        [MINIHTTP, PLAIN_MAYPOLE, POEM, AXUM, ACTIX, MINIHTTP_STILL],
        "minihttp",
        budgets=(
            Budget("maypole", "rps", True, 1.0, "minihttp"),
            Budget("maypole", "cpu_us", False, 1.0, "minihttp"),
            Budget("maypole", "cpu_us", False, 0.8, "poem"),
        ),
        wrk=True,
    ),
    Suite(
        "read",
        "Session read, each connection its own session",
        SESSIONS,
        "php",
        path="/read",
        options=("--jar", "own", "--first", "/bump"),
    ),
    Suite(
        "bump",
        "Session bump, each connection its own session",
        SESSIONS,
        "php",
        path="/bump",
        options=("--jar", "own", "--check", "/read"),
        budgets=(
            Budget("maypole-file", "rps", True, 4.0, "php"),
            Budget("maypole-file", "rps", True, 4.0, "php-kept"),
            Budget("maypole-file", "rps", True, 0.4, "maypole-table"),
            Budget("maypole-file", "lost", False, 0),
            Budget("maypole-table", "rps", True, 1.3, "poem"),
            Budget("maypole-table", "lost", False, 0),
        ),
    ),
    Suite(
        "shared",
        "Session bump, all connections on one session",
        SESSIONS,
        "php",
        path="/bump",
        options=("--jar", "shared", "--check", "/read"),
        budgets=tuple(Budget(f"maypole-{b}", "lost", False, 0) for b in LOCAL),
    ),
    Suite(
        "redis-read",
        "Session read, sessions in redis, each connection its own",
        REDIS_SESSIONS,
        "poem-redis",
        path="/read",
        options=("--jar", "own", "--first", "/bump"),
    ),
    Suite(
        "redis-bump",
        "Session bump, sessions in redis, each connection its own",
        REDIS_SESSIONS,
        "poem-redis",
        path="/bump",
        options=("--jar", "own", "--check", "/read"),
        budgets=(
            Budget("maypole-redis", "rps", True, 1.3, "poem-redis"),
            Budget("maypole-redis", "total_us", False, 0.7, "poem-redis"),
            Budget("maypole-redis", "cpu_us", False, 0.7, "poem-redis"),
            Budget("maypole-tiered", "rps", True, 1.8, "poem-redis"),
            Budget("maypole-redis", "trips", False, 2),
            Budget("maypole-redis-user", "trips", False, 3),
            Budget("maypole-tiered", "trips", False, 1),
        ),
    ),
    Suite(
        "redis-shared",
        "Session bump, sessions in redis, all connections on one",
        REDIS_SESSIONS,
        "poem-redis",
        path="/bump",
        options=("--jar", "shared", "--check", "/read"),
        budgets=tuple(Budget(f"maypole-{b}", "lost", False, 0) for b in SHARED),
    ),
]
# They run when asked for: by `--only`, or by a store in redis among BENCH_BACKENDS.
WITH_REDIS = [suite.key for suite in SUITES if suite.reference == "poem-redis"]

# Instructions are counted, not timed: path, contestants, requests.
COUNTED_REDIS = [POEM_REDIS, AXUM_REDIS] if set(BACKENDS) & set(IN_REDIS) else []
COUNTED = [
    ("/", [MINIHTTP, PLAIN_MAYPOLE, MINIHTTP_STILL, POEM, AXUM], 10000),
    ("/bump", [maypole(backend) for backend in BACKENDS] + [POEM, AXUM] + COUNTED_REDIS, 3000),
]

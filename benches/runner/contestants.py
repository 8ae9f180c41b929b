"""Who takes part, and how each one is built and started."""

import glob
import os
import pathlib
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

BENCHES = pathlib.Path(__file__).resolve().parent.parent


@dataclass
class Launch:
    """The commands of one running contestant; only the first one's CPU is counted."""

    commands: list
    env: dict = field(default_factory=dict)


@dataclass
class Contestant:
    """One row of a table. `package` is the cargo package, or None for PHP."""

    key: str
    label: str
    package: str | None
    build: tuple = ()
    env: dict = field(default_factory=dict)
    # Whether a redis of its own is started with it.
    redis: bool = False
    # The path of a jar's first request, if not the suite's.
    first: str | None = None

    def launch(self, bin_dir, port, scratch, redis_url=None):
        """How to start it on `port` with its files in `scratch`."""
        if self.package is None:
            return php(port, scratch, kept="kept" in self.build)
        env = {name: value.format(scratch=scratch, redis_url=redis_url)
               for name, value in self.env.items()}
        arguments = [str(port)] + ([redis_url] if redis_url else [])
        return Launch([[str(bin_dir / self.key), *arguments]], env)


MAYPOLE_ENV = {
    "MAYPOLE_LOG_ACCESS": "false",
    "MAYPOLE_LOG_LEVEL": "warn",
    "MAYPOLE_SESSION_FILE_PATH": "{scratch}/sessions",
    "MAYPOLE_SESSION_TABLE_PATH": "{scratch}/table",
    # The load comes from one address, which the flood limit would stop.
    "MAYPOLE_SESSION_NEW_SESSIONS_PER_MINUTE": "0",
}


# The stores that keep sessions in redis.
IN_REDIS = ["redis", "tiered"]


def maypole(backend, user=False):
    """maypole with one of its stores; with `user`, every session has logged in first."""
    env = MAYPOLE_ENV | {"MAYPOLE_SESSION_BACKEND": backend}
    redis = backend in IN_REDIS
    if redis:
        env["MAYPOLE_REDIS_DEFAULT_URL"] = "{redis_url}"
    key, label = f"maypole-{backend}", f"**maypole, {backend}**"
    if user:
        key, label = f"{key}-user", f"**maypole, {backend}, logged in**"
    return Contestant(key, label, "maypole-bench", env=env, redis=redis,
                      first="/login" if user else None)


PLAIN_MAYPOLE = Contestant("maypole", "**maypole**", "maypole-bench", env=MAYPOLE_ENV)
MINIHTTP = Contestant("minihttp", "may_minihttp", "peer-minihttp")
MINIHTTP_STILL = Contestant(
    "minihttp-still",
    "may_minihttp without work stealing",
    "peer-minihttp",
    build=("--no-default-features",),
)
AXUM = Contestant("axum", "axum + tower-sessions, memory", "peer-axum")
POEM = Contestant("poem", "poem, memory", "peer-poem")
ACTIX = Contestant("actix", "actix + actix-session, cookie", "peer-actix")
AXUM_REDIS = Contestant(
    "axum-redis", "axum + tower-sessions, redis", "peer-axum-redis", redis=True)
POEM_REDIS = Contestant("poem-redis", "poem, redis", "peer-poem-redis", redis=True)
ACTIX_REDIS = Contestant(
    "actix-redis", "actix + actix-session, redis", "peer-actix-redis", redis=True)
PHP = Contestant("php", "PHP-FPM, files", None)
PHP_KEPT = Contestant("php-kept", "PHP-FPM, files, kept FastCGI", None, build=("kept",))

# The stores maypole is measured with; a new one is one more word here.
BACKENDS = os.environ.get("BENCH_BACKENDS", "file,table").split(",")


def build(contestants, target):
    """Builds each package alone, so that features of one never reach another."""
    bin_dir = target / "contestants"
    bin_dir.mkdir(parents=True, exist_ok=True)
    env = os.environ | {"CARGO_TARGET_DIR": str(target)}
    built = {}
    for package, flags in [("load", ())] + [(c.package, c.build) for c in contestants]:
        if package is None or (package, flags) in built:
            continue
        command = ["cargo", "build", "--release", "--quiet", "-p", package, *flags]
        print("$", " ".join(command), flush=True)
        done = subprocess.run(command, cwd=BENCHES, env=env, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            sys.stderr.buffer.write(done.stderr)
            raise SystemExit(f"{package} does not build")
        copy = bin_dir / f"{package}{''.join(flags)}"
        shutil.copy2(target / "release" / package, copy)
        built[package, flags] = copy
    for c in contestants:
        if c.package is not None:
            link = bin_dir / c.key
            link.unlink(missing_ok=True)
            link.symlink_to(built[c.package, c.build].name)
    return bin_dir


def php(port, scratch, kept):
    """php-fpm behind nginx, which is not counted.

    A kept FastCGI connection holds its worker even while idle, so there have to be as many workers
    as connections, or some requests wait for ever; hence not the ordinary setup.
    """
    user = "www-data" if os.geteuid() == 0 else ""
    sessions = scratch / "php-sessions"
    sessions.mkdir(mode=0o700)
    if user:
        shutil.chown(sessions, user, user)
    fpm = scratch / "fpm.conf"
    fpm.write_text(FPM_CONF.format(
        scratch=scratch,
        sessions=sessions,
        workers=64 if kept else 16,
        user=f"user = {user}\ngroup = {user}\nlisten.owner = {user}\nlisten.group = {user}"
        if user else "",
    ))
    nginx = scratch / "nginx.conf"
    nginx.write_text(NGINX_CONF.format(
        scratch=scratch,
        port=port,
        user=f"user {user};" if user else "",
        script=copied_script(scratch),
        keepalive="keepalive 64;" if kept else "",
        keep_conn="on" if kept else "off",
    ))
    return Launch([
        [php_fpm(), "--nodaemonize", "--fpm-config", str(fpm)],
        [nginx_program(), "-c", str(nginx), "-e", "stderr"],
    ])


def php_fpm():
    """The newest php-fpm of the distribution."""
    found = sorted(glob.glob("/usr/sbin/php-fpm*") + glob.glob("/usr/bin/php-fpm*"))
    if not found:
        raise SystemExit("php-fpm is not installed")
    return found[-1]


def nginx_program():
    """nginx, which lies outside an ordinary user's PATH."""
    found = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if found is None:
        raise SystemExit("nginx is not installed")
    return found


def copied_script(scratch):
    """The script where www-data can read it."""
    copy = scratch / "index.php"
    shutil.copy(BENCHES / "peers/php/index.php", copy)
    copy.chmod(0o644)
    return copy


FPM_CONF = """
[global]
error_log = /dev/stderr
log_level = warning
daemonize = no

[www]
listen = {scratch}/fpm.sock
{user}
pm = static
pm.max_children = {workers}
catch_workers_output = yes
php_admin_value[session.save_path] = {sessions}
php_admin_value[session.gc_probability] = 0
"""

NGINX_CONF = """
daemon off;
{user}
worker_processes 1;
pid {scratch}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {scratch}/nginx-body;
    fastcgi_temp_path {scratch}/nginx-fastcgi;
    proxy_temp_path {scratch}/nginx-proxy;
    uwsgi_temp_path {scratch}/nginx-uwsgi;
    scgi_temp_path {scratch}/nginx-scgi;
    upstream fpm {{ server unix:{scratch}/fpm.sock; {keepalive} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            fastcgi_pass fpm;
            fastcgi_keep_conn {keep_conn};
            fastcgi_param SCRIPT_FILENAME {script};
            fastcgi_param DOCUMENT_URI $document_uri;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_URI $request_uri;
            fastcgi_param REMOTE_ADDR $remote_addr;
        }}
    }}
}}
"""

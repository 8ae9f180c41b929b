//! Clients that others wrote: curl, Python, Node.

use std::process::Command;

use crate::support::{TestServer, is_installed, output, serve};

fn shop() -> TestServer {
    serve("", |app| {
        app.get("/count", |ctx| Ok(ctx.session.increment("n", 1)?.to_string()));
        app.post("/login", |ctx| {
            ctx.session.increment("n", 10)?;
            Ok(ctx.redirect("/count"))
        });
        app.put("/upload", |ctx| Ok(ctx.body_bytes()?.len().to_string()));
        app.post("/upload", |ctx| Ok(ctx.body_bytes()?.len().to_string()));
        app.get("/destroy", |ctx| ctx.session.destroy());
    })
}

/// Runs a client with `http://host:port` in its environment and gives what it printed.
#[track_caller]
fn run(server: &TestServer, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).env("BASE", format!("http://{}", server.addr()));
    command.current_dir(server.session_path());
    let (succeeded, text) = output(&mut command);
    assert!(succeeded, "{program} {arguments:?}: {text}");
    text
}

#[test]
fn curl() {
    if !is_installed("curl") {
        return;
    }
    let server = shop();
    let url = |path: &str| format!("http://{}{path}", server.addr());
    let curl = |arguments: &[&str], path: &str| {
        run(
            &server,
            "curl",
            &[&["-sS", "--max-time", "30"], arguments, &[url(path).as_str()]].concat(),
        )
    };
    let jar = ["-c", "jar", "-b", "jar"];
    assert_eq!(curl(&jar, "/count"), "1");
    assert_eq!(curl(&jar, "/count"), "2");
    assert_eq!(curl(&["--http1.0", "-b", "jar"], "/count"), "3");
    assert_eq!(curl(&[&jar[..], &["-L", "-d", "a=b"]].concat(), "/login"), "14");
    let head = curl(&["-I"], "/probe");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 5\r\n"),
        "{head}"
    );
    assert_eq!(curl(&["--http1.1"], "/probe"), "probe");
    std::fs::write(server.session_path().join("large"), vec![b'x'; 1_500_000]).unwrap();
    assert_eq!(curl(&["-T", "large"], "/upload"), "1500000");
    assert_eq!(curl(&["-T", "large", "-H", "Expect: 100-continue"], "/upload"), "1500000");
    assert_eq!(
        curl(&["-T", "large", "-H", "Transfer-Encoding: chunked", "-H", "Expect:"], "/upload"),
        "1500000"
    );
    std::fs::write(server.session_path().join("larger"), vec![b'x'; 3_000_000]).unwrap();
    let status = ["-o", "out", "-w", "%{http_code}"];
    assert_eq!(curl(&[&status[..], &["-T", "larger"]].concat(), "/upload"), "413");
    assert_eq!(curl(&[&status[..], &["-T", "larger"]].concat(), "/nothing-here"), "404");
    let reused = ["-w", " %{num_connects};", "-b", "jar", &url("/probe"), &url("/probe")];
    assert_eq!(curl(&reused, "/probe"), "probe 1;probe 0;probe 0;");
    assert_eq!(curl(&jar, "/destroy"), "");
    assert_eq!(curl(&jar, "/count"), "1");
}

const PYTHON: &str = r#"
import http.client, http.cookiejar, os, urllib.request, urllib.parse
base = os.environ["BASE"]
jar = http.cookiejar.CookieJar()
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
get = lambda path, data=None: opener.open(base + path, data, timeout=30).read().decode()
assert [get("/count") for _ in range(3)] == ["1", "2", "3"]
assert get("/login", b"a=b") == "14", "a redirect reads what was written"
assert len(jar) == 1
get("/destroy")
assert len(jar) == 0, "the cookie is deleted"

connection = http.client.HTTPConnection(urllib.parse.urlsplit(base).netloc, timeout=30)
connection.connect()
first = connection.sock
for size in (0, 1, 100_000, 1_500_000):
    connection.request("POST", "/upload", body=b"x" * size)
    assert connection.getresponse().read() == str(size).encode()
    connection.request("POST", "/upload", body=iter([b"y" * size, b"z"] if size else [b"z"]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().read() == str(size + 1).encode()
for path, status in (("/nothing-here", 404), ("/upload", 405), ("/probe", 200)):
    connection.request("HEAD", path)
    response = connection.getresponse()
    assert (response.status, response.read()) == (status, b""), path
assert connection.sock is first, "one connection for all"

try:
    import requests
except ImportError:
    print("skipped: the Python package requests is not installed")
else:
    with requests.Session() as session:
        assert [session.get(base + "/count", timeout=30).text for _ in range(2)] == ["1", "2"]
        assert session.post(base + "/login", data={"a": "b"}, timeout=30).text == "13"
        assert session.put(base + "/upload", data=iter([b"abc", b"de"]), timeout=30).text == "5"
        assert "session" in session.cookies
        session.get(base + "/destroy", timeout=30)
        assert "session" not in session.cookies
print("python is content")
"#;

#[test]
fn python() {
    if !is_installed("python3") {
        return;
    }
    let server = shop();
    let text = run(&server, "python3", &["-c", PYTHON]);
    assert!(text.ends_with("python is content\n"), "{text}");
    for line in text.lines().filter(|line| line.starts_with("skipped")) {
        eprintln!("{line}");
    }
    server.expect_no_connections();
}

const NODE: &str = r#"
const http = require("node:http");
const assert = require("node:assert");
const base = process.env.BASE;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
let cookie = "";
const ask = (method, path, body, headers = {}) => new Promise((resolve, reject) => {
  const request = http.request(base + path, { method, agent, headers: { cookie, ...headers } }, response => {
    const pieces = [];
    response.on("data", piece => pieces.push(piece));
    response.on("end", () => {
      for (const line of response.headers["set-cookie"] ?? []) cookie = line.split(";")[0];
      resolve({ status: response.statusCode, text: Buffer.concat(pieces).toString(), reused: request.reusedSocket });
    });
  });
  request.on("error", reject);
  if (body) for (const piece of body) request.write(piece);
  request.end();
});
(async () => {
  assert.equal((await ask("GET", "/count")).text, "1");
  const second = await ask("GET", "/count");
  assert.deepEqual([second.text, second.reused], ["2", true]);
  assert.equal((await ask("POST", "/upload", ["a".repeat(70000), "b"])).text, "70001");
  assert.equal((await ask("HEAD", "/probe")).text, "");
  assert.equal((await ask("GET", "/nothing-here")).status, 404);
  assert.deepEqual(await Promise.all([..."abcde"].map(() => ask("GET", "/count"))).then(all => all.map(it => it.text).sort()), ["3", "4", "5", "6", "7"]);
  agent.destroy();
  const answers = await Promise.all(Array.from({ length: 50 }, () => fetch(base + "/count", { headers: { cookie } })));
  const numbers = (await Promise.all(answers.map(it => it.text()))).map(Number);
  assert.equal(Math.max(...numbers) <= 57, true);
  const last = await fetch(base + "/count", { headers: { cookie } });
  assert.equal(await last.text(), "58");
  const sent = await fetch(base + "/upload", { method: "PUT", body: new ReadableStream({ start(c) { c.enqueue(new Uint8Array(5)); c.close(); } }), duplex: "half" });
  assert.equal(await sent.text(), "5");
  console.log("node is content");
  process.exit(0);
})().catch(error => { console.error(error); process.exit(1); });
"#;

#[test]
fn node() {
    if !is_installed("node") {
        return;
    }
    let server = shop();
    let text = run(&server, "node", &["-e", NODE]);
    assert!(text.ends_with("node is content\n"), "{text}");
    server.expect_no_connections();
}

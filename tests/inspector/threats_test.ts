/** The threat model of the inspector: a test for each line of its table in docs/security.md. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { existsSync } from "node:fs";
import { HashStash } from "../../mod.ts";
import { inspector } from "../../inspector/mod.ts";
import { changeOn, inspect, pageOf, send, TOKEN } from "../support/inspection.ts";

const threats: string[] = [];

/** Registers the test of a line. */
function threat(line: string, fn: (stash: HashStash) => Promise<void>): void {
  threats.push(line);
  Deno.test({
    name: `inspector: ${line}`,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn() {
      await using stash = new HashStash({ engine: "memory", name: crypto.randomUUID() });
      await fn(stash);
    },
  });
}

/** The status of a response whose body nobody reads. */
async function statusOf(response: Promise<Response>): Promise<number> {
  const { status, body } = await response;
  await body?.cancel();
  return status;
}

const cookieOf = (response: Response) => response.headers.get("set-cookie")!.split(";")[0];

threat("Another machine connects", async (stash) => {
  const ask = inspect(stash);
  for (const from of ["192.168.1.7", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "1.127.0.0", ""]) {
    assertEquals(await statusOf(ask("/", { from })), 403, from);
  }
  for (const from of ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", null]) {
    assertEquals(await statusOf(ask("/", { from })), 200, String(from));
  }
  const open = inspect(stash, { remote: true, allowedHosts: ["cache.example.org"] });
  const headers = { host: "cache.example.org" };
  assertEquals(await statusOf(open("/", { from: "10.0.0.1", headers })), 200);
  assertEquals(await statusOf(open("/", { from: "10.0.0.1", headers, anonymous: true })), 401);
});

threat("A foreign name is pointed at this machine (DNS rebinding)", async (stash) => {
  const ask = inspect(stash, { allowedHosts: ["cache.example.org", "other.example.org:8443"] });
  const status = (host: string, from?: null) => statusOf(ask("/", { headers: { host }, from }));
  const foreign = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "localhost:8000@evil.example",
    "evil.example/localhost",
    "localhost.",
    "cache.example.org.evil.example",
    "other.example.org",
    "other.example.org:8444",
    "0.0.0.0",
  ];
  for (const host of foreign) assertEquals(await status(host), 403, host);
  for (
    const host of [
      "localhost",
      "LOCALHOST:1",
      "127.0.0.1:8000",
      "[::1]:8000",
      "cache.example.org",
      "cache.example.org:99",
      "other.example.org:8443",
    ]
  ) assertEquals(await status(host), 200, host);
  // Without an address only the name tells that it is this machine.
  assertEquals(await status("cache.example.org", null), 403);
  assertEquals(await status("localhost:8000", null), 200);
});

threat("Another site's page sends a request", async (stash) => {
  const ask = inspect(stash, { write: true, allowedHosts: ["proxy.example.org"] });
  const foreign = ["https://evil.example", "http://localhost:5173", "http://127.0.0.1", "null"];
  for (const origin of foreign) {
    for (const path of ["/", "/events", "/metrics"]) {
      assertEquals(await statusOf(ask(path, { headers: { origin } })), 403, origin + path);
    }
    assertEquals(await statusOf(send(ask, "delete", {}, { origin })), 403, origin);
  }
  assertEquals(await statusOf(ask("/", { headers: { origin: "http://127.0.0.1:8000" } })), 200);
  assertEquals(await statusOf(ask("/", { headers: { origin: "https://proxy.example.org" } })), 200);
  // An image, a frame, a script: a browser sends no Origin with these.
  const within = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" };
  assertEquals(await statusOf(ask("/", { headers: within })), 403);
  const frame = { ...within, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" };
  assertEquals(await statusOf(ask("/", { headers: frame })), 403);
  const other = { "sec-fetch-site": "same-site", "sec-fetch-mode": "cors" };
  assertEquals(await statusOf(ask("/", { headers: other })), 403);
  const link = { ...within, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
  assertEquals(await statusOf(ask("/", { headers: link })), 200);
});

threat("Another user or program of this machine opens the address", async (stash) => {
  await stash.set("secret", "in here");
  const ask = inspect(stash, { write: true });
  for (
    const path of [
      "/",
      "/stores",
      "/events",
      "/metrics",
      "/bytes?key=secret",
      "/none",
      "/style.css",
    ]
  ) {
    const response = await ask(path, { anonymous: true });
    assertEquals(response.status, 401, path);
    assertEquals(response.headers.get("www-authenticate"), "Bearer");
    assert(!(await response.text()).includes("in here"));
  }
  const refused = {
    method: "POST",
    anonymous: true,
    headers: { "content-type": "application/json" },
  };
  assertEquals(await statusOf(ask("/delete", refused)), 401);
  for (
    const authorization of ["Bearer wrong", "Bearer", TOKEN, `Basic ${TOKEN}`, `Bearer ${TOKEN}x`]
  ) {
    assertEquals(await statusOf(ask("/", { headers: { authorization } })), 401, authorization);
  }
  assertEquals(await statusOf(ask(`/?token=wrong`, { anonymous: true })), 401);
  assertEquals(
    await statusOf(ask("/", { anonymous: true, headers: { cookie: "hashstash=1" } })),
    401,
  );
});

threat("Somebody guesses the token", async (stash) => {
  const make = (token: unknown) => () => inspector(stash, { token } as never);
  for (
    const token of [
      undefined,
      null,
      "",
      "short",
      12345678901234567890,
      "with a blank in it",
      "ünïcödé-characters",
    ]
  ) {
    assertThrows(make(token), TypeError, "crypto.randomUUID()");
  }
  assertThrows(() => inspector(stash, undefined as never), TypeError, "crypto.randomUUID()");
  make("sixteen-letters!")();
  // Neither a part of it nor what the cookie holds is the token.
  const ask = inspect(stash);
  const cookie = cookieOf(await ask(`/?token=${TOKEN}`, { anonymous: true }));
  const [, value] = cookie.split("=");
  for (const token of [TOKEN.slice(0, -1), TOKEN.toUpperCase(), value]) {
    assertEquals(await statusOf(ask(`/?token=${token}`, { anonymous: true })), 401);
  }
});

threat("The token stays in the address, the history or a Referer", async (stash) => {
  const ask = inspect(stash);
  const response = await ask(`/?prefix=a%20b&token=${TOKEN}&tag=t`, { anonymous: true });
  assertEquals(response.status, 303);
  assertEquals(response.headers.get("location"), "/?prefix=a+b&tag=t");
  assertEquals(response.headers.get("referrer-policy"), "no-referrer");
  const set = response.headers.get("set-cookie")!;
  assertStringIncludes(set, "; Path=/; HttpOnly; SameSite=Strict");
  assert(!set.includes(TOKEN));
  const headers = { cookie: `a=b; ${cookieOf(response)}; c` };
  const page = await ask("/", { anonymous: true, headers });
  assertEquals(page.status, 200);
  assertEquals(page.headers.get("set-cookie"), null);
  assert(!(await page.text()).includes(TOKEN));
  // Also for who is signed in, the address is not left with it; twice is once too often.
  assertEquals(await statusOf(ask(`/?token=${TOKEN}`, { headers })), 303);
  assertEquals(await statusOf(ask(`/?token=${TOKEN}&token=${TOKEN}`, { anonymous: true })), 401);
});

threat("A link to the inspector leads on to another site", async (stash) => {
  const ask = inspect(stash);
  for (const path of ["//evil.example/", "///evil.example/", "/\\evil.example/"]) {
    const response = await ask(`${path}?token=${TOKEN}`, { anonymous: true });
    assertEquals(response.headers.get("location"), "/evil.example/", path);
  }
});

threat("A page makes the browser change something (CSRF)", async (stash) => {
  await stash.set("k", 1);
  const ask = inspect(stash, { write: true });
  const cookie = cookieOf(await ask(`/?token=${TOKEN}`, { anonymous: true }));
  const body = JSON.stringify(changeOn(await pageOf(ask, "/?key=k")));
  const post = (headers: Record<string, string>) =>
    statusOf(
      ask("/delete", { method: "POST", anonymous: true, headers: { cookie, ...headers }, body }),
    );
  const json = { "content-type": "application/json" };
  const origin = "http://127.0.0.1:8000";
  assertEquals(await post(json), 403, "without an Origin");
  assertEquals(await post({ ...json, origin: "null" }), 403);
  assertEquals(await post({ ...json, origin: "http://127.0.0.1:8001" }), 403);
  assertEquals(await post({ "content-type": "text/plain", origin }), 415, "as a form sends it");
  assertEquals(await statusOf(ask("/delete")), 405, "by a link");
  assertEquals(await stash.get("k"), 1);
  assertEquals(await post({ ...json, origin }), 200);
  assertEquals(await stash.has("k"), false);
});

threat("A stored key, value, tag or name is markup or a script", async () => {
  const bad = `"><img src=x onerror=alert(1)>'`;
  await using stash = new HashStash({
    engine: "memory",
    name: `<b onload=x>${crypto.randomUUID()}`,
  });
  const values = [
    bad,
    [bad],
    { [bad]: bad },
    new Map([[bad, bad]]),
    new Set([bad]),
    new Error(bad),
  ];
  for (const [i, value] of values.entries()) await stash.set(`${bad}${i}`, value, { tags: [bad] });
  await using inside = stash.sub(bad);
  await inside.set(bad, "<script>alert(1)</script>");
  const ask = inspect(stash, { write: true });
  const store = encodeURIComponent(`main/${bad}`);
  const pages = [
    "/",
    "/stores",
    `/?tag=${encodeURIComponent(bad)}&find=${encodeURIComponent(bad)}&prefix=${
      encodeURIComponent(bad)
    }`,
    `/?store=${store}&key=${encodeURIComponent(bad)}`,
    ...values.map((_, i) => `/?key=${encodeURIComponent(bad + i)}`),
  ];
  for (const path of pages) {
    const page = await pageOf(ask, path);
    assert(!/<(img|b) /.test(page), path);
    assert(!page.includes("<script>"), path);
    assertStringIncludes(page, "&lt;");
    assert(!/\son\w+="/.test(page), "no handlers in attributes");
  }
  const response = await ask("/?store=<script>&key=<script>");
  assertEquals([response.status, /<script>/.test(await response.text())], [404, false]);
  const policy = (await ask("/metrics", { method: "HEAD" })).headers.get(
    "content-security-policy",
  )!;
  assertStringIncludes(policy, "default-src 'none'; script-src 'self'; style-src 'self'");
  assert(!policy.includes("unsafe"));
});

threat("Stored bytes are shown as a document", async (stash) => {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`;
  const bytes = new TextEncoder().encode(svg);
  const png = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, ...bytes]);
  await stash.setMany({ svg: bytes, html: new TextEncoder().encode("<html>"), text: svg, png });
  const ask = inspect(stash);
  for (const key of ["svg", "html", "text", "absent"]) {
    const response = await ask(`/picture?key=${key}`);
    assertEquals(response.status, key === "absent" ? 404 : 415);
    assertEquals(response.headers.get("content-type"), "text/plain; charset=utf-8");
    assert(!(await response.text()).includes("<"));
  }
  for (const path of ["/picture?key=png", "/bytes?key=svg"]) {
    const { headers, body } = await ask(path);
    await body?.cancel();
    const isPicture = path.startsWith("/picture");
    assertEquals(headers.get("content-type"), isPicture ? "image/png" : "application/octet-stream");
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertStringIncludes(headers.get("content-security-policy")!, "default-src 'none'; sandbox");
    if (!isPicture) assertStringIncludes(headers.get("content-disposition")!, "attachment");
  }
});

threat("Another page shows the inspector in a frame", async (stash) => {
  const { headers, body } = await inspect(stash)("/");
  await body?.cancel();
  assertStringIncludes(headers.get("content-security-policy")!, "frame-ancestors 'none'");
  assertEquals(headers.get("x-frame-options"), "DENY");
  assertEquals(headers.get("cross-origin-opener-policy"), "same-origin");
  assertEquals(headers.get("cross-origin-resource-policy"), "same-origin");
});

threat("Copies of what is stored stay in the browser's or a proxy's cache", async (stash) => {
  await stash.set("k", new Uint8Array(3));
  const ask = inspect(stash);
  const paths = [
    "/",
    "/stores",
    "/metrics",
    "/bytes?key=k",
    "/picture?key=k",
    "/none",
    "/style.css",
  ];
  for (const path of paths) {
    for (const anonymous of [false, true]) {
      const { headers, body } = await ask(path, { anonymous });
      await body?.cancel();
      assertEquals(headers.get("cache-control"), "no-store", path);
      assertEquals(headers.get("x-content-type-options"), "nosniff", path);
      assertEquals(headers.get("referrer-policy"), "no-referrer", path);
    }
  }
});

threat("Somebody who may only look changes something", async (stash) => {
  await stash.set("k", { a: 1 });
  const page = await pageOf(inspect(stash, { write: true }), "/?key=k");
  const change = { ...changeOn(page), json: "2" };
  const ask = inspect(stash);
  assert(!(await pageOf(ask, "/?key=k")).includes("data-was"));
  for (const action of ["set", "delete"] as const) {
    assertEquals(await statusOf(send(ask, action, change)), 403);
  }
  for (const method of ["PUT", "DELETE", "PATCH", "POST", "OPTIONS"]) {
    const response = await ask("/?key=k", { method });
    await response.body?.cancel();
    assertEquals([response.status, response.headers.get("allow")], [405, "GET, HEAD"]);
  }
  const head = await ask("/", { method: "HEAD" });
  assertEquals([head.status, await head.text()], [200, ""]);
  assertEquals(await stash.get("k"), { a: 1 });
  assertThrows(() => inspect(stash, { write: "no" as never }), TypeError, "write");
});

threat("A path or a name leads out of the store", async () => {
  const rootDir = await Deno.makeTempDir();
  try {
    await using stash = new HashStash({ engine: "pairtree", name: "s", rootDir });
    await stash.set("../../etc/passwd", "a key as any other");
    const ask = inspect(stash, { write: true });
    const before = [...Deno.readDirSync(rootDir)].length;
    for (
      const path of [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/style.css/../x",
      ]
    ) {
      assertEquals(await statusOf(ask(path)), 404, path);
    }
    for (
      const store of [
        "../other",
        "main/../../x",
        "main/none",
        "other",
        "main/",
        "main/.tags",
        "/etc",
      ]
    ) {
      assertEquals(await statusOf(ask(`/?store=${encodeURIComponent(store)}`)), 404, store);
      const change = { store, key: "k", was: "", json: "1" };
      assertEquals(await statusOf(send(ask, "set", change)), 404, store);
    }
    assertEquals([...Deno.readDirSync(rootDir)].length, before);
    assert(!existsSync(`${rootDir}/other`));
    const page = await pageOf(ask, `/?key=${encodeURIComponent("../../etc/passwd")}`);
    assertStringIncludes(page, "a key as any other");
  } finally {
    await Deno.remove(rootDir, { recursive: true });
  }
});

threat("A change undoes what another has written meanwhile", async (stash) => {
  await stash.set("k", { a: 1 });
  const [one, two] = [inspect(stash, { write: true }), inspect(stash, { write: true })];
  const change = changeOn(await pageOf(one, "/?key=k"));
  assertEquals(await statusOf(send(two, "set", { ...change, json: '{"a":2}' })), 200);
  for (const action of ["set", "delete"] as const) {
    const response = await send(one, action, { ...change, json: '{"a":3}' });
    assertEquals(response.status, 409);
    assertStringIncludes(await response.text(), "has changed");
  }
  assertEquals(await stash.get("k"), { a: 2 });
  await stash.delete("k");
  assertEquals(await statusOf(send(one, "set", { ...change, json: "3" })), 409);
  assertEquals(await stash.has("k"), false);
});

threat("A request keeps the server busy or fills its memory", async (stash) => {
  await stash.setMany(Array.from({ length: 25_000 }, (_, i) => [`k${i}`, i] as const));
  const ask = inspect(stash, { write: true });
  // A search goes on when it is asked to, not by itself.
  assertStringIncludes(await pageOf(ask, "/?find=nothing"), "20,000 keys looked at");
  assertStringIncludes(await pageOf(ask, "/?find=nothing&in=values"), "2,000 entries read");
  // Lists are dropped, the oldest first.
  const first = /list=([\w-]+)/.exec(await pageOf(ask, "/"))![1];
  for (let i = 0; i < 40; i++) await pageOf(ask, "/");
  assertStringIncludes(await pageOf(ask, `/?store=main&list=${first}`, 410), "no longer kept");
  const long = { store: "main", key: "k1", was: "", json: " ".repeat(3_000_000) };
  assertEquals(await statusOf(send(ask, "set", long)), 413);
  const streams = [];
  for (let i = 0; i < 17; i++) streams.push(await ask("/events"));
  assertEquals(streams.map(({ status }) => status), [...Array(16).fill(200), 503]);
  for (const { body } of streams) await body?.cancel();
  assertEquals(await statusOf(ask("/events")), 200);
});

threat("The cookie of one inspector opens another", async (stash) => {
  const ask = inspect(stash);
  const other = "the-token-of-another-inspector";
  const elsewhere = inspect(stash, { token: other });
  const mine = cookieOf(await ask(`/?token=${TOKEN}`, { anonymous: true }));
  const theirs = cookieOf(await elsewhere(`/?token=${other}`, { anonymous: true }));
  assert(mine.split("=")[0] !== theirs.split("=")[0], "a browser keeps both");
  const both = { anonymous: true, headers: { cookie: `${theirs}; ${mine}` } };
  assertEquals(await statusOf(ask("/", both)), 200);
  assertEquals(await statusOf(ask("/", { ...both, headers: { cookie: theirs } })), 401);
});

Deno.test("inspector: docs/security.md lists these threats", async () => {
  const text = await Deno.readTextFile(new URL("../../docs/security.md", import.meta.url));
  const table = text.slice(text.indexOf("| Threat"), text.indexOf("Not covered:"));
  const lines = table.split("\n").filter((line) => line.startsWith("| ")).slice(2);
  assertEquals(lines.map((line) => line.split("|")[1].trim()), threats);
});

Deno.test("inspector: what makes no sense as an option is a TypeError", async () => {
  await using stash = new HashStash({ engine: "memory" });
  const make = (options: object) => () => inspector(stash, { token: TOKEN, ...options });
  assertThrows(make({ tokens: 1 }), TypeError, "tokens");
  assertThrows(make({ remote: 1 }), TypeError, "remote");
  assertThrows(make({ allowedHosts: "a" }), TypeError, "array of names");
  for (const other of [null, "name", {}, stash.toJSON()]) {
    const inspectOther = () => inspector(other as never, { token: TOKEN });
    assertThrows(inspectOther, TypeError, "Expected a HashStash to look into");
  }
  for (const host of ["", "http://a", "a/b", "a b", 1, "*"]) {
    assertThrows(make({ allowedHosts: [host] }), TypeError, "cache.example.org");
  }
});

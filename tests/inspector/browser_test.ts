/** The inspector in a real browser: what a person sees and does, and that nothing stored runs. */
import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { HashStash } from "../../mod.ts";
import { inspector, type InspectorOptions } from "../../inspector/mod.ts";
import { type Browser, type Page, withBrowser } from "../support/chromium.ts";
import { eventually } from "../support/servers.ts";
import { showKey } from "../../store/show.ts";
import { TOKEN } from "../support/inspection.ts";

const HOSTILE = `"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`;

/** A picture of two by two pixels. */
const PNG = Uint8Array.fromBase64(
  "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR42mP8z8DAwMDEwMDAwAAiAAAdBgMBQMpGgAAAAABJRU5ErkJggg==",
);

const VALUES: Record<string, unknown> = {
  text: "some words\non two lines",
  number: -0,
  list: [1, 2n, undefined, new Date(0)],
  object: { a: { b: { c: [1] } }, ["__proto__x"]: null },
  map: new Map<unknown, unknown>([["k", new Set([1])]]),
  error: new Error("told"),
  bytes: crypto.getRandomValues(new Uint8Array(6_000)),
  picture: PNG,
  [HOSTILE]: { [HOSTILE]: HOSTILE },
  "a script": HOSTILE,
  "an svg": new TextEncoder().encode(`<svg xmlns="http://www.w3.org/2000/svg" onload="hacked=1"/>`),
};

/** What a person looks at. */
interface Sight {
  readonly browser: Browser;
  readonly stash: HashStash;
  readonly address: string;
  /** The statuses that were answered. */
  readonly statuses: number[];
  /** A page that is signed in; at its end nothing was complained of and nothing stored has run. */
  look(options: Look, body: (page: Page) => Promise<void>): Promise<void>;
}

interface Look {
  colorScheme?: "light" | "dark";
  width?: number;
  /** Complaints in the console that are meant. */
  expected?: RegExp;
}

async function withInspector(
  options: Partial<InspectorOptions>,
  body: (sight: Sight) => Promise<void>,
): Promise<void> {
  await using stash = new HashStash({
    engine: "memory",
    name: crypto.randomUUID(),
    appendMode: true,
  });
  for (const [key, value] of Object.entries(VALUES)) {
    await stash.set(key, value, { tags: ["all", HOSTILE] });
  }
  await stash.setMany(Array.from({ length: 130 }, (_, i) => [`session:${i}`, { i }] as const), {
    ttl: 3 * 3_600_000 + 60_000,
  });
  await using inside = stash.sub(HOSTILE);
  await inside.set("k", 1);
  const handler = inspector(stash, { token: TOKEN, ...options });
  const statuses: number[] = [];
  const serving = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = Deno.serve(serving, async (request, info) => {
    const response = await handler(request, info);
    statuses.push(response.status);
    return response;
  });
  const address = `http://127.0.0.1:${server.addr.port}/`;
  try {
    await withBrowser(async (browser) => {
      await body({
        browser,
        stash,
        address,
        statuses,
        async look({ colorScheme, width = 1280, expected }, body) {
          const viewport = { width, height: 800 };
          const context = await browser.newContext({ colorScheme, viewport });
          const page = await context.newPage();
          const complaints: string[] = [];
          page.on("console", (message) => {
            if (!expected?.test(message.text())) complaints.push(message.text());
          });
          page.on("pageerror", (error) => complaints.push(String(error)));
          page.on("dialog", (dialog) => {
            complaints.push(dialog.message());
            void dialog.dismiss();
          });
          page.on("request", (request) => {
            if (!request.url().startsWith(address)) complaints.push(request.url());
          });
          await page.goto(`${address}?token=${TOKEN}`);
          await body(page);
          assertEquals(await page.evaluate("window.hacked"), undefined);
          await context.close();
          assertEquals(complaints, []);
        },
      });
    });
  } finally {
    await server.shutdown();
  }
}

/** Opens a key by its row and waits for its value. */
async function open(page: Page, key: string): Promise<void> {
  await page.locator("a.row .key").getByText(showKey(key), { exact: true }).click();
  await page.locator("#value h1").getByText(showKey(key), { exact: true }).waitFor();
}

/** Waits in here: to ask again by itself, a page would have to evaluate text, which its policy forbids. */
async function comesTrue(page: Page, condition: string): Promise<void> {
  await eventually(async () => assert(await page.evaluate(condition), condition));
}

const textOf = async (page: Page, selector: string) => await page.locator(selector).innerText();

Deno.test("inspector in Chromium: looking around", async (t) => {
  await withInspector({}, async ({ look, address }) => {
    await t.step(
      "the address loses its token, and the stores are counted later",
      () =>
        look({}, async (page) => {
          assertEquals(page.url(), address);
          await page.locator("#counts:not([data-load])").waitFor();
          assertMatch(await textOf(page, "#stores"), /main\s+141 · [\d.]+ kB/);
          assertEquals(await page.locator("a.row").count(), 50);
          assertMatch(await textOf(page, "#keys"), /ends in 3 h/);
          assertEquals(await page.locator(".actions").count(), 0, "read-only");
        }),
    );

    await t.step(
      "a value of each type, hostile ones too, beside the list",
      () =>
        look({}, async (page) => {
          await page.goto(`${address}?tag=all`);
          for (const key of Object.keys(VALUES)) {
            // The page stays: only the value is new.
            await page.evaluate("window.same = true");
            await open(page, key);
            assertEquals(await page.evaluate("window.same"), true);
            assertMatch(page.url(), /&key=/);
            assertEquals(await page.locator("a.row[aria-current]").count(), 1);
          }
          await open(page, "picture");
          const width = "document.querySelector('.picture').naturalWidth";
          await comesTrue(page, `${width} === 2`);
          await open(page, "map");
          assertMatch(await textOf(page, ".tree"), /Map 1[^]*"k"\s+Set 1/);
          await page.goBack();
          await page.locator("#value h1", { hasText: "picture" }).waitFor();
          await page.locator("[data-view=bytes]").click();
          await page.locator(".view", { hasText: "89 50 4e 47" }).waitFor();
          await open(page, "bytes");
          await page.locator(".view .pager a", { hasText: "After" }).click();
          await page.locator(".hex", { hasText: "00001000" }).waitFor();
        }),
    );

    await t.step("pages, search, and a store inside", () =>
      look({}, async (page) => {
        await page.locator("#keys a[rel=next]").click();
        await page.waitForURL(/page=2/);
        await page.locator("[name=prefix]").fill("session:12");
        await page.keyboard.press("Enter");
        await page.waitForURL(/prefix=session/);
        assertEquals(await page.locator("a.row").count(), 11);
        await page.locator("[name=prefix]").fill("");
        await page.locator("[name=find]").fill("onerror");
        await page.locator("[name=in]").selectOption("values");
        await page.getByRole("button", { name: "List" }).click();
        await page.waitForURL(/in=values/);
        assertMatch(await textOf(page, ".spent"), /141 entries read, .*; that is all/);
        assertEquals(await page.locator("a.row").count(), 2);
        await page.locator("#stores a", { hasText: "onerror" }).click();
        await page.waitForURL(/store=main/);
        await open(page, "k");
        assertEquals((await textOf(page, ".tree")).trim(), "1");
      }));

    await t.step("keys to press", () =>
      look({}, async (page) => {
        const press = (key: string) => page.keyboard.press(key);
        // What is pressed on a page before it has been loaded, nobody hears.
        const loaded = () => page.waitForLoadState("load");
        await press("j");
        await page.locator("#value h1").waitFor();
        await loaded();
        const first = await textOf(page, "#value h1");
        await press("j");
        await page.locator("#value h1", { hasNotText: first }).waitFor();
        await loaded();
        await press("k");
        await page.locator("#value h1", { hasText: first }).waitFor();
        await loaded();
        await press("h");
        await page.locator(".versions").waitFor();
        await loaded();
        await press("n");
        await page.waitForURL(/page=2/);
        await press("p");
        await page.waitForURL((url) => !url.searchParams.has("page"));
        await press("?");
        await page.locator("dialog[open]").waitFor();
        await press("Escape");
        await press("/");
        await page.keyboard.type("jjj");
        assertEquals(await page.locator("[name=find]").inputValue(), "jjj");
      }));

    await t.step("refused without the token", () =>
      look({ expected: /401/ }, async (page) => {
        await page.context().clearCookies();
        const refused = await page.goto(address);
        assertEquals(refused!.status(), 401);
        assertMatch(await textOf(page, "body"), /Not signed in/);
      }));
  });
});

Deno.test("inspector in Chromium: no name that leads here is believed", async () => {
  await withInspector({}, async ({ browser, address, statuses }) => {
    const { port } = new URL(address);
    const context = await browser.newContext();
    const page = await context.newPage();
    // Chromium takes every name below .localhost for this machine.
    const response = await page.goto(`http://evil.localhost:${port}/?token=${TOKEN}`);
    assertEquals(response!.status(), 403);
    assertEquals(await context.cookies(), []);
    await page.goto(`${address}?token=${TOKEN}`);
    // A page of another port of this machine: cookies go along, so the origin has to tell.
    const other = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () => new Response("<p>another page", { headers: { "content-type": "text/html" } }),
    );
    await page.goto(`http://127.0.0.1:${other.addr.port}/`);
    statuses.length = 0;
    const fetched = `fetch("${address}", { credentials: "include", mode: "no-cors" })`;
    assertEquals(await page.evaluate(`${fetched}.then(() => "read", () => "refused")`), "refused");
    assertEquals(statuses, [403]);
    await context.close();
    await other.shutdown();
  });
});

Deno.test("inspector in Chromium: changing values", async () => {
  await withInspector({ write: true }, async ({ look, stash }) => {
    await look({ expected: /400|404|409/ }, async (page) => {
      await page.locator("[name=prefix]").fill("object");
      await page.keyboard.press("Enter");
      await page.waitForURL(/prefix=object/);
      await open(page, "object");
      await page.keyboard.press("e");
      await page.locator("textarea").fill('{ "a": ');
      await page.getByRole("button", { name: "Save" }).click();
      await page.locator("output", { hasText: "not JSON" }).waitFor();
      await page.locator("textarea").fill('{ "changed": true }');
      await page.getByRole("button", { name: "Save" }).click();
      await page.locator("output", { hasText: "Saved" }).waitFor();
      assertEquals(await stash.get("object"), { changed: true });
      assertMatch(await textOf(page, ".tree"), /changed\s+true/);
      await page.locator("[data-view=versions]").click();
      await page.locator(".sides td.come", { hasText: "changed" }).waitFor();
      // Somebody else was quicker.
      await stash.set("object", { other: 1 });
      await page.getByRole("button", { name: "Delete" }).click();
      await page.getByRole("button", { name: "Really delete?" }).click();
      await page.locator("output", { hasText: "has changed" }).waitFor();
      assertEquals(await stash.get("object"), { other: 1 });
      await page.reload();
      await page.getByRole("button", { name: "Delete" }).click();
      await page.getByRole("button", { name: "Really delete?" }).click();
      await page.locator("#value", { hasText: "not there" }).waitFor();
      assertEquals(await stash.has("object"), false);
    });
  });
});

Deno.test("inspector in Chromium: events arrive while the page is open", async () => {
  await withInspector({}, async ({ look, stash }) => {
    await look({}, async (page) => {
      await comesTrue(page, "source?.readyState === EventSource.OPEN");
      const detail = { dbname: "main", key: HOSTILE, error: new Error(HOSTILE) };
      stash.events.dispatchEvent(new CustomEvent("error", { detail }));
      await page.locator("#events li", { hasText: "onerror" }).waitFor();
      assertMatch(await textOf(page, "#totals"), /error 1/);
      await page.locator("#pause").click();
      assertEquals(await textOf(page, "#pause"), "Go on");
    });
  });
});

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1280, 390]) {
    Deno.test(`inspector in Chromium: ${colorScheme}, ${width} pixels wide`, async () => {
      await withInspector({ write: true }, async ({ look, address }) => {
        await look({ colorScheme, width }, async (page) => {
          for (
            const path of [
              "",
              "?key=object",
              "?key=bytes",
              "?key=object&view=versions",
              "?find=x&in=values",
            ]
          ) {
            await page.goto(address + path);
            await page.locator("#counts:not([data-load])").waitFor({ state: "attached" });
            const seen = await page.evaluate(`new Promise((resolve) => {
              let shifts = 0;
              new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) shifts += entry.value;
              }).observe({ type: "layout-shift", buffered: true });
              const wide = document.documentElement.scrollWidth - innerWidth;
              const rgb = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);
              requestAnimationFrame(() => setTimeout(() => resolve({ shifts, wide, light: rgb[0] })));
            })`) as { shifts: number; wide: number; light: number };
            assertLess(seen.shifts, 0.02, `${path} jumps`);
            assert(seen.wide <= 0, `${path} is ${seen.wide} pixels too wide`);
            assertEquals(seen.light > 128, colorScheme === "light");
          }
        });
      });
    });
  }
}

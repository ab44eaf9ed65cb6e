/** A real browser for what is made to be looked at. */
import { type Browser, chromium, type Page } from "npm:playwright-core@^1.60.0";
import { assertEquals } from "@std/assert";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

async function findChromium(): Promise<string> {
  const own = Deno.env.get("CHROMIUM_PATH");
  for (const path of own ? [own] : PATHS) {
    try {
      await Deno.stat(path);
      return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(
    "No Chromium to look at pages with: install Debian's package chromium, or set CHROMIUM_PATH",
  );
}

export type { Page };

/** What is looked at, and with which of the reader's preferences. */
export interface PageOptions {
  /** How the browser takes it. */
  type: "html" | "svg";
  content: string;
  colorScheme?: "light" | "dark";
}

/** Opens content as a page and hands it to the body. */
export type Look = (options: PageOptions, body: (page: Page) => Promise<void>) => Promise<void>;

export type { Browser };

/** Starts headless Chromium for the body. */
export async function withBrowser(body: (browser: Browser) => Promise<void>): Promise<void> {
  const browser = await chromium.launch({
    executablePath: await findChromium(),
    headless: true,
    args: ARGUMENTS,
  });
  try {
    await body(browser);
  } finally {
    await browser.close();
  }
}

/**
 * Starts headless Chromium for the body, which may look at several pages. Fails on anything in a
 * console and on any request but for the file itself.
 */
export async function withChromium(body: (look: Look) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await withBrowser((browser) =>
      body(({ type, content, colorScheme }, body) =>
        look(browser, `${folder}/${crypto.randomUUID()}.${type}`, content, colorScheme, body)
      )
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function look(
  browser: Browser,
  path: string,
  content: string,
  colorScheme: PageOptions["colorScheme"],
  body: (page: Page) => Promise<void>,
): Promise<void> {
  await Deno.writeTextFile(path, content);
  const page = await browser.newPage({ colorScheme, viewport: { width: 1200, height: 900 } });
  const complaints: string[] = [];
  page.on("console", (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith("file:")) complaints.push(`request: ${request.url()}`);
  });
  await page.goto(`file://${path}`);
  await body(page);
  await page.close();
  assertEquals(complaints, []);
}

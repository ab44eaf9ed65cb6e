/** The page: stores on the left, keys in the middle, one entry on the right, events below. */
import type { HashStash, StoreInfo } from "../mod.ts";
import { parseFunctionName } from "../store/function_names.ts";
import type { Handle } from "../store/handle.ts";
import { showText } from "../store/show.ts";
import { entryView } from "./entry.ts";
import { type Html, markup } from "./html.ts";
import { type Counted, type Facts, factsOfMany, type Inspected } from "./inspected.ts";
import { type Listing, NoPage, type Page } from "./listing.ts";
import { addressOf, type Place } from "./place.ts";
import { count, counted, duration, keyLabel, moment, shortened, size } from "./words.ts";

/** Stores that are listed. */
const MOST_STORES = 500;
/** Characters of a key in the list. */
const LABEL = 160;

/** A page, or a message in its place. */
export interface Answer {
  readonly status: number;
  readonly page: Html;
}

/** The page of a place. */
export async function browse(
  inspected: Inspected,
  place: Place,
  write: boolean,
): Promise<Answer> {
  const handle = (await inspected.store(place.dbname))?.reader;
  if (handle === undefined) {
    const name = shortened(showText(place.dbname), 200);
    return message(
      inspected.stash,
      404,
      "No such store",
      `There is no store ${name} in this stash`,
    );
  }
  const { keys, here, problem } = await keysPane(inspected, handle, place);
  // Who looks at an entry sees it whatever has become of the list beside it.
  if (problem !== undefined && place.key === undefined) {
    return message(inspected.stash, problem.status, "No such page", problem.text, place);
  }
  const { status = 200, pane } = place.key === undefined
    ? { pane: markup`<p class="empty">Choose a key to see its value.</p>` }
    : await entryView(handle, here, place.key, write);
  const title = place.key === undefined ? place.dbname : keyLabel(place.key, 60);
  const page = layout(
    inspected.stash,
    title,
    markup`<nav id="stores" aria-label="Stores"><details open><summary>Stores</summary>
${storesPane(inspected, inspected.counted, place.dbname)}</details></nav>
<section id="keys" aria-label="Keys">${keys}</section>
<main id="value">${pane}</main>
<footer id="live" aria-label="Events"><div class="strip"><b>Live</b>
<span id="totals" title="Since the page was opened">waiting for events of this process</span>
<button type="button" id="pause" hidden>Pause</button></div><ol id="events"></ol></footer>`,
    place.key === undefined ? "" : "has-key",
    write,
  );
  return { status, page };
}

/** A page that says why there is none. */
export function message(
  stash: HashStash,
  status: number,
  title: string,
  text: string,
  { dbname, prefix, tag, find, within }: Partial<Place> = {},
): Answer {
  const again = addressOf({ dbname, prefix, tag, find, within }) ?? "";
  const body = markup`<main id="message"><h1>${title}</h1><p>${text}.</p>
<p><a href="./${again}">Begin again</a></p></main>`;
  return { status, page: layout(stash, title, body, "message", false) };
}

function layout(stash: HashStash, title: string, body: Html, kind: string, write: boolean): Html {
  const { name, engine, path } = stash;
  return markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · ${name}</title>
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="style.css">
<script src="script.js" defer></script>
</head>
<body class="${kind}">
<header><a class="brand" href="./">${showText(name)}</a>
<span class="engine">${engine}</span>
<span class="path" title="${path}">${path}</span>
<span class="mode">${write ? "can be changed" : "read-only"}</span>
<button type="button" id="help" title="Keys to press" hidden>?</button></header>
${body}
<dialog id="shortcuts"><h2>Keys to press</h2><dl>
<dt>/</dt><dd>to the search</dd><dt>j k</dt><dd>next key, previous key</dd>
<dt>n p</dt><dd>next page, previous page</dd><dt>v b h</dt><dd>value, stored bytes, history</dd>
<dt>e</dt><dd>edit, where it is allowed</dd><dt>?</dt><dd>this</dd></dl>
<form method="dialog"><button>Close</button></form></dialog>
</body>
</html>
`;
}

/**
 * The list of stores with what they hold. It is not waited for: the page is there first, and asks
 * for it.
 */
export function storesPane(
  { dbname, kind }: Inspected,
  counts: Counted | undefined,
  current: string,
): Html {
  const own: StoreInfo = { dbname, kind, entries: 0, bytes: 0 };
  const stores = counts?.stores ?? [own];
  const known = new Set(stores.map((store) => store.dbname));
  const rows = stores.slice(0, MOST_STORES).map((store) =>
    storeRow(store, known, current, counts !== undefined)
  );
  const more = stores.length - rows.length;
  const rest = more > 0 && markup`<li class="dim">… ${count(more)} more</li>`;
  const when = counts === undefined
    ? markup`<span class="counting">Counting …</span><noscript> <a href="stores">Count</a></noscript>`
    : markup`<span>Counted ${moment(counts.at)}, in ${duration(counts.ms)}</span>
<button type="button" class="again">again</button>`;
  return markup`<div id="counts"${counts === undefined && markup` data-load`}>
<ul class="stores">${rows}${rest}</ul><p class="dim">${when}</p></div>`;
}

function storeRow(
  { dbname, kind, entries, bytes, lastWrite }: StoreInfo,
  known: ReadonlySet<string>,
  current: string,
  isCounted: boolean,
): Html {
  const parts = dbname.split("/");
  const outer = parts.map((_, i) => parts.slice(0, i).join("/")).filter((name) => known.has(name));
  // Below the store that it is in, by what its name adds to that one's.
  const name = outer.length === 0 ? dbname : dbname.slice(outer.at(-1)!.length + 1);
  const called = kind === "function" ? parseFunctionName(name) : undefined;
  const version = called?.version === undefined ? "" : `@${called.version}`;
  const source = called?.source === undefined ? "" : `~${called.source.slice(0, 6)}`;
  const written = lastWrite === undefined
    ? ""
    : `, last write ${new Date(lastWrite).toISOString()}`;
  const isHere = dbname === current && markup` aria-current="page"`;
  const title = `${showText(dbname)} (${kind})${written}`;
  const link = addressOf({ dbname }) ?? "";
  return markup`<li class="depth${Math.min(outer.length, 6)}">
<a href="./${link}"${isHere} title="${title}"><span class="store">
<span class="kind">${kind === "function" ? "ƒ" : "▤"}</span> ${showText(called?.name ?? name)}<span
class="dim">${source}${version}</span></span><span class="held">${
    isCounted ? markup`${count(entries)} · ${size(bytes)}` : "…"
  }</span></a></li>`;
}

interface KeysPane {
  readonly keys: Html;
  /** The place, with the list that has begun. */
  readonly here: Place;
  readonly problem?: { readonly status: number; readonly text: string };
}

async function keysPane(inspected: Inspected, handle: Handle, place: Place): Promise<KeysPane> {
  const { listings } = inspected;
  const form = filters(place, inspected.counted);
  let listing: Listing | undefined;
  try {
    listing = place.list === undefined
      ? listings.begin(handle, place)
      : listings.find(place.list, place);
    if (listing === undefined) throw new NoPage("This list of keys is no longer kept");
    const page = await listing.page(place.page);
    const here = { ...place, list: listing.id };
    const facts = await factsOfMany(handle, page.keys);
    const rows = page.keys.map((text, i) => keyRow(text, facts[i], here));
    return { keys: markup`${form}${list(rows, page, listing, here)}`, here };
  } catch (error) {
    if (!(error instanceof NoPage)) {
      // The walk over the store has ended with the error.
      if (listing !== undefined) listings.drop(listing);
      throw error;
    }
    const text = error.message;
    const again = addressOf({ ...place, list: undefined, page: 1 }) ?? "";
    const keys =
      markup`${form}<p class="empty">${text}. <a href="./${again}">List them again</a></p>`;
    const status = listing === undefined ? 410 : 404;
    return { keys, here: { ...place, list: undefined, page: 1 }, problem: { status, text } };
  }
}

function filters({ dbname, prefix, tag, find, within }: Place, counts?: Counted): Html {
  const store = counts?.stores.find((store) => store.dbname === dbname);
  const all = store && `: ${counted(store.entries, "entry", "entries")}, ${size(store.bytes)}`;
  const input = (name: string, label: string, value = "") =>
    markup`<label><span>${label}</span><input name="${name}" value="${value}" autocomplete="off" spellcheck="false"></label>`;
  const option = (value: string, label: string) =>
    markup`<option value="${value}"${within === value && markup` selected`}>${label}</option>`;
  return markup`<form id="filters" method="get" action="./" role="search">
<input type="hidden" name="store" value="${dbname}">
${input("prefix", "Begins with", prefix)}${input("tag", "Tag", tag)}
${input("find", "Contains", find)}<label><span>in</span><select name="in">${
    option("keys", "keys")
  }${option("values", "values")}</select></label><button>List</button>
<p class="dim cost">A beginning or a tag costs what it finds. “Contains” looks at each key,
or reads each value${all}.</p></form>`;
}

function list(rows: readonly Html[], page: Page, listing: Listing, here: Place): Html {
  const { page: number, find, within } = here;
  const { looked, bytes, unread } = listing.cost;
  const step = (to: number, label: string, rel: string, isThere: boolean) => {
    const address = isThere && addressOf({ ...here, key: undefined, view: "value" }, { page: to });
    return address
      ? markup`<a rel="${rel}" href="./${address}">${label}</a>`
      : markup`<span class="off">${label}</span>`;
  };
  const what = within === "values"
    ? `${counted(looked, "entry", "entries")} read, ${size(bytes)}`
    : `${counted(looked, "key", "keys")} looked at`;
  const spent = find !== undefined &&
    markup`<p class="spent">${what}${unread > 0 && `, ${count(unread)} could not be decoded`}${
      page.hasMore ? "; there are more" : "; that is all"
    }.</p>`;
  const none = page.hasMore ? "Nothing found so far: go on to look further." : "No keys.";
  const next = rows.length === 0 && page.hasMore ? "Look further" : "Next";
  return markup`${spent}${
    rows.length === 0 ? markup`<p class="empty">${none}</p>` : markup`<ol class="keys">${rows}</ol>`
  }<nav class="pager" aria-label="Pages">${step(number - 1, "Previous", "prev", number > 1)}
<span>Page ${count(number)}</span>
${step(number + 1, next, "next", page.hasMore)}</nav>`;
}

function keyRow(text: string, facts: Facts | undefined | "unread", here: Place): Html {
  const label = markup`<bdi class="key">${keyLabel(text, LABEL)}</bdi>`;
  const about = markup`<span class="about">${
    facts === undefined
      ? "gone meanwhile"
      : facts === "unread"
      ? "not measured: large entries"
      : markup`${size(facts.bytes.length)}${
        facts.expiresAt !== undefined && markup` · ends ${moment(facts.expiresAt)}`
      }${facts.tags.map((tag) => markup` <i class="tag">${showText(shortened(tag, 30))}</i>`)}`
  }</span>`;
  const address = addressOf(here, { key: text, view: "value", from: 0 });
  const isHere = here.key === text && markup` aria-current="true"`;
  return address === undefined
    ? markup`<li><span class="row" title="This key is too long for an address">${label}${about}</span></li>`
    : markup`<li><a class="row" href="./${address}"${isHere}>${label}${about}</a></li>`;
}

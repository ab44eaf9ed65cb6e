/** The right side of the page: one entry. */
import type { Handle } from "../store/handle.ts";
import { showText } from "../store/show.ts";
import { sideBySide } from "./differences.ts";
import { hexLines, pictureType } from "./hex.ts";
import { type Html, markup } from "./html.ts";
import {
  type Decoded,
  type Facts,
  look,
  lookAtVersions,
  MOST_VERSIONS,
  type Seen,
  type SeenVersion,
} from "./inspected.ts";
import { addressOf, keyAddress, type Place } from "./place.ts";
import { bytesOf, editText, indented, linesOf } from "./texts.ts";
import { textBlock, tree } from "./tree.ts";
import { count, counted, keyLabel, moment, shortened, size } from "./words.ts";

/** Bytes of a page of them. */
const BYTES = 4_096;

interface View {
  readonly status?: number;
  readonly pane: Html;
}

/** What is shown of a key. */
export async function entryView(
  handle: Handle,
  place: Place,
  key: string,
  write: boolean,
): Promise<View> {
  const back = addressOf({ ...place, key: undefined, view: "value", from: 0 }) ?? "";
  const head = markup`<p class="back"><a href="./${back}">← Keys</a></p>
<h1><bdi>${keyLabel(key)}</bdi></h1>`;
  const seen = await look(handle, key);
  if (seen === undefined) {
    return {
      status: 404,
      pane: markup`${head}<p class="empty">It is not there: it has been removed, or has ended.</p>`,
    };
  }
  const { facts, decoded } = seen;
  const hasVersions = handle.options.appendMode || facts.version > 1;
  return {
    pane: markup`${head}${factsList(key, facts, place)}
${write && await actions(key, seen, place)}
<nav class="views" aria-label="Views">${tab(place, "value", "Value")}${
      tab(place, "bytes", "Stored bytes")
    }${hasVersions && tab(place, "versions", "Versions")}</nav>
<div class="view">${await view(handle, key, facts, decoded, place)}</div>`,
  };
}

function tab(place: Place, view: Place["view"], label: string): Html {
  const address = addressOf(place, { view, from: 0, left: undefined, right: undefined }) ?? "";
  const isHere = place.view === view && markup` aria-current="page"`;
  return markup`<a data-view="${view}" href="./${address}"${isHere}>${label}</a>`;
}

function factsList(key: string, facts: Facts, place: Place): Html {
  const { timestamp, expiresAt, freshUntil, tags, version, bytes, layer } = facts;
  const isStale = freshUntil !== undefined && freshUntil <= Date.now();
  const keepsStale = freshUntil !== undefined && freshUntil !== expiresAt;
  const tagLink = (tag: string) => {
    const address = addressOf({ dbname: place.dbname, tag });
    const label = showText(shortened(tag, 80));
    return address === undefined ? label : markup`<a class="tag" href="./${address}">${label}</a> `;
  };
  const fact = (name: string, value: Html | string) =>
    markup`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  return markup`<dl class="facts">${[
    fact("Set", timestamp === undefined ? "the engine keeps no time" : moment(timestamp)),
    fact(keepsStale ? "Leaves" : "Ends", moment(expiresAt)),
    keepsStale && fact(isStale ? "Stale since" : "Fresh until", moment(freshUntil)),
    fact("Stored", markup`${size(bytes.length)} <span class="dim">${layer}</span>`),
    fact("Key", size(new TextEncoder().encode(key).length)),
    version > 1 && fact("Version", count(version)),
    tags.length > 0 && fact("Tags", markup`${tags.map(tagLink)}`),
  ]}</dl>`;
}

async function actions(key: string, { facts, decoded }: Seen, place: Place): Promise<Html> {
  const text = "value" in decoded ? await editText(decoded.value) : undefined;
  const editor = text === undefined
    ? markup`<span class="dim">Only values that JSON can hold are edited here.</span>`
    : markup`<details class="edit"><summary>Edit</summary><form>
<textarea name="json" rows="14" spellcheck="false" aria-label="The value as JSON">
${indented(text)}</textarea><button>Save</button></form></details>`;
  // As JSON: a browser reads an attribute's line ends in its own way.
  const name = JSON.stringify(key);
  return markup`<div class="actions" data-store="${place.dbname}" data-key="${name}" data-was="${facts.state}">
${editor}<button type="button" class="delete">Delete</button> <output></output></div>`;
}

async function view(
  handle: Handle,
  key: string,
  { bytes }: Facts,
  decoded: Decoded,
  place: Place,
): Promise<Html> {
  switch (place.view) {
    case "bytes": {
      const address = keyAddress(place.dbname, key) ?? "";
      return markup`<p class="dim">As it is stored, without the header.
<a download="value.bin" href="bytes?${address}">Download</a></p>${hex(bytes, place)}`;
    }
    case "versions":
      return versionsView(await lookAtVersions(handle, key), place);
    case "value":
      return "value" in decoded
        ? valueView(key, decoded.value, place)
        : problemView(decoded.problem);
  }
}

function problemView(problem: string): Html {
  return markup`<p class="problem">${showText(problem)}.</p>
<p class="dim">The stored bytes show what is there.</p>`;
}

function valueView(key: string, value: unknown, place: Place): Html {
  if (typeof value === "string") {
    return markup`<p class="dim">Text, ${counted(value.length, "character", "characters")}</p>${
      textBlock(value)
    }`;
  }
  const bytes = bytesOf(value);
  if (bytes === undefined) return tree(value);
  const picture = pictureType(bytes);
  const address = keyAddress(place.dbname, key);
  const text = picture === undefined ? textOf(bytes) : undefined;
  return markup`<p class="dim">${Object.prototype.toString.call(value).slice(8, -1)}, ${
    size(bytes.length)
  }${picture !== undefined && `, ${picture}`}</p>${
    picture !== undefined && address !== undefined &&
    markup`<img class="picture" alt="The picture that is stored" src="picture?${address}">`
  }${text !== undefined && textBlock(text)}${hex(bytes, place)}`;
}

/** Bytes that are text, as files often are. */
function textOf(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return /[^\P{Cc}\t\r\n]/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function hex(bytes: Uint8Array, place: Place): Html {
  const { from } = place;
  if (from > 0 && from >= bytes.length) {
    return markup`<p class="empty">There is no byte ${count(from)}: it has ${
      counted(bytes.length, "byte", "bytes")
    }.</p>`;
  }
  const step = (to: number, label: string) => {
    const isThere = to !== from && to >= 0 && to < bytes.length;
    const address = isThere && addressOf(place, { from: to });
    return address
      ? markup`<a href="./${address}">${label}</a>`
      : markup`<span class="off">${label}</span>`;
  };
  const lines = hexLines(bytes.subarray(from, from + BYTES), from);
  return markup`<pre class="hex">${lines.join("\n")}</pre>${
    bytes.length > BYTES &&
    markup`<nav class="pager" aria-label="Bytes">${step(Math.max(0, from - BYTES), "Before")}
<span>${count(from)} to ${count(Math.min(from + BYTES, bytes.length))} of ${
      count(bytes.length)
    }</span>
${step(from + BYTES, "After")}</nav>`
  }`;
}

function versionsView(
  { versions, all }: { versions: readonly SeenVersion[]; all: number },
  place: Place,
): Html {
  if (versions.length === 0) return markup`<p class="empty">There are no versions any more.</p>`;
  const of = (number: number | undefined) => versions.find(({ version }) => version === number);
  const newest = versions.at(-1)!;
  const right = of(place.right) ?? newest;
  const left = of(place.left) ?? versions[Math.max(0, versions.indexOf(right) - 1)];
  const address = (side: "left" | "right", version: number) =>
    addressOf({ ...place, left: left.version, right: right.version }, { [side]: version }) ?? "";
  const link = (side: "left" | "right", version: number, current: SeenVersion) =>
    markup`<a href="./${address(side, version)}"${
      current.version === version && markup` aria-current="true"`
    }>${side}</a>`;
  const rows = versions.toReversed().map(({ version, timestamp }) =>
    markup`<li><b>${count(version)}</b> <span>${
      timestamp ? moment(timestamp) : markup`<span class="dim">no time kept</span>`
    }</span> ${link("left", version, left)} ${link("right", version, right)}</li>`
  );
  const title = ({ version }: SeenVersion) => markup`Version ${count(version)}`;
  const unread = [left, right].flatMap(({ decoded }) =>
    "problem" in decoded ? [decoded.problem] : []
  );
  const lines = ({ decoded }: SeenVersion) => "value" in decoded ? linesOf(decoded.value) : [];
  return markup`<ol class="versions">${rows}</ol>${
    all > versions.length &&
    markup`<p class="dim">The latest ${MOST_VERSIONS} of ${count(all)}.</p>`
  }${
    unread.length > 0
      ? unread.map(problemView)
      : sideBySide([title(left), title(right)], lines(left), lines(right))
  }`;
}

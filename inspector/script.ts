/**
 * What the page does in the browser. Without it everything can be seen; it adds what a link can't:
 * counts that come later, an entry without loading the whole page, events, keys to press, changes.
 * As text, since a module of this repository runs in Deno, where there is no document.
 */
export const SCRIPT: string = String.raw`"use strict";

const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

/** The part of a page of the server's that replaces the same part here. */
async function part(address, selectors) {
  const response = await fetch(address);
  const there = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const selector of selectors) {
    const [from, to] = [$(selector, there), $(selector)];
    if (from === null || to === null) return false;
    to.replaceWith(document.adoptNode(from));
  }
  return there;
}

/* The stores are counted after the page is there. */
async function countStores() {
  const counts = $("#counts");
  if (counts === null) return;
  const status = $(".counting, .again", counts);
  if (status !== null) status.textContent = "Counting …";
  const store = $("#filters [name=store]")?.value ?? "";
  try {
    if (await part("stores?" + new URLSearchParams({ store }), ["#counts"])) return;
    throw new Error();
  } catch {
    if (status !== null) status.textContent = "Could not be counted";
  }
}
document.addEventListener("click", (event) => {
  if (event.target.closest(".again")) countStores();
});
if ($("#counts[data-load]")) countStores();

/* An entry is shown beside the list, which stays where it is. */
async function show(address, { push = true, focus = false } = {}) {
  let there = false;
  try {
    there = await part(address, ["#value"]);
  } catch { /* The browser says better what is wrong. */ }
  if (!there) return location.assign(address);
  if (push) history.pushState(null, "", address);
  document.title = there.title;
  document.body.className = there.body.className;
  mark();
  $("#value").scrollTop = 0;
  if (focus || document.body.clientWidth < 900) window.scrollTo(0, 0);
}
function mark() {
  const key = keyIn(location.href);
  for (const row of $$("a.row")) {
    if (keyIn(row.href) === key) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
  $("a.row[aria-current]")?.scrollIntoView({ block: "nearest" });
}
function keyIn(address) {
  const params = new URL(address).searchParams;
  return params.has("key") ? "k" + params.get("key") : params.get("key64");
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.row, .views a, .versions a, .view .pager a");
  if (link === null || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show(link.href);
});
let listed = listIn(location.href);
function listIn(address) {
  const params = new URL(address).searchParams;
  return ["store", "prefix", "tag", "find", "in", "page"].map((name) => params.get(name)).join("\n");
}
addEventListener("popstate", () => {
  if (listIn(location.href) === listed) show(location.href, { push: false });
  else location.reload();
});
$("a.row[aria-current]")?.scrollIntoView({ block: "nearest" });

/* Changes. */
async function send(action, body, box) {
  const output = $("output", box);
  output.textContent = "…";
  const { store, key, was } = box.dataset;
  try {
    const response = await fetch(action, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ store, key: JSON.parse(key), was, ...body }),
    });
    const text = (await response.text()).trim();
    if (response.ok) {
      await show(location.href, { push: false });
      const now = $(".actions output");
      if (now !== null) now.textContent = text;
      const row = $("a.row[aria-current] .about");
      if (row !== null && action === "delete") row.textContent = "deleted";
    } else output.textContent = text;
  } catch {
    output.textContent = "The inspector does not answer";
  }
}
document.addEventListener("submit", (event) => {
  const box = event.target.closest(".actions");
  if (box === null) return;
  event.preventDefault();
  send("set", { json: $("textarea", box).value }, box);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest(".delete");
  if (button === null) return;
  if (button.dataset.sure) return send("delete", {}, button.closest(".actions"));
  // A second click within three seconds means it.
  button.dataset.sure = "yes";
  button.textContent = "Really delete?";
  setTimeout(() => {
    delete button.dataset.sure;
    button.textContent = "Delete";
  }, 3000);
});

/* Events, while the page can be seen: browsers open six connections to a server, not more. */
const strip = $("#events");
const totals = new Map();
let source;
let paused = false;
function watch() {
  source?.close();
  source = undefined;
  if (strip === null || paused || document.hidden) return;
  source = new EventSource("events");
  source.onmessage = ({ data }) => {
    const { events, more } = JSON.parse(data);
    for (const event of events) {
      totals.set(event.type, (totals.get(event.type) ?? 0) + 1);
      strip.prepend(line(event));
    }
    if (more > 0) totals.set("more", (totals.get("more") ?? 0) + more);
    while (strip.childElementCount > 60) strip.lastElementChild.remove();
    $("#totals").textContent = [...totals].map(([type, count]) => type + " " + count.toLocaleString("en"))
      .join(" · ");
  };
}
function line(event) {
  const { type, time, dbname, key, ms, bytes, count, outcome, error } = event;
  const item = document.createElement("li");
  const add = (name, text) => {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    item.append(span);
  };
  add("time", new Date(time).toTimeString().slice(0, 8));
  add("type " + (/^[a-z]+$/.test(type) ? type : ""), type);
  add("where", (dbname ?? "").split("/").pop());
  add("what", key ?? (count === undefined ? "" : count.toLocaleString("en")));
  add("more", [
    outcome,
    ms === undefined ? undefined : ms.toFixed(ms < 10 ? 1 : 0) + " ms",
    bytes === undefined ? undefined : bytes.toLocaleString("en") + " B",
    error,
  ].filter((text) => text !== undefined).join(", "));
  return item;
}
document.addEventListener("visibilitychange", watch);
const pause = $("#pause");
if (pause !== null) {
  pause.hidden = false;
  pause.onclick = () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    watch();
  };
}
watch();

/* Keys to press. */
const help = $("#help");
help.hidden = false;
help.onclick = () => $("#shortcuts").showModal();
function step(by) {
  const rows = $$("a.row");
  if (rows.length === 0) return;
  const at = rows.indexOf(document.activeElement?.closest?.("a.row") ?? $("a.row[aria-current]"));
  const row = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))];
  row.focus();
  row.click();
}
const SHORTCUTS = {
  "/": () => $("#filters [name=find]")?.focus(),
  j: () => step(1),
  k: () => step(-1),
  n: () => $("#keys a[rel=next]")?.click(),
  p: () => $("#keys a[rel=prev]")?.click(),
  v: () => $("[data-view=value]")?.click(),
  b: () => $("[data-view=bytes]")?.click(),
  h: () => $("[data-view=versions]")?.click(),
  e: () => {
    const edit = $(".edit");
    if (edit === null) return;
    edit.open = true;
    $("textarea", edit).focus();
  },
  "?": () => $("#shortcuts").showModal(),
};
document.addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "Escape" && isTyping) return event.target.blur();
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  const action = Object.hasOwn(SHORTCUTS, event.key) ? SHORTCUTS[event.key] : undefined;
  if (action === undefined) return;
  event.preventDefault();
  action();
});
`;

/** The picture in the browser's tab. */
export const ICON: string = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
<rect width="16" height="16" rx="3" fill="#0d7a6f"/>
<path d="M4 4v8M12 4v8M4 8h8" stroke="#fff" stroke-width="2" stroke-linecap="round"/></svg>
`;

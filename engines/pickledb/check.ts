/**
 * Looking for damage in the file of the pickledb engine, and repairing it without losing what can't
 * be repaired.
 */
import { constants, copyFileSync, linkSync, rmSync } from "node:fs";
import { errorCode, isNotFound } from "../../platform/errors.ts";
import { isAbsent } from "../../platform/files.ts";
import type { EngineCheck, EngineProblem } from "../engine.ts";
import { isReadOnly } from "../file_failures.ts";
import type { Document, Items } from "./store.ts";
import { type FileState, isSame, readText, replacementOf, stateOf, TooLong } from "./file.ts";
import { type Item, itemAt, verifyItem } from "./format.ts";
import { JsonDamage, salvage } from "./text.ts";
import { Turns } from "../../platform/timers.ts";

/**
 * Looks at every member and at what killed writers left; what is damaged is taken out when asked,
 * and kept in a copy of the file.
 */
export async function checkDocument(document: Document, fix: boolean): Promise<EngineCheck> {
  try {
    return await document.exclusively(() => look(document, fix));
  } catch (error) {
    // Who may not write can't lock either, but look.
    if (fix || !isReadOnly(error)) throw error;
    return await look(document, fix);
  }
}

async function look(document: Document, fix: boolean): Promise<EngineCheck> {
  const leftovers = removeLeftover(document.path, fix);
  for (;;) {
    const report = await lookAtMembers(document, fix);
    if (report === undefined) continue;
    return { checked: report.checked, problems: [...leftovers, ...report.problems] };
  }
}

/** What is wrong in the file; `undefined` when another program wrote to it before it was mended. */
async function lookAtMembers(document: Document, fix: boolean): Promise<EngineCheck | undefined> {
  let items: Items;
  try {
    items = await document.items();
  } catch (error) {
    const problem = await problemOf(document, error, fix);
    return problem && { checked: 1, problems: [problem] };
  }
  const { state } = document;
  const damaged = await findDamaged(items);
  const fixed = fix && damaged.size > 0;
  if (fixed) {
    const sound = new Map([...items].filter(([key]) => !damaged.has(key)));
    if (await replace(document, sound, state) === undefined) return undefined;
  }
  const problems = Array.from(damaged, ([key, detail]): EngineProblem => {
    return { kind: "damaged", key, detail, fixed };
  });
  return { checked: items.size, problems };
}

/**
 * What is wrong with a file that can't be read as a whole; `undefined` when another program wrote to
 * it before it was mended.
 */
async function problemOf(
  document: Document,
  error: unknown,
  fix: boolean,
): Promise<EngineProblem | undefined> {
  if (error instanceof JsonDamage) return await repair(document, error, fix);
  // Nothing of it is broken that could be mended.
  if (error instanceof TooLong) return { kind: "damaged", detail: error.message, fixed: false };
  throw error;
}

/**
 * Puts members in the place of a file, which is kept under another name; only under the lock.
 *
 * @param old The state of the file that they were read from.
 * @returns The other name; `undefined` when another program has meanwhile written to the file, which
 * is left as it is then.
 */
export async function replace(
  document: Document,
  items: Items,
  old: FileState,
): Promise<string | undefined> {
  const { path } = document;
  if (!isSame(stateOf(path), old)) return undefined;
  const aside = setAside(path);
  if (await document.save(items, old)) return aside;
  rmSync(aside, { force: true });
  return undefined;
}

/** Keeps the file as it is under another name, where a person finds it. */
function setAside(path: string): string {
  const wanted = `${path}.damaged-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
  for (let nth = 1;; nth++) {
    // Two of one millisecond: what was kept first stays what it is.
    const aside = nth === 1 ? wanted : `${wanted}-${nth}`;
    try {
      keepAs(path, aside);
      return aside;
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
    }
  }
}

function keepAs(path: string, aside: string): void {
  try {
    // It is going to be replaced, not written to: a second name keeps it, also on a full disk.
    linkSync(path, aside);
  } catch (error) {
    if (isNotFound(error) || errorCode(error) === "EEXIST") throw error;
    // Not every file system has links.
    copyFileSync(path, aside, constants.COPYFILE_EXCL);
  }
}

async function repair(
  document: Document,
  damage: JsonDamage,
  fix: boolean,
): Promise<EngineProblem | undefined> {
  const { path } = document;
  const what = `${path} is damaged: ${damage.message}`;
  if (!fix) return { kind: "damaged", detail: what, fixed: false };
  const { state, text = "" } = await readText(path, false);
  const found: Items = new Map();
  const turns = new Turns();
  for (const member of salvage(text)) {
    found.set(member.key, itemAt(text, member));
    if (turns.due()) await turns.next();
  }
  for (const key of (await findDamaged(found)).keys()) found.delete(key);
  const aside = await replace(document, found, state);
  if (aside === undefined) return undefined;
  const detail = `${what}; it is kept as ${aside}, and ${found.size} entries of it could be read`;
  return { kind: "damaged", detail, fixed: true };
}

/** The members whose values are not what they should be, and why. */
async function findDamaged(items: ReadonlyMap<string, Item>): Promise<Map<string, string>> {
  const damaged = new Map<string, string>();
  const turns = new Turns();
  for (const [key, item] of items) {
    try {
      verifyItem(item);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      damaged.set(key, error.message);
    }
    if (turns.due()) await turns.next();
  }
  return damaged;
}

/** What a killed process left of a save: whoever holds the lock knows that nobody is saving. */
function removeLeftover(path: string, fix: boolean): EngineProblem[] {
  const leftover = replacementOf(path);
  if (isAbsent(leftover)) return [];
  if (fix) rmSync(leftover, { force: true });
  return [{ kind: "leftover", detail: `${leftover}: a save that did not end`, fixed: fix }];
}

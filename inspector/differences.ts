/** Two texts side by side, with what differs. */
import { type Html, markup } from "./html.ts";
import { count } from "./words.ts";

/** Lines of each that are compared. */
const MOST_LINES = 4_000;
/** The table of the comparison has no more cells. */
const MOST_CELLS = 4_000_000;
/** Equal lines that are shown around what differs. */
const CONTEXT = 3;

/** A line on the left, on the right, or the same on both. */
export interface Row {
  readonly left?: string;
  readonly right?: string;
}

/** The lines of two texts beside each other: those that are equal on one row. */
export function compare(left: readonly string[], right: readonly string[]): Row[] {
  let start = 0;
  const shorter = Math.min(left.length, right.length);
  while (start < shorter && left[start] === right[start]) start++;
  let end = 0;
  while (end < shorter - start && left.at(-1 - end) === right.at(-1 - end)) end++;
  const same = (line: string): Row => ({ left: line, right: line });
  return [
    ...left.slice(0, start).map(same),
    ...middle(left.slice(start, left.length - end), right.slice(start, right.length - end)),
    ...left.slice(left.length - end).map(same),
  ];
}

/** The longest common subsequence, by the table of its lengths. */
function middle(left: readonly string[], right: readonly string[]): Row[] {
  const [n, m] = [left.length, right.length];
  const width = m + 1;
  if ((n + 1) * width > MOST_CELLS) return beside(left, right);
  const lengths = new Uint16Array((n + 1) * width);
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      lengths[i * width + j] = left[i] === right[j]
        ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const rows: Row[] = [];
  let [i, j, gone, come] = [0, 0, [] as string[], [] as string[]];
  while (i < n || j < m) {
    if (i < n && j < m && left[i] === right[j]) {
      rows.push(...beside(gone, come), { left: left[i], right: right[j] });
      [i, j, gone, come] = [i + 1, j + 1, [], []];
    } else if (j >= m || i < n && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) {
      gone.push(left[i++]);
    } else come.push(right[j++]);
  }
  return [...rows, ...beside(gone, come)];
}

/** What was replaced by what. */
function beside(left: readonly string[], right: readonly string[]): Row[] {
  return Array.from(
    { length: Math.max(left.length, right.length) },
    (_, i) => ({ left: left[i], right: right[i] }),
  );
}

/** A table of two texts; equal lines far from a difference are left out. */
export function sideBySide(
  titles: readonly [Html, Html],
  left: readonly string[],
  right: readonly string[],
): Html {
  const rows = compare(left.slice(0, MOST_LINES), right.slice(0, MOST_LINES));
  const differs = rows.map((row) => row.left !== row.right);
  const differences = differs.filter(Boolean).length;
  const isNear = (i: number) =>
    differs.slice(Math.max(0, i - CONTEXT), i + CONTEXT + 1).some(Boolean);
  const body: Html[] = [];
  for (let i = 0; i < rows.length; i++) {
    let skipped = 0;
    if (differences > 0) { for (; i < rows.length && !isNear(i); i++) skipped++; }
    if (skipped > 0) {
      body.push(
        markup`<tr class="skipped"><td colspan="2">${count(skipped)} equal lines</td></tr>`,
      );
    }
    if (i >= rows.length) break;
    body.push(cells(rows[i], differs[i]));
  }
  const most = Math.max(left.length, right.length);
  const howMany = differences === 0
    ? "No difference"
    : `${count(differences)} of ${count(rows.length)} lines differ`;
  const beyond = most > MOST_LINES && `; the first ${count(MOST_LINES)} lines are compared`;
  return markup`<p class="dim">${howMany}${beyond}</p>
<table class="sides"><thead><tr><th>${titles[0]}</th><th>${titles[1]}</th></tr></thead>
<tbody>${body}</tbody></table>`;
}

function cells({ left, right }: Row, differs: boolean): Html {
  const cell = (line: string | undefined, kind: string) =>
    markup`<td${differs && line !== undefined && markup` class="${kind}"`}>${line ?? ""}</td>`;
  return markup`<tr>${cell(left, "gone")}${cell(right, "come")}</tr>`;
}

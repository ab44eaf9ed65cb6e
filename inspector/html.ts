/** HTML in which everything is text unless it was made here: what is stored can't become markup. */
import { escape } from "@std/html";

/** Markup, safe to put on a page. */
export class Html {
  /**
   * Takes markup of our own.
   *
   * @param text As it is sent.
   */
  constructor(readonly text: string) {}
}

/** What can stand between the parts of a template: text is escaped, `false` is nothing. */
export type Part = Html | string | number | false | undefined | readonly Part[];

/**
 * The markup of a template. Values in attributes stand in double quotes. Not called `html`: in
 * templates of that name the formatter adds blanks, which show.
 *
 * @param parts Escaped, unless they are markup themselves.
 */
export function markup(template: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(
    template.map((piece, i) => i === 0 ? piece : textOf(parts[i - 1]) + piece).join(""),
  );
}

function textOf(part: Part): string {
  if (part instanceof Html) return part.text;
  if (part === false || part === undefined) return "";
  if (typeof part === "object") return part.map(textOf).join("");
  // What is no Unicode would be sent as something else.
  return escape(String(part).toWellFormed());
}

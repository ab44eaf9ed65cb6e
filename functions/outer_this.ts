/** What one can see in the source of an arrow function about the `this` that it uses. */

const TOKEN =
  /\/\/[^\n]*|\/\*[^]*?\*\/|"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*'|\.\.\.|=>|[\p{ID_Start}$_][\p{ID_Continue}$]*|\d[\w.]*|\S/gu;
const REGEXP = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const TEMPLATE_PART = /(?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y;
/** Before these a `/` divides: after anything else it begins a regular expression. */
const VALUE_END = /^(?:[\p{ID_Start}\p{ID_Continue}$_].*|["'`)\]}].*)$/u;
const KEYWORDS = new Set(
  ["return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "await"]
    .concat("yield", "instanceof"),
);
/** What stands before the parentheses of a statement, rather than of a function. */
const STATEMENTS = new Set(["if", "for", "while", "switch", "catch", "with", "await"]);

/**
 * Whether the code mentions `this` or `super` of the code around it: not in texts and comments, nor
 * in functions, methods and classes inside, which have one of their own. When in doubt it says no.
 */
export function mentionsOuterThis(source: string): boolean {
  /** What each open brace is: of a body with a `this` of its own, or of a part of a template. */
  const braces: { readonly isOwn: boolean; readonly isTemplate: boolean }[] = [];
  /** The word before each open parenthesis. */
  const parentheses: string[] = [];
  let before = "", closed = "", own = 0;
  let isClass = false;
  const skip = (pattern: RegExp, from: number): string => {
    pattern.lastIndex = from;
    const text = pattern.exec(source)?.[0] ?? source.slice(from);
    TOKEN.lastIndex = from + text.length;
    return text;
  };
  const template = (from: number) => {
    if (skip(TEMPLATE_PART, from).endsWith("${")) {
      braces.push({ isOwn: false, isTemplate: true });
      before = "{";
    } else before = "`";
  };
  TOKEN.lastIndex = 0;
  for (let match; (match = TOKEN.exec(source)) !== null;) {
    const [token] = match;
    if (/^\/[/*]/.test(token)) continue;
    if (token === "/" && (!VALUE_END.test(before) || KEYWORDS.has(before))) {
      skip(REGEXP, match.index);
      before = ")";
      continue;
    }
    if (token === "`") {
      template(TOKEN.lastIndex);
      continue;
    }
    if (token === "(") parentheses.push(before);
    else if (token === ")") closed = parentheses.pop() ?? "";
    else if (token === "{") {
      const isOwn = isClass || before === ")" && !STATEMENTS.has(closed);
      isClass = false;
      braces.push({ isOwn, isTemplate: false });
      if (isOwn) own++;
    } else if (token === "}") {
      const brace = braces.pop();
      if (brace?.isOwn) own--;
      if (brace?.isTemplate) {
        template(TOKEN.lastIndex);
        continue;
      }
    } else if (token === "class" && before !== ".") isClass = true;
    else if ((token === "this" || token === "super") && own === 0 && before !== ".") {
      const isName = /^[{,]$/.test(before) && /^\s*[:(]/.test(source.slice(TOKEN.lastIndex));
      if (!isName) return true;
    }
    before = token;
  }
  return false;
}

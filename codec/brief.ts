/** Characters of a name in a message: enough to know it by. */
const NAME = 80;

/** A text of the user's or of stored data in quotes, shortened: it may be megabytes long. */
export function quoted(text: string): string {
  return JSON.stringify(brief(text));
}

/** A text that is not too long for a message. */
export function brief(text: string): string {
  return text.length > NAME ? `${text.slice(0, NAME)}…` : text;
}

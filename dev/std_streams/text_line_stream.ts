/** Options of {@linkcode TextLineStream}. */
export interface TextLineStreamOptions {
  /** Whether a carriage return alone ends a line too. By default it does not. */
  allowCR?: boolean;
}

/**
 * Text in any pieces to its lines, without what ends them: a line feed, or a carriage return and a
 * line feed. What follows the last of them is a line unless it is empty.
 */
export class TextLineStream extends TransformStream<string, string> {
  constructor(options: TextLineStreamOptions = {}) {
    // A piece may end between the two characters of one line's end.
    const end = options.allowCR ? /\r\n|\n|\r(?!$)/ : /\r?\n/;
    let rest = "";
    super({
      transform(chunk, controller) {
        const lines = (rest + chunk).split(end);
        rest = lines.pop()!;
        for (const line of lines) controller.enqueue(line);
      },
      flush(controller) {
        if (options.allowCR && rest.endsWith("\r")) controller.enqueue(rest.slice(0, -1));
        else if (rest !== "") controller.enqueue(rest);
      },
    });
  }
}

/** The command serve: a page to look into the stash. */
import { inspector } from "../inspector/mod.ts";
import { errorCode } from "../platform/errors.ts";
import { serveHere, type Server } from "../platform/server.ts";
import { onEndingSignal } from "../platform/terminal.ts";
import {
  type Command,
  FAILED,
  numberOption,
  OK,
  onlyPositionals,
  orEmpty,
  stashOf,
  UsageError,
} from "./command.ts";
import { output, print, printJSON, warn } from "./io.ts";

/** Serves the inspector. */
export const serve: Command = {
  name: "serve",
  usage: "[--port N]",
  summary: "Serves a page to look into the stash, on this machine alone; Ctrl-C ends it",
  details:
    "Prints the address of the page with a token that is made anew each time: whoever has it sees all that is\n" +
    "stored. Without --write nothing can be changed.",
  options: {
    port: { type: "string", short: "p", value: "N", help: "The port; a free one by default" },
    write: { type: "boolean", help: "Values can be edited and keys deleted" },
  },
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    const port = numberOption(invocation, "port") ?? 0;
    if (!Number.isInteger(port) || port > 65_535) {
      throw new UsageError(`Expected --port to be a port, up to 65535, got "${port}"`);
    }
    const write = invocation.values.write === true;
    const named = stashOf(invocation);
    await using stash = await orEmpty(named, { deep: true });
    if (stash !== named) {
      warn(`hashstash serve: nothing is stored in ${named.path}`);
      return FAILED;
    }
    // Whatever is wrong with the store is said now, not on the page.
    await stash.open();
    const token = crypto.randomUUID();
    let server: Server;
    try {
      server = await serveHere(port, inspector(stash, { token, write }));
    } catch (error) {
      if (errorCode(error) !== "EADDRINUSE") throw error;
      warn(`hashstash serve: port ${port} is in use: pass another one, or none for a free one`);
      return FAILED;
    }
    const ended = Promise.withResolvers<void>();
    using _ = onEndingSignal(() => ended.resolve());
    const url = `http://127.0.0.1:${server.port}/?token=${token}`;
    if (invocation.json) await printJSON({ url });
    else await print(`${url}\nCtrl-C ends it`);
    await output.flush();
    await ended.promise;
    server.close();
    return OK;
  },
};

/** What a worker runs: loads `@db/sqlite`, and says when it has. */
import { onMessageToWorker } from "../../platform/workers.ts";
import { loadFfiDriver } from "./ffi.ts";

// What the package has to tell of a download goes to where it can't be taken for a program's data.
console.log = console.error;
const send = onMessageToWorker(() => undefined);
try {
  await loadFfiDriver();
  send(undefined);
} catch (error) {
  send(error instanceof Error ? error.message : String(error));
}

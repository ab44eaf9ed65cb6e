/** Serving HTTP on this machine. */

/** A server that listens. */
export interface Server {
  /** The port that it got. */
  readonly port: number;
  /** Ends it and every connection. */
  close(): void;
}

/** Who connects. */
interface Connection {
  readonly remoteAddr: { readonly transport: string; readonly hostname?: string };
}

/**
 * Listens on this machine alone.
 *
 * @param port 0 for a free one.
 * @throws With the code `EADDRINUSE` when somebody listens there.
 */
export function serveHere(
  port: number,
  handler: (request: Request, connection: Connection) => Promise<Response>,
): Server {
  const ending = new AbortController();
  const { signal } = ending;
  const options = { hostname: "127.0.0.1", port, signal, onListen: () => undefined };
  const { addr } = Deno.serve(options, handler);
  return { port: addr.port, close: () => ending.abort() };
}

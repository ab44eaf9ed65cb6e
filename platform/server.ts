/** Serving HTTP on this machine. */
import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { deno } from "./runtime.ts";
import { builtinModule } from "./system.ts";

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

type Handler = (request: Request, connection: Connection) => Promise<Response>;

/** Where it listens: on this machine alone. */
const HERE = "127.0.0.1";

/**
 * Listens on this machine alone.
 *
 * @param port 0 for a free one.
 * @throws With the code `EADDRINUSE` when somebody listens there.
 */
export async function serveHere(port: number, handler: Handler): Promise<Server> {
  if (!deno) return await serveByNode(port, handler);
  const ending = new AbortController();
  const { signal } = ending;
  const options = { hostname: HERE, port, signal, onListen: () => undefined };
  const { addr } = deno.serve(options, handler);
  return { port: addr.port, close: () => ending.abort() };
}

async function serveByNode(port: number, handler: Handler): Promise<Server> {
  const server = builtinModule("node:http").createServer((incoming, outgoing) => {
    answer(incoming, outgoing, handler).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, HERE, resolve);
  });
  const address = server.address() as AddressInfo;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { port: address.port, close };
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  handler: Handler,
): Promise<void> {
  const { method = "GET", url = "/", headers, rawHeaders, socket } = incoming;
  const pairs = Array.from(
    { length: rawHeaders.length / 2 },
    (_, i): [string, string] => [rawHeaders[2 * i], rawHeaders[2 * i + 1]],
  );
  const body = method === "GET" || method === "HEAD"
    ? undefined
    : new Uint8Array(Buffer.concat(await Array.fromAsync(incoming)));
  const request = new Request(`http://${headers.host ?? HERE}${url}`, {
    method,
    headers: pairs,
    body,
  });
  const remoteAddr = { transport: "tcp", hostname: socket.remoteAddress };
  const response = await handler(request, { remoteAddr });
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(new Uint8Array(await response.arrayBuffer()));
}

/** A way to a server that can move, fall silent and break. */

import { HOST } from "./servers.ts";

/** A TCP proxy on a port of its own; `await using` ends it with all its connections. */
export class TcpProxy implements AsyncDisposable {
  /** The port on 127.0.0.1 where it listens. */
  readonly port: number;
  /** The port on 127.0.0.1 that the next connections lead to; the earlier ones stay as they are. */
  target: number;
  /** Whether what comes in, from both sides, is swallowed: links that are open and dead. */
  isSilent = false;
  /** How many connections there have been. */
  accepted = 0;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #work = new Set<Promise<void>>();

  constructor(target: number) {
    this.target = target;
    this.#listener = Deno.listen({ hostname: HOST, port: 0 });
    this.port = this.#listener.addr.port;
    this.#track(this.#accept());
  }

  /** Ends all connections there are. */
  cut(): void {
    for (const connection of this.#connections) this.#close(connection);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      this.accepted++;
      this.#track(this.#serve(client));
    }
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    this.#connections.add(client);
    try {
      const server = await Deno.connect({ hostname: HOST, port: this.target });
      this.#connections.add(server);
      // Cut meanwhile.
      if (!this.#connections.has(client)) this.#close(server);
      await Promise.all([this.#pump(client, server), this.#pump(server, client)]);
    } catch {
      // The server is not there.
      this.#close(client);
    }
  }

  /** Passes on what comes from one side, until it ends or breaks. */
  async #pump(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let read = await from.read(buffer); read !== null; read = await from.read(buffer)) {
        for (let sent = 0; sent < read && !this.isSilent;) {
          sent += await to.write(buffer.subarray(sent, read));
        }
      }
    } catch {
      // A side that broke or was cut: what is left is to end the other.
    }
    this.#close(from);
    if (!this.isSilent) this.#close(to);
  }

  #close(connection: Deno.TcpConn): void {
    if (this.#connections.delete(connection)) connection.close();
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    void work.finally(() => this.#work.delete(work));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await Promise.all(this.#work);
  }
}

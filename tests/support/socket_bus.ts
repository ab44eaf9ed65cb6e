/** A bus as a user may have one of his own: lines of text that a small server passes on to all. */
import type { Bus } from "../../engines/mod.ts";
import { linesOf } from "./child.ts";

/** Passes on what it gets to all who are connected. */
export class SocketBusServer implements AsyncDisposable {
  readonly port: number;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #work = new Set<Promise<void>>();

  constructor() {
    this.port = this.#listener.addr.port;
    this.#track(this.#accept());
  }

  /** Ends all connections there are. */
  cut(): void {
    for (const connection of [...this.#connections]) this.#close(connection);
  }

  /** How many are connected. */
  get size(): number {
    return this.#connections.size;
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      this.#connections.add(connection);
      this.#track(this.#serve(connection));
    }
  }

  async #serve(connection: Deno.TcpConn): Promise<void> {
    try {
      for await (const line of linesOf(connection.readable)) {
        const bytes = new TextEncoder().encode(`${line}\n`);
        for (const other of this.#connections) await other.write(bytes);
      }
    } catch {
      // It was cut.
    }
    this.#close(connection);
  }

  #close(connection: Deno.TcpConn): void {
    if (!this.#connections.delete(connection)) return;
    try {
      connection.close();
    } catch {
      // Its end has closed it.
    }
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

/** A bus by such a server. */
export function socketBus(port: number): Bus {
  let current: Deno.TcpConn | undefined;
  let connected = Promise.withResolvers<Deno.TcpConn>();
  return {
    async publish(message) {
      await (await connected.promise).write(new TextEncoder().encode(`${message}\n`));
    },
    async subscribe(onMessage, onGap) {
      let isOver = false;
      const connect = async () => {
        current = await Deno.connect({ hostname: "127.0.0.1", port });
        connected.resolve(current);
      };
      await connect();
      const following = (async () => {
        while (!isOver) {
          try {
            for await (const line of linesOf(current!.readable)) onMessage(line);
          } catch {
            // It was cut.
          }
          current = undefined;
          connected = Promise.withResolvers();
          while (!isOver && current === undefined) {
            await new Promise((resolve) => setTimeout(resolve, 20));
            await connect().then(onGap, () => undefined);
          }
        }
      })();
      return async () => {
        isOver = true;
        try {
          current?.close();
        } catch {
          // It is closed.
        }
        await following;
      };
    },
  };
}

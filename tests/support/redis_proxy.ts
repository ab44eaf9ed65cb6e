import { HOST } from "./servers.ts";
import { TcpProxy } from "./tcp_proxy.ts";

/** A way to a Redis server that can move, fall silent and break. */
export class RedisProxy extends TcpProxy {
  /** `redis://127.0.0.1:PORT`. */
  readonly url = `redis://${HOST}:${this.port}`;
}

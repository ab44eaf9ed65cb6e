import { Redis } from "ioredis";
import { contractTests } from "./_contract.ts";
import { type RedisServer, startRedis, startRedisCluster } from "./redis_server.ts";

const stopping = (server: RedisServer) => () => server[Symbol.asyncDispose]();

contractTests("redis", async () => {
  const server = await startRedis();
  return { options: { url: server.url }, stop: stopping(server) };
});

contractTests("redis", async () => {
  const server = await startRedis({ tls: true, password: "p:@/%ss" });
  const url = `${server.urlWith("p:@/%ss")}/3`;
  return { options: { url, tls: { ca: server.ca } }, stop: stopping(server) };
}, "redis by TLS, with a password, in database 3");

contractTests("redis", async () => {
  const server = await startRedis();
  const client = new Redis(server.socket, { lazyConnect: true });
  return {
    options: { client },
    async stop() {
      await client.quit();
      await server[Symbol.asyncDispose]();
    },
  };
}, "redis by a client on a unix socket");

contractTests("redis", async () => {
  const cluster = await startRedisCluster();
  return { options: { cluster: cluster.urls }, stop: () => cluster[Symbol.asyncDispose]() };
}, "redis cluster");

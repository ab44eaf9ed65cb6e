import { killTests } from "./_kill.ts";
import { processTests } from "./_processes.ts";
import { startRedis, startRedisCluster } from "./redis_server.ts";

const setup = async () => {
  const server = await startRedis();
  return { options: { url: server.url }, stop: () => server[Symbol.asyncDispose]() };
};

processTests("redis", setup);
killTests("redis", setup);

processTests("redis", async () => {
  const cluster = await startRedisCluster();
  return { options: { cluster: cluster.urls }, stop: () => cluster[Symbol.asyncDispose]() };
}, "redis cluster");

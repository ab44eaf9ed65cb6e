import { contractTests } from "./_contract.ts";
import { startRedis } from "./redis_server.ts";

contractTests("redis", async () => {
  const server = await startRedis();
  return { options: { url: server.url }, stop: () => server[Symbol.asyncDispose]() };
});

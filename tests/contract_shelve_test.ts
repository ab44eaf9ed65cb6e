import { contractTests } from "./_contract.ts";
import { startKvConnect } from "./kv_connect_server.ts";

contractTests("shelve");
contractTests("shelve", { path: ":memory:" }, "shelve in memory");
contractTests("shelve", startKvConnect, "shelve on a server");

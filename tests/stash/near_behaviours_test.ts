/** 145: what holds without a near tier holds with one; values that come frozen included. */
import { ENGINES } from "../support/bed.ts";
import { behaviours } from "./behaviours/mod.ts";

for (const engine of ENGINES) behaviours(engine, { near: true, frozen: true });

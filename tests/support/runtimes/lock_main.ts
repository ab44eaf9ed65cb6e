/**
 * A program for all runtimes: takes a lock, says so, and holds it until its input ends. Its
 * argument: the lock's path.
 */
import process from "node:process";
import { FileLock } from "../../../platform/file_lock.ts";

const path = JSON.parse(process.argv[2]);
const lock = await FileLock.take(path, { patience: 60_000 });
console.log("held");
process.stdin.resume();
await new Promise((resolve) => process.stdin.once("end", resolve));
lock[Symbol.dispose]();
console.log("free");

/**
 * Preloaded, it leaves out the tests that are slow because they start many processes or workers,
 * which their names say.
 */
const SLOW = /process|kill|worker/i;

const quick = new Proxy(Deno.test, {
  apply(register, self, args) {
    const [test] = args;
    const name = typeof test === "string" ? test : test.name;
    if (!SLOW.test(name)) Reflect.apply(register, self, args);
  },
});
Object.defineProperty(Deno, "test", { value: quick });

// Processes that the other tests start would write their coverage too, and take twice as long.
Deno.env.delete("DENO_COVERAGE_DIR");

/** What the servers of the tests have in common. */
import { join } from "node:path";

/** Where they listen. */
export const HOST = "127.0.0.1";

/** A self-made certificate for 127.0.0.1 and localhost in `cert.pem`, its key in `key.pem`. */
export async function makeCertificate(folder: string): Promise<string> {
  await requireProgram("openssl", "openssl");
  const certificate = join(folder, "cert.pem");
  const { success, stderr } = await new Deno.Command("openssl", {
    args: ["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"].concat(
      ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
      ["-addext", `subjectAltName=DNS:localhost,IP:${HOST}`],
      ["-addext", "basicConstraints=critical,CA:FALSE"],
      ["-keyout", join(folder, "key.pem"), "-out", certificate],
    ),
  }).output();
  if (!success) throw new Error(`openssl failed: ${new TextDecoder().decode(stderr)}`);
  return await Deno.readTextFile(certificate);
}

/** Refuses to go on without a program, and says how to get it. */
export async function requireProgram(program: string, debianPackage: string): Promise<void> {
  try {
    await new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
      .output();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error(
      `The program ${program} is needed and not installed: run apt-get install ${debianPackage}`,
      { cause },
    );
  }
}

/** A port of 127.0.0.1 that nobody listens on. */
export function freePort(): number {
  for (;;) {
    // Below those that the system hands out itself: it would give the port of a server that a test
    // has just killed to the next program, and that would answer in its place.
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    try {
      using listener = Deno.listen({ hostname: HOST, port });
      return listener.addr.port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** Tries until it works: after an outage a client takes a moment. */
export async function eventually<T>(work: () => T): Promise<Awaited<T>> {
  for (const end = Date.now() + 20_000;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/**
 * OpenTelemetry, where the program has it: Deno's own (`OTEL_DENO=true`), or an SDK that has
 * registered. What its API's package would do is a lookup under a well-known symbol, so none is
 * loaded. Names and sizes go out, keys only where the stash's options say so, values and the
 * messages of errors (which may quote a key) never.
 */
import { now } from "../platform/timers.ts";

/** What metrics and spans are told apart by. */
export type Attributes = Record<string, string | number>;

interface Span {
  setAttribute(name: string, value: string | number): unknown;
  setStatus(status: { code: number }): unknown;
  end(): void;
}

interface Tracer {
  startActiveSpan<T>(
    name: string,
    options: { attributes: Attributes },
    body: (span: Span) => T,
  ): T;
}

interface Histogram {
  record(value: number, attributes: Attributes): void;
}

interface Counter {
  add(value: number, attributes: Attributes): void;
}

interface Meter {
  createHistogram(name: string, options: object): Histogram;
  createCounter(name: string, options: object): Counter;
}

interface Api {
  readonly trace?: { getTracer(name: string): Tracer };
  readonly metrics?: { getMeter(name: string): Meter };
  readonly context?: { active(): unknown; with<T>(context: unknown, body: () => T): T };
}

/** Where the API is, as its package's first version and all since have it. */
const API = Symbol.for("opentelemetry.js.api.1");

/** In the API's words, a status that says that something went wrong. */
const ERROR_STATUS = { code: 2 };

/** From a read of memory, 10 µs, to a call of a slow model, 100 s. */
const BOUNDS = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10].flatMap((ten) =>
  [1, 2.5, 5].map((step) => Number((step * ten).toPrecision(2)))
).concat(100);

const SCOPE = "hashstash";

/** A span that has been begun and can be made the one that code runs in. */
export interface OpenSpan {
  /** Runs a part of what it is about: spans that are begun there are below it. */
  within<T>(body: () => T): T;
  /** Ends it; with the class of an error, as one that failed. */
  end(errorType?: string): void;
}

/** The spans and metrics of this library. */
class Telemetry {
  readonly #api: Api;
  readonly #parts: unknown[];
  readonly #tracer: Tracer | undefined;
  readonly #operation: Histogram | undefined;
  readonly #compute: Histogram | undefined;
  readonly #evictions: Counter | undefined;

  constructor(api: Api) {
    this.#api = api;
    this.#parts = [api.trace, api.metrics];
    this.#tracer = api.trace?.getTracer(SCOPE);
    const meter = api.metrics?.getMeter(SCOPE);
    const duration = (name: string, description: string) =>
      meter?.createHistogram(name, {
        description,
        unit: "s",
        advice: { explicitBucketBoundaries: BOUNDS },
      });
    this.#operation = duration("hashstash.operation.duration", "How long an operation took");
    this.#compute = duration("hashstash.compute.duration", "How long a run of a function took");
    this.#evictions = meter?.createCounter("hashstash.evictions", {
      description: "Entries dropped to keep within limits",
      unit: "{entry}",
    });
  }

  /** Whether it was made of what is registered now. */
  isOf(api: Api): boolean {
    return api.trace === this.#parts[0] && api.metrics === this.#parts[1];
  }

  /** Counts an operation of so many ms. */
  operation(ms: number, attributes: Attributes): void {
    this.#operation?.record(ms / 1_000, attributes);
  }

  /** Counts a run of a function of so many ms. */
  computed(ms: number, attributes: Attributes): void {
    this.#compute?.record(ms / 1_000, attributes);
  }

  /** Counts an entry that was dropped to keep within limits. */
  evicted(attributes: Attributes): void {
    this.#evictions?.add(1, attributes);
  }

  /** Begins a span below the one that the code runs in. */
  span(name: string, attributes: Attributes): OpenSpan | undefined {
    const { context } = this.#api;
    return this.#tracer?.startActiveSpan(name, { attributes }, (span) => {
      const active = context?.active();
      return {
        within: (body) => context === undefined ? body() : context.with(active, body),
        end: (errorType) => {
          if (errorType !== undefined) {
            span.setAttribute("error.type", errorType);
            span.setStatus(ERROR_STATUS);
          }
          span.end();
        },
      };
    });
  }
}

/** What there is to tell; `undefined` without OpenTelemetry. */
export let telemetry: Telemetry | undefined;

/** Looks whether the program has OpenTelemetry: it may have come since the last look. */
export function findTelemetry(): void {
  const api: Api | undefined = Reflect.get(globalThis, API);
  if (api === undefined) telemetry = undefined;
  else if (telemetry?.isOf(api) !== true) telemetry = new Telemetry(api);
}

/** What an error is, without what it says: the name of its class. */
export function errorType(error: unknown): string {
  if (typeof error !== "object" || error === null) return typeof error;
  return error.constructor?.name || "Error";
}

/** How long ago that was, ms. */
export function since(begin: number): number {
  return now() - begin;
}

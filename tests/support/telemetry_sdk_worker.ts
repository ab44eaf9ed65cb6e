/**
 * The program of telemetry_worker.ts with the SDK of OpenTelemetry in the place of Deno's own: it
 * prints the spans and the metrics as JSON.
 */
import { context, metrics, trace } from "npm:@opentelemetry/api@^1.9.0";
import { AsyncLocalStorageContextManager } from "npm:@opentelemetry/context-async-hooks@^2.1.0";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "npm:@opentelemetry/sdk-metrics@^2.1.0";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "npm:@opentelemetry/sdk-trace-base@^2.1.0";
import { work } from "./telemetry_worker.ts";

const spans = new InMemorySpanExporter();
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 600_000 });
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
const spanProcessors = [new SimpleSpanProcessor(spans)];
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors }));
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));

await work(JSON.parse(Deno.args[0]));
await reader.forceFlush();
console.log(JSON.stringify({
  spans: spans.getFinishedSpans().map((span) => ({
    name: span.name,
    id: span.spanContext().spanId,
    parent: span.parentSpanContext?.spanId,
    attributes: span.attributes,
    status: span.status,
    events: span.events,
  })),
  metrics: exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics),
}));
await reader.shutdown();

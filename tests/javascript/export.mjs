// Exports spans by one of OpenTelemetry's exporters and says how it went:
// node export.mjs grpc|http|proto URL none|gzip COUNT KEY
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as Grpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as Http } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Proto } from "@opentelemetry/exporter-trace-otlp-proto";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [kind, url, compression, count, key] = process.argv.slice(2);
const headers = key ? { authorization: `Bearer ${key}` } : {};
const exporter = new { grpc: Grpc, http: Http, proto: Proto }[kind]({ url, compression, headers, timeoutMillis: 20000 });

const memory = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(memory)] });
const tracer = provider.getTracer("javascript", "1.2.3");
for (let number = 0; number < Number(count); number++) {
  const parent = tracer.startSpan(`parent ${number}`, { kind: SpanKind.CLIENT, startTime: [1790000000, 123456789] });
  const child = tracer.startSpan(
    `child ${number}`,
    {
      attributes: {
        text: "Grüße, 日本 🎉\n\"quoted\"",
        whole: 42,
        large: 2 ** 53 - 1,
        fraction: 0.1,
        yes: true,
        texts: ["a", "", "é"],
        numbers: [1, 2, 3],
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 12,
        "fallom.config_key": "javascript",
        "fallom.session_id": `session ${number}`,
      },
      links: [{ context: parent.spanContext(), attributes: { linked: 1 } }],
    },
    trace.setSpan(ROOT_CONTEXT, parent),
  );
  child.addEvent("said", { words: 2 });
  child.setStatus({ code: SpanStatusCode.ERROR, message: "too slow" });
  child.end();
  parent.end([1790000001, 987654321]);
}

const spans = memory.getFinishedSpans();
let result,
  attempts = 0;
do {
  if (attempts++) await new Promise((resolve) => setTimeout(resolve, 300));
  result = await new Promise((resolve) => exporter.export(spans, resolve));
  // The gRPC exporter does not try again by itself: it tells its caller UNAVAILABLE.
} while (kind === "grpc" && result.error?.code === 14 && attempts < 50);
await exporter.shutdown();
console.log(
  JSON.stringify({
    attempts,
    code: result.code,
    error: result.error?.message ?? null,
    spans: spans.map((span) => ({
      name: span.name,
      traceId: span.spanContext().traceId,
      spanId: span.spanContext().spanId,
      parentSpanId: span.parentSpanContext?.spanId ?? null,
    })),
  }),
);

// Calls Vercel's AI SDK of one major version, each case in a trace of its own, and exports by OTLP/HTTP. Like
// drivers/recording.py it reads one JSON object from stdin and writes one: {"<api>.<case>": {"trace_id", "error"}}.
import { readFileSync } from "node:fs";
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { z } from "zod";

const told = JSON.parse(readFileSync(0, "utf8"));
const version = Number(told.options.version);
const { generateText, streamText, tool, stepCountIs, registerTelemetry } = await import(`ai-${version}`);
const { createOpenAI } = await import(`@ai-sdk/openai-${version}`);
const { createAnthropic } = await import(`@ai-sdk/anthropic-${version}`);

const exporter = new OTLPTraceExporter({ url: `${told.otlp}/v1/traces` });
const provider = new BasicTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] });
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
if (version >= 7) {
  const { OpenTelemetry } = await import("@ai-sdk/otel");
  registerTelemetry(new OpenTelemetry());
}

function modelOf(call) {
  if (call.api === "messages") return createAnthropic({ baseURL: `${call.url}/v1`, apiKey: "none" })(call.model);
  const openai = createOpenAI({ baseURL: `${call.url}/v1`, apiKey: "none", compatibility: "strict" });
  return call.api === "chat" ? openai.chat(call.model) : openai.responses(call.model);
}

function toolsOf(call) {
  if (!call.tool) return {};
  const schema = z.object({ city: z.string() });
  const description = { description: "Tell the weather.", [version === 4 ? "parameters" : "inputSchema"]: schema };
  if (call.case !== "agent") return { tools: { [told.tool_name]: tool(description) } };
  const tools = { [told.tool_name]: tool({ ...description, execute: async () => told.tool_result }) };
  return version === 4 ? { tools, maxSteps: 2 } : { tools, stopWhen: stepCountIs(2) };
}

async function perform(call) {
  const asked = {
    model: modelOf(call),
    prompt: call.prompt,
    maxRetries: 0,
    ...toolsOf(call),
    [version >= 7 ? "instructions" : "system"]: told.system,
  };
  if (version < 7) asked.experimental_telemetry = { isEnabled: true };
  if (!call.streamed) return await generateText(asked);
  let failure = null;
  const answer = streamText({ ...asked, onError: ({ error }) => (failure = error) });
  for await (const part of answer.fullStream) if (part.type === "error") failure = part.error;
  if (failure) throw failure;
}

const tracer = trace.getTracer("recording");
const done = {};
for (const call of told.calls) {
  const attributes = { "recorded.call": call.name, "fallom.session_id": `${told.run} ${call.name}` };
  await tracer.startActiveSpan("case", { attributes }, async (span) => {
    let error = null;
    try {
      await perform(call);
    } catch (raised) {
      error = `${raised.name}: ${raised.message}`;
    }
    done[call.name] = { trace_id: span.spanContext().traceId, error };
    span.end();
  });
}
await provider.shutdown();
console.log(JSON.stringify(done));
process.exit(0);

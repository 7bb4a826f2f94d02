import * as LiteRT from "@litertjs/core";
import { fetched } from "./page.js";

let signature;
let compileOptions;

export async function load({ accelerator, threads, precision, key }) {
  // JSPI lets WebGPU have a part of the graph and WebAssembly the rest; there is no build with it and with threads.
  const gpu = accelerator === "webgpu";
  await LiteRT.loadLiteRt(new URL("../npm/@litertjs/core/wasm/", import.meta.url).href,
    gpu ? { jspi: true } : { threads: threads > 1 });
  compileOptions = {
    environment: LiteRT.getDefaultEnvironment(),
    accelerator,
    cpuOptions: { numThreads: threads },
    gpuOptions: precision ? { precision } : {},
    webNNOptions: {},
  };
  const model = await LiteRT.loadAndCompile(new Uint8Array(await fetched("model")), compileOptions);
  signature = (key && model.signatures[key]) || Object.values(model.signatures)[0];
  const adapter = gpu ? LiteRT.getWebGpuDevice().adapterInfo : null;
  return {
    accelerator: model.options.accelerator,
    precision,
    full: model.isFullyAccelerated,
    threads: LiteRT.getGlobalLiteRt().liteRtWasm.getThreadCount(),
    simd: await LiteRT.supportsFeature("relaxedSimd"),
    inputs: signature.getInputDetails().map(described),
    outputs: signature.getOutputDetails().map(described),
    adapter: adapter && {
      name: adapter.description || [adapter.vendor, adapter.architecture, adapter.device].filter(Boolean).join(" "),
      software: adapter.isFallbackAdapter,
      half: LiteRT.getWebGpuDevice().features.has("shader-f16"),
    },
  };
}

// Whether the accelerator takes all of the model that is given as `name`. As loadAndCompile does it, without its class,
// which refuses the dtypes that tensors between nodes have.
export async function takes(name) {
  const { liteRtWasm: wasm } = LiteRT.getGlobalLiteRt();
  const environment = LiteRT.getDefaultEnvironment();
  const bytes = new Uint8Array(await fetched(name));
  const pointer = wasm._malloc(bytes.byteLength);
  wasm.HEAPU8.set(bytes, pointer);
  const model = wasm.loadModel(environment.liteRtEnvironment, pointer, bytes.byteLength);
  const compiled = await wasm.compileModel(environment.liteRtEnvironment, model, compileOptions);
  const full = compiled.isFullyAccelerated();
  compiled.delete();
  model.delete();
  wasm._free(pointer);
  return full;
}

// In order, and not by name: of two outputs that are one tensor, both have the name of one.
export async function infer(inputs) {
  const given = Object.fromEntries(inputs.map(({ name, data, shape }) => [name, new LiteRT.Tensor(data, shape)]));
  const results = await signature.run(signature.getInputDetails().map(({ name }) => given[name]));
  const outputs = [];
  for (const [i, { name, dtype }] of signature.getOutputDetails().entries()) {
    const shape = [...results[i].type.layout.dimensions];
    outputs.push({ name, dtype, shape, data: await results[i].data() });
  }
  for (const tensor of [...Object.values(given), ...results]) tensor.delete();
  return outputs;
}

function described({ name, dtype, shape }) {
  return { name, dtype, shape: [...shape] };
}

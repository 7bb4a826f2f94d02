/* global tf */
import { fetched } from "./page.js";

const TFJS = "npm/@tensorflow/tfjs/dist/tf.min.js";
const WASM = "npm/@tensorflow/tfjs-backend-wasm/dist/";
const here = (path) => new URL(`../${path}`, import.meta.url).href;

let model;
let names; // of inputs and outputs → tensors of the graph
let constants; // ids of the model's own tensors, of which an output may be one
let execute = (feeds) => model.execute(feeds, Object.values(names.outputs));

export async function load({ backend, threads, tensors }) {
  await script(TFJS);
  if (backend === "wasm") {
    await script(`${WASM}tf-backend-wasm.min.js`);
    tf.wasm.setWasmPaths(here(WASM));
    tf.wasm.setThreadsCount(threads); // else as many as there are cores
  }
  if (!(await tf.setBackend(backend))) throw new Error(`backend ${backend} can't be had in this browser`);
  await tf.ready();
  names = tensors;
  const graph = JSON.parse(new TextDecoder().decode(await fetched("model/model.json")));
  model = await tf.loadGraphModel(here("model/model.json"));
  constants = new Set(Object.values(model.weights).flat().map(({ id }) => id));
  const env = tf.env();
  const told = { backend: tf.getBackend(), nodes: nodes(graph.modelTopology), simd: null, threads: 1, renderer: null };
  if (backend === "wasm") {
    told.simd = await env.getAsync("WASM_HAS_SIMD_SUPPORT");
    told.threads = (await env.getAsync("WASM_HAS_MULTITHREAD_SUPPORT")) ? tf.wasm.getThreadsCount() : 1;
  } else if (backend === "webgl") {
    const gl = tf.backend().gpgpu.gl;
    const info = gl.getExtension("WEBGL_debug_renderer_info");
    told.renderer = gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
    told.half = !env.getBool("WEBGL_RENDER_FLOAT32_ENABLED");
  }
  return told;
}

export async function infer(inputs) {
  const feeds = {};
  for (const { name, data, shape, dtype } of inputs) {
    const node = names.inputs[name].split(":")[0];
    if (model.inputs.some((input) => input.name === node)) feeds[node] = tf.tensor(data, shape, dtype); // else unused
  }
  const results = [].concat(await executed(feeds));
  const outputs = [];
  for (const [i, name] of Object.keys(names.outputs).entries()) {
    const { dtype, shape } = results[i];
    outputs.push({ name, dtype, shape, data: await results[i].data() });
  }
  tf.dispose(feeds);
  for (const tensor of results) if (!constants.has(tensor.id)) tensor.dispose();
  return outputs;
}

// Loops and shapes that depend on values need the other call, which says so.
async function executed(feeds) {
  try {
    return await execute(feeds);
  } catch (error) {
    if (!String(error).includes("executeAsync")) throw error;
    execute = (fed) => model.executeAsync(fed, Object.values(names.outputs));
    return execute(feeds);
  }
}

function nodes(topology) {
  return topology.node.filter(({ op }) => !["Const", "Placeholder", "Identity", "NoOp"].includes(op)).length;
}

function script(path) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = here(path);
    element.onload = resolve;
    element.onerror = () => reject(new Error(`${path} can't be fetched`));
    document.head.append(element);
  });
}

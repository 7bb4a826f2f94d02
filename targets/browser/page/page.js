// The page's half of session.py: tensors come and go as bytes, one after another, and what they are as a list of
// {name, dtype, shape, bytes}. A runtime is a module with
//   load(options) → what it tells of itself,
//   infer([{name, dtype, shape, data}]) → the same of its outputs, read back to this page's memory.

const TYPES = {
  float32: Float32Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array,
};

export async function fetched(name) {
  const answer = await fetch(new URL(`../${name}`, import.meta.url));
  if (!answer.ok) throw new Error(`${name} can't be fetched: ${answer.status}`);
  return answer.arrayBuffer();
}

async function feeds(specs) {
  const bytes = await fetched("feeds");
  let begin = 0;
  return specs.map((spec) => {
    const data = new TYPES[spec.dtype](bytes.slice(begin, begin + spec.bytes)); // a copy: views have to be aligned
    begin += spec.bytes;
    return { ...spec, data };
  });
}

// The smallest step of the clock, in ms: browsers make theirs coarse.
function clockStep() {
  let least = Infinity;
  for (let i = 0; i < 50; i++) {
    const begin = performance.now();
    let now = begin;
    while (now === begin) now = performance.now();
    least = Math.min(least, now - begin);
  }
  return least;
}

let runtime;

window.edgeworthy = {
  async load(module, options) {
    runtime = await import(`./${module}`);
    const begin = performance.now();
    const told = await runtime.load(options);
    const ms = performance.now() - begin;
    return { ...told, ms, step: clockStep(), isolated: crossOriginIsolated, agent: navigator.userAgent };
  },

  async run(specs) {
    const inputs = await feeds(specs);
    const begin = performance.now();
    const outputs = await runtime.infer(inputs);
    const ms = performance.now() - begin;
    const answer = await fetch(new URL("../taken", import.meta.url), {
      method: "PUT",
      body: new Blob(outputs.map((output) => output.data)),
    });
    if (!answer.ok) throw new Error(`outputs can't be put: ${answer.status}`);
    return { ms, outputs: outputs.map(({ data, ...spec }) => ({ ...spec, bytes: data.byteLength })) };
  },

  async time(specs, repeats) {
    const inputs = await feeds(specs);
    const times = [];
    for (let i = 0; i < repeats; i++) {
      const begin = performance.now();
      await runtime.infer(inputs);
      times.push(performance.now() - begin);
    }
    return times;
  },

  ask: (name, ...rest) => runtime[name](...rest),
};

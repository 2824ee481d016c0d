// Frames out of a file, their scale, the network in WebAssembly, and the pooled answer: as `bacalhaunet classify`
// without the front end. Runs in browsers and in Node.
"use strict";

const READERS = {
  cf32: [8, (view, at) => view.getFloat32(at, true), 4],
  ci16: [4, (view, at) => view.getInt16(at, true) / 32768, 2],
  ci8: [2, (view, at) => view.getInt8(at) / 128, 1],
  cu8: [2, (view, at) => (view.getUint8(at) - 128) / 128, 1],
};
const ENDINGS = {
  cf32: "cf32", cfile: "cf32", fc32: "cf32", cs16: "ci16", ci16: "ci16", cs8: "ci8", ci8: "ci8", cu8: "cu8",
};

// The sample type that a SigMF file's metadata or a name's ending says; undefined where neither does.
function sampleType(name, metadata) {
  const said = metadata && metadata.global && metadata.global["core:datatype"];
  if (said) {
    const known = String(said).replace(/_le$/, "");
    return known in READERS ? known : undefined;
  }
  return ENDINGS[name.split(".").pop().toLowerCase()];
}

// Samples as I, Q, I, Q in a Float32Array.
function decode(buffer, type) {
  const [size, read, step] = READERS[type];
  const view = new DataView(buffer), values = new Float32Array(2 * Math.floor(buffer.byteLength / size));
  for (let n = 0; n < values.length; n++) values[n] = read(view, n * step);
  return values;
}

// 1 / max(sigma, rho / 20) over samples `from` to `to` of I, Q, I, Q; 0 for zeros.
function blockFactor(values, from, to) {
  let i = 0, q = 0, power = 0;
  for (let n = from; n < to; n++) {
    const a = values[2 * n], b = values[2 * n + 1];
    i += a; q += b; power += a * a + b * b;
  }
  const count = to - from, mean = power / count;
  if (!(mean > 0)) return 0;
  return 1 / Math.sqrt(Math.max(mean - (i * i + q * q) / (count * count), mean / 400));
}

function softmax(values) {
  const most = Math.max(...values), powers = values.map((z) => Math.exp(z - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / total);
}

// Probabilities of real logits by the network's calibration.
function probabilities(logits, facts) {
  let temperature = facts.temperature;
  if (facts.rise) {
    const entropy = -softmax(logits).reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0);
    temperature *= Math.exp((facts.rise * entropy) / Math.log(logits.length));
  }
  return softmax(logits.map((z) => z / temperature));
}

class Pool {
  constructor(facts) {
    this.facts = facts;
    this.sums = facts.labels.map(() => 0);
    this.frames = 0;
  }
  add(row) {
    row.forEach((p, k) => { this.sums[k] += Math.log(Math.max(p, 1e-30)); });
    this.frames++;
  }
  answer() {
    if (!this.frames) return undefined;
    const weight = 1 / (1 + (this.frames - 1) * this.facts.correlation);
    const row = softmax(this.sums.map((sum) => sum * weight)), groups = {};
    row.forEach((p, k) => { groups[this.facts.groups[k]] = (groups[this.facts.groups[k]] || 0) + p; });
    const ranked = (pairs) => pairs.sort((a, b) => b[1] - a[1]);
    return {
      classes: ranked(row.map((p, k) => [this.facts.labels[k], p])),
      groups: ranked(Object.entries(groups)),
      frames: this.frames,
    };
  }
}

class Network {
  static async open(code, facts) {
    const network = new Network();
    network.exports = (await WebAssembly.instantiate(code)).instance.exports;
    network.facts = facts;
    return network;
  }
  // Probabilities of the frame that begins at sample `at` of I, Q, I, Q; undefined if it is silent.
  frame(values, at) {
    const { memory, samples, logits, frame_length, classes, classify } = this.exports;
    const length = frame_length(), count = values.length / 2, width = Math.min(2 * length, count);
    const from = Math.min(Math.max(at - (width - length) / 2, 0), count - width);
    const own = values.subarray(2 * at, 2 * (at + length));
    if (!own.some((x) => x !== 0)) return undefined;
    new Float32Array(memory.buffer, samples(), 2 * length).set(own);
    classify(blockFactor(values, from, from + width));
    const scaled = Array.from(new Int32Array(memory.buffer, logits(), classes()), (z) => z * this.facts.logitScale);
    return probabilities(scaled, this.facts);
  }
}

// Classify a File or Blob part by part; `done(rows, share)` gets the frames' probabilities and how much is through.
async function classifyFile(network, file, type, done) {
  const length = network.exports.frame_length(), size = READERS[type][0];
  const total = Math.floor(file.size / size);
  if (total < length) throw new Error(`the recording has ${total} samples; a frame has ${length}`);
  const pool = new Pool(network.facts), margin = length / 2, part = 256 * length;
  for (let first = 0; first + length <= total; first += part) {
    const from = Math.max(0, first - margin), to = Math.min(total, first + part + margin);
    const values = decode(await file.slice(from * size, to * size).arrayBuffer(), type);
    if (values.some((x) => !(Math.abs(x) <= 1e15))) throw new Error("NaN or absurd values: is the type right?");
    const rows = [];
    for (let at = first; at < first + part && at + length <= total; at += length) {
      const row = network.frame(values, at - from);
      if (row) pool.add(row);
      rows.push(row);
    }
    done(rows, Math.min(1, (first + part) / total));
  }
  return pool.answer();
}

if (typeof module !== "undefined") module.exports = { Network, classifyFile, sampleType, decode, READERS };

// A depth network in the browser: opened, asked what it is for, and run.

import { metadataOf } from "./about.js";
import { planesOf, resized } from "./resize.js";

const RUNTIMES = { webgpu: "./ort/ort.webgpu.min.mjs", wasm: "./ort/ort.wasm.min.mjs" };

/** Return the runtimes that this browser has, the quickest first. */
export async function runtimes() {
  const graphics = await navigator.gpu?.requestAdapter().catch(() => null);
  return graphics ? ["webgpu", "wasm"] : ["wasm"];
}

/** An ONNX file that kdcli exported. */
export class DepthModel {
  /** Open a file's bytes (Uint8Array) on `webgpu` or `wasm`. */
  static async open(bytes, runtime) {
    const about = metadataOf(bytes);
    if (!about.depth_kind || !about.depth_range) {
      throw new Error("The file does not say what its numbers mean; give one that kdcli export wrote.");
    }
    let ort;
    try {
      ort = await import(RUNTIMES[runtime]);
    } catch (error) {
      throw new Error("onnxruntime-web is not in the folder ort; run: python get_runtime.py", { cause: error });
    }
    // Threads need memory that is shared, which pages get from servers that isolate them (COOP and COEP headers).
    ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(bytes, { executionProviders: [runtime], logSeverityLevel: 3 });
    const model = new DepthModel(ort, session, about, runtime);
    const size = model.fixed ?? model.madeFor.eval_size;
    if (size) await model.depthOf(new ImageData(size[1], size[0])); // the first run prepares the others
    return model;
  }

  constructor(ort, session, about, runtime) {
    Object.assign(this, { ort, session, about, runtime });
    this.kind = about.depth_kind;
    this.unit = about.unit ?? "";
    this.range = JSON.parse(about.depth_range);
    this.madeFor = JSON.parse(about.made_for ?? "{}");
    const taken = session.inputMetadata[0];
    this.bytes = taken.type === "uint8"; // B x H x W x 3, else B x 3 x H x W of floats in 0..1
    const sides = this.bytes ? taken.shape.slice(1, 3) : taken.shape.slice(2, 4);
    this.fixed = sides.every((side) => typeof side === "number") ? sides : null;
  }

  /** Return the [height, width] at which it is shown a picture: its own, or what it was made for, or the picture's. */
  sizeFor([height, width]) {
    if (this.fixed) return this.fixed;
    const own = this.madeFor.eval_size;
    if (!own) return [height, width];
    const fit = this.madeFor.fit ?? "stretch";
    if (fit === "stretch") return own;
    const factor = Math[fit === "within" ? "min" : "max"](own[0] / height, own[1] / width);
    return [height, width].map((side) => Math.max(Math.round((side * factor) / 32), 1) * 32);
  }

  /**
   * Return {depth, size, milliseconds} of a picture: depth is a Float32Array of the network's own size [height, width],
   * the time that of the network alone. picture: ImageData.
   */
  async depthOf(picture) {
    const own = [picture.height, picture.width];
    const shown = this.sizeFor(own);
    const planes = resized(planesOf(picture.data), 3, own, shown);
    const input = this.bytes
      ? new this.ort.Tensor("uint8", interleaved(planes), [1, ...shown, 3])
      : new this.ort.Tensor("float32", planes, [1, 3, ...shown]);
    const begin = performance.now();
    const { depth } = await this.session.run({ image: input }, ["depth"]);
    const values = await depth.getData();
    return { depth: values, size: depth.dims.slice(2), milliseconds: performance.now() - begin };
  }
}

function interleaved(planes) {
  const count = planes.length / 3;
  return Uint8Array.from({ length: planes.length }, (_, i) => Math.round(255 * planes[(i % 3) * count + Math.floor(i / 3)]));
}

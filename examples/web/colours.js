// Depth as colours: near is warm or bright. What is spread evenly is disparity, between the 2nd and the 98th percentile.

const MAPS = {
  spectral: "5e4fa2 3288bd 66c2a5 abdda4 e6f598 ffffbf fee08b fdae61 f46d43 d53e4f 9e0142",
  magma: "000004 0a0822 1d1146 36106a 50127c 691c81 822681 9c2e7f b63779 cf4170 e65163 f5695c fb8761 fea571 fec387 fde0a2 fcfdbf",
};

/** Return how near a value is, larger = nearer, in the terms of its kind; NaN where it is no value. */
export function nearness(value, kind) {
  if (!Number.isFinite(value)) return NaN;
  if (kind === "affine_disparity") return value;
  if (kind === "affine_depth") return -value;
  return value > 0 ? 1 / value : NaN;
}

/** Return the value that is as near as said: the inverse of `nearness`. */
export function valueAt(near, kind) {
  if (kind === "affine_disparity") return near;
  return kind === "affine_depth" ? -near : 1 / near;
}

/** Return the ends of what is spread: [far, near], in terms of `nearness`. most: values that are looked at. */
export function limitsOf(depth, kind, most = 100000) {
  const stride = Math.max(1, Math.floor(depth.length / most));
  const known = [];
  for (let i = 0; i < depth.length; i += stride) {
    const near = nearness(depth[i], kind);
    if (!Number.isNaN(near)) known.push(near);
  }
  if (!known.length) return [0, 1];
  const sorted = Float32Array.from(known).sort();
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const [far, near] = [at(0.02), at(0.98)];
  return near > far ? [far, near] : [far - Math.abs(far) / 2 - 1e-6, far + Math.abs(far) / 2 + 1e-6];
}

/** Paint a map: RGBA bytes. What is no value is grey. */
export function painted(depth, kind, [far, near], name) {
  const table = tableOf(name);
  const rgba = new Uint8ClampedArray(4 * depth.length).fill(255);
  for (let i = 0; i < depth.length; i++) {
    const share = (nearness(depth[i], kind) - far) / (near - far);
    const place = Number.isNaN(share) ? -1 : Math.round(Math.min(1, Math.max(0, share)) * 255);
    for (let colour = 0; colour < 3; colour++) rgba[4 * i + colour] = place < 0 ? 128 : table[3 * place + colour];
  }
  return rgba;
}

/** Return 256 colours from far to near, 3 bytes each. */
export function tableOf(name) {
  const codes = MAPS[name].split(" ").map((code) => [0, 2, 4].map((at) => parseInt(code.slice(at, at + 2), 16)));
  const table = new Uint8ClampedArray(3 * 256);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (codes.length - 1);
    const below = Math.min(Math.floor(place), codes.length - 2);
    for (let colour = 0; colour < 3; colour++) {
      const [a, b] = [codes[below][colour], codes[below + 1][colour]];
      table[3 * i + colour] = a + (b - a) * (place - below);
    }
  }
  return table;
}

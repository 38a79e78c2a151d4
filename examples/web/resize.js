// Resizing with the triangle filter: averages where pixels become fewer, interpolates where they become more. A canvas
// would do it too, but each browser in its own way, and a network notices.

/** Return planes x height x width numbers at another size. values: Float32Array. */
export function resized(values, planes, [height, width], [newHeight, newWidth]) {
  if (height === newHeight && width === newWidth) return values;
  const across = sharesOf(width, newWidth);
  const down = sharesOf(height, newHeight);
  const narrow = new Float32Array(planes * height * newWidth);
  for (let row = 0; row < planes * height; row++) {
    const from = row * width;
    for (let x = 0; x < newWidth; x++) {
      const { first, shares } = across[x];
      let sum = 0;
      for (let i = 0; i < shares.length; i++) sum += shares[i] * values[from + first + i];
      narrow[row * newWidth + x] = sum;
    }
  }
  const out = new Float32Array(planes * newHeight * newWidth);
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < newHeight; y++) {
      const { first, shares } = down[y];
      const to = (plane * newHeight + y) * newWidth;
      for (let i = 0; i < shares.length; i++) {
        const from = (plane * height + first + i) * newWidth;
        for (let x = 0; x < newWidth; x++) out[to + x] += shares[i] * narrow[from + x];
      }
    }
  }
  return out;
}

/** Return RGBA bytes as three planes of numbers in 0..1, red first. */
export function planesOf(rgba) {
  const count = rgba.length / 4;
  const planes = new Float32Array(3 * count);
  for (let i = 0; i < count; i++) {
    for (let colour = 0; colour < 3; colour++) planes[colour * count + i] = rgba[4 * i + colour] / 255;
  }
  return planes;
}

/** For each place of a row of `many`: the first of the old places that it is made of, and the share of each. */
function sharesOf(old, many) {
  const step = old / many;
  const reach = Math.max(step, 1);
  return Array.from({ length: many }, (_, place) => {
    const middle = (place + 0.5) * step;
    const first = Math.max(0, Math.trunc(middle - reach + 0.5));
    const end = Math.min(old, Math.trunc(middle + reach + 0.5));
    const shares = new Float64Array(end - first);
    let sum = 0;
    for (let i = 0; i < shares.length; i++) {
      shares[i] = Math.max(0, 1 - Math.abs(first + i + 0.5 - middle) / reach);
      sum += shares[i];
    }
    return { first, shares: shares.map((share) => share / sum) };
  });
}

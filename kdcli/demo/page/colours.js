// Depth as pictures, by the rules of kdcli.colour: near is warm or bright, pixels without depth are grey.

const GREY = 128;

export function nearness(model, [low, high]) {
  if (model.disparity) return (value) => (value - low) / (high - low);
  if (model.linear) return (value) => (high - value) / (high - low);
  return (value) => (1 / value - 1 / high) / (1 / low - 1 / high);
}

function table(codes) {
  const anchors = codes.map((code) => [0, 2, 4].map((at) => parseInt(code.slice(at, at + 2), 16)));
  const colours = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (anchors.length - 1);
    const below = Math.min(Math.floor(place), anchors.length - 2);
    for (let c = 0; c < 3; c++) {
      colours[3 * i + c] = Math.round(anchors[below][c] + (place - below) * (anchors[below + 1][c] - anchors[below][c]));
    }
  }
  return colours;
}

export function paint(canvas, said, model, limits, codes) {
  const { width, height, depth } = said;
  const near = nearness(model, limits);
  const colours = table(codes);
  const pixels = new ImageData(width, height);
  for (let i = 0; i < depth.length; i++) {
    const value = depth[i];
    const at = 3 * Math.round(255 * Math.min(1, Math.max(0, near(value))));
    const known = value === value;
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = known ? colours[at + c] : GREY;
    pixels.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

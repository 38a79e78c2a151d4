// The page: what is looked at, when, and what is shown of it.

import { limitsOf, nearness, painted, tableOf, valueAt } from "./colours.js";
import { DepthModel, runtimes } from "./model.js";
import { resized } from "./resize.js";

const LONGEST = 1280; // pixels of a side; photographs are shown, and depth is drawn, at no more
const STEADY = 0.9; // what the colours of one frame keep of the last one's, so that a camera's do not flicker
const KINDS = {
  metric: "metres", scale_invariant: "depth up to a factor", affine_depth: "depth up to a factor and an offset",
  affine_disparity: "disparity up to a factor and an offset",
};

/** What is on the page; depth is a Float32Array of the picture's size. */
export const shown = { model: null, picture: null, depth: null, limits: null, milliseconds: null };

const by = (id) => document.getElementById(id);
const ask = new URLSearchParams(location.search);
let bytes, name, busy, stream, spot;

function say(text, wrong = false) {
  by("status").textContent = text;
  by("status").classList.toggle("wrong", wrong);
}

/** Do one thing after the other, and say what went wrong. */
function work(task) {
  busy = Promise.resolve(busy).then(task).catch((error) => {
    console.warn(error);
    say(error.message, true);
  });
  return busy;
}

async function open() {
  await shown.model?.session.release();
  shown.model = null;
  say(`Opening ${name} …`);
  const begin = performance.now();
  const model = await DepthModel.open(bytes, by("runtime").value);
  shown.model = model;
  say(`${name} is open after ${seconds(performance.now() - begin)}.`);
  const { about, kind, range, unit, madeFor } = model;
  by("name").textContent = name;
  list("about", {
    "Numbers": KINDS[kind] ?? kind,
    "Range": unit ? `${range[0]} to ${range[1]} ${unit}` : "none: not to be read as distances",
    "Takes": model.fixed ? `${model.fixed.join(" x ")} pixels` : "any size",
    "Made for": [madeFor.eval_size && `${madeFor.eval_size.join(" x ")} pixels`, madeFor.domain !== "any" && madeFor.domain]
      .filter(Boolean).join(", ") || "not said",
    "Parameters": about.parameters ? Number(about.parameters).toLocaleString("en") : "not said",
    "Size": `${(bytes.length / 1e6).toFixed(1)} MB, ${about.precision ?? "fp32"}`,
    "Licence": about.licence || "not said",
  });
}

function list(id, facts) {
  by(id).replaceChildren(...Object.entries(facts).map(([key, value]) => {
    const row = document.createElement("div");
    row.append(Object.assign(document.createElement("dt"), { textContent: key }));
    row.append(Object.assign(document.createElement("dd"), { textContent: value }));
    return row;
  }));
}

/** Show a picture or a frame of a video, and its depth. */
async function look(source, width, height, steady = 0) {
  if (!shown.model) throw new Error("There is no network yet: choose a file below.");
  const begin = performance.now();
  const factor = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = by("picture");
  canvas.width = Math.round(width * factor);
  canvas.height = Math.round(height * factor);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(source, 0, 0, canvas.width, canvas.height);
  const picture = pen.getImageData(0, 0, canvas.width, canvas.height);
  const { depth, size, milliseconds } = await shown.model.depthOf(picture);
  const whole = resized(depth, 1, size, [picture.height, picture.width]);
  const fresh = limitsOf(whole, shown.model.kind, steady ? 10000 : undefined);
  const limits = steady && shown.limits ? fresh.map((end, i) => steady * shown.limits[i] + (1 - steady) * end) : fresh;
  Object.assign(shown, { picture, depth: whole, limits, milliseconds });
  draw();
  by("size").textContent = `${picture.width} x ${picture.height}`;
  by("seen").textContent = shown.model.sizeFor([picture.height, picture.width]).join(" x ");
  by("network").textContent = `${milliseconds.toFixed(1)} ms`;
  by("frame").textContent = `${(performance.now() - begin).toFixed(1)} ms`;
  by("ran").textContent = by("runtime").selectedOptions[0].textContent;
}

function draw() {
  if (!shown.depth) return;
  const { picture, depth, limits, model } = shown;
  const canvas = by("depth");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const colours = by("colours").value;
  const rgba = painted(depth, model.kind, limits, colours);
  canvas.getContext("2d").putImageData(new ImageData(rgba, picture.width, picture.height), 0, 0);
  const table = tableOf(colours);
  const bar = new ImageData(512, 1);
  for (let x = 0; x < 512; x++) bar.data.set([...table.slice(3 * (255 - (x >> 1)), 3 * (256 - (x >> 1))), 255], 4 * x);
  by("bar").getContext("2d").putImageData(bar, 0, 0);
  const [far, near] = limits;
  const marks = [1, 0.75, 0.5, 0.25, 0].map((share) => told(valueAt(far + share * (near - far), model.kind)));
  marks[0] = `near ${marks[0]}`;
  marks[4] = `${marks[4]} far`;
  by("ticks").replaceChildren(...marks.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  read();
}

function told(value) {
  return Number.isNaN(nearness(value, shown.model.kind)) ? "none" : `${Number(value.toPrecision(3))} ${shown.model.unit}`.trim();
}

/** Tell the depth at the spot that was pointed at. */
function read() {
  by("mark").hidden = !spot || !shown.depth;
  if (by("mark").hidden) return;
  const { width, height } = shown.picture;
  const [x, y] = [Math.min(spot[0], width - 1), Math.min(spot[1], height - 1)];
  by("mark").style.left = `${(100 * (x + 0.5)) / width}%`;
  by("mark").style.top = `${(100 * (y + 0.5)) / height}%`;
  by("reading").textContent = `${told(shown.depth[y * width + x])} at ${x}, ${y}`;
}

function point(event) {
  const canvas = by("depth");
  const box = canvas.getBoundingClientRect();
  const at = (share, side) => Math.max(0, Math.min(side - 1, Math.floor(share * side)));
  spot = [at((event.clientX - box.left) / box.width, canvas.width), at((event.clientY - box.top) / box.height, canvas.height)];
  read();
}

function step(event) {
  const by4 = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4] }[event.key];
  if (!by4 || !shown.depth) return;
  event.preventDefault();
  const { width, height } = shown.picture;
  const [x, y] = spot ?? [width >> 1, height >> 1];
  spot = [Math.max(0, Math.min(width - 1, x + by4[0])), Math.max(0, Math.min(height - 1, y + by4[1]))];
  read();
}

async function still(blob, told) {
  stopCamera();
  const image = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => {
    throw new Error(`${told} is no picture that this browser can read.`);
  });
  await look(image, image.width, image.height);
  say(`This is ${told}.`);
}

async function scene() {
  const answer = await fetch(ask.get("picture") ?? "scene.png");
  if (!answer.ok) throw new Error("scene.png is not beside this page.");
  await still(await answer.blob(), "a simulated room");
  by("scene").setAttribute("aria-pressed", "true");
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = undefined;
  for (const id of ["camera", "scene"]) by(id).setAttribute("aria-pressed", "false");
}

async function camera() {
  if (stream) {
    stopCamera();
    say("The camera is off.");
    return;
  }
  if (!navigator.mediaDevices) throw new Error("Browsers give pages a camera over https, or on localhost alone.");
  stopCamera();
  const wanted = { video: { facingMode: "environment", width: { ideal: 640 } }, audio: false };
  const found = await navigator.mediaDevices.getUserMedia(wanted).catch((error) => {
    throw new Error(`There is no camera to be had: ${error.message}.`);
  });
  const video = Object.assign(document.createElement("video"), { srcObject: found, muted: true, playsInline: true });
  await video.play();
  stream = found;
  by("camera").setAttribute("aria-pressed", "true");
  say("This is the camera. Press the button again to end it.");
  let steady = 0;
  const next = () => work(async () => {
    if (stream !== found) return;
    try {
      await look(video, video.videoWidth, video.videoHeight, steady);
    } catch (error) {
      stopCamera();
      throw error;
    }
    steady = STEADY;
    requestAnimationFrame(next);
  });
  requestAnimationFrame(next);
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** Open the file anew and look at the same picture again. */
async function again() {
  await open();
  const { picture } = shown;
  if (!picture) await scene();
  else if (!stream) await look(await createImageBitmap(picture), picture.width, picture.height);
}

function chosen(id, task) {
  by(id).addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) work(() => task(file));
    event.target.value = "";
  });
}

chosen("photograph", (file) => still(file, file.name));
chosen("model", async (file) => {
  [bytes, name] = [new Uint8Array(await file.arrayBuffer()), file.name];
  await again();
});
by("scene").addEventListener("click", () => work(scene));
by("camera").addEventListener("click", () => work(camera));
by("colours").addEventListener("change", draw);
by("runtime").addEventListener("change", () => work(again));
for (const event of ["pointerdown", "pointermove"]) by("depth").addEventListener(event, point);
by("depth").addEventListener("keydown", step);

work(async () => {
  for (const runtime of await runtimes()) {
    by("runtime").add(new Option({ webgpu: "GPU (WebGPU)", wasm: "CPU (WASM)" }[runtime], runtime));
  }
  if (ask.has("runtime")) by("runtime").value = ask.get("runtime");
  name = ask.get("model") ?? "model.onnx";
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`There is no ${name} beside this page: kdcli export RUN --out ${name}, or choose a file below.`);
  bytes = new Uint8Array(await answer.arrayBuffer());
  await open().catch(async (error) => {
    if (by("runtime").value !== "webgpu") throw error;
    console.warn(error);
    by("runtime").value = "wasm"; // a GPU that cannot run it is none
    await open();
  });
  await scene();
});

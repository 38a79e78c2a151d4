// The page: one picture, what each model says of it, and the sliders that change how that is shown.

import { paint } from "./colours.js";
import { points, Space } from "./cloud.js";

const find = (id) => document.getElementById(id);
const LABELS = { all: "side by side", one: "one model", points: "points" };

export const shown = { about: null, picture: null, said: [], view: "all", chosen: null, space: null, asked: 0 };

function tell(text, bad = false) {
  find("status").textContent = text;
  find("status").classList.toggle("bad", bad);
}

const number = (value, unit) => `${Number(value.toPrecision(3))}${unit ? ` ${unit}` : ""}`;

// What speaks of metres has one range, so that its colours can be compared; every other model has its own.
function group(index) {
  const { models } = shown.about;
  const same = models.map((_, i) => i).filter((i) => shown.said[i] && (models[index].unit ? models[i].unit : i === index));
  const all = same.map((i) => shown.said[i]).filter((one) => one.ends);
  const ends = (key) => [Math.min(...all.map((one) => one[key][0])), Math.max(...all.map((one) => one[key][1]))];
  return all.length ? { ends: ends("ends"), limits: ends("limits") } : { ends: [1, 2], limits: [1, 2] };
}

// Sliders are shares of the range of the numbers, in equal factors where they are depth.
function scale(index) {
  const model = shown.about.models[index], { ends: [low, high] } = group(index);
  const factors = !model.disparity && !model.linear && low > 0 && high > low;
  const span = high > low ? high - low : 1;
  return factors
    ? { at: (share) => low * (high / low) ** share, of: (value) => Math.log(value / low) / Math.log(high / low) }
    : { at: (share) => low + share * span, of: (value) => (value - low) / span };
}

function limits(index) {
  if (!shown.chosen) return group(index).limits;
  const { at } = scale(index), [near, far] = shown.chosen;
  const pair = [at(near), at(far)];
  return shown.about.models[index].disparity ? [at(1 - far), at(1 - near)] : pair;
}

function slide() {
  const first = shown.view === "all" ? shown.said.findIndex(Boolean) : Number(find("model").value);
  const model = shown.about.models[first];
  if (!shown.said[first]) return;
  const [low, high] = limits(first);
  if (!shown.chosen) {
    const { of } = scale(first);
    const shares = model.disparity ? [1 - of(high), 1 - of(low)] : [of(low), of(high)];
    find("low").value = Math.round(1000 * shares[0]);
    find("high").value = Math.round(1000 * shares[1]);
  }
  const [near, far] = model.disparity ? [high, low] : [low, high];
  find("low-value").textContent = number(near, model.unit);
  find("high-value").textContent = number(far, model.unit);
}

function caption(name, small) {
  const made = document.createElement("figcaption");
  made.append(name);
  const line = document.createElement("small");
  line.textContent = small;
  made.append(line);
  return made;
}

function figure(canvas, name, small) {
  const made = document.createElement("figure");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  made.append(canvas, caption(name, small));
  return made;
}

function pictureCanvas() {
  const canvas = document.createElement("canvas");
  canvas.width = shown.picture.width;
  canvas.height = shown.picture.height;
  canvas.getContext("2d").drawImage(shown.picture, 0, 0);
  return canvas;
}

function depthCanvas(index) {
  const canvas = document.createElement("canvas");
  paint(canvas, shown.said[index], shown.about.models[index], limits(index), shown.about.maps[find("map").value]);
  return canvas;
}

function small(index) {
  const said = shown.said[index], model = shown.about.models[index], [low, high] = limits(index);
  const [near, far] = model.disparity ? [high, low] : [low, high];
  return `${number(near, model.unit)} to ${number(far, model.unit)}, ${model.kind.replace("_", " ")}, `
    + `seen at ${said.seen[0]}x${said.seen[1]}, ${Math.round(1000 * said.seconds)} ms`;
}

// The value below the pointer, in the caption of its figure.
function reads(made, index) {
  const canvas = made.querySelector("canvas"), line = made.querySelector("small"), before = line.textContent;
  const said = shown.said[index];
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * said.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * said.height);
    const value = said.depth[y * said.width + x];
    line.textContent = `${x}, ${y}: ${value === value ? number(value, shown.about.models[index].unit) : "no depth"}`;
  });
  canvas.addEventListener("pointerleave", () => { line.textContent = before; });
  return made;
}

function sideBySide() {
  const all = shown.about.models.map((model, i) => shown.said[i] && reads(figure(depthCanvas(i), model.name, small(i)), i));
  const { width, height } = shown.picture;
  return [figure(pictureCanvas(), "picture", `${width} x ${height}`), ...all.filter(Boolean)];
}

function oneModel(index) {
  const canvas = pictureCanvas(), share = Number(find("wipe").value) / 100;
  const cut = Math.round(canvas.width * share), drawing = canvas.getContext("2d");
  find("wipe-value").textContent = `${Math.round(100 * share)} %`;
  const depth = depthCanvas(index);
  if (cut < canvas.width) {
    drawing.drawImage(depth, cut, 0, canvas.width - cut, depth.height, cut, 0, canvas.width - cut, canvas.height);
  }
  return [reads(figure(canvas, shown.about.models[index].name, small(index)), index)];
}

function inSpace(index) {
  const model = shown.about.models[index], said = shown.said[index];
  if (!model.points) {
    tell(`${model.name} gives ${model.kind}, whose offset is not known: no shape in space follows from it.`, true);
    return [];
  }
  const degrees = Number(find("fov").value), focal = said.width / 2 / Math.tan((degrees * Math.PI) / 360);
  find("fov-value").textContent = `${degrees} degrees`;
  find("edge-value").textContent = `${find("edge").value} degrees`;
  const pixels = pictureCanvas().getContext("2d").getImageData(0, 0, said.width, said.height).data;
  const cloud = points(said, pixels, focal, Number(find("edge").value));
  const canvas = shown.space?.canvas ?? document.createElement("canvas");
  const made = figure(canvas, model.name, `${(cloud.places.length / 3).toLocaleString("en")} points; drag or arrow keys `
    + `turn, wheel or + and - come nearer${model.unit ? "" : "; metres are not known"}`);
  canvas.className = "space";
  canvas.tabIndex = 0;
  shown.space ??= new Space(canvas);
  if (!shown.space.gl) tell("This browser has no WebGL, which draws the points.", true);
  requestAnimationFrame(() => shown.space.show(cloud));
  return [made];
}

function draw() {
  const { view, about } = shown, many = about.models.length > 1;
  const index = Number(find("model").value);
  find("model-row").hidden = view === "all" || !many;
  find("wipe-row").hidden = view !== "one";
  for (const row of document.querySelectorAll(".range-row")) row.hidden = view === "points";
  for (const id of ["fov-row", "edge-row"]) find(id).hidden = view !== "points";
  find("model-name").textContent = about.models[index].name;
  if (!shown.said.some(Boolean)) return;
  slide();
  const ready = view === "all" || shown.said[index];
  const figures = !ready ? [] : view === "all" ? sideBySide() : view === "one" ? oneModel(index) : inSpace(index);
  find("stage").classList.toggle("single", view !== "all");
  find("stage").replaceChildren(...figures);
}

function read(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { ...head, depth: new Float32Array(buffer, 4 + length) };
}

async function open(file) {
  if (!file) return;
  const { about } = shown, asked = ++shown.asked;
  if (file.size > about.most_bytes) {
    tell(`${file.name} has more than ${about.most_bytes >> 20} MB; choose a smaller one.`, true);
    return;
  }
  shown.said = [];
  for (const [i, model] of about.models.entries()) {
    tell(`${model.name} looks at ${file.name} ...`);
    let said;
    try {
      const answer = await fetch(`/depth?model=${i}`, { method: "POST", body: file });
      if (!answer.ok) throw new Error((await answer.json()).error);
      said = read(await answer.arrayBuffer());
    } catch (error) {
      if (asked === shown.asked) tell(`${file.name}: ${error.message}`, true);
      return;
    }
    if (asked !== shown.asked) return; // another picture was chosen meanwhile
    if (i === 0) {
      const size = { resizeWidth: said.width, resizeHeight: said.height, resizeQuality: "high" };
      try {
        shown.picture = await createImageBitmap(file, { ...size, imageOrientation: "from-image" });
      } catch { // such as a TIFF, which browsers do not draw
        shown.picture = await createImageBitmap(new ImageData(said.width, said.height));
      }
      if (said.focal) find("fov").value = Math.round((360 / Math.PI) * Math.atan(said.width / 2 / said.focal));
      shown.chosen = null;
    }
    shown.said[i] = said;
    find("controls").hidden = false;
    draw();
  }
  tell(`${file.name}: ${about.models.length === 1 ? "one model" : `${about.models.length} models`}.`);
  draw();
}

function listen() {
  find("file").addEventListener("change", (event) => open(event.target.files[0]));
  find("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const box of document.querySelectorAll("[name=view]")) {
    box.addEventListener("change", () => { shown.view = box.value; tell(`View: ${LABELS[box.value]}.`); draw(); });
  }
  for (const id of ["model", "wipe", "map", "fov", "edge"]) find(id).addEventListener("input", draw);
  for (const id of ["low", "high"]) {
    find(id).addEventListener("input", () => {
      const [low, high] = ["low", "high"].map((one) => Number(find(one).value));
      if (high <= low) find(id).value = id === "low" ? Math.max(0, high - 1) : Math.min(1000, low + 1);
      shown.chosen = ["low", "high"].map((one) => Number(find(one).value) / 1000);
      if (shown.chosen[0] >= shown.chosen[1]) shown.chosen = shown.chosen[1] > 0 ? [0, shown.chosen[1]] : [0, 0.001];
      draw();
    });
  }
  find("auto").addEventListener("click", () => { shown.chosen = null; draw(); });
  window.addEventListener("resize", () => shown.space?.draw());
  for (const kind of ["dragover", "dragleave", "drop"]) {
    window.addEventListener(kind, (event) => {
      event.preventDefault();
      find("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") open(event.dataTransfer.files[0]);
    });
  }
}

async function begin() {
  shown.about = await (await fetch("/about")).json();
  const { models, maps } = shown.about;
  find("map").replaceChildren(...Object.keys(maps).map((name) => new Option(name, name)));
  find("model").max = models.length - 1;
  document.title = `Depth: ${models.map((model) => model.name).join(", ")}`;
  tell(`No picture yet. Models: ${models.map((model) => model.name).join(", ")}.`);
  listen();
}

begin().catch((error) => tell(`The page cannot start: ${error.message}`, true));

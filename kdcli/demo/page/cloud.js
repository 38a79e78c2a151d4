// Depth as points in space, by the rules of kdcli.predict.cloud, drawn with WebGL: x right, y up, looking along -z.

const VERTEX = `
attribute vec3 place; attribute vec3 colour; uniform mat4 view; uniform float size; varying vec3 seen;
void main() { gl_Position = view * vec4(place, 1.0); gl_PointSize = max(1.0, size / gl_Position.w); seen = colour; }`;
const FRAGMENT = `
precision mediump float; varying vec3 seen; void main() { gl_FragColor = vec4(seen, 1.0); }`;

export function points(said, pixels, focal, degrees) {
  const { width, height, depth } = said;
  const steepest = degrees > 0 ? 2 / focal / Math.tan((degrees * Math.PI) / 180) : Infinity;
  const places = [], colours = [], distances = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const z = depth[y * width + x];
      if (!(z > 0)) continue;
      let near = z, far = z;
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const other = depth[v * width + u];
          if (other < near) near = other;
          if (other > far) far = other;
        }
      }
      if (far > near * (1 + steepest)) continue;
      places.push(((x - (width - 1) / 2) * z) / focal, (-(y - (height - 1) / 2) * z) / focal, -z);
      const at = 4 * (y * width + x);
      colours.push(pixels[at], pixels[at + 1], pixels[at + 2]);
      distances.push(z);
    }
  }
  distances.sort((a, b) => a - b);
  const middle = distances.length ? distances[distances.length >> 1] : 1;
  return { places: new Float32Array(places), colours: new Uint8Array(colours), middle, focal };
}

export class Space {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl", { antialias: true, preserveDrawingBuffer: true });
    this.turn = [0, 0];
    this.zoom = 1;
    this.count = 0;
    if (!this.gl) return;
    const gl = this.gl;
    this.program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
    this.buffers = [gl.createBuffer(), gl.createBuffer()];
    this.listen();
  }

  show(cloud) {
    this.cloud = cloud;
    this.count = cloud.places.length / 3;
    const gl = this.gl;
    if (!gl) return;
    [cloud.places, cloud.colours].forEach((values, i) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    });
    this.draw();
  }

  draw() {
    const { gl, canvas, cloud } = this;
    if (!gl || !cloud) return;
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(canvas.clientHeight * scale);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.enable(gl.DEPTH_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.useProgram(this.program);
    ["place", "colour"].forEach((name, i) => {
      const at = gl.getAttribLocation(this.program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, 3, i ? gl.UNSIGNED_BYTE : gl.FLOAT, Boolean(i), 0, 0);
    });
    gl.uniformMatrix4fv(gl.getUniformLocation(this.program, "view"), false, this.matrix());
    gl.uniform1f(gl.getUniformLocation(this.program, "size"), (1.6 * canvas.height * cloud.middle) / cloud.focal);
    gl.drawArrays(gl.POINTS, 0, this.count);
  }

  // Turned about the middle of the scene, then seen from where the camera was, or from nearer.
  matrix() {
    const [a, e] = this.turn, m = this.cloud.middle;
    const [ca, sa, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
    const aspect = this.canvas.width / this.canvas.height, near = m / 100, far = m * 100;
    const f = 1.7 * Math.min(1, aspect / 1.2); // a narrow window shows all of it, too
    const p = (far + near) / (near - far), q = (2 * far * near) / (near - far);
    const rows = [
      [ca, 0, sa, sa * m],
      [se * sa, ce, -se * ca, -se * ca * m],
      [-ce * sa, se, ce * ca, ce * ca * m - m / this.zoom],
    ];
    const out = [];
    for (let c = 0; c < 4; c++) {
      const [x, y, z] = rows.map((row) => row[c]);
      out.push((f / aspect) * x, f * y, p * z + (c === 3 ? q : 0), -z);
    }
    return new Float32Array(out);
  }

  listen() {
    let from = null;
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      this.move((event.clientX - from[0]) / 200, (event.clientY - from[1]) / 200);
      from = [event.clientX, event.clientY];
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { from = null; });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.near(Math.exp(-event.deltaY / 500));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
      if (step) this.move(...step);
      else if (event.key === "+" || event.key === "-") this.near(event.key === "+" ? 1.1 : 1 / 1.1);
      else return;
      event.preventDefault();
    });
  }

  move(across, down) {
    this.turn = [this.turn[0] + across, Math.max(-1.5, Math.min(1.5, this.turn[1] + down))];
    this.draw();
  }

  near(factor) {
    this.zoom = Math.max(0.2, Math.min(8, this.zoom * factor));
    this.draw();
  }
}

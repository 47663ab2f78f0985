// The heat map: a row for each layer, a column for each epoch; the stronger, the larger the share that is awake.
import { html, nothing } from './element.js';
import { percent } from './format.js';
import { Sized } from './sized.js';

const mix = (a, b, t) => a.map((value, i) => Math.round(value + (b[i] - value) * t));
const rgb = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));

class Heat extends Sized {
  static properties = { course: { attribute: false }, layers: { attribute: false } };

  /** Mark a point of the course. */
  mark(at) {
    this.at = at;
    const line = this.querySelector('.here');
    if (line) line.style.left = `${((at + 0.5) / this.course.length) * 100}%`;
  }

  get most() {
    let most = 0;
    for (const layer of this.layers) for (const value of layer.active) most = Math.max(most, (value ?? 0) / layer.width);
    return most || 1;
  }

  render() {
    if (!this.course?.length) return html`<p class="empty">No epoch has ended yet.</p>`;
    const every = Math.ceil(this.layers.length / 18);
    return html`<div class="heat">
      <ol aria-hidden="true">${this.layers.map((layer, i) => html`<li>${i % every ? nothing : layer.name}</li>`)}</ol>
      <div class="field" @pointerdown=${this.#drag} @pointermove=${this.#drag} @pointerup=${this.#drop}>
        <canvas class="map" role="img" aria-label="Heat map of ${this.layers.length} layers over ${this.course.length} epochs"></canvas>
        <div class="here"></div></div></div>
      <div class="scale" aria-hidden="true">0 % <canvas class="ramp" width="64" height="1"></canvas> ${percent(this.most)} awake</div>`;
  }

  updated() {
    const map = this.querySelector('.map');
    if (!map) return;
    const low = rgb(this.colour('wash'));
    const high = rgb(this.colour('accent'));
    const ramp = (t) => mix(low, high, Math.sqrt(t));
    const most = this.most;
    paint(map, this.course.length, this.layers.length, (x, y) => ramp((this.layers[y].active[x] ?? 0) / this.layers[y].width / most));
    paint(this.querySelector('.ramp'), 64, 1, (x) => ramp(x / 63));
    this.querySelector('.field').style.height = `${Math.max(120, Math.min(360, this.layers.length * 26))}px`;
    this.mark(Math.min(this.at ?? this.course.length - 1, this.course.length - 1));
  }

  #drag(event) {
    if (event.type === 'pointermove' && !event.buttons) return;
    const box = event.currentTarget.getBoundingClientRect();
    const at = Math.floor(((event.clientX - box.left) / box.width) * this.course.length);
    const kept = Math.max(0, Math.min(this.course.length - 1, at));
    this.dispatchEvent(new CustomEvent('scrub', { detail: { at: kept, rests: false } }));
  }

  #drop() {
    this.dispatchEvent(new CustomEvent('scrub', { detail: { at: this.at, rests: true } }));
  }
}
customElements.define('b-heat', Heat);

function paint(canvas, width, height, colour) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) image.data.set([...colour(x, y), 255], 4 * (y * width + x));
  }
  context.putImageData(image, 0, 0);
}

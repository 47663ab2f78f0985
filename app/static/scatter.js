// Sizes against losses. Shapes tell points apart as well as colours; what can be chosen can be chosen by the keyboard.
import { html, nothing, svg } from './element.js';
import { loss, short } from './format.js';
import { Sized } from './sized.js';

const SIGNS = {
  circle: 'M0-5.5A5.5 5.5 0 1 1 0 5.5A5.5 5.5 0 1 1 0-5.5', diamond: 'M0-7L7 0L0 7L-7 0Z', square: 'M-5-5H5V5H-5Z',
  triangle: 'M0-6.5L6 5H-6Z', cross: 'M-5-5L5 5M5-5L-5 5', plus: 'M-6 0H6M0-6V6', star: 'M0-7V7M-6-3.5L6 3.5M6-3.5L-6 3.5', down: 'M0 6.5L6-5H-6Z', bar: 'M-6-3H6V3H-6Z',
};

export const sign = (shape, classes) => svg`<path class="point ${classes}" d=${SIGNS[shape] ?? SIGNS.circle}></path>`;

export function legend(entries) {
  return html`<ul class="legend front">${entries.map(([shape, classes, words]) => html`<li><svg viewBox="-8 -8 16 16" aria-hidden="true">${sign(shape, classes)}</svg>${words}</li>`)}</ul>`;
}

/** Ticks of an axis with a few round numbers: 1, 2, 5 times powers of ten where it is logarithmic. */
function ticks(low, high, log, most) {
  if (!log) {
    const step = (high - low) / most || 1;
    const power = 10 ** Math.floor(Math.log10(step));
    const round = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= step);
    const first = Math.ceil(low / round) * round;
    return [...Array(Math.max(0, Math.floor((high - first) / round + 1e-9) + 1)).keys()].map((i) => Number((first + i * round).toPrecision(12)));
  }
  for (const steps of [[1, 2, 5], [1, 3], [1]]) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      found.push(...steps.map((one) => one * 10 ** power).filter((one) => one >= low && one <= high));
    }
    if (found.length <= most + 1 && found.length > 1) return found;
  }
  return ticks(low, high, false, most);
}

class Scatter extends Sized {
  /** `points`: {x, y, shape, classes, label, pick} - `pick` where it can be chosen, which the event `pick` tells. */
  static properties = { points: { attribute: false }, label: { type: String }, chosen: { attribute: false }, yName: { type: String } };

  render() {
    const found = (this.points ?? []).filter((point) => point.x > 0 && Number.isFinite(point.y));
    if (!found.length || !this.room) return nothing;
    const height = 280;
    const [left, right, top, bottom] = [58, 14, 14, 44];
    const xs = found.map((point) => point.x);
    const ys = found.map((point) => point.y);
    const scale = (values, log) => {
      let [low, high] = [Math.min(...values), Math.max(...values)];
      if (low === high || (log && high < 1.3 * low)) [low, high] = [low * 0.85 || -1, high * 1.15 || 1];
      return log ? [low / (high / low) ** 0.08, high * (high / low) ** 0.08] : [low - (high - low) * 0.08, high + (high - low) * 0.08];
    };
    const logY = Math.min(...ys) > 0 && Math.max(...ys) > 8 * Math.min(...ys);
    const [x0, x1] = scale(xs, true);
    const [y0, y1] = scale(ys, logY);
    const X = (x) => left + ((Math.log(x) - Math.log(x0)) / (Math.log(x1) - Math.log(x0))) * (this.room - left - right);
    const share = (y) => (logY ? (Math.log(y) - Math.log(y0)) / (Math.log(y1) - Math.log(y0)) : (y - y0) / (y1 - y0));
    const Y = (y) => height - bottom - share(y) * (height - top - bottom);
    return html`<svg class="front" viewBox="0 0 ${this.room} ${height}" role="group" aria-label=${this.label}>
      ${ticks(y0, y1, logY, 5).map((y) => svg`<line class="grid-line" x1=${left} x2=${this.room - right} y1=${Y(y)} y2=${Y(y)}></line>
        <text class="quiet" x=${left - 8} y=${Y(y) + 4} text-anchor="end">${loss(y)}</text>`)}
      ${ticks(x0, x1, true, Math.max(2, Math.floor(this.room / 90))).map((x) => svg`<line class="grid-line" x1=${X(x)} x2=${X(x)} y1=${top} y2=${height - bottom}></line>
        <text class="quiet" x=${X(x)} y=${height - bottom + 18} text-anchor="middle">${short(x)}</text>`)}
      <text class="quiet" x=${(left + this.room - right) / 2} y=${height - 6} text-anchor="middle">parameters</text>
      <text class="quiet" x="4" y="11">${this.yName ?? 'loss'}</text>
      ${found.map((point) => (point.pick === undefined ? svg`<g transform="translate(${X(point.x)} ${Y(point.y)})"><title>${point.label}</title>${sign(point.shape, point.classes)}${point.text ? svg`<text class="quiet" x=${X(point.x) > this.room * 0.7 ? -11 : 11} y="4" text-anchor=${X(point.x) > this.room * 0.7 ? 'end' : 'start'}>${point.text}</text>` : nothing}</g>`
        : svg`<g class="pick ${point.pick === this.chosen ? 'chosen' : ''}" transform="translate(${X(point.x)} ${Y(point.y)})" role="button" tabindex="0"
          aria-pressed=${point.pick === this.chosen} aria-label=${point.label} @click=${() => this.#pick(point)}
          @keydown=${(event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); this.#pick(point); } }}>
          <circle class="halo" r="12"></circle><title>${point.label}</title>${sign(point.shape, point.classes)}</g>`))}
    </svg>`;
  }

  #pick(point) {
    this.dispatchEvent(new CustomEvent('pick', { detail: point.pick }));
  }
}
customElements.define('b-scatter', Scatter);

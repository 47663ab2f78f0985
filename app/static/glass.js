// The hour-glass: a dashed outline for the superstructure, and inside it what is awake. Layers on smaller images stand
// lower, a row for every size, so that a U-Net is a U. What changes from epoch to epoch are attributes of shapes that
// stay, so that scrubbing is cheap. The scale is that of the layers that are searched: what is taller ends at its top.
import { html, nothing, svg } from './element.js';
import { Sized } from './sized.js';

const GAP = 10;
const LABELS = 42;
const LEAST = 28;

/** Where everything stands: bars by layer, and the links that lead from row to row or past other layers. */
export function layout(layers, graph, room, tallest, zoom) {
  const of = new Map((graph?.layers ?? []).map((layer) => [layer.name, layer]));
  const all = [
    ...(graph ? [{ name: 'input', width: graph.inputs, fixed: true, stride: 1, reads: [] }] : []),
    ...layers.map((layer, i) => ({
      name: layer.name, width: layer.width, index: i, fixed: layer.searched === false, stride: of.get(layer.name)?.stride ?? 1,
      reads: of.get(layer.name)?.reads ?? (i ? [layers[i - 1].name] : []),
    })),
  ];
  const searched = all.filter((bar) => !bar.fixed);
  const most = zoom || Math.max(tallest ?? 0, ...(searched.length ? searched : all).map((bar) => bar.width), 1);
  const strides = [...new Set(all.map((bar) => bar.stride))].sort((a, b) => a - b);
  const full = strides.length > 1 ? 150 : 250;
  const step = room / all.length;
  const thick = Math.max(2, Math.min(64, step - Math.min(GAP, step / 3)));
  const middles = new Map();
  let top = 6;
  for (const stride of strides) {
    const widest = Math.max(strides.length > 1 ? 0 : (tallest ?? 0), ...all.filter((bar) => bar.stride === stride).map((bar) => bar.width));
    const height = Math.max(LEAST, Math.min(1, widest / most) * full);
    middles.set(stride, { y: top + height / 2, below: top + height });
    top += height + LABELS;
  }
  const bars = all.map((bar, i) => ({
    ...bar, x: step * i + (step - thick) / 2, thick, y: middles.get(bar.stride).y, below: middles.get(bar.stride).below,
    full: Math.max(1, Math.min(1, bar.width / most) * full), scale: full / most,
  }));
  const named = new Map(bars.map((bar, i) => [bar.name, i]));
  const links = [];
  bars.forEach((bar, i) => bar.reads.forEach((name) => {
    const from = named.get(name);
    if (from === undefined || (from === i - 1 && bars[from].y === bar.y)) return;
    links.push({ from, to: i, skip: bars[from].y === bar.y });
  }));
  return { bars, links, height: top, room, step, rows: strides.length };
}

class Glass extends Sized {
  static properties = { layers: { attribute: false }, graph: { attribute: false }, tallest: { type: Number },
    label: { type: String }, second: { type: Boolean }, zoom: { type: Number } };

  /** Show these counts, one for every layer. */
  show(active) {
    this.active = active;
    if (this.shapes) this.#draw();
  }

  /** Say what is shown; not at every step of a moving slider. */
  say(label) {
    this.querySelector('svg')?.setAttribute('aria-label', label);
  }

  render() {
    if (!this.layers?.length || !this.room) return nothing;
    const plan = (this.plan = layout(this.layers, this.graph, this.room, this.tallest, this.zoom));
    const chain = plan.rows === 1;
    const numbers = Math.ceil(25 / plan.step);
    const names = Math.ceil(62 / plan.step);
    return html`<svg class="glass ${this.second ? 'second' : ''}" viewBox="0 0 ${plan.room} ${plan.height}" role="img"
        aria-label=${this.label ?? 'Hour-glass'}>
      ${chain ? svg`<path class="body"></path>` : nothing}
      ${plan.links.map(() => svg`<path class="link"></path>`)}
      ${plan.bars.map((bar) => svg`<rect class=${bar.fixed ? 'outline still' : 'outline'} x=${bar.x} width=${bar.thick}
        y=${bar.y - bar.full / 2} height=${bar.full} rx="3"><title>${bar.name}: ${bar.width}</title></rect>`)}
      ${plan.bars.map((bar) => svg`<rect class=${bar.fixed ? 'fixed' : 'fill'} x=${bar.x} width=${bar.thick} rx="3"></rect>`)}
      ${plan.bars.map((bar, i) => (i % numbers ? nothing : svg`<text class="count" data-bar=${i} x=${bar.x + bar.thick / 2}
        y=${bar.below + 17} text-anchor="middle"></text>`))}
      ${plan.bars.map((bar, i) => (i % names || (names > 1 && plan.rows > 1) ? nothing : svg`<text class="quiet" x=${bar.x + bar.thick / 2}
        y=${bar.below + 33} text-anchor="middle">${bar.name}</text>`))}
    </svg>`;
  }

  updated() {
    const picture = this.querySelector('svg');
    if (!picture) return;
    this.shapes = {
      body: picture.querySelector('.body'), links: [...picture.querySelectorAll('.link')],
      fills: [...picture.querySelectorAll('rect.fill, rect.fixed')], counts: [...picture.querySelectorAll('.count')],
    };
    this.#draw();
  }

  #draw() {
    const { bars, links } = this.plan;
    const active = bars.map((bar) => (bar.fixed || !this.active ? (bar.fixed ? bar.width : 0) : (this.active[bar.index] ?? 0)));
    const heights = [];
    bars.forEach((bar, i) => {
      const height = (heights[i] = active[i] ? Math.min(bar.full, Math.max(1, active[i] * bar.scale)) : 0);
      const shape = this.shapes.fills[i];
      shape.setAttribute('y', bar.y - height / 2);
      shape.setAttribute('height', height);
    });
    for (const text of this.shapes.counts) text.textContent = this.active ? active[text.dataset.bar] : bars[text.dataset.bar].width;
    links.forEach(({ from, to, skip }, i) => {
      const a = bars[from];
      const b = bars[to];
      const shape = this.shapes.links[i];
      const thick = active[from] && active[to] ? 1.5 + Math.min(18, heights[from] * 0.35) : 0;
      const x1 = a.x + a.thick;
      const bend = Math.min(40, Math.abs(b.x - x1) / 2);
      shape.setAttribute('d', skip ? `M${x1} ${a.y}H${b.x}` : `M${x1} ${a.y}C${x1 + bend} ${a.y} ${b.x - bend} ${b.y} ${b.x} ${b.y}`);
      shape.setAttribute('stroke-width', thick);
    });
    if (this.shapes.body) this.shapes.body.style.display = this.active ? '' : 'none';
    if (this.shapes.body) {
      const side = (sign) => bars.flatMap((bar, i) => {
        const y = bar.y + (sign * heights[i]) / 2;
        return [`${bar.x} ${y}`, `${bar.x + bar.thick} ${y}`];
      });
      this.shapes.body.setAttribute('d', `M${side(-1).join('L')}L${side(1).reverse().join('L')}Z`);
    }
  }
}
customElements.define('b-glass', Glass);

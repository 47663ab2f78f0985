// What the network makes of pictures that it was not trained on: as it trained, and in the end.
import { request } from './api.js';
import { Element, figure, html, nothing, rows } from './element.js';
import { draw, isImages, psnr, read } from './tensors.js';

const MOST = 8;

class Strips extends Element {
  static properties = { samples: { attribute: false }, recorded: { type: String }, task: { type: String } };

  /** Show what the network made at this epoch, or the last one before it that was kept. */
  show(stage, epoch) {
    if (!this.samples?.length || this.final) return;
    const kept = this.samples.filter((one) => one.stage === stage && one.epoch <= epoch).at(-1) ?? this.samples[0];
    if (kept === this.shown) return;
    this.shown = kept;
    this.requestUpdate();
  }

  async willUpdate(changed) {
    if (!changed.has('recorded') || !this.recorded) return;
    const tensors = read(await (await request(this.recorded, { headers: { Accept: '*/*' } })).arrayBuffer());
    if (!isImages(tensors.output) || tensors.input.shape.join() !== tensors.truth.shape.join() || !isImages(tensors.truth)) return;
    this.tensors = tensors;
    this.final = true;
    this.requestUpdate();
  }

  get number() {
    return Math.min(MOST, this.tensors.output.shape[0]);
  }

  render() {
    if (!this.tensors && !this.samples?.length) return html`<h2>Samples</h2><p class="quiet">What is in and out of this network is no picture.</p>`;
    const shown = this.final ? null : (this.shown ??= this.samples.at(-1));
    const toggle = this.tensors && this.samples?.length ? html`<button type="button" class="plain" @click=${() => { this.final = !this.final; this.requestUpdate(); }}>
      ${this.final ? 'As it trained' : 'The delivered one'}</button>` : nothing;
    return figure(this, { title: 'Samples', extra: toggle, picture: this.final ? this.#last() : this.#strips(shown), caption: this.final ? this.#lastWords() : this.#words(shown), table: () => this.#table() });
  }

  #strips(shown) {
    const first = this.samples.find((one) => one.input) ?? {};
    const strip = (name, source) => (source ? html`<span>${name}</span><img src=${source} alt="${name} of ${this.samples[0].count} validation samples">` : nothing);
    return html`<div class="strips">${strip('Input', first.input)}${strip('Output', shown.output)}${strip('Truth', first.truth)}</div>`;
  }

  #words(shown) {
    return `The network of epoch ${shown.epoch} (${shown.stage}) on samples that it was not trained on: PSNR ${shown.psnr.toFixed(2)} dB. Kept at epochs ${this.samples.filter((one) => one.stage === shown.stage).map((one) => one.epoch).join(', ')}; move the slider above.`;
  }

  #last() {
    const row = (name, key) => html`<span>${name}</span><div class="previews">${[...Array(this.number).keys()].map((i) => html`<canvas class="sample" role="img"
      aria-label="${name} of sample ${i + 1}" data-of=${key} data-at=${i}></canvas>`)}</div>`;
    return html`<div class="strips">${row('Input', 'input')}${row('Output', 'output')}${row('Truth', 'truth')}</div>`;
  }

  #lastWords() {
    const { input, output, truth } = this.tensors;
    return `The delivered network on ${output.shape[0]} validation samples: PSNR ${psnr(output, truth).toFixed(2)} dB${this.task === 'autoencode' ? '' : `; of its input ${psnr(input, truth).toFixed(2)} dB`}.`;
  }

  #table() {
    const steps = (this.samples ?? []).map((one) => [`epoch ${one.epoch} (${one.stage})`, `${one.psnr.toFixed(2)}`]);
    if (this.tensors) steps.push(['delivered', psnr(this.tensors.output, this.tensors.truth).toFixed(2)]);
    return rows(['Network', 'PSNR in dB'], steps);
  }

  updated() {
    for (const canvas of this.querySelectorAll('canvas.sample')) draw(canvas, this.tensors[canvas.dataset.of], Number(canvas.dataset.at));
  }
}
customElements.define('b-strips', Strips);

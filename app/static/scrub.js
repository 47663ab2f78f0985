// A slider over the epochs, with a button that moves it. It speaks when it rests, and not while it moves.
import { Element, html } from './element.js';

const calm = matchMedia('(prefers-reduced-motion: reduce)');
const LONGEST_MS = 9000;

class Scrub extends Element {
  static properties = { length: { type: Number }, label: { type: String }, playing: { state: true }, words: { attribute: false } };

  constructor() {
    super();
    this.length = 0;
    this.at = 0;
    this.words = (at) => String(at + 1);
  }

  get input() {
    return this.querySelector('input');
  }

  /** Go to a point without being asked by a hand; tells nobody. */
  put(at) {
    this.at = Math.max(0, Math.min(at, this.length - 1));
    this.#show();
  }

  #show() {
    if (!this.input) return;
    this.input.max = Math.max(0, this.length - 1);
    this.input.value = this.at;
    this.querySelector('output').textContent = this.length ? this.words(this.at) : '–';
    if (!this.playing) this.input.setAttribute('aria-valuetext', this.length ? this.words(this.at) : 'nothing yet');
  }

  #move(at, rests) {
    this.at = at;
    this.#show();
    this.dispatchEvent(new CustomEvent('scrub', { detail: { at, rests } }));
  }

  #rest() {
    cancelAnimationFrame(this.frame);
    clearInterval(this.timer);
    this.playing = false;
    this.#move(this.at, true);
  }

  play() {
    if (this.playing) return this.#rest();
    const last = this.length - 1;
    const first = this.at >= last ? 0 : this.at;
    this.playing = true;
    if (calm.matches) { // a few still pictures in place of a motion
      const step = Math.max(1, Math.ceil(last / 8));
      this.#move(first, false);
      this.timer = setInterval(() => (this.at >= last ? this.#rest() : this.#move(Math.min(last, this.at + step), false)), 1000);
      return undefined;
    }
    const took = Math.min(LONGEST_MS, (last - first) * 150);
    const began = performance.now();
    const frame = (now) => {
      const at = Math.min(last, first + Math.floor((Math.max(0, now - began) / took) * (last - first + 1)));
      this.#move(at, false);
      if (at >= last) this.#rest();
      else this.frame = requestAnimationFrame(frame);
    };
    this.frame = requestAnimationFrame(frame);
    return undefined;
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    cancelAnimationFrame(this.frame);
    clearInterval(this.timer);
  }

  updated() {
    this.#show();
  }

  render() {
    const still = this.length < 2;
    return html`<div class="scrub">
      <button type="button" ?disabled=${still} @click=${this.play} aria-label=${this.playing ? 'Pause' : 'Play'}>
        <svg viewBox="0 0 16 16" aria-hidden="true"><path d=${this.playing ? 'M3 2h4v12H3zM9 2h4v12H9z' : 'M4 2l10 6-10 6z'}></path></svg></button>
      <input type="range" min="0" step="1" aria-label=${this.label} ?disabled=${still}
        @input=${(event) => { if (this.playing) this.#rest(); this.#move(Number(event.target.value), false); }}
        @change=${() => this.#move(this.at, true)}>
      <output></output></div>`;
  }
}
customElements.define('b-scrub', Scrub);

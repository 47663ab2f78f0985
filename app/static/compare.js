// Two searches side by side: on one scale, one slider and one pair of axes.
import { Polled, get } from './api.js';
import { counts, course, searchedLayers, some } from './course.js';
import './curves.js';
import { Element, alert, figure, html, nothing, rows, state } from './element.js';
import { TERMINAL, best, count, loss, short, size, titled } from './format.js';
import './glass.js';
import { Live } from './live.js';
import './scrub.js';

const NAMES = ['a', 'b'];

class Compare extends Element {
  constructor() {
    super();
    const query = new URLSearchParams(location.search);
    this.ids = NAMES.map((name) => query.get(name));
    this.at = -1;
    this.asked = this.ids.map((id) => `/v1/searches/${encodeURIComponent(id)}`).map((path) => ({ path, search: new Polled(path), history: new Polled(`${path}/layers`) }));
    this.hosts = NAMES.map(() => ({ asTable: false, requestUpdate: () => this.requestUpdate() }));
    this.curvesHost = { asTable: false, requestUpdate: () => this.requestUpdate() };
  }

  connectedCallback() {
    super.connectedCallback();
    if (this.ids.every(Boolean)) this.live = new Live(() => this.load());
  }

  async load() {
    try {
      this.sides = await Promise.all(this.asked.map(async ({ path, search, history }, i) => {
        const [graph] = await Promise.all([this.sides?.[i].graph
          ?? get(`${path}/graph`).catch((error) => (error.status === 404 ? { layers: [] } : Promise.reject(error))), search.fetch(), history.fetch()]);
        return { search: search.value, graph, course: course(history.value) };
      }));
      const followed = this.at < 0 || this.at >= this.length - 1;
      this.length = Math.max(...this.sides.map((side) => side.course.length));
      if (followed) this.at = this.length - 1;
    } catch (error) {
      if (!error.status) throw error;
      this.error = error;
      return true;
    } finally {
      this.requestUpdate();
    }
    return this.sides.every((side) => TERMINAL.includes(side.search.status));
  }

  #go(at, rests) {
    this.at = at;
    this.sides.forEach(({ course: of }, i) => {
      const own = Math.min(at, of.length - 1);
      const glass = this.querySelectorAll('b-glass')[i];
      if (own >= 0) glass?.show(counts(of, own));
      const words = this.#words(i);
      this.querySelector(`#words-${i}`).textContent = words;
      if (rests) glass?.say(words);
    });
    this.querySelector('b-curves')?.mark(at + 1);
    this.querySelector('b-scrub')?.put(at);
    if (rests) this.querySelector('#said').textContent = NAMES.map((name, i) => `${name.toUpperCase()}: ${this.#words(i)}`).join(' ');
    if (rests && this.hosts.some((one) => one.asTable)) this.requestUpdate();
  }

  #words(i) {
    const of = this.sides[i].course;
    const at = Math.min(this.at, of.length - 1);
    if (at < 0) return 'No epoch has ended yet.';
    return `Epoch ${of.epochs[at]}: ${searchedLayers(of.layers).map((layer) => layer.active[at] ?? 0).join(', ')}; ${count(of.parameters[at])} parameters, validation loss ${loss(of.validation[at])}.`;
  }

  updated() {
    if (this.sides) this.#go(Math.max(0, Math.min(this.at, this.length - 1)), false);
  }

  render() {
    if (!this.ids.every(Boolean)) return html`<h1>Compare</h1><p>Choose two on the page of <a href="/">searches</a>.</p>`;
    if (this.error) return html`<h1>Compare</h1>${alert(this.error)}<p><a href="/">Searches</a></p>`;
    if (!this.sides) return html`<h1>Compare</h1><p class="empty">Loading…</p>`;
    const tallest = Math.max(...this.sides.flatMap((side) => searchedLayers(side.course.layers).map((layer) => layer.width)));
    return html`<div class="head"><h1>Compare</h1></div>
      <section class="sheet"><b-scrub .length=${this.length} label="Epoch, of both" .words=${(at) => `epoch ${at + 1} of ${this.length}`}
        @scrub=${(event) => this.#go(event.detail.at, event.detail.rests)}></b-scrub><p class="unseen" id="said" aria-live="polite"></p></section>
      <div class="grid">${this.sides.map((side, i) => html`<section class="sheet">${this.#side(side, i, tallest)}</section>`)}
        <section class="sheet wide">${this.#curves()}</section>
        <section class="sheet wide">${this.#difference()}</section></div>`;
  }

  #side({ search, course: of, graph }, i, tallest) {
    const at = Math.max(0, Math.min(this.at, of.length - 1));
    return figure(this.hosts[i], {
      title: html`<span class=${i ? 'other' : 'first'}>${NAMES[i].toUpperCase()}</span> <a href="/searches/${search.id}">${titled(search)}</a>`,
      name: NAMES[i].toUpperCase(),
      extra: state(search.status),
      picture: html`<b-glass ?second=${i === 1} .layers=${of.layers} .graph=${graph.layers.length ? graph : null} tallest=${tallest} label=${this.#words(i)}></b-glass>`,
      caption: html`<span id="words-${i}"></span>`,
      table: () => rows(['Layer', 'Neurons', 'Awake'], of.layers.map((layer) => [layer.name, count(layer.width), layer.searched ? count(layer.active[at] ?? 0) : 'all'])),
    });
  }

  #curves() {
    const x = [...Array(this.length).keys()].map((i) => i + 1);
    const values = (side) => x.map((_, i) => side.course.validation[i] ?? null);
    return figure(this.curvesHost, {
      title: 'Validation loss',
      picture: this.length ? html`<b-curves class="curve" .x=${x} .series=${this.sides.map((side, i) => ({ label: `${NAMES[i].toUpperCase()} ${titled(side.search)}`.slice(0, 40), values: values(side), second: i === 1, dash: i === 1 }))}></b-curves>` : nothing,
      caption: this.#comparable() ? 'Of the networks as the searches had them, before they were trained on.' : 'Tasks or data differ: these losses are not to be compared with each other.',
      table: () => rows(['Epoch', 'A', 'B'], some(this.length, 20).map((i) => [i + 1, loss(values(this.sides[0])[i]), loss(values(this.sides[1])[i])])),
    });
  }

  #comparable() {
    const [a, b] = this.sides.map((side) => JSON.stringify([side.search.spec.task, side.search.spec.data]));
    return a === b;
  }

  #difference() {
    const [a, b] = this.sides.map((side) => flat({ ...side.search.spec, name: undefined }));
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => a[key] !== b[key]);
    const [first, second] = this.sides.map((side) => side.search);
    const made = [['parameters', count(size(first)), count(size(second))], ['loss', loss(best(first)), loss(best(second))], ['delivered', first.result?.winner ?? '–', second.result?.winner ?? '–'],
      ['superstructure', ...this.sides.map((side) => short(side.search.result?.superstructure?.parameters))]];
    return html`<h2>What differs</h2><div class="scroll whole" tabindex="0" role="region" aria-label="What differs"><table class="diff"><thead><tr><th scope="col">Field</th><th scope="col">A</th><th scope="col">B</th></tr></thead>
      <tbody>${keys.map((key) => html`<tr><th scope="row"><code>${key}</code></th><td>${a[key] ?? '–'}</td><td>${b[key] ?? '–'}</td></tr>`)}
      ${keys.length ? nothing : html`<tr><th scope="row">specification</th><td colspan="2">equal</td></tr>`}
      ${made.map((row) => html`<tr><th scope="row">${row[0]}</th><td>${row[1]}</td><td>${row[2]}</td></tr>`)}</tbody></table></div>`;
  }
}
customElements.define('b-compare', Compare);

/** The leaves of a document by their paths; lists are leaves. */
function flat(document, path = '') {
  return Object.entries(document).reduce((found, [key, value]) => {
    if (value === null || value === undefined) return found;
    const name = path ? `${path}.${key}` : key;
    if (typeof value === 'object' && !Array.isArray(value)) return { ...found, ...flat(value, name) };
    return { ...found, [name]: Array.isArray(value) ? value.join(', ') : String(value) };
  }, {});
}

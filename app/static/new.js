// A new search: data, a superstructure, a task and a size; what it would amount to is told while one types.
import { Lost, Problem, get, leaving, request } from './api.js';
import { Element, alert, copyable, html, live, nothing } from './element.js';
import { Form, at, number, put, says } from './form.js';
import { bytes, count, json, short, span } from './format.js';
import './glass.js';
import { PRESETS } from './presets.js';
import { resolve } from './schema.js';
import './upload.js';

const MEASURES = ['parameters', 'macs', 'fraction', 'neurons'];
const WAIT_MS = 350;
const KEPT = 'bregnas-form'; // what was typed when the session ended

class New extends Element {
  constructor() {
    super();
    this.spec = structuredClone(PRESETS[0].spec);
    this.problems = [];
    this.form = new Form({}, (path, value) => this.#set(path, value), (...paths) => this.#error(...paths));
  }

  connectedCallback() {
    super.connectedCallback();
    leaving.addEventListener('key', () => sessionStorage.setItem(KEPT, JSON.stringify(this.spec)));
    this.#load();
  }

  async #load() {
    const from = new URLSearchParams(location.search).get('from');
    try {
      const [document, sets, source] = await Promise.all([get('/openapi.json'), get('/v1/datasets'), from ? get(`/v1/searches/${encodeURIComponent(from)}`) : null]);
      this.form.parts = document.components.schemas;
      this.asksForKey = document.security?.length === 1;
      this.schema = this.form.parts.SearchSpec;
      this.sets = sets.data;
      const kept = sessionStorage.getItem(KEPT);
      sessionStorage.removeItem(KEPT);
      if (source) this.spec = bare(source.spec, this.schema, this.form.parts);
      if (kept) this.spec = JSON.parse(kept);
    } catch (error) {
      if (error instanceof Lost) setTimeout(() => this.#load(), 2000);
      this.failed = error;
      this.requestUpdate();
      return;
    }
    this.failed = null;
    this.#changed();
  }

  /** Begin with a preset; data that somebody brought along, and a name that somebody wrote, stay. */
  #begin(spec) {
    const { data, name } = this.spec;
    const given = !PRESETS.some((one) => one.spec.name === name);
    this.spec = { ...structuredClone(spec), ...(data?.startsWith('dset_') ? { data } : {}), ...(given && name ? { name } : {}) };
    this.#changed();
  }

  #set(path, value) {
    this.spec = put(this.spec, path, value);
    this.#changed();
  }

  #changed() {
    this.refused = null;
    this.requestUpdate();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#estimate(), WAIT_MS);
  }

  async #estimate() {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    try {
      this.estimate = await (await request('/v1/searches/estimate', { json: this.spec, signal: asking.signal })).json();
      this.problems = [];
    } catch (error) {
      if (error.name === 'AbortError') return;
      if (error instanceof Lost) this.timer = setTimeout(() => this.#estimate(), 2000);
      else this.#refuse(error);
    }
    this.requestUpdate();
  }

  #refuse(error) {
    this.estimate = null;
    this.problems = error.errors?.length ? error.errors : [{ loc: [], msg: error.message }];
  }

  /** What is wrong with a field: the first path takes what lies below it as well, the others are meant exactly. */
  #error(path, ...exactly) {
    const own = path.join('.');
    const found = this.problems.filter(({ loc }) => {
      const where = loc.join('.');
      return where === own || where.startsWith(`${own}.`) || exactly.some((other) => other.join('.') === where);
    });
    for (const one of found) this.placed.add(one);
    return found.map((one) => one.msg).join('; ');
  }

  async #post(event) {
    event.preventDefault();
    this.busy = true;
    this.key ??= Math.random().toString(36).slice(2) + Date.now().toString(36); // sent again it makes no second search
    this.requestUpdate();
    try {
      const made = await (await request('/v1/searches', { json: this.spec, headers: { 'Idempotency-Key': `page-${this.key}` } })).json();
      location.assign(`/searches/${made.id}`);
      return;
    } catch (error) {
      this.key = error instanceof Problem && error.status < 500 ? null : this.key; // else it may have been made
      this.refused = error;
      if (!(error instanceof Lost)) this.#refuse(error);
    }
    this.busy = false;
    this.requestUpdate();
    await this.updateComplete;
    (this.querySelector('form [aria-invalid="true"]') ?? this.querySelector('[role=alert]'))?.focus();
  }

  render() {
    if (this.failed) return html`<h1>New search</h1>${alert(this.failed)}`;
    if (!this.schema) return html`<h1>New search</h1><p class="empty">Loading…</p>`;
    this.placed = new Set();
    const { properties } = this.schema;
    const field = (key) => this.form.field(properties[key], [key], this.spec);
    const inside = (key) => this.form.object(resolve(properties[key], this.form.parts), [key], this.spec);
    const body = html`
      <section class="sheet"><h2>Begin with</h2><div class="presets">${PRESETS.map(({ title, words, spec }) => html`<button type="button"
        @click=${() => this.#begin(spec)}><strong>${title}</strong><small>${words}</small></button>`)}</div></section>
      <section class="sheet"><h2>Data</h2>${this.#data()}
        <b-upload @made=${(event) => { this.sets = [...this.sets.filter((one) => one.id !== event.detail.id), event.detail]; this.#set(['data'], event.detail.id); }}></b-upload></section>
      <section class="sheet"><h2>Task</h2><div class="fields">${field('task')}</div></section>
      <section class="sheet"><h2>Superstructure</h2><p class="quiet small">The room in which the search looks.</p><div class="fields">${field('superstructure')}</div></section>
      <section class="sheet"><h2>Size</h2>${this.#target()}</section>
      <section class="sheet"><h2>How long, and against what</h2><div class="fields">
        ${['epochs', 'batch_size', 'crop'].map((key) => this.form.field(resolve(properties.budget, this.form.parts).properties[key], ['budget', key], this.spec))}</div>
        <div class="fields">${field('compare')}</div>
        <details class="more"><summary>More of it</summary><div>
          <h3>Method</h3><div class="fields">${field('method')}</div>
          <h3>Budget</h3><div class="fields">${this.form.object(resolve(properties.budget, this.form.parts), ['budget'], this.spec, ['epochs', 'batch_size', 'crop'])}</div>
          <h3>Fine-tuning</h3><div class="fields">${inside('finetune')}</div>
          <h3>Besides</h3><div class="fields">${['seed', 'seeds', 'priority', 'device', 'metadata'].map(field)}</div></div></details></section>
      <section class="sheet"><div class="fields">${field('name')}</div><p class="actions"><button class="main" ?disabled=${this.busy}>${this.busy ? 'Sending…' : 'Start the search'}</button></p></section>`;
    const loose = this.problems.filter((one) => !this.placed.has(one) || one.loc.length === 0);
    return html`<div class="head"><h1>New search</h1></div>
      <div class="two"><form @submit=${this.#post} novalidate>
        ${this.refused ? html`<p class="note bad" role="alert" tabindex="-1">${this.problems.length && loose.length < this.problems.length ? 'It was refused; what to change stands beside the fields.' : this.refused.message}</p>` : nothing}
        ${body}</form>
      <div class="aside">${this.#aside(loose)}</div></div>`;
  }

  #data() {
    const error = this.#error(['data']);
    const here = this.sets.filter((one) => one.available);
    const known = here.some((one) => (one.id ?? one.name) === this.spec.data);
    const chosen = here.find((one) => (one.id ?? one.name) === this.spec.data);
    return html`<div class="field"><label for="data">Data set</label><select id="data" aria-invalid=${error ? 'true' : 'false'} aria-describedby="data-help data-error"
        @change=${(event) => this.#set(['data'], event.target.value)}>
        ${known ? nothing : html`<option value=${this.spec.data} selected>${this.spec.data}</option>`}
        ${here.map((one) => html`<option value=${one.id ?? one.name} .selected=${(one.id ?? one.name) === this.spec.data}>${one.name}${one.id ? ' (yours)' : ''}</option>`)}</select>
      <p class="help" id="data-help">${chosen ? `${count(chosen.count)} ${chosen.kind === 'image' ? 'images' : 'rows'} of ${chosen.shape.join(' × ')}${chosen.classes ? `, ${chosen.classes} classes` : ''}` : ''}</p>
      ${says('data-error', error)}</div>`;
  }

  #target() {
    const measure = MEASURES.find((one) => this.spec.target?.[one] != null) ?? '';
    const error = this.#error(['target'], ['method', 'lam']);
    const range = this.estimate?.possible[measure === 'fraction' ? 'parameters' : measure];
    return html`<div class="fields"><div class="field"><label for="measure">Counted in</label><select id="measure" @change=${(event) => this.#set(['target'], event.target.value ? { [event.target.value]: event.target.value === 'fraction' ? 0.3 : (this.estimate ? Math.round(this.estimate.possible[event.target.value].largest * 0.3) : 10000) } : undefined)}>
        <option value="" .selected=${!measure}>nothing: λ decides</option>${MEASURES.map((one) => html`<option value=${one} .selected=${one === measure}>${one}</option>`)}</select></div>
      ${measure ? html`<div class="field"><label for="target">At most</label><input id="target" inputmode="decimal" aria-invalid=${error ? 'true' : 'false'} aria-describedby="target-help target-error"
        .value=${live(String(this.spec.target[measure]))} @change=${(event) => this.#set(['target'], { [measure]: number(event.target.value) ?? '' })}>
        <p class="help" id="target-help">${range && measure !== 'fraction' ? `From ${count(range.smallest)} to ${count(range.largest)}; 30k is 30,000.` : measure === 'fraction' ? 'Of the superstructure’s parameters.' : ''}</p>${says('target-error', error)}</div>` : says('target-error', error)}</div>`;
  }

  #aside(loose) {
    const { estimate } = this;
    const python = `from bregnas import Bregnas\n\nspec = ${python_(this.spec)}\nsearch = Bregnas("${location.origin}").searches.create(spec).wait()\nprint(search.download("."))`;
    const curl = `curl -s ${location.origin}/v1/searches \\\n  -H 'Content-Type: application/json' \\\n${this.asksForKey ? '  -H "Authorization: Bearer $BREGNAS_KEY" \\\n' : ''}  -d '${json(this.spec).replaceAll("'", "'\\''")}'`;
    return html`<section class="sheet" aria-label="Estimate"><h2>What it would be</h2>
        <div role="status">${loose.map((one) => html`<p class="error">${one.loc.length ? `${one.loc.join('.')}: ` : ''}${one.msg}</p>`)}
        ${estimate ? html`<dl class="facts">
          <div><dt>Superstructure</dt><dd>${short(estimate.parameters)}</dd></div>
          <div><dt>Target</dt><dd>${estimate.target == null ? 'λ decides' : short(estimate.target)}</dd></div>
          <div><dt>Memory</dt><dd>${bytes(estimate.memory_bytes)}</dd></div>
          <div><dt>Time, a guess</dt><dd>${span(estimate.seconds_guess)}</dd></div></dl>`
          : html`<p class="quiet">${this.problems.length ? 'Nothing can be said before that is mended.' : 'Estimating…'}</p>`}</div>
        ${estimate ? html`<b-glass .layers=${estimate.layers} .graph=${{ inputs: estimate.inputs, layers: estimate.layers }} label="The superstructure: ${estimate.layers.map((layer) => `${layer.name} ${layer.width}`).join(', ')}"></b-glass>` : nothing}</section>
      <section class="sheet"><h2>The same by hand</h2><h3>curl</h3>${copyable(curl, 'The search as a curl command')}
        <details><summary>Python</summary>${copyable(python, 'The search in Python')}</details></section>`;
  }
}
customElements.define('b-new', New);

/** A document as Python writes it. */
function python_(value, indent = '') {
  const inner = `${indent}    `;
  if (value === null) return 'None';
  if (value === true || value === false) return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map((one) => python_(one, indent)).join(', ')}]`;
  if (typeof value === 'object') return `{\n${Object.entries(value).map(([key, one]) => `${inner}${JSON.stringify(key)}: ${python_(one, inner)},`).join('\n')}\n${indent}}`;
  return JSON.stringify(value);
}

/** A specification without what is as it would be by default. */
function bare(spec, schema, parts) {
  const known = resolve(schema, parts);
  return Object.fromEntries(Object.entries(spec).filter(([key]) => key !== 'start').flatMap(([key, value]) => {
    const usual = known.properties?.[key] ? resolve(known.properties[key], parts).default : undefined;
    if (value === null || value === '' || JSON.stringify(value) === JSON.stringify(usual)) return [];
    if (typeof value !== 'object' || Array.isArray(value)) return [[key, value]];
    const left = Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null));
    return Object.keys(left).length ? [[key, left]] : [];
  }));
}

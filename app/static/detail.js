// One search: its hour-glass, how it got there, what came out, and what can be done with it.
import { Polled, get, request } from './api.js';
import { counts, course, searchedLayers, some } from './course.js';
import './curves.js';
import { Element, alert, figure, html, nothing, rows, state } from './element.js';
import { TERMINAL, best, count, json, loss, percent, short, size, span, titled } from './format.js';
import './front.js';
import './glass.js';
import './heat.js';
import { Live } from './live.js';
import './outcome.js';
import './scrub.js';
import './strips.js';

const COMPLETE = { pause: ['queued', 'starting', 'running'], resume: ['paused'],
  cancel: ['queued', 'starting', 'running', 'pausing', 'paused'] };

class Detail extends Element {
  constructor() {
    super();
    this.searchId = decodeURIComponent(location.pathname.split('/').pop());
    this.path = `/v1/searches/${encodeURIComponent(this.searchId)}`;
    this.polled = new Polled(this.path);
    this.history = new Polled(`${this.path}/layers`);
    this.events = [];
    this.at = -1;
  }

  connectedCallback() {
    super.connectedCallback();
    this.live = new Live(() => this.load(), () => `${this.path}/events?after=${this.events.at(-1)?.id ?? 0}`);
  }

  async load() {
    try {
      const [changed] = await Promise.all([this.polled.fetch(), this.history.fetch(), this.#readEvents()]);
      const search = (this.search = this.polled.value);
      this.missing = null;
      document.title = `${titled(search)} · Bregnas`;
      this.graph ??= await get(`${this.path}/graph`).catch((error) => {
        if (error.status !== 404) throw error;
        return { layers: [] };
      });
      const followed = !this.course || this.at >= this.course.length - 1;
      this.course = course(this.history.value);
      if (followed) this.at = this.course.length - 1;
      if (changed && search.status === 'succeeded') {
        this.front = (await get(`${this.path}/path`)).data;
        this.artifacts = (await get(`${this.path}/artifacts`)).data;
      }
    } catch (error) {
      if (!error.status) throw error;
      this.missing = error;
      return true;
    } finally {
      this.requestUpdate();
    }
    return TERMINAL.includes(this.search.status);
  }

  async #readEvents() {
    const page = await get(`${this.path}/events?kind=-epoch&limit=100&after=${this.events.at(-1)?.id ?? 0}`);
    this.events = [...this.events, ...page.data];
    if (page.has_more) await this.#readEvents();
  }

  #do(verb) {
    return async () => {
      this.refused = null;
      try {
        if (verb === 'delete') {
          await request(this.path, { method: 'DELETE' });
          location.assign('/');
          return;
        }
        const made = await (await request(`${this.path}/${verb}`, { method: 'POST', headers: verb === 'clone' ? { 'Idempotency-Key': crypto.randomUUID?.() ?? String(Math.random()) } : {} })).json();
        if (verb === 'clone') location.assign(`/searches/${made.id}`);
        else if (this.live.over) this.live = new Live(this.live.refresh, this.live.stream);
        else await this.live.wake();
      } catch (error) {
        this.refused = error;
        this.requestUpdate();
      }
    };
  }

  /** Show a point of the course everywhere. */
  #go(at, rests) {
    this.at = at;
    const of = this.course;
    const glass = this.querySelector('b-glass');
    glass?.show(counts(of, at));
    this.querySelector('b-heat')?.mark(at);
    this.querySelector('b-curves')?.mark(at + 1);
    this.querySelector('b-strips')?.show(of.stages[at], of.epochs[at]);
    this.querySelector('b-scrub')?.put(at);
    this.#caption();
    if (!rests) return;
    glass?.say(this.#words());
    this.querySelector('#said').textContent = this.#words();
    if (this.asTable) this.requestUpdate();
  }

  #words() {
    const of = this.course;
    if (!of?.length) return 'No epoch has ended yet. The dashed outline is the superstructure, in which the search will look.';
    const at = Math.max(0, Math.min(this.at, of.length - 1));
    const layers = searchedLayers(of.layers);
    const sum = (values) => values.reduce((a, b) => a + b, 0);
    const awake = layers.map((layer) => layer.active[at] ?? 0);
    const each = layers.length <= 24 ? ` ${awake.join(', ')} in ${layers.length} layers;` : '';
    return `Epoch ${of.epochs[at]}: ${count(sum(awake))} of ${count(sum(layers.map((layer) => layer.width)))} neurons are awake,`
      + `${each} ${count(of.parameters[at])} parameters, validation loss ${loss(of.validation[at])}.`;
  }

  updated() {
    if (this.course?.length) this.#go(Math.max(0, Math.min(this.at, this.course.length - 1)), false);
    else this.#caption();
  }

  /** Written by hand, as all that moves: a template must not hold what stands in here. */
  #caption() {
    const caption = this.querySelector('#glass-caption');
    if (caption) caption.textContent = this.#words();
  }

  render() {
    if (this.missing) return html`<h1>Search</h1>${alert(this.missing)}<p><a href="/">All searches</a></p>`;
    if (!this.search) return html`<h1>Search</h1><p class="empty">Loading…</p>`;
    const { search } = this;
    const { progress } = search;
    const running = !TERMINAL.includes(search.status);
    return html`
      <div class="head"><h1>${titled(search)}</h1>${state(search.status)}<div class="actions">${this.#actions()}</div></div>
      ${alert(this.refused)}
      ${search.error ? html`<p class="note bad"><strong>It failed (${search.error.code}).</strong> ${search.error.message}</p>` : nothing}
      ${running && progress.epochs && progress.stage ? html`<progress max=${progress.epochs} value=${progress.epoch ?? 0}
        aria-label="Epochs of the stage ${progress.stage}"></progress>` : nothing}
      ${this.#facts()}
      <section class="sheet">${this.#glass()}</section>
      <div class="grid">
        <section class="sheet">${this.#heat()}</section>
        <section class="sheet">${this.#curves()}</section>
        ${this.#samples()}
        ${search.result ? html`<section class="sheet wide"><b-outcome .search=${search} .artifacts=${this.artifacts ?? []}></b-outcome></section>` : nothing}
        ${this.front?.length ? html`<section class="sheet wide"><b-front .search=${search} .entries=${this.front}></b-front></section>` : nothing}
        <section class="sheet">${this.#told()}</section>
        <section class="sheet"><h2>What was asked for</h2>
          <p class="small quiet">${search.id} · <a href="/new?from=${search.id}">change it and search anew</a></p>
          <div class="scroll" tabindex="0" role="region" aria-label="Specification"><pre>${json(given(search.spec))}</pre></div></section>
      </div>`;
  }

  #actions() {
    const { status } = this.search;
    const verbs = Object.entries(COMPLETE).filter(([, states]) => states.includes(status)).map(([verb]) => verb);
    const name = (verb) => verb[0].toUpperCase() + verb.slice(1);
    return html`${verbs.map((verb) => html`<button type="button" @click=${this.#do(verb)}>${name(verb)}</button>`)}
      <button type="button" @click=${this.#do('clone')}>Clone</button>
      ${TERMINAL.includes(status) ? html`<button type="button" @click=${() => this.querySelector('dialog').showModal()}>Delete…</button>
        <dialog aria-labelledby="delete-title"><h2 id="delete-title">Delete this search?</h2>
          <p>Its history and all that it published go with it.</p>
          <form method="dialog" class="actions"><button>Keep it</button>
            <button class="main" @click=${this.#do('delete')}>Delete</button></form></dialog>` : nothing}`;
  }

  #facts() {
    const { search } = this;
    const { progress, spec } = search;
    const limit = search.result?.target;
    const facts = [
      ['Stage', TERMINAL.includes(search.status) || !progress.stage ? null : `${progress.stage} ${progress.epoch ?? 0}/${progress.epochs ?? '?'}`],
      ['Left', TERMINAL.includes(search.status) || progress.eta_s == null ? null : span(progress.eta_s)],
      ['Parameters', count(size(search))],
      ['Target', limit ? `at most ${short(limit.limit)} ${limit.measure}; found has ${percent(limit.share)}` : spec.target ? Object.entries(spec.target).filter(([, v]) => v != null).map(([k, v]) => `${k === 'fraction' ? percent(v) : short(v)} ${k === 'fraction' ? '' : k}`)[0] : null],
      ['Loss', loss(best(search))],
      ['Delivered', search.result?.winner ?? null],
      ['Task', `${spec.task.kind} · ${spec.superstructure.kind}`],
      ['Data', spec.data.startsWith('dset_') ? `…${spec.data.slice(-6)}` : spec.data],
      ['Took', search.finished_at && search.started_at ? span((new Date(search.finished_at) - new Date(search.started_at)) / 1000) : null],
    ];
    return html`<dl class="facts">${facts.filter(([, value]) => value != null).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
  }

  #glass() {
    const of = this.course;
    const most = searchedLayers(of.layers).reduce((found, layer) => layer.active.reduce((a, b) => Math.max(a, b ?? 0), found), 0);
    const flip = () => { this.zoomed = !this.zoomed; this.requestUpdate(); };
    const zoom = html`<button type="button" class="plain" aria-pressed=${this.zoomed ? 'true' : 'false'} ?disabled=${!most} @click=${flip}>Zoom</button>`;
    const planned = of.stage === 'search' ? this.search.spec.budget.epochs * (this.search.spec.seeds?.length ?? 1) : of.epochs.at(-1);
    const picture = html`<b-glass .zoom=${this.zoomed ? most : 0} .layers=${of.layers} .graph=${this.graph.layers.length ? this.graph : null} label=${this.#words()}></b-glass>
      <b-scrub .length=${of.length} label="Epoch" .words=${(at) => `${of.epochs[at]} of ${planned} · ${short(of.parameters[at])}`}
        @scrub=${(event) => this.#go(event.detail.at, event.detail.rests)}></b-scrub>`;
    const at = Math.max(0, Math.min(this.at, of.length - 1));
    return html`${figure(this, {
      title: 'Architecture', picture, extra: zoom, caption: html`<span id="glass-caption"></span>`,
      table: () => rows(['Layer', 'Neurons', 'Awake', 'Share'], of.layers.map((layer) => [layer.name, count(layer.width),
        layer.searched ? count(layer.active[at] ?? 0) : 'all', layer.searched ? percent((layer.active[at] ?? 0) / layer.width) : 'not searched'])),
    })}<p class="unseen" id="said" aria-live="polite"></p>`;
  }

  #heat() {
    const of = this.course;
    const layers = searchedLayers(of.layers);
    const points = some(of.length, 12);
    return figure((this.heatHost ??= host(this)), {
      title: 'Every layer, every epoch',
      picture: html`<b-heat .course=${of} .layers=${layers} @scrub=${(event) => this.#go(event.detail.at, event.detail.rests)}></b-heat>`,
      caption: of.length ? `${layers.length} layers over ${of.length} epoch${of.length === 1 ? '' : 's'}. Strong colour is much, faint is little; drag to move the slider.` : '',
      table: () => rows(['Layer', ...points.map((i) => `Epoch ${of.epochs[i]}`)], layers.map((layer) => [layer.name, ...points.map((i) => count(layer.active[i]))])),
    });
  }

  #curves() {
    const of = this.course;
    const x = [...Array(of.length).keys()].map((i) => i + 1);
    const lowest = of.validation.reduce((a, b, i) => (b != null && (a < 0 || b < of.validation[a]) ? i : a), -1);
    return figure((this.curvesHost ??= host(this)), {
      title: 'Loss',
      picture: of.length ? html`<b-curves class="curve" .x=${x} .series=${[{ label: 'training', values: of.train },
        { label: 'validation', values: of.validation, dash: true, second: true }]}></b-curves>` : html`<p class="empty">No epoch has ended yet.</p>`,
      caption: lowest >= 0 ? `Lowest validation loss ${loss(of.validation[lowest])} in epoch ${of.epochs[lowest]}, before the found network is trained on.` : '',
      table: () => rows(['Epoch', 'Training', 'Validation', 'Parameters'], some(of.length, 20).map((i) => [of.epochs[i], loss(of.train[i]), loss(of.validation[i]), count(of.parameters[i])])),
    });
  }

  #samples() {
    const samples = this.events.filter((event) => event.kind === 'sample').map((event) => event.data);
    const recorded = this.artifacts?.find((one) => one.name === 'samples.safetensors');
    if (!samples.length && !recorded) return nothing;
    return html`<section class="sheet wide"><b-strips .samples=${samples} .recorded=${recorded?.url ?? null} .task=${this.search.spec.task.kind}></b-strips></section>`;
  }

  #told() {
    const told = this.events.filter((event) => event.kind !== 'sample');
    return html`<h2>Events</h2><div class="scroll" tabindex="0" role="region" aria-label="Events"><ol class="events">${told.toReversed().map((event) => html`<li>
      <time datetime=${event.created_at}>${new Date(event.created_at).toLocaleTimeString('en', { hour12: false })}</time>
      <strong>${event.kind.replaceAll('_', ' ')}</strong><span>${words(event)}</span></li>`)}</ol></div>`;
  }
}
customElements.define('b-detail', Detail);

/** Remembers for a figure whether it shows its table. */
const host = (element) => ({ asTable: false, requestUpdate: () => element.requestUpdate() });

/** A specification without what nobody gave. */
function given(spec) {
  if (Array.isArray(spec) || spec === null || typeof spec !== 'object') return spec;
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== null && value !== '').map(([name, value]) => [name, given(value)]));
}

function words({ kind, data }) {
  if (kind === 'stage') return `${data.stage}, ${data.epochs} epochs`;
  if (kind === 'started') return `${Object.entries(data.samples).map(([split, n]) => `${count(n)} ${split}`).join(', ')} samples${data.resumed ? `; goes on from epoch ${data.resumed[1]} of ${data.resumed[0]}` : ''}`;
  return Object.entries(data).filter(([, value]) => ['string', 'number'].includes(typeof value)).map(([name, value]) => `${name.replaceAll('_', ' ')} ${name === 'worker' ? `…${String(value).slice(-6)}` : value}`).join(' · ');
}

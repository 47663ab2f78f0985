// The searches: what they are, how far, and why where they failed.
import { get } from './api.js';
import { Element, alert, html, nothing, state } from './element.js';
import { TERMINAL, ago, best, count, loss, percent, size, span, titled } from './format.js';
import { Live } from './live.js';
import { spark } from './spark.js';

const STATES = ['queued', 'starting', 'running', 'pausing', 'paused', 'cancelling', 'cancelled', 'succeeded', 'failed'];
const PICKED = 'bregnas-compare';

class List extends Element {
  constructor() {
    super();
    this.query = new URLSearchParams(location.search);
    this.picked = JSON.parse(sessionStorage.getItem(PICKED) ?? '[]');
  }

  connectedCallback() {
    super.connectedCallback();
    this.live = new Live(() => this.load());
  }

  async load() {
    const query = new URLSearchParams({ limit: '20' });
    for (const name of ['status', 'after']) if (this.query.get(name)) query.set(name, this.query.get(name));
    const [key, ...value] = (this.query.get('metadata') ?? '').split('=');
    if (key) query.set(`metadata[${key}]`, value.join('='));
    try {
      this.page = await get(`/v1/searches?${query}`);
      this.error = null;
    } catch (error) {
      if (!error.status) throw error;
      this.error = error;
    } finally {
      this.requestUpdate();
    }
    return this.error != null;
  }

  pick(id, on) {
    this.picked = [...this.picked.filter((one) => one !== id), ...(on ? [id] : [])].slice(-2);
    sessionStorage.setItem(PICKED, JSON.stringify(this.picked));
    this.requestUpdate();
  }

  render() {
    const [a, b] = this.picked;
    return html`
      <div class="head"><h1>Searches</h1><div class="actions"><a class="button main" href="/new">New search</a></div></div>
      <form class="filters" method="get" action="/">
        <label>State <select name="status" @change=${(event) => event.target.form.requestSubmit()}>
          <option value="">all</option>
          ${STATES.map((one) => html`<option ?selected=${one === this.query.get('status')}>${one}</option>`)}</select></label>
        <label>Metadata <input name="metadata" placeholder="project=x" .value=${this.query.get('metadata') ?? ''}></label>
        <button>Filter</button>
        <span class="push actions">
          <span class="quiet small" role="status">${a ? `${this.picked.length} of 2 chosen` : 'Choose two to compare'}</span>
          ${a ? html`<button type="button" class="plain" @click=${() => { this.picked = []; this.pick('', false); }}>Clear</button>` : nothing}
          <button type="button" ?disabled=${!b} @click=${() => location.assign(`/compare?a=${a}&b=${b}`)}>Compare</button>
        </span>
      </form>
      ${alert(this.error)}
      <div class="sheet">${this.page ? this.table() : html`<p class="empty">${this.error ? 'Nothing to show.' : 'Loading…'}</p>`}</div>
      ${this.page ? this.pages() : nothing}`;
  }

  table() {
    const found = this.page.data;
    if (!found.length) {
      return html`<p class="empty">${this.query.get('status') || this.query.get('metadata') ? 'No search passes this filter.'
        : html`Nothing was searched yet. <a href="/new">Begin with a small one</a>: it takes a minute.`}</p>`;
    }
    return html`<table class="searches" role="table"><thead role="rowgroup"><tr role="row">
      <th scope="col" role="columnheader"><span class="unseen">Compare</span></th>
      ${['Search', 'State', 'Shape'].map((name) => html`<th scope="col" role="columnheader">${name}</th>`)}
      ${['Parameters', 'Loss', 'Begun'].map((name) => html`<th scope="col" role="columnheader" class="number">${name}</th>`)}</tr></thead>
      <tbody role="rowgroup">${found.map((search) => this.row(search))}</tbody></table>`;
  }

  row(search) {
    const { progress, spec } = search;
    const at = progress.stage && !TERMINAL.includes(search.status)
      ? ` · ${progress.stage} ${progress.epoch ?? 0}/${progress.epochs ?? '?'}${progress.eta_s == null ? '' : ` · ${span(progress.eta_s)} left`}` : '';
    const won = search.result?.winner;
    return html`<tr role="row">
      <td role="cell" class="tick"><input type="checkbox" aria-label="Compare ${titled(search)}" .checked=${this.picked.includes(search.id)}
        @change=${(event) => this.pick(search.id, event.target.checked)}></td>
      <td role="cell" class="name"><a href="/searches/${search.id}">${titled(search)}</a>
        <div class="small quiet">${spec.superstructure.kind} · ${spec.task.kind} · ${spec.data}${at}${won && won !== 'found' ? ` · ${won} won` : ''}</div>
        ${search.error ? html`<div class="error">${search.error.message}</div>` : nothing}</td>
      <td role="cell" class="is">${state(search.status)}</td>
      <td role="cell" class="shape">${spark(search.layers)}</td>
      <td role="cell" class="number size" data-of="parameters">${count(size(search))}</td>
      <td role="cell" class="number loss" data-of="loss">${loss(best(search))}</td>
      <td role="cell" class="number when small quiet"><time datetime=${search.created_at}>${ago(search.created_at)}</time></td></tr>`;
  }

  pages() {
    const older = new URLSearchParams(this.query);
    older.set('after', this.page.last_id);
    const newest = new URLSearchParams(this.query);
    newest.delete('after');
    return html`<div class="pages">
      ${this.query.get('after') ? html`<a class="button" href="/?${newest}">Newest</a>` : nothing}
      ${this.page.has_more ? html`<a class="button" href="/?${older}">Older</a>` : nothing}</div>`;
  }
}
customElements.define('b-list', List);

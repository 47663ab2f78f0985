// Every architecture that was found, size against loss, and the networks that it was compared with.
import { Lost, get } from './api.js';
import { Element, alert, figure, html, nothing } from './element.js';
import { count, loss } from './format.js';
import { legend } from './scatter.js';

const MOST = 500;
const SIGNS = { found: ['diamond', 'solid', 'found by a search'], flat: ['square', 'rival', 'equal widths'], scaled: ['triangle', 'rival', 'scaled down'],
  linear: ['cross', 'rival', 'linear'], random: ['plus', 'rival', 'random widths'], scratch: ['circle', 'rival', 'found widths from scratch'],
  geometric: ['star', 'rival', 'geometric hour-glass'], ratio: ['down', 'rival', 'widths by a ratio'], control: ['bar', 'rival', 'control'] };

class Architectures extends Element {
  constructor() {
    super();
    this.query = new URLSearchParams(location.search);
    this.found = [];
  }

  connectedCallback() {
    super.connectedCallback();
    this.load();
  }

  async load() {
    const query = new URLSearchParams({ limit: '100' });
    for (const name of ['task', 'data', 'superstructure', 'shape']) if (this.query.get(name)) query.set(name, this.query.get(name));
    const found = [];
    try {
      for (let after = ''; ; ) {
        const page = await get(`/v1/architectures?${query}${after}`);
        found.push(...page.data);
        this.more = page.has_more;
        if (!page.has_more || found.length >= MOST) break;
        after = `&after=${encodeURIComponent(page.last_id)}`;
      }
      this.error = null;
      this.found = found;
      this.loaded = true;
    } catch (error) {
      this.error = error;
      if (error instanceof Lost) setTimeout(() => this.load(), 2000);
    }
    this.requestUpdate();
  }

  render() {
    // Losses are comparable within one task on one set of data alone.
    const group = (one) => `${one.task} on ${one.data}`;
    const groups = [...new Set(this.found.map(group))];
    const chosen = groups.includes(this.group) ? this.group : groups[0];
    const shown = this.found.filter((one) => group(one) === chosen).sort((a, b) => a.parameters - b.parameters);
    const set = (name) => (event) => {
      if (event.target.value) this.query.set(name, event.target.value);
      else this.query.delete(name);
      history.replaceState(null, '', `?${this.query}`);
      this.load();
    };
    const select = (label, name, values) => html`<label>${label} <select @change=${set(name)}><option value="">all</option>
      ${values.map((one) => html`<option .selected=${one === this.query.get(name)}>${one}</option>`)}</select></label>`;
    return html`<div class="head"><h1>Architectures</h1></div>
      ${alert(this.error)}
      <div class="filters">
        <label>Task and data <select @change=${(event) => { this.group = event.target.value; this.requestUpdate(); }}>
          ${groups.map((one) => html`<option value=${one} .selected=${one === chosen}>${one}</option>`)}</select></label>
        ${select('Superstructure', 'superstructure', ['mlp', 'unet', 'convnet'])}
        ${select('Shape', 'shape', ['bottleneck', 'bulge', 'narrowing', 'widening', 'flat', 'other'])}</div>
      <div class="sheet">${shown.length ? this.#picture(chosen, shown) : html`<p class="empty">${this.loaded ? 'Nothing was found yet that passes this filter.' : 'Loading…'}</p>`}</div>`;
  }

  #picture(chosen, shown) {
    const points = shown.map((one) => {
      const [shape, classes] = SIGNS[one.candidate] ?? ['circle', 'rival'];
      return { x: one.parameters, y: one.loss, shape, classes, pick: `${one.search_id} ${one.candidate}`,
        label: `${one.candidate}: ${count(one.parameters)} parameters, loss ${loss(one.loss)}, widths ${one.widths.join(', ')}` };
    });
    points.sort((a, b) => (a.classes === 'solid') - (b.classes === 'solid'));
    const picked = shown.find((one) => `${one.search_id} ${one.candidate}` === this.picked);
    const lowest = shown.reduce((a, b) => (b.loss < a.loss ? b : a));
    const kinds = Object.entries(SIGNS).filter(([name]) => shown.some((one) => one.candidate === name));
    return html`${figure(this, {
      title: chosen,
      picture: html`<b-scatter .points=${points} .chosen=${this.picked} label="Size against validation loss" yName="validation loss"
        @pick=${(event) => { this.picked = event.detail; this.requestUpdate(); }}></b-scatter>${legend(kinds.map(([, one]) => one))}`,
      caption: `${shown.length === 1 ? 'One network' : `${shown.length} networks`}; the lowest loss is ${loss(lowest.loss)} with ${count(lowest.parameters)} parameters (${lowest.candidate}).${this.more ? ` The newest ${MOST} of all.` : ''}`,
      table: () => html`<table><thead><tr>${['Network', 'Parameters', 'Loss', 'Shape', 'Widths', 'Search'].map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
        <tbody>${shown.map((one) => html`<tr><th scope="row">${one.candidate}${one.won ? ' (won)' : ''}</th><td class="number">${count(one.parameters)}</td><td class="number">${loss(one.loss)}</td>
          <td>${one.shape}</td><td>${one.widths.join(', ')}</td><td><a href="/searches/${one.search_id}">…${one.search_id.slice(-6)}</a></td></tr>`)}</tbody></table>`,
    })}<p class="actions" role="status">${picked ? html`<span><strong>${picked.candidate}</strong>${picked.won ? ' (won)' : ''}: ${count(picked.parameters)} parameters, loss ${loss(picked.loss)}, ${picked.shape}, widths ${picked.widths.join(', ')}.</span>
      <a class="button" href="/searches/${picked.search_id}">Its search</a>` : nothing}</p>`;
  }
}
customElements.define('b-architectures', Architectures);

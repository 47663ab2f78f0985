// The front: what the search met on its way, one architecture for each size. One of them can be trained on.
import { request } from './api.js';
import { Element, alert, figure, html, nothing, rows } from './element.js';
import { count, loss } from './format.js';
import { legend } from './scatter.js';

class Front extends Element {
  static properties = { search: { attribute: false }, entries: { attribute: false } };

  async #train() {
    this.error = null;
    this.busy = true;
    this.requestUpdate();
    try {
      const made = await (await request(`/v1/searches/${this.search.id}/path/${this.chosen}`, { method: 'POST' })).json();
      location.assign(`/searches/${made.id}`);
    } catch (error) {
      this.error = error;
    } finally {
      this.busy = false;
      this.requestUpdate();
    }
  }

  render() {
    const chosen = this.entries.find((entry) => entry.k === this.chosen);
    const words = (entry) => `${count(entry.parameters)} parameters, loss ${loss(entry.validation.loss)}, met in epoch ${entry.epoch}`;
    const candidates = this.search.result.candidates.filter((one) => one.validation);
    const points = [
      ...candidates.map((one) => ({ x: one.parameters, y: one.validation.loss, shape: one.name === 'found' ? 'diamond' : 'square',
        classes: one.name === 'found' ? 'solid' : 'rival', label: `${one.name}: ${count(one.parameters)} parameters, loss ${loss(one.validation.loss)}`, text: one.name })),
      ...this.entries.map((entry) => ({ x: entry.parameters, y: entry.validation.loss, shape: 'circle', classes: entry.k === this.chosen ? 'solid' : '', label: words(entry), pick: entry.k })),
    ];
    return html`${figure(this, {
      title: 'Sizes on the way',
      picture: html`<b-scatter .points=${points} .chosen=${this.chosen} label="Size against validation loss; choose a size" yName="validation loss"
          @pick=${(event) => { this.chosen = event.detail; this.requestUpdate(); }}></b-scatter>
        ${legend([['circle', '', 'met on the way, not trained on yet'], ['diamond', 'solid', 'found, trained on'], ['square', 'rival', 'compared with it']])}`,
      caption: `${this.entries.length === 1 ? `One size, ${count(this.entries[0].parameters)}` : `${this.entries.length} sizes from ${count(this.entries[0].parameters)} to ${count(this.entries.at(-1).parameters)}`} parameters. Choose one to train it on as a search of its own.`,
      table: () => rows(['Architecture', 'Parameters', 'Epoch', 'Loss', 'Widths'], this.entries.map((entry) => [`number ${entry.k}`, count(entry.parameters), entry.epoch, loss(entry.validation.loss), entry.widths.join(', ')]).concat(
        candidates.map((one) => [one.name, count(one.parameters), 'end', loss(one.validation.loss), (one.widths ?? []).join(', ')]))),
    })}
    ${alert(this.error)}
    <p class="actions" role="status">${chosen ? html`<span>${words(chosen)}; widths ${chosen.widths.join(', ')}.</span>
      <button type="button" class="main" ?disabled=${this.busy} @click=${this.#train}>Train this size on</button>` : nothing}</p>`;
  }
}
customElements.define('b-front', Front);

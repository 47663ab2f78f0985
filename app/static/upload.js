// A data set of one's own: sent, checked by the service, and shown, or refused in words beside the file.
import { connection, request } from './api.js';
import { Element, html, nothing } from './element.js';
import { bytes, count } from './format.js';

class Upload extends Element {
  static properties = { made: { attribute: false }, error: { attribute: false }, busy: { type: Boolean } };

  async #send(file) {
    if (!file) return;
    Object.assign(this, { made: null, error: null, busy: true, file });
    const body = new FormData();
    body.append('file', file);
    try {
      this.made = await (await request('/v1/datasets', { method: 'POST', body })).json();
      this.dispatchEvent(new CustomEvent('made', { detail: this.made }));
    } catch (error) {
      this.error = connection.lost ? new Error('the connection was lost on the way; send it again') : error;
    } finally {
      this.busy = false;
    }
  }

  #drop(event) {
    event.preventDefault();
    event.currentTarget.classList.toggle('over', event.type === 'dragover');
    if (event.type === 'drop') this.#send(event.dataTransfer.files[0]);
  }

  render() {
    return html`<div class="drop" @dragover=${this.#drop} @dragleave=${this.#drop} @drop=${this.#drop}>
      <div class="field"><label for="file">Or your own: an .npz, an IDX file or a zip of images</label>
      <input type="file" id="file" accept=".npz,.zip,.gz,.idx,.idx3-ubyte,.idx1-ubyte" aria-describedby="file-said" aria-invalid=${this.error ? 'true' : 'false'}
        @change=${(event) => this.#send(event.target.files[0])}></div>
      <div id="file-said" role="status">
        ${this.busy ? html`<p class="small">Sending and checking ${this.file.name} (${bytes(this.file.size)})…</p>` : nothing}
        ${this.error ? html`<p class="error">${this.file.name} was refused: ${this.error.message}</p>` : nothing}
        ${this.made ? this.#checked() : nothing}</div></div>`;
  }

  #checked() {
    const { made } = this;
    return html`<p class="small"><strong>${made.name}</strong> is checked: ${count(made.count)} ${made.kind === 'image' ? 'images' : 'rows'} of
        ${made.shape.join(' × ')}${made.classes ? `, ${made.classes} classes` : ''}; ${Object.entries(made.splits).map(([split, n]) => `${count(n)} ${split}`).join(', ')}.</p>
      ${made.warnings.map((words) => html`<p class="small">Note: ${words}</p>`)}
      ${made.previews?.length ? html`<ul class="previews" aria-label="Samples">${made.previews.map((source, i) => html`<li><img src=${source} alt="Sample ${i + 1}"></li>`)}</ul>` : nothing}`;
  }
}
customElements.define('b-upload', Upload);

// What every element of these pages is: a Lit element in the page itself, so that one style sheet serves all.
import { LitElement, html, live, nothing, svg } from './vendor/lit.js';
import { connection, get, request } from './api.js';

export { html, live, nothing, svg };

export class Element extends LitElement {
  createRenderRoot() {
    return this;
  }
}

/** Says, on every page, that the service cannot be reached, for as long as it cannot. */
class Connection extends Element {
  connectedCallback() {
    super.connectedCallback();
    connection.addEventListener('change', () => this.requestUpdate());
  }

  render() {
    return html`<div role="status">${connection.lost
      ? html`<p class="lost">Connection lost. What you see may be old; trying again…</p>` : nothing}</div>`;
  }
}
customElements.define('b-connection', Connection);
/** On every page but the form for a key: ends the session of this browser, where it has one. */
class SignOut extends Element {
  connectedCallback() {
    super.connectedCallback();
    get('/session').then(({ has_key }) => { this.shown = has_key; this.requestUpdate(); }, () => {});
  }

  async leave() {
    await request('/session', { method: 'DELETE' });
    location.assign('/key');
  }

  render() {
    return this.shown ? html`<button type="button" class="plain" @click=${this.leave}>Sign out</button>` : nothing;
  }
}
customElements.define('b-sign-out', SignOut);
document.querySelector('header nav')?.after(document.createElement('b-sign-out'));

if (!document.querySelector('b-connection')) document.body.append(document.createElement('b-connection'));

const SIGNS = {
  queued: 'M6 2v4l2.5 1.5M11 6A5 5 0 1 1 1 6a5 5 0 0 1 10 0', starting: 'M2 6h8M7 3l3 3-3 3', running: 'M3 2l7 4-7 4z',
  pausing: 'M4 2v8M8 2v8', paused: 'M4 2v8M8 2v8', cancelling: 'M2 10 10 2', cancelled: 'M2 10 10 2',
  succeeded: 'M2 6.5 5 9.5l5-7', failed: 'M2 2l8 8M10 2l-8 8',
};

/** A state as a word and a sign. */
export function state(of) {
  const known = of in SIGNS ? of : 'queued';
  return html`<span class="state ${known}"><svg viewBox="0 0 12 12" aria-hidden="true"><path d=${SIGNS[known]}></path></svg>${of}</span>`;
}

/** A picture with its caption, and a table in its place on demand. `host` remembers what is shown. */
export function figure(host, { title, picture, caption, table, extra = nothing, name = title }) {
  const flip = () => {
    host.asTable = !host.asTable;
    host.requestUpdate();
  };
  return html`<figure>
    <div class="title"><h2>${title}</h2><span>${extra}<button class="plain" type="button" @click=${flip}
      aria-label="${name}: ${host.asTable ? 'picture' : 'table'}">${host.asTable ? 'Picture' : 'Table'}</button></span></div>
    <div ?hidden=${host.asTable}>${picture}</div>
    ${host.asTable ? html`<div class="scroll" tabindex="0" role="region" aria-label="${name}, table">${table()}</div>` : nothing}
    <figcaption>${caption}</figcaption>
  </figure>`;
}

/** A table of rows of text; numbers stand to the right. */
export function rows(heads, body) {
  const cell = (value, i) => (i === 0 ? html`<th scope="row">${value}</th>`
    : html`<td class=${typeof value === 'number' || /^[\d.,–-]/.test(value) ? 'number' : ''}>${value}</td>`);
  return html`<table><thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
    <tbody>${body.map((row) => html`<tr>${row.map(cell)}</tr>`)}</tbody></table>`;
}

/** Text to be copied. */
export function copyable(text, label) {
  const copy = async (event) => {
    const button = event.currentTarget;
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
    setTimeout(() => (button.textContent = 'Copy'), 1500);
  };
  return html`<div class="copy"><pre tabindex="0" role="region" aria-label=${label}>${text}</pre>${navigator.clipboard
    ? html`<button class="plain" type="button" aria-label="Copy: ${label}" @click=${copy}>Copy</button>` : nothing}</div>`;
}

/** The errors of a problem, for where they stand beside nothing. */
export function alert(error, lead = '') {
  return error ? html`<p class="note bad" role="alert">${lead ? html`<strong>${lead}</strong> ` : nothing}${error.message}</p>` : nothing;
}

// The form for a key: it is sent once, and what the browser keeps no script can read.
import { Problem, request } from './api.js';
import { Element, alert, html } from './element.js';

/** Where one was, if that is on this site. */
function back() {
  const next = new URLSearchParams(location.search).get('next') ?? '/';
  try {
    const url = new URL(next, location.origin);
    return url.origin === location.origin ? url.href : '/'; // whole: a path like //host would lead elsewhere
  } catch {
    return '/';
  }
}

class Key extends Element {
  connectedCallback() {
    super.connectedCallback();
    // A link from another site comes without the cookie, which is strict: then nothing needs to be typed.
    request('/session').then(() => location.replace(back()), () => {});
  }

  async send(event) {
    event.preventDefault();
    this.error = null;
    try {
      await request('/session', { json: { key: event.target.key.value } });
      location.replace(back());
    } catch (error) {
      this.error = error instanceof Problem && error.status === 422 ? new Error('this is no key; one begins with bgk_') : error;
      this.requestUpdate();
      await this.updateComplete;
      this.querySelector('input').focus();
    }
  }

  render() {
    return html`<form class="sheet narrow" @submit=${this.send}>
      <h1>Show your key</h1>
      <p class="quiet">This service asks for one. It begins with <code>bgk_</code>; whoever runs the service makes keys with
        <code>bregnas keys make NAME</code>.</p>
      ${alert(this.error)}
      <div class="field"><label for="key">Key</label>
        <input id="key" name="key" type="password" autocomplete="current-password" required autofocus
          aria-invalid=${this.error ? 'true' : 'false'}></div>
      <p><button class="main">Go on</button></p>
      <p class="small quiet">You stay let in for a day, in this browser.</p>
    </form>`;
  }
}
customElements.define('b-key', Key);

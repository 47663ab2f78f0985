// How a page asks the API: with the session's cookie, and with words for whatever goes wrong.

export const connection = new EventTarget();
connection.lost = false;

function heard(ok) {
  if (connection.lost === !ok) return;
  connection.lost = !ok;
  connection.dispatchEvent(new Event('change'));
}
addEventListener('offline', () => heard(false));

/** What the API refused; `errors` are `{loc, msg}`. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? `the service answered with ${status}`);
    this.status = status;
    this.code = document.code ?? '';
    this.errors = document.errors ?? [];
  }
}

/** The service could not be reached, or stands on something that is away. */
export class Lost extends Error {}

/** Says `key` before the page is left for the form for a key. */
export const leaving = new EventTarget();

/** Lead to the form for a key, and back here. */
export function askForKey() {
  leaving.dispatchEvent(new Event('key'));
  location.assign('/key?next=' + encodeURIComponent(location.pathname + location.search));
  return new Promise(() => {}); // nothing else happens on this page
}

/** The answer to a request. Raises Lost and Problem; without a valid session it leads to the key form. */
export async function request(path, { json, ...options } = {}) {
  const headers = { Accept: 'application/json', ...options.headers };
  if (json !== undefined) {
    headers['Content-Type'] = 'application/json';
    options = { method: 'POST', ...options, body: JSON.stringify(json) };
  }
  let answer;
  try {
    answer = await fetch(path, { cache: 'no-store', ...options, headers });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    heard(false);
    throw new Lost('the service cannot be reached; trying again', { cause: error });
  }
  if (answer.status >= 500 || answer.status === 429) { // it may pass
    const document = await answer.json().catch(() => ({}));
    if (options.method && options.method !== 'GET') throw new Problem(answer.status, document);
    heard(false);
    throw new Lost(document.detail ?? 'the service is away; trying again');
  }
  heard(true);
  if (answer.status === 401 && path !== '/session') return askForKey();
  if (!answer.ok && answer.status !== 304) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

/** The document at a path. */
export async function get(path, options) {
  return (await request(path, options)).json();
}

/** A document that is asked for again and again: `fetch` says whether it has changed. */
export class Polled {
  constructor(path) {
    this.path = path;
    this.value = null;
    this.etag = null;
  }

  async fetch() {
    const answer = await request(this.path, { headers: this.etag ? { 'If-None-Match': this.etag } : {} });
    if (answer.status === 304) return false;
    this.etag = answer.headers.get('ETag');
    this.value = await answer.json();
    return true;
  }
}

/** All of a list, page by page, `most` items at most. */
export async function all(path, most = 1000) {
  const found = [];
  for (let after = ''; ; ) {
    const page = await get(`${path}${path.includes('?') ? '&' : '?'}limit=100${after}`);
    found.push(...page.data);
    if (!page.has_more || found.length >= most) return { data: found, whole: !page.has_more };
    after = `&after=${encodeURIComponent(page.last_id)}`;
  }
}

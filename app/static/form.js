// A form for a specification, drawn from its JSON Schema. It writes down only what is filled in: the rest has defaults.
import { html, live, nothing } from './element.js';
import { kindOf, resolve, tagOf, variantsOf } from './schema.js';

const NAMES = { lr: 'Learning rate', lam: 'λ', skip_lam: 'λ of skips', sigma: 'Noise σ', delta: 'δ', compare: 'Compare with', betas: 'βs', eps: 'ε', optimizer: 'Optimiser' };
const name = (key) => NAMES[key] ?? (key[0].toUpperCase() + key.slice(1)).replaceAll('_', ' ');

/** The value at a path of a document. */
export const at = (document, path) => path.reduce((value, key) => value?.[key], document);

/** A copy of a document with another value at a path; `undefined` takes it away. */
export function put(document, path, value) {
  const [key, ...rest] = path;
  const copy = { ...document };
  const inner = rest.length ? put(document?.[key] ?? {}, rest, value) : value;
  if (inner === undefined) delete copy[key];
  else copy[key] = inner;
  return copy;
}

export class Form {
  /** @param set called with (path, value) @param errors gives the message for a path @param parts the schemas referred to */
  constructor(parts, set, errors) {
    Object.assign(this, { parts, set, errors });
  }

  /** The fields of an object, but for those left out. */
  object(schema, path, document, leave = []) {
    return Object.entries(schema.properties).filter(([key]) => !leave.includes(key)).map(([key, one]) => this.field(one, [...path, key], document));
  }

  /** One field, with its label, its help and its error. */
  field(schema, path, document) {
    const found = resolve(schema, this.parts);
    const kind = kindOf(found, this.parts);
    if (kind === 'const') return nothing;
    if (kind === 'union') return this.union(found, path, document);
    const key = path.at(-1);
    if (kind === 'object') return html`<fieldset><legend>${name(key)}</legend><div class="fields">${this.object(found, path, document)}</div></fieldset>`;
    const id = path.join('.');
    const error = this.errors(path);
    const described = [found.description ? `${id}-help` : '', error ? `${id}-error` : ''].filter(Boolean).join(' ');
    const known = { id, described: described || nothing, invalid: error ? 'true' : 'false', value: at(document, path), path };
    return this.#framed(kind, name(key), found, known, error, this.#control(kind, found, known));
  }

  /** A choice of variants, and the fields of the chosen one. */
  union(schema, path, document) {
    const tag = tagOf(schema, this.parts);
    const variants = variantsOf(schema, this.parts);
    const [first] = variants.keys();
    const chosen = at(document, [...path, tag]) ?? first;
    const variant = variants.get(chosen) ?? variants.get(first);
    const id = [...path, tag].join('.');
    const error = this.errors([...path, tag], path);
    return html`<div class="field"><label for=${id}>${name(tag)}</label>
        <select id=${id} aria-invalid=${error ? 'true' : 'false'} aria-describedby="${id}-help ${error ? `${id}-error` : ''}"
          @change=${(event) => this.set(path, { [tag]: event.target.value, ...defaults(variants.get(event.target.value)) })}>
          ${[...variants.keys()].map((one) => html`<option value=${one} .selected=${one === chosen}>${one}</option>`)}</select>
        ${help(`${id}-help`, variant.description)}${says(`${id}-error`, error)}</div>
      ${this.object(variant, path, document)}`;
  }

  #framed(kind, label, schema, { id }, error, control) {
    if (kind === 'boolean') return html`<div class="field check">${control}<label for=${id}>${label}</label>${help(`${id}-help`, schema.description)}${says(`${id}-error`, error)}</div>`;
    const head = kind === 'enums' ? html`<span class="label" id="${id}-label">${label}</span>` : html`<label for=${id}>${label}</label>`;
    return html`<div class="field ${kind === 'enums' ? 'whole' : ''}">${head}${control}${help(`${id}-help`, schema.description)}${says(`${id}-error`, error)}</div>`;
  }

  #control(kind, schema, { id, described, invalid, value, path }) {
    const set = (given) => this.set(path, given);
    const usual = schema.default == null ? (schema.optional ? 'by default' : '') : [schema.default].flat().join(', ');
    switch (kind) {
      case 'boolean':
        return html`<input type="checkbox" id=${id} aria-describedby=${described} .checked=${live(value ?? schema.default ?? false)}
          @change=${(event) => set(event.target.checked)}>`;
      case 'enum':
        return html`<select id=${id} aria-describedby=${described} aria-invalid=${invalid} @change=${(event) => set(event.target.value || undefined)}>
          ${schema.default == null ? html`<option value="" .selected=${value == null}>by default</option>` : nothing}
          ${schema.enum.map((one) => html`<option value=${one} .selected=${one === (value ?? schema.default)}>${one}</option>`)}</select>`;
      case 'enums':
        return html`<div class="boxes" role="group" aria-labelledby="${id}-label" aria-describedby=${described}>${(schema.items.enum ?? resolve(schema.items, this.parts).enum).map((one) => html`<label>
          <input type="checkbox" .checked=${live((value ?? []).includes(one))} @change=${(event) => {
            const left = (value ?? []).filter((other) => other !== one);
            const now = event.target.checked ? [...left, one] : left;
            set(now); // none of them is an answer too
          }}>${one}</label>`)}${schema.optional ? html`<span class="quiet small">${value == null ? 'by default' : value.length ? '' : 'nothing'}</span>
          ${value == null ? nothing : html`<button type="button" class="plain" @click=${() => set(undefined)}>By default</button>`}` : nothing}</div>`;
      case 'pairs':
        return html`<textarea id=${id} rows="2" placeholder="project=x" aria-describedby=${described} aria-invalid=${invalid}
          .value=${live(value ? Object.entries(value).map(([k, v]) => `${k}=${v}`).join('\n') : '')} @change=${(event) => {
            const lines = event.target.value.split('\n').filter((line) => line.trim());
            set(lines.length ? Object.fromEntries(lines.map((line) => [line.split('=')[0].trim(), line.split('=').slice(1).join('=').trim()])) : undefined);
          }}></textarea>`;
      case 'numbers':
        return html`<input id=${id} inputmode="numeric" placeholder=${usual} aria-describedby=${described} aria-invalid=${invalid}
          .value=${live(value ? [value].flat().join(', ') : '')} @change=${(event) => set(list(event.target.value))}>`;
      case 'number':
        return html`<input id=${id} inputmode=${schema.type === 'integer' ? 'numeric' : 'decimal'} placeholder=${usual} aria-describedby=${described}
          aria-invalid=${invalid} .value=${live(value == null ? '' : String(value))} @change=${(event) => set(number(event.target.value))}>`;
      default:
        return html`<input id=${id} placeholder=${usual} aria-describedby=${described} aria-invalid=${invalid} maxlength=${schema.maxLength ?? nothing}
          .value=${live(value ?? '')} @change=${(event) => set(event.target.value || undefined)}>`;
    }
  }
}

/** A number as it was typed; what is none stays text, and the service says what is wrong with it. */
export function number(text) {
  const trimmed = text.trim();
  if (!trimmed) return undefined;
  const value = Number(trimmed.replace(/^([\d.]+)([km])$/i, (_, n, unit) => String(Number(n) * (unit.toLowerCase() === 'k' ? 1e3 : 1e6))));
  return Number.isFinite(value) ? value : trimmed;
}

function list(text) {
  const parts = text.split(/[\s,;]+/).filter(Boolean).map(number);
  return parts.length ? parts : undefined;
}

/** What must be given and has no default: something to begin with. */
function defaults(variant) {
  return (variant.required ?? []).includes('widths') ? { widths: [128, 64, 128] } : (variant.required ?? []).includes('channels') ? { channels: [32, 32] } : {};
}

const LONG = 100;

function help(id, text) {
  if (!text) return nothing;
  const plain = text.replaceAll('`', '').replace(/\s+/g, ' ');
  if (plain.length <= LONG) return html`<p class="help" id=${id}>${plain}</p>`;
  const sentence = plain.match(/^.*?[.:](?=\s)/)?.[0] ?? '';
  const first = sentence.length > 24 && sentence.length <= LONG ? sentence : `${plain.slice(0, LONG).replace(/\s\S*$/, '')}…`;
  return html`<details class="help"><summary id=${id}>${first} <span>More</span></summary><p>${plain}</p></details>`;
}

export const says = (id, error) => (error ? html`<p class="error" id=${id}>${error}</p>` : nothing);

// Numbers, times and names as people read them.

const whole = new Intl.NumberFormat('en');
const digits = new Intl.NumberFormat('en', { maximumSignificantDigits: 4 });

export const count = (value) => (value == null ? '–' : whole.format(value));

export function short(value) {
  if (value == null) return '–';
  for (const [unit, size] of [['G', 1e9], ['M', 1e6], ['k', 1e3]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))}${unit}`;
  }
  return String(value);
}

export function loss(value) {
  if (value == null || !Number.isFinite(value)) return '–';
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(2) : digits.format(value);
}

export function bytes(value) {
  for (const [unit, size] of [['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${unit}`;
  }
  return `${value} bytes`;
}

export function span(seconds) {
  if (seconds == null) return '–';
  if (seconds < 1) return 'under 1 s';
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${(seconds / 3600).toPrecision(2)} h` : `${Math.round(seconds / 86_400)} days`;
}

export function ago(time) {
  const seconds = (Date.now() - new Date(time)) / 1000;
  return seconds < 5 ? 'just now' : `${span(seconds)} ago`;
}

export const clock = (time) => new Date(time).toLocaleTimeString('en', { hour12: false });
/** A share; never rounded up to all of it. */
export const percent = (share) => `${(100 * share).toFixed(share < 0.1 || (share > 0.99 && share < 1) ? 1 : 0).replace(/^100.0$/, '99.9')} %`;
export const titled = (search) => search.name || `${search.spec.task.kind} on ${search.spec.data}`;
export const TERMINAL = ['succeeded', 'failed', 'cancelled'];

/** The validation loss that stands for a search: the delivered network's, else the newest. */
export function best(search) {
  const won = search.result?.candidates?.find((one) => one.name === search.result.winner);
  return won?.validation?.loss ?? search.losses.validation;
}

/** The size that stands for a search, in parameters. */
export function size(search) {
  const won = search.result?.candidates?.find((one) => one.name === search.result.winner);
  return won?.parameters ?? search.parameters;
}

/** A document as JSON that people read: lists of plain values on one line. */
export const json = (document) => JSON.stringify(document, null, 2).replace(/\[[^[\]{}]*\]/g, (list) => list.replace(/\s+/g, ' ').replace('[ ', '[').replace(' ]', ']'));

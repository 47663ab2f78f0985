// When is it worth asking again? A stream of events says so, one a tab; without it, polls with a little chance in them.
import { Lost } from './api.js';

const KINDS = ['queued', 'starting', 'running', 'started', 'stage', 'epoch', 'sample', 'waiting', 'trainer_died', 'moved',
  'handed_back', 'pausing', 'paused', 'cancelling', 'cancelled', 'succeeded', 'failed'];
const LEAST_MS = 700;
const SLOW_MS = 10_000; // with a stream: for kinds of events that this page does not know
const FAST_MS = 2_000;

/** Calls `refresh` (async, true where nothing more will come) whenever something may have changed, never twice at once. */
export class Live {
  /** @param stream the path of a stream of events, or null */
  constructor(refresh, stream = null) {
    this.refresh = refresh;
    this.stream = stream;
    this.over = this.busy = this.again = false;
    this.failures = 0;
    this.seen = () => (document.hidden ? this.#rest() : this.wake());
    document.addEventListener('visibilitychange', this.seen);
    addEventListener('online', this.seen);
    this.wake();
  }

  /** Look now. */
  async wake() {
    if (this.over || document.hidden) return;
    clearTimeout(this.timer);
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    this.again = false;
    const began = performance.now();
    let done = false;
    try {
      done = await this.refresh();
      this.failures = 0;
    } catch (error) {
      this.failures += 1;
      if (!(error instanceof Lost)) throw error;
    } finally {
      this.busy = false;
      if (done) this.stop();
      else this.#next(performance.now() - began);
    }
  }

  stop() {
    this.over = true;
    this.#rest();
    document.removeEventListener('visibilitychange', this.seen);
    removeEventListener('online', this.seen);
  }

  #rest() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  #next(took) {
    if (document.hidden || this.over) return;
    if (this.stream && !this.source && !this.failures) this.#listen();
    const streams = this.source?.readyState === 1;
    const wait = this.again ? Math.max(LEAST_MS, 4 * took)
      : (streams ? SLOW_MS : Math.min(15_000, FAST_MS * 1.5 ** this.failures)) * (0.75 + Math.random() / 2);
    this.timer = setTimeout(() => this.wake(), wait);
  }

  #listen() {
    const source = (this.source = new EventSource(this.stream()));
    let due = 0;
    const told = () => {
      if (source !== this.source) return;
      const wait = due - performance.now();
      if (wait <= 0) {
        due = performance.now() + LEAST_MS;
        this.wake();
      } else if (!this.again) {
        this.again = true;
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.wake(), wait);
      }
    };
    for (const kind of KINDS) source.addEventListener(kind, told);
    source.onerror = () => {
      if (source !== this.source) return;
      this.source.close();
      this.source = null;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.wake(), LEAST_MS);
    };
  }
}

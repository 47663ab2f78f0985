// A picture that is drawn for the width it has, so that its letters keep their size.
import { Element } from './element.js';

const dark = matchMedia('(prefers-color-scheme: dark)');

export class Sized extends Element {
  connectedCallback() {
    super.connectedCallback();
    this.style.display = 'block';
    this.room = Math.round(this.clientWidth);
    this.watcher = new ResizeObserver(([entry]) => {
      const room = Math.round(entry.contentRect.width);
      if (room && room !== this.room) {
        this.room = room;
        this.requestUpdate();
      }
    });
    this.watcher.observe(this);
    this.recolour = () => this.requestUpdate('dark');
    dark.addEventListener('change', this.recolour);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.watcher.disconnect();
    dark.removeEventListener('change', this.recolour);
  }

  /** The value of one of the style sheet's variables. */
  colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }
}

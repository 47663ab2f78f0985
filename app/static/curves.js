// Curves of losses over epochs, by uPlot. Dashes tell them apart as well as colours.
import uPlot from './vendor/uplot.js';
import { nothing } from './element.js';
import { loss } from './format.js';
import { Sized } from './sized.js';

class Curves extends Sized {
  static properties = { series: { attribute: false }, x: { attribute: false } };

  render() {
    return nothing;
  }

  /** Mark a place on the axis of epochs. */
  mark(x) {
    this.at = x;
    this.plot?.setCursor({ left: this.plot.valToPos(x, 'x'), top: -10 }, false);
  }

  updated() {
    if (!this.room || !this.x) return;
    const data = [this.x, ...this.series.map((one) => one.values)];
    const shape = JSON.stringify([this.room, this.colour('ink'), this.series.map((one) => one.label)]);
    const values = data.slice(1).flat().filter((value) => value > 0);
    const log = values.length > 0 && values.reduce((a, b) => Math.max(a, b)) > 20 * values.reduce((a, b) => Math.min(a, b));
    if (this.plot && shape + log === this.drawn) {
      this.plot.setData(data);
    } else {
      this.drawn = shape + log;
      this.plot?.destroy();
      this.plot = new uPlot(this.#options(log), data, this);
    }
    if (this.at != null) this.mark(this.at);
  }

  #options(log) {
    const quiet = this.colour('quiet');
    const axis = { stroke: quiet, grid: { stroke: this.colour('line'), width: 1 }, ticks: { show: false },
      font: '12px system-ui, sans-serif' };
    return {
      width: this.room, height: 220, legend: { live: true }, cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: false }, y: { distr: log ? 3 : 1 } },
      axes: [{ ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10_000] }, { ...axis, size: 62, values: (_, ticks) => ticks.map((one) => (one == null ? '' : loss(one))) }],
      series: [{ label: 'Epoch' }, ...this.series.map((one) => ({
        label: one.label, stroke: this.colour(one.second ? 'second' : 'accent'), width: 2, dash: one.dash ? [6, 4] : undefined,
        points: { show: this.x.length < 3 }, value: (_, value) => loss(value),
      }))],
    };
  }
}
customElements.define('b-curves', Curves);

// The shape of a network in the space of a word.
import { html, svg } from './element.js';

/** Layers as bars around an axis: grey what the superstructure has, and inside it what is awake. */
export function spark(layers) {
  const hidden = layers.filter((layer, i) => layers.length === 1 || i < layers.length - 1);
  const tallest = Math.max(1, ...hidden.map((layer) => layer.width));
  const step = 96 / hidden.length;
  const bar = (name, value, i) => {
    const height = value ? Math.max(1, (value / tallest) * 34) : 0;
    return svg`<rect class=${name} x=${i * step} width=${step * 0.8} y=${17 - height / 2} height=${height} rx="1"></rect>`;
  };
  const words = hidden.map((layer) => `${layer.active ?? 0} of ${layer.width}`).join(', ');
  return html`<svg class="spark" viewBox="0 0 96 34" role="img" aria-label="Active neurons a layer: ${words}">
    ${hidden.map((layer, i) => bar('outline', layer.width, i))}${hidden.map((layer, i) => bar('fill', layer.active, i))}</svg>`;
}

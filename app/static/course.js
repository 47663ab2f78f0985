// The course of a search: what a slider goes through.

/** The epochs of the search itself; of all that was recorded where a search began with widths already found. */
export function course(history) {
  const searched = history.stages.map((stage, i) => (stage === 'search' ? i : -1)).filter((i) => i >= 0);
  const indices = searched.length ? searched : history.stages.map((_, i) => i);
  const of = (column) => indices.map((i) => column[i]);
  return {
    length: indices.length,
    stage: searched.length ? 'search' : (history.stages[0] ?? 'search'),
    epochs: of(history.epochs),
    stages: of(history.stages),
    train: of(history.train_loss),
    validation: of(history.validation_loss),
    metrics: of(history.metrics),
    parameters: of(history.parameters),
    layers: history.layers.map((layer) => ({ ...layer, active: of(layer.active) })),
  };
}

/** Active neurons of every layer at a point of the course; before the first epoch nothing is known. */
export const counts = (of, at) => of.layers.map((layer) => layer.active[at] ?? 0);

/** About `most` points of 0 … length - 1, the first and the last among them. */
export function some(length, most) {
  if (length <= most) return [...Array(length).keys()];
  return [...new Set([...Array(most).keys()].map((i) => Math.round((i * (length - 1)) / (most - 1))))];
}

export const searchedLayers = (layers) => {
  const found = layers.filter((layer) => layer.searched !== false);
  return found.length ? found : layers;
};

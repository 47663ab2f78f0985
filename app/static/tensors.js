// Reads the float32 tensors of a safetensors file, and draws images of them.

/** Tensors by name: `{shape, values}`. */
export function read(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const found = {};
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
    if (name === '__metadata__' || dtype !== 'F32') continue;
    found[name] = { shape, values: new Float32Array(buffer.slice(8 + length + from, 8 + length + to)) };
  }
  return found;
}

/** Whether a tensor is a batch of images of one or three channels. */
export const isImages = (tensor) => tensor?.shape.length === 4 && [1, 3].includes(tensor.shape[1]);

/** Draw image number `index` of a batch (n, channels, height, width) in [0, 1]. */
export function draw(canvas, { shape: [, channels, height, width], values }, index) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  const plane = height * width;
  for (let i = 0; i < plane; i += 1) {
    for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = 255 * values[(index * channels + (channels === 3 ? c : 0)) * plane + i];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Mean peak signal-to-noise ratio of a batch, in dB, for a range of [0, 1]. */
export function psnr(a, b) {
  const size = a.values.length / a.shape[0];
  let sum = 0;
  for (let n = 0; n < a.shape[0]; n += 1) {
    let error = 0;
    for (let i = n * size; i < (n + 1) * size; i += 1) error += (a.values[i] - b.values[i]) ** 2;
    sum -= 10 * Math.log10(error / size);
  }
  return sum / a.shape[0];
}

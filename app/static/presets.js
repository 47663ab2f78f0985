// Searches to begin with: each is a whole specification that runs on two CPU cores.

export const PRESETS = [
  { title: 'Small denoiser', words: 'An MLP on 8 × 8 digits: half a minute.', spec: {
    name: 'small denoiser', superstructure: { kind: 'mlp', widths: [96, 96, 96] }, task: { kind: 'denoise', sigma: 0.2 }, data: 'digits',
    target: { parameters: 8000 }, method: { lr: 0.003 }, budget: { epochs: 20, batch_size: 32 }, finetune: { epochs: 10 }, compare: ['flat', 'scratch'] } },
  { title: 'Hour-glass', words: 'A deep autoencoder on MNIST: minutes.', spec: {
    name: 'hour-glass', superstructure: { kind: 'mlp', widths: [256, 256, 256, 256, 256] }, task: { kind: 'autoencode' }, data: 'mnist-5k',
    target: { parameters: 100000 }, budget: { epochs: 30, batch_size: 64 }, finetune: { epochs: 10 }, compare: ['flat', 'scratch'] } },
  { title: 'U-Net', words: 'Takes noise out of photos: some minutes.', spec: {
    name: 'U-Net on photos', superstructure: { kind: 'unet', levels: 3, base: 16, residual: true }, task: { kind: 'denoise', sigma: 0.1 }, data: 'photos',
    target: { parameters: 15000 }, method: { lr: 0.002 }, budget: { epochs: 20, batch_size: 8, crop: 48 }, finetune: { epochs: 10 }, compare: ['scaled', 'scratch'] } },
  { title: 'Classifier', words: 'A convolutional network on digits: minutes.', spec: {
    name: 'digits by class', superstructure: { kind: 'convnet', channels: [16, 16], kernel: 3, hidden: [32] }, task: { kind: 'classify' }, data: 'digits',
    target: { fraction: 0.3 }, method: { lr: 0.002 }, budget: { epochs: 20, batch_size: 64 }, finetune: { epochs: 10 }, compare: ['flat', 'scratch'] } },
];
